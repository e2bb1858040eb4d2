"""What commands share: settings, connections, errors that end with a line and not a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from lockstep.cli.console import PlainConsole
from lockstep.cli.signals import answer_signals
from lockstep.composition import Root, open_stores
from lockstep.control.runtime.temporal import connect
from lockstep.domain.errors import Kind, LockstepError
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.domain.visible import escaped_json, visible
from lockstep.embedded.postgres import EmbeddedPostgres, choose_data_dir
from lockstep.logging import configure_logging
from lockstep.settings import Settings, SettingsError, load_settings
from lockstep.settings.shown import secret_marks
from lockstep.storage.engine.database import create_engine

WIDE = 120
"""Columns where no terminal says otherwise: a file or a pipe has no edge."""

out = PlainConsole(highlight=False, width=None if sys.stdout.isatty() else WIDE)
err = PlainConsole(stderr=True, highlight=False)
Result = TypeVar("Result")

FAILED = 1
UNUSABLE = 2

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Settings file \\[default: lockstep.toml]."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a script to read.")]
SealedOption = Annotated[
    bool,
    typer.Option("--sealed", help="Coming dismissals too; they are a secret until their cutoff."),
]


def scope_of(*, sealed: bool) -> Scope:
    """What is listed: whoever has the keyring may see all, but not by accident."""
    return EVERYTHING if sealed else Scope(None)


def die(message: str, *, code: int = FAILED) -> NoReturn:
    """End the command with one clear line on standard error."""
    for line in message.splitlines():
        # Messages are read as they stand: they quote settings, keys and what people typed.
        err.print(Text.assemble(("error:", "bold red"), " ", visible(line)), soft_wrap=True)
    raise typer.Exit(code)


def settings_or_die(config: Path | None, *, level: str | None = None) -> Settings:
    """Load settings, or end with every problem found."""
    try:
        settings = load_settings(config)
    except SettingsError as error:
        die(str(error), code=UNUSABLE)
    configure_logging(
        level=level or settings.log.level,
        text=settings.log.format == "text",
        marks=secret_marks(settings),
    )
    return settings


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The PostgreSQL of this installation; computes places only, starts nothing."""
    return EmbeddedPostgres(choose_data_dir(settings.path(settings.data_dir) / "postgres"))


def database_url(settings: Settings, *, owner: bool = False) -> str:
    """The URL of the database, embedded or external; raises `SettingsError`."""
    if settings.database.mode == "external":
        return settings.database_url(owner=owner)
    server = embedded_postgres(settings)
    return server.owner_url if owner else server.app_url


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, temporal: bool = False) -> AsyncIterator[Root]:
    """Connect for one command; Temporal connects when it is first needed."""
    ring = settings.open_keyring()
    engine = create_engine(database_url(settings), pool_size=2, application="lockstep-cli")
    root = Root(settings, open_stores(settings, engine, ring))
    if temporal:
        root.desk.attach(await connect(settings.temporal_address(), ring, lazy=True))
    try:
        yield root
    finally:
        await engine.dispose()


def run(
    work: Coroutine[Any, Any, Result],
    *,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Result:
    """Run a command's work; known errors become one line, and the exit is clean.

    Temporal's native library can abort while the interpreter ends; `finish` avoids that.

    Args:
        work: what to do.
        new_loop: makes the event loop; asyncio's own by default.
    """
    answer_signals()
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(work)
    except LockstepError as error:
        die(_words(error), code=_code_of(error))
    except SQLAlchemyError as error:
        die(
            f"the database cannot be used ({type(error).__name__}): is `lockstep up` running? "
            "See `lockstep doctor`"
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _words(error: LockstepError) -> str:
    if error.kind is Kind.NOT_THERE:  # its text is what was asked for
        return f"{error}: there is none, or it is not yours to know of"
    return f"--{error}" if error.is_of_option else str(error)


def _code_of(error: LockstepError) -> int:
    is_typed = error.is_of_option or error.kind is Kind.CANNOT_BE_ORDERED
    return UNUSABLE if is_typed or error.kind is Kind.SETTINGS else FAILED


def finish(code: int = 0) -> NoReturn:
    """End the process without running destructors of native libraries."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):  # the reader, such as `head`, has gone
            stream.flush()
    os._exit(code)


def not_blank(option: str, value: str | None) -> str | None:
    """The value of an option that narrows down; None where it was left out.

    An empty one, as of a script's variable that was never set, must not mean everybody.
    """
    if value is not None and not value.strip():
        die(f"{option} is empty: leave it out to mean all", code=UNUSABLE)
    return value


def print_json(value: object) -> None:
    """JSON on standard output: instants as RFC 3339, everything else as it is."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=False)
    sys.stdout.write(escaped_json(text) + "\n")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def whoami() -> str:
    """The operating system's user: the command line's only proof of who acts."""
    try:
        return f"os:{getpass.getuser()}"
    except (OSError, KeyError):
        return f"os:uid-{os.getuid()}"

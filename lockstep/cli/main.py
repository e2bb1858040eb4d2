"""The `lockstep` command."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import typer

import lockstep
from lockstep.cli.commands import Commands
from lockstep.cli.context import FAILED, finish
from lockstep.cli.signals import answer_signals

app = typer.Typer(
    name="lockstep",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback could show personal data
    help="Revokes a leaver's access everywhere at once, reads it back, and keeps the proof.",
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback form
    if wanted:
        typer.echo(f"lockstep {lockstep.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Revokes a leaver's access everywhere at once, reads it back, and keeps the proof."""


def main() -> None:
    """Entry point of the installed command. A traceback could show personal data: places only."""
    answer_signals()
    try:
        app(prog_name="lockstep")
    except SystemExit as end:
        # Every way out runs no destructors: see `context.run`.
        finish(end.code if isinstance(end.code, int) else int(end.code is not None))
    except Exception as error:  # noqa: BLE001 - the last resort of a command
        places = traceback.extract_tb(error.__traceback__)[-4:]
        trail = " > ".join(f"{Path(place.filename).name}:{place.lineno}" for place in places)
        typer.echo(
            f"error: this is a fault of Lockstep: {type(error).__name__} at {trail}", err=True
        )
        finish(FAILED)


if __name__ == "__main__":
    main()

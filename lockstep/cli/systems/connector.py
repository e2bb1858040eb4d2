"""`lockstep connector check`: what a connector owes, asked of one configured system."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Annotated

import typer

from connectors.base import Connector, Transcript
from connectors.kit.questions.asking import Answer, Questions, Verdict
from connectors.registry import MANUAL
from lockstep.cli.console import PlainConsole
from lockstep.cli.context import (
    FAILED,
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    err,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.settings import Settings, SettingsError

NOT_KNOWN = 3
"""Nothing failed, and something could not be asked."""

connector_app = typer.Typer(
    no_args_is_help=True, help="Connectors: try one against a system, or begin a new one."
)
_MARKS = {Verdict.HOLDS: "     ok", Verdict.FAILS: "problem", Verdict.NOT_KNOWN: "unknown"}


@connector_app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Name of the system, as in the settings.")],
    known: Annotated[
        str,
        typer.Option("--known", metavar="KEYS", help="Keys of somebody who is there; reads only."),
    ] = "",
    leaver: Annotated[
        str,
        typer.Option(
            "--leaver",
            metavar="KEYS",
            help="Keys of a TEST account that is closed for good, such as"
            " email=pat@example.com,worker_id=W1.",
        ),
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Close it without asking again.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask a system what its connector owes: reads only, unless a leaver is given.

    For test tenants: nothing of it goes into the ledger. Exit 0 where everything holds, 1 where
    something fails, 2 where it could not begin, 3 where nothing fails and something was not asked.
    """
    settings = settings_or_die(config)
    keys = {
        option: _keys(option, text)
        for option, text in (("--known", known), ("--leaver", leaver))
        if text
    }
    connector, questions = _questions(settings, name)
    answers: list[Answer] = []

    async def work() -> None:
        try:
            async for answer in _asked(questions, keys, yes=yes, name=name):
                answers.append(answer)
                _print(answer, err if as_json else out)
        finally:
            await connector.aclose()

    run(work())
    if as_json:
        print_json([asdict(answer) for answer in answers])
    verdicts = {answer.verdict for answer in answers}
    if Verdict.FAILS in verdicts:
        raise typer.Exit(FAILED)
    if Verdict.NOT_KNOWN in verdicts:
        raise typer.Exit(NOT_KNOWN)


async def _asked(
    questions: Questions, keys: dict[str, LeaverKeys], *, yes: bool, name: str
) -> AsyncIterator[Answer]:
    leaver = keys.get("--leaver")
    async for answer in questions.reads(keys.get("--known") or leaver):
        yield answer
    if leaver is None:
        return
    transcript = Transcript()
    answer, account = await questions.find(leaver, transcript)
    if account is None:
        yield answer
        return
    shown = account.locator or account.id
    err.print(
        f"This closes the account {shown} in {name}, for good: nothing gives it back.", markup=False
    )
    if not yes and not typer.confirm("Close it?", err=True):
        die("not confirmed: nothing was changed", code=UNUSABLE)
    async for answer in questions.whole(account, transcript):
        yield answer


def _questions(settings: Settings, name: str) -> tuple[Connector, Questions]:
    table = settings.systems.get(name)
    if table is None:
        known = ", ".join(sorted(settings.systems)) or "none"
        die(f"{name}: there is no such system in the settings; known are {known}", code=UNUSABLE)
    if table.connector == MANUAL:
        die(f"{name}: a person works it by hand: there is no connector to check", code=UNUSABLE)
    try:
        manifest = settings.manifest(name)
        connector = manifest.build(settings.connector_options(name))
    except SettingsError as error:
        die(str(error), code=UNUSABLE)
    except ValueError as error:
        die(f"systems.{name}: {error}", code=UNUSABLE)
    tolerance = settings.policy.vendor_clock_tolerance
    return connector, Questions(connector, name, set(manifest.residual_s), tolerance)


def _keys(option: str, text: str) -> LeaverKeys:
    """``email=pat@example.com,worker_id=W1``."""
    found = []
    for part in text.split(","):
        kind, _, value = part.strip().partition("=")
        if kind not in set(KeyKind) or not value:
            kinds = ", ".join(KeyKind)
            die(f"{option}: write kind=value, kinds are {kinds}", code=UNUSABLE)
        found.append(Key(KeyKind(kind), value))
    return LeaverKeys(tuple(found))


def _print(answer: Answer, console: PlainConsole) -> None:
    """As it comes: some systems take minutes."""
    line = f"{_MARKS[answer.verdict]}  {answer.question}: {answer.asked}: {answer.found}"
    console.print(line, markup=False, soft_wrap=True)

"""`lockstep score`, `score penalties`, `metric report`, `metric list`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    not_blank,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.cli.score import view
from lockstep.control.score.questions import QuestionError, parse_month, parse_question
from lockstep.control.score.reports import REPORTED, SHORT_NAMES, to_report
from lockstep.domain.rights import EVERYTHING
from lockstep.storage.score.scores import MetricReport

_METRIC_HELP = f"{', '.join(REPORTED)}; or {', '.join(SHORT_NAMES)} for short."

score_app = typer.Typer(
    invoke_without_command=True, help="The People metric: what it is and what costs points."
)
metric_app = typer.Typer(no_args_is_help=True, help="The other metrics of the dimension.")


class By(StrEnum):
    """What the score may be broken down by."""

    PARTNER = "partner"
    SITE = "site"
    CATEGORY = "category"
    SYSTEM = "system"
    KIND = "kind"


@score_app.callback()
def score(
    context: typer.Context,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what cost which points and what to do next.")
    ] = False,
    window: Annotated[
        str,
        typer.Option(
            help="`official`, or FROM..TO: whole days in UTC, as in 2026-07-01..2026-09-30."
        ),
    ] = "official",
    partner: Annotated[str | None, typer.Option(help="Only cases of this partner.")] = None,
    by: Annotated[By | None, typer.Option(help="Break it down.")] = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the score of access revocation: 0 to 20, with everything needed to read it."""
    if context.invoked_subcommand is not None:
        return
    not_blank("--partner", partner)
    settings = settings_or_die(config)
    try:
        in_full = explain or as_json or by is not None
        question = parse_question(window, partner, in_full=in_full, sealed=True)
    except QuestionError as error:
        die(f"--{error}", code=UNUSABLE)

    async def work() -> dict[str, Any]:
        async with opened(settings) as connections:
            await connections.stores.known.check(EVERYTHING, partner=partner or "")
            return await connections.score.read(question)

    document = run(work())
    if as_json:
        print_json(document)
        return
    out.print(view.panel(document))
    if by is not None:
        out.print(view.breakdown(by.value, document["by"][by.value]))
    if explain:
        for line in view.explanation(document["explain"]):
            out.print(line, soft_wrap=True)


@score_app.command("penalties")
def show_penalties(
    month: Annotated[str, typer.Option(help="Which month (UTC), as in 2026-11.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """What late revocations of a month cost by contract: which cases, how late, how much."""
    settings = settings_or_die(config)
    try:
        parse_month(month)
    except QuestionError as error:
        die(f"--{error}", code=UNUSABLE)

    async def work() -> dict[str, Any]:
        async with opened(settings) as connections:
            return await connections.score.read_penalties(month)

    document = run(work())
    if as_json:
        print_json(document)
        return
    for part in view.penalties(document):
        out.print(part)


@metric_app.command("report")
def report_metric(
    metric: Annotated[str, typer.Argument(help=_METRIC_HELP)],
    value: Annotated[str, typer.Argument(help="0 to 20 as in 19.4, or a share as in 97/100.")],
    as_of: Annotated[str, typer.Option(help="When it was measured: a date or an instant.")],
    source: Annotated[str, typer.Option(help="Where it comes from, as in lms: a-z, 0-9, -.")],
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Report another metric of the dimension; it goes on record in the ledger."""
    settings = settings_or_die(config)
    try:
        stated = _stated(metric, value, as_of, source)
    except QuestionError as error:
        die(str(error), code=UNUSABLE)

    async def work() -> tuple[MetricReport, bool]:
        async with opened(settings) as connections:
            return await connections.stores.scores.report(stated, tenant=settings.tenant)

    stands, is_new = run(work())
    if as_json:
        print_json({**view.report_row(stands), "new": is_new})
        return
    what = f"{stands.metric.replace('_', ' ')}: {stands.value} of 20 as of {stands.as_of:%Y-%m-%d}"
    out.print(f"{what} recorded." if is_new else f"{what}: on record already.")


@metric_app.command("list")
def list_metrics(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """What was reported of the other metrics, the last recorded first."""
    settings = settings_or_die(config)

    async def work() -> list[MetricReport]:
        async with opened(settings) as connections:
            return await connections.stores.scores.reported()

    rows = run(work())
    if as_json:
        print_json([view.report_row(row) for row in rows])
    elif rows:
        out.print(view.report_table(rows))
    else:
        out.print("Nothing was reported yet. See `lockstep metric report --help`.")


def _stated(metric: str, value: str, as_of: str, source: str) -> MetricReport:
    """A report from arguments; raises `QuestionError`."""
    top, slash, bottom = value.partition("/")
    now = datetime.now(UTC)
    if not slash:
        return to_report(metric, value=value, as_of=as_of, source=source, now=now)
    digits = (top.strip(), bottom.strip())
    if not all(part.isascii() and part.isdigit() and len(part) <= 10 for part in digits):  # noqa: PLR2004
        raise QuestionError("value: a share is written as in 97/100")
    return to_report(
        metric,
        numerator=int(digits[0]),
        denominator=int(digits[1]),
        as_of=as_of,
        source=source,
        now=now,
    )

"""`lockstep case show`, `attest`, `waive`, `amend`, `rescind`, `rehired`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from lockstep.cli import render
from lockstep.cli.cases.candidates import file_of, print_candidates, print_searches
from lockstep.cli.cases.requests import (
    Patience,
    TimeoutOption,
    WaitOption,
    follow_asked,
    typed,
)
from lockstep.cli.cases.standing import Standing
from lockstep.cli.context import (
    FAILED,
    UNUSABLE,
    ConfigOption,
    JsonOption,
    SealedOption,
    die,
    finish,
    opened,
    out,
    print_json,
    run,
    scope_of,
    settings_or_die,
    whoami,
)
from lockstep.composition import Root
from lockstep.control.cases.asking import Asked
from lockstep.control.cases.dates import refuse_to_soften
from lockstep.control.cases.desk import Correction, Person
from lockstep.control.cases.prolonging import prolongings
from lockstep.control.cases.timeline import Told, told
from lockstep.control.cases.uploads import MOST_BYTES, checked_upload
from lockstep.control.cases.wording import (
    NOT_OF_THIS_CASE,
    contained_words,
    reason_of,
    status_of,
    suggestion_of,
)
from lockstep.control.intake.reporting import make_dates
from lockstep.control.refusals import RefusedError
from lockstep.control.requests.command_line import CommandLine, typed_principal
from lockstep.control.score.questions import to_ms
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.settings import Settings
from lockstep.storage.board.file import CaseFile
from lockstep.storage.keys.artefacts import Upload
from lockstep.storage.privacy.holds import Hold
from lockstep.storage.records import CaseView

_TOLD_SKEW_MS = 1000
CaseArgument = Annotated[str, typer.Argument(help="Case id, or the beginning of it.")]
SystemArgument = Annotated[str, typer.Argument(help="System of the case, as the settings name it.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why; kept with the decision.")]
ActorOption = Annotated[
    str, typer.Option("--as", help="Who decides \\[default: the operating system's user].")
]
SecondOption = Annotated[
    str, typer.Option("--second", hidden=True, help="Not taken any more: it proved nobody.")
]

NO_SECOND = (
    "--second is not taken any more: a name that you type proves nobody. Leave it out: where two"
    " people are needed, the command asks, and somebody else who has signed in decides in the"
    " console"
)
_SOON_S = 5
_STORED = "stored; it is carried out as soon as a worker runs"
_AS_IT_WAS = "as_it_was"
_VERDICTS = {
    "amend": "The case was amended.",
    _AS_IT_WAS: "Nothing changed: all of this stood already. What was said is on record.",
    "rescind": "The case was rescinded: it stops, nothing was revoked.",
    "rehired": "They work here again: the watch ends, nothing is taken from them any more.",
    "too_late": "Too late: the cutoff has passed. Recorded; nothing is ever re-enabled here.",
}

case_app = typer.Typer(no_args_is_help=True, help="One case.")


@case_app.command("show")
def show_case(
    case_id: CaseArgument,
    ledger: Annotated[bool, typer.Option("--ledger", help="Print the ledger entries too.")] = False,
    sealed: SealedOption = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show one case: its clocks, each system, what was removed, what remains.

    A coming dismissal is not there, unless --sealed. While a system is not off, exposure_ms is the
    least that it can be: accounts that were not found yet count for nothing.
    """
    settings = settings_or_die(config)

    async def work() -> tuple[CaseView, CaseFile, list[Hold], list[bytes]]:
        async with opened(settings) as context:
            view = await _found(context, case_id, sealed=sealed)
            held = await context.stores.holds.of([view.case.case_id])
            file = await file_of(context, view.case.case_id)
            return view, file, held, await context.stores.ledger.entries(view.case.case_id)

    view, file, held, entries = run(work())
    names = sorted(row.system for row in view.revocations)
    lanes = told(((None, entry) for entry in entries), names, cutoff=to_ms(view.case.cutoff_at))
    if as_json:
        data = _case_data(view, held, file, lanes)
        data["prolonged"] = list(map(asdict, prolongings(entries)))
        if ledger:
            data["ledger"] = [entry.decode() for entry in entries]
        print_json(data)
        return
    for line in _going_on(view, file):
        out.print(line, soft_wrap=True)
    print_case(view, held)
    for one in prolongings(entries):
        out.print(escape(f"prolonged: {one.what}{', ' if one.by else ''}{one.by}"), soft_wrap=True)
    _print_beside(view, file, lanes)
    for entry in entries if ledger else ():
        out.print(escape(entry.decode()), soft_wrap=True)


def _case_data(
    view: CaseView, held: Sequence[Hold], file: CaseFile, lanes: Mapping[str, Told]
) -> dict[str, object]:
    stalled = file.stalled.of(view.case.case_id)
    return {
        **render.as_data(view),
        "holds": [asdict(hold) for hold in held],
        "candidates": {name: list(map(asdict, rows)) for name, rows in file.candidates.items()},
        "keys": [asdict(key) for key in file.subject.keys.keys] if file.subject else [],
        "withdrawn_keys": list(map(asdict, file.subject.keys.withdrawn)) if file.subject else [],
        "searches": {
            name: {"searched": lane.searches, "listed": lane.listed} for name, lane in lanes.items()
        },
        "unknown_systems": list(file.unknown_systems),
        "stalled": stalled and render.stalled_data(stalled),
        "stalled_known": file.stalled.is_known,
        "clock_skew_ms": {name: lane.skew_ms for name, lane in lanes.items()},
    }


def _print_beside(view: CaseView, file: CaseFile, lanes: Mapping[str, Told]) -> None:
    """What of the systems has no column in the table."""
    for row in view.revocations:
        if shut := contained_words(row, lanes[row.system].unread):
            out.print(f"\n{row.system}: {shut} Everything else is not proved gone.", soft_wrap=True)
    for name, candidates in file.candidates.items():
        print_candidates(view.case.case_id, name, candidates)
    print_searches(file, lanes)
    for system in file.unknown_systems:
        out.print(f"\n[yellow]{escape(system)}[/]: {NOT_OF_THIS_CASE}", soft_wrap=True)
    for name, lane in lanes.items():
        if abs(lane.skew_ms) >= _TOLD_SKEW_MS:
            way = "behind" if lane.skew_ms < 0 else "ahead of"
            off = render.duration(abs(lane.skew_ms))
            out.print(f"\n{name}: the vendor's clock is {off} {way} ours; times are by our own.")


def _going_on(view: CaseView, file: CaseFile) -> list[str]:
    """Whether its workflow can; nothing where it is known to, or has nothing to do."""
    if stalled := file.stalled.of(view.case.case_id):
        return [*render.stalled_lines(view, stalled)[1:], ""]
    if file.is_under_way and not file.stalled.is_known:
        return [escape(render.unknown_line(file.stalled)), ""]
    return []


async def _found(context: Root, case_id: str, *, sealed: bool) -> CaseView:
    """One case; what is left out without --sealed is not said to be missing."""
    try:
        return await context.desk.within(scope_of(sealed=sealed)).find(case_id)
    except RefusedError:
        if sealed:
            raise
    await context.desk.find(case_id)
    raise RefusedError("this is a coming dismissal: --sealed shows it")


def hold_line(hold: Hold) -> str:
    """A legal hold in one line, for people."""
    end = f"released {render.instant(hold.released_at)}" if hold.released_at else "stands"
    by = f" by {escape(hold.placed_by)}: {escape(hold.reason)}" if hold.placed_by else ""
    return f"legal hold {hold.hold_id} {end}, placed {render.instant(hold.placed_at)}{by}"


def print_case(view: CaseView, held: Sequence[Hold] = ()) -> None:
    """A case for people, with its legal holds."""
    times = render.times_of(view)
    case = view.case
    growing = " and growing" if times.is_open and case.begun_at else ""
    out.print(
        f"[bold]{case.case_id}[/]  {render.coloured(status_of(view))}  "
        f"{escape(view.leaver)}  {case.kind.replace('_', ' ')}  {escape(case.partner)}"
    )
    out.print(
        f"cutoff {render.instant(case.cutoff_at)} ({escape(case.zone)})   "
        f"HR recorded {render.instant(case.recorded_at)}   "
        f"received {render.instant(case.received_at)}   closed {render.instant(case.closed_at)}"
    )
    out.print(
        f"HR lag {render.duration(times.hr_lag_ms)}   "
        f"time to revocation {render.duration(times.time_to_revocation_ms)}{growing}   "
        f"exposure {render.exposure_text(view, times)}\n"
    )
    for hold in held:
        out.print(hold_line(hold), soft_wrap=True)
    out.print(render.system_table(view))
    for row in view.revocations:
        if row.fault and row.state != RevocationState.SETTLED:
            why = f"{reason_of(row, case)} {escape(row.fault_text or '')}".strip()
            out.print(f"\n[yellow]{row.system}[/]: {why}\n  {suggestion_of(row)}")
        for problem in row.rehearsal_problems or ():
            out.print(
                f"\n[yellow]{row.system}[/] rehearsal: {escape(problem['summary'])}\n"
                f"  {escape(problem['fix'])}"
            )


def attest(
    case_id: CaseArgument,
    system: SystemArgument,
    reason: ReasonOption,
    artefact: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Proof; kept encrypted, its SHA-256 goes on record."
        ),
    ] = None,
    second: SecondOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say that access was ended by hand. Grade C with an artefact and a second person, else D.

    With an artefact, and on tier 0, it asks: a second person decides in the console.
    """
    settings = _may_decide(config, reason, second)
    upload = _upload(artefact) if artefact is not None else None
    patience = Patience(wait, timeout)

    async def work() -> int:
        async with opened(settings, temporal=True) as context:
            me = typed(context, actor)
            done = await me.attest(case_id, system, reason=reason, upload=upload)
            if isinstance(done, Asked):
                wish = f"the attestation of {system}"
                return await follow_asked(
                    context, me, done, wish, patience=patience, as_json=as_json
                )
            if as_json:
                print_json({"decision": "attest", "outcome": done.outcome or None})
            else:
                out.print("attest recorded" + (f": {done.outcome}" if done.outcome else ""))
            return 0

    finish(run(work()))


def waive(
    case_id: CaseArgument,
    system: SystemArgument,
    reason: ReasonOption,
    until: Annotated[datetime, typer.Option(help="End of the waiver (UTC), 90 days at most.")],
    second: SecondOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask that a system may stay open for a bounded time; a second person decides in the console.

    Both before its deadline.
    """
    settings = _may_decide(config, reason, second)
    end = until.replace(tzinfo=UTC)

    patience = Patience(wait, timeout)

    async def work() -> int:
        async with opened(settings) as context:
            me = typed(context, actor)
            asked = await me.waive(case_id, system, reason=reason, until=end)
            wish = f"the waiver of {system}"
            return await follow_asked(context, me, asked, wish, patience=patience, as_json=as_json)

    raise typer.Exit(run(work()))


def amend(
    case_id: CaseArgument,
    reason: ReasonOption,
    zone: Annotated[str, typer.Option(help="IANA zone of the dates \\[default: the case's].")] = "",
    last_day: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last working day.")
    ] = None,
    access_ends_at: Annotated[
        str | None, typer.Option(help="Exact instant, RFC 3339 with offset; or `now`.")
    ] = None,
    second: SecondOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Move the cutoff of a case that has not begun.

    To later, for a dismissal, it asks: a second person decides in the console.
    """
    settings = _may_decide(config, reason, second)

    patience = Patience(wait, timeout)

    async def work() -> int:
        async with opened(settings) as context:
            view = await context.desk.find(case_id)
            dates = make_dates(
                zone=zone or view.case.zone,
                last_day=last_day.date() if last_day else None,
                access_ends_at=access_ends_at,
            )
            me = typed(context, actor)
            before = await Standing.of(context, view)
            said = await me.amend(case_id, dates, reason=reason)
            if isinstance(said, Asked):
                return await follow_asked(
                    context, me, said, "the later cutoff", patience=patience, as_json=as_json
                )
            return await _await_event(context, said, patience, before=before, as_json=as_json)

    raise typer.Exit(run(work()))


@case_app.command("correct")
def correct_case(
    case_id: CaseArgument,
    reason: ReasonOption,
    email: Annotated[list[str] | None, typer.Option(help="One more address.")] = None,
    username: Annotated[list[str] | None, typer.Option(help="One more user name.")] = None,
    employee_number: Annotated[str, typer.Option(help="One more employee number.")] = "",
    kind: Annotated[TerminationKind | None, typer.Option(help="The right kind.")] = None,
    partner: Annotated[str, typer.Option(help="The right partner.")] = "",
    site: Annotated[str, typer.Option(help="The right site.")] = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Add keys of the leaver, or correct kind, partner or site; dates move by `lockstep amend`.

    Keys are added to those that HR sent. Systems that waited for better ones are tried again.
    """
    settings = settings_or_die(config)
    person = Person(actor or whoami(), reason)
    check_reason(reason)
    more = Correction(
        tuple(email or ()),
        tuple(username or ()),
        employee_number,
        kind.value if kind else "",
        partner,
        site,
    )

    async def work() -> int:
        async with opened(settings) as context:
            view = await context.desk.find(case_id)
            before = await Standing.of(context, view)
            await _not_oneself(context, view.case.case_id, actor)
            refuse_to_soften(settings.console.pairs(), view.case, more)
            event = await context.desk.correct(view.case.case_id, more, person)
            return await _await_event(
                context, event, Patience(False, 0), before=before, as_json=as_json
            )

    raise typer.Exit(run(work()))


def rescind(
    case_id: CaseArgument,
    reason: ReasonOption,
    second: SecondOption = "",
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Stop a case before its cutoff. Afterwards nothing is ever re-enabled by us.

    For a dismissal it asks: a second person decides in the console.
    """
    settings = _may_decide(config, reason, second)

    patience = Patience(wait, timeout)

    async def work() -> int:
        async with opened(settings) as context:
            me = typed(context, actor)
            said = await me.rescind(case_id, reason=reason)
            return await _report(
                context, me, said, "the calling off", patience=patience, as_json=as_json
            )

    raise typer.Exit(run(work()))


def rehired(
    case_id: CaseArgument,
    reason: ReasonOption,
    hired_on: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="When the new employment began, if it is known."),
    ] = None,
    wait: WaitOption = False,
    timeout: TimeoutOption = 600,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Say that the leaver of a closed case works here again: nothing more is taken from them.

    Its watch ends. What stood already is told as a finding; nothing is given back. Of a dismissal
    it asks: a second person decides in the console.
    """
    settings = _may_decide(config, reason, "")
    patience = Patience(wait, timeout)
    day = hired_on.date() if hired_on else None

    async def work() -> int:
        async with opened(settings) as context:
            me = typed(context, actor)
            said = await me.rehire(case_id, reason=reason, hired_on=day)
            wish = "the end of the watch, as they work here again"
            return await _report(context, me, said, wish, patience=patience, as_json=as_json)

    raise typer.Exit(run(work()))


def _may_decide(config: Path | None, reason: str, second: str) -> Settings:
    """The settings; ends the command where nobody says why, or a second person was typed."""
    if second:
        die(NO_SECOND, code=UNUSABLE)
    settings = settings_or_die(config)
    check_reason(reason)
    return settings


def _upload(file: Path) -> Upload:
    """The proof, as the console takes it: whoever is to agree must be able to look at it."""
    if file.stat().st_size > MOST_BYTES:
        die(f"{file}: larger than {MOST_BYTES // 1024 // 1024} MiB")
    try:
        return checked_upload(file.name, file.read_bytes())
    except RefusedError as error:
        die(f"{file}: {error}")


async def _report(
    context: Root,
    me: CommandLine,
    said: str | Asked,
    wish: str,
    *,
    patience: Patience,
    as_json: bool,
) -> int:
    """What became of a statement, or of the request for it; return the exit code."""
    if isinstance(said, Asked):
        return await follow_asked(context, me, said, wish, patience=patience, as_json=as_json)
    return await _await_event(context, said, patience, as_json=as_json)


async def _await_event(
    context: Root,
    event_id: str,
    patience: Patience,
    *,
    before: Standing | None = None,
    as_json: bool,
) -> int:
    """Wait for the dispatcher, so that the answer can say what came of it; return the exit code."""
    seconds = patience.seconds if patience.waits else _SOON_S
    row = None
    for _ in range(seconds * 10):
        row = (await context.stores.views.by_event("cli", [event_id])).get(event_id)
        if row and row["state"] in {"done", "refused"}:
            break
        await asyncio.sleep(0.1)
    if row and row["state"] == "refused":
        die(f"not carried out: {row['error'] or row['verdict']}")
    is_done = row is not None and row["state"] == "done"
    verdict = str(row["verdict"]) if row and is_done else _STORED
    same = verdict == "amend" and before is not None and await before.still(context)
    if as_json:
        print_json({"verdict": verdict, **({"changed": False} if same else {})})
    else:
        says = _AS_IT_WAS if same else verdict
        out.print(_VERDICTS.get(says, says.replace("_", " ")), soft_wrap=True)
    if verdict == "too_late":
        return FAILED
    return 0 if is_done or not patience.waits else FAILED


async def _not_oneself(context: Root, case_id: str, actor: str) -> None:
    """Refuse what somebody says of their own case, as far as their name is known."""
    tenant = context.settings.tenant
    me = typed_principal(context.stores.ring, tenant, given=actor, user=whoami())
    if await context.stores.views.within(me.scope).show(case_id) is None:
        raise RefusedError(
            f"case {case_id} is about a person of this name ({me.name}): nobody says anything of"
            " their own case; somebody else has to"
        )


def check_reason(reason: str) -> None:
    """End the command where nobody says why."""
    if not reason.strip():
        die("give a reason with --reason: it is kept with the decision", code=UNUSABLE)

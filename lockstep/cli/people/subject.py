"""`lockstep subject`: what is kept of a person, for how long, and its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.markup import escape

from lockstep.cli import render
from lockstep.cli.cases.case import ActorOption, CaseArgument, hold_line
from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
    whoami,
)
from lockstep.control.cases.desk import Person
from lockstep.control.cases.withdrawing import key_words
from lockstep.control.privacy.keeping import Privacy, Retention, Stored, Tally, Whom
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.counting import counted
from lockstep.settings import Settings
from lockstep.storage.cases.spells import Kept, Obstacle, Spell
from lockstep.storage.privacy.erasure import Erased

subject_app = typer.Typer(no_args_is_help=True, help="Personal data of one person.")

MOST_LINES = 1000
"""A dry run prints so many people; the counts below them are of all."""

WhomArgument = Annotated[
    str, typer.Argument(help="A case id, the beginning of one, or a subject id.")
]
WorkerOption = Annotated[
    str, typer.Option("--worker-id", help="Instead: HR's id; every spell of that person.")
]
SourceOption = Annotated[
    str,
    typer.Option("--source", help="With --worker-id: whose number it is, where several know it."),
]
HoldReason = Annotated[
    str, typer.Option("--reason", "-r", help="Why; kept encrypted, never in the ledger.")
]

_KEPT = {
    Obstacle.HELD: "a legal hold stands",
    Obstacle.OPEN: "a case is open",
    Obstacle.AT_WORK: "a system that is not required is still open",
    Obstacle.WATCHED: "still watched, or a last look may be under way",
}


@asynccontextmanager
async def _privacy(settings: Settings) -> AsyncIterator[Privacy]:
    async with opened(settings) as context:
        yield Privacy(context.stores, desk=context.desk, packs=context.packs_folder)


@subject_app.command("show")
def show(
    target: WhomArgument = "",
    worker_id: WorkerOption = "",
    source: SourceOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what is stored of a person, and what would stand against erasing it."""
    settings = settings_or_die(config, level="error")

    async def work() -> Stored:
        async with _privacy(settings) as privacy:
            return await privacy.show(Whom(target, worker_id, source))

    stored = run(work())
    if as_json:
        print_json(_stored_data(stored))
    else:
        _print_stored(stored)


@subject_app.command("erase")
def erase(
    reference: Annotated[
        str, typer.Option("--reference", help="Number of the request, for the ledger; no text.")
    ],
    target: WhomArgument = "",
    worker_id: WorkerOption = "",
    source: SourceOption = "",
    actor: ActorOption = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Destroy a person's data for good. The ledger stays, and stays verifiable."""
    settings = settings_or_die(config, level="error")
    whom = Whom(target, worker_id, source)

    async def look() -> Stored:
        async with _privacy(settings) as privacy:
            return await privacy.erasable(whom, reference=reference)

    async def work() -> tuple[Erased, list[str]]:
        async with _privacy(settings) as privacy:
            return await privacy.erase(whom, reference=reference, actor=actor or whoami())

    if not yes:
        _ask_to_erase(run(look()))
    done, files = run(work())
    if as_json:
        print_json(_erased_data(done, files))
    else:
        _print_erased(done, files)


@subject_app.command("hold")
def hold(
    case_id: CaseArgument,
    reason: HoldReason,
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Place a legal hold: the person's data are kept until it is released."""
    settings = settings_or_die(config, level="error")
    if not reason.strip():
        die("give a reason with --reason: it is kept with the hold", code=UNUSABLE)

    async def work() -> str:
        async with _privacy(settings) as privacy:
            return await privacy.hold(case_id, Person(actor or whoami(), reason))

    hold_id = run(work())
    if as_json:
        print_json({"hold": hold_id, "state": "placed"})
    else:
        out.print(f"hold {hold_id} placed: the data are kept until it is released")


@subject_app.command("release")
def release(
    case_id: CaseArgument,
    reason: HoldReason,
    hold_id: Annotated[str, typer.Option("--hold", help="Which, if several stand.")] = "",
    actor: ActorOption = "",
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Release a legal hold. The data are kept as long as anybody's from here on."""
    settings = settings_or_die(config, level="error")
    if not reason.strip():
        die("give a reason with --reason: it is kept with the hold", code=UNUSABLE)

    async def work() -> str:
        async with _privacy(settings) as privacy:
            person = Person(actor or whoami(), reason)
            return await privacy.release(case_id, person, hold_id=hold_id)

    released = run(work())
    if as_json:
        print_json({"hold": released, "state": "released"})
    else:
        out.print(f"hold {released} released")


@subject_app.command("retention")
def retention(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show who would be.")] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Erase now whoever is due; the worker does it daily."""
    settings = settings_or_die(config, level="error")

    async def work() -> tuple[list[Spell], Tally]:
        async with opened(settings) as context:
            job = context.retention
            return await _preview(job) if dry_run else ([], await job.once())

    spells, tally = run(work())
    if as_json:
        print_json(_tally_data(spells, tally, dry_run=dry_run))
        return
    for spell in spells:
        out.print(f"{spell.case_id}  subject {spell.subject_id}  ended {_at(spell)}")
    if tally.erased > len(spells) and dry_run:
        out.print(f"... and {tally.erased - len(spells)} more")
    verb = "would be erased" if dry_run else "erased"
    days = settings.retention.names.days
    out.print(f"personal data of {tally.erased} cases {verb}: kept for {days} days")
    for obstacle, count in tally.kept.items():
        out.print(f"{counted(count, 'person', 'people')} kept: {_KEPT[obstacle]}")


def _ask_to_erase(stored: Stored) -> None:
    """Say whom it is about, and ask; ends the command unless the answer is yes."""
    lost = [spell for spell in stored.spells if spell.subject_id in stored.subjects]
    for spell in lost:
        name = stored.subjects[spell.subject_id].display_name or "no name"
        typer.echo(f"{spell.case_id}  {name}  {spell.status}", err=True)
    if lost and not typer.confirm("This cannot be undone by anybody. Erase?", err=True):
        die("nothing was erased")


async def _preview(job: Retention) -> tuple[list[Spell], Tally]:
    shown: list[Spell] = []
    kept: dict[object, Obstacle] = {}
    count = 0
    async for free, held in job.due():
        count += len(free)
        shown.extend(free[: MOST_LINES - len(shown)])
        kept.update((row.spell.person, row.obstacle) for row in held)
    return shown, Tally(count, 0, 0, Counter(kept.values()))


def _at(spell: Spell) -> str:
    return render.instant(spell.ended_at)


def _print_stored(stored: Stored) -> None:
    for spell in stored.spells:
        out.print(f"[bold]{spell.case_id}[/]  subject {spell.subject_id}  {spell.status}")
        subject = stored.subjects.get(spell.subject_id)
        if subject is None:
            out.print(f"  erased {render.instant(spell.erased_at)}")
            continue
        out.print(f"  name       {escape(subject.display_name) or render.NONE}")
        out.print(f"  spell      {escape(subject.spell)}")
        for key in subject.keys.keys:
            where = f"  ({key.system})" if key.system else ""
            out.print(f"  {key.kind.value:<10} {escape(key.value)}{escape(where)}")
        for key in subject.keys.withdrawn:
            out.print(f"  withdrawn  {escape(key_words(key))}")
        out.print(f"  {_end_of(spell)}  {_at(spell)}")
    for row in stored.holds:
        out.print(hold_line(row))
    inventory = stored.inventory
    out.print(f"events received {inventory.events}   decisions by people {inventory.decisions}")
    for pack in inventory.packs:
        out.print(f"identified pack {pack.export_id}  {render.instant(pack.requested_at)}")
    if stored.others:
        out.print(f"this person has {stored.others} more spells: use --worker-id for all")
    if stored.kept is not None:
        out.print(f"[yellow]cannot be erased now[/]: {_reason(stored.kept)}")


def _end_of(spell: Spell) -> str:
    """What the end of a spell is: a watch may have been ended before its time."""
    if spell.status == CaseStatus.RESCINDED:
        return "called off"
    return "watched until" if spell.is_watched else "watch ended; a look under way may last until"


def _reason(kept: Kept) -> str:
    is_ended = kept.obstacle is Obstacle.WATCHED and not kept.spell.is_watched
    told = (
        "its watch was ended, a look may still be under way" if is_ended else _KEPT[kept.obstacle]
    )
    return f"{told} ({kept.spell.case_id})"


def _print_erased(done: Erased, files: list[str]) -> None:
    for spell in done.spells:
        out.print(f"{spell.case_id}  subject {spell.subject_id}  erased")
    for spell in done.already:
        out.print(f"{spell.case_id}  subject {spell.subject_id}  was erased before")
    if done.events:
        out.print(f"bodies of {done.events} received events destroyed")
    for name in files:
        out.print(f"identified pack deleted: {escape(name)}")
    if done.packs:
        out.print("These packs may name the person. Whoever has a copy must destroy it:")
    for pack in done.packs:
        out.print(
            f"  {pack.export_id}  {render.instant(pack.requested_at)}  {escape(pack.requested_by)}"
        )


def _stored_data(stored: Stored) -> dict[str, Any]:
    return {
        "spells": [
            {
                **_spell_data(spell),
                "erased_at": spell.erased_at,
                "data": _person_data(stored, spell),
            }
            for spell in stored.spells
        ],
        "other_spells": stored.others,
        "holds": [asdict(row) for row in stored.holds],
        "events": stored.inventory.events,
        "decisions": stored.inventory.decisions,
        "packs": [pack.export_id for pack in stored.inventory.packs],
        "kept_by": stored.kept.obstacle.value if stored.kept else None,
    }


def _person_data(stored: Stored, spell: Spell) -> dict[str, Any] | None:
    subject = stored.subjects.get(spell.subject_id)
    if subject is None:
        return None
    return {
        "name": subject.display_name,
        "spell": subject.spell,
        "keys": [[key.kind.value, key.value, key.system] for key in subject.keys.keys],
        "withdrawn_keys": [
            [key.kind.value, key.value, key.system] for key in subject.keys.withdrawn
        ],
    }


def _spell_data(spell: Spell) -> dict[str, Any]:
    return {
        "case_id": spell.case_id,
        "subject_id": str(spell.subject_id),
        "status": spell.status,
        "ended_at": spell.ended_at,
    }


def _erased_data(done: Erased, files: list[str]) -> dict[str, Any]:
    return {
        "erased": [_spell_data(spell) for spell in done.spells],
        "already": [_spell_data(spell) for spell in done.already],
        "events": done.events,
        "deleted_packs": files,
        "handed_out_packs": [
            {"export_id": pack.export_id, "requested_by": pack.requested_by} for pack in done.packs
        ],
    }


def _tally_data(spells: list[Spell], tally: Tally, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "erased": tally.erased,
        "kept": {obstacle.value: count for obstacle, count in tally.kept.items()},
        "cases": [_spell_data(spell) for spell in spells],
    }

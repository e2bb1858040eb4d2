"""Accounts in doubt, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from rich.markup import escape
from rich.table import Table

from lockstep.cli import render
from lockstep.cli.context import out
from lockstep.composition import Root
from lockstep.control.cases.timeline import Told
from lockstep.control.cases.withdrawing import key_words
from lockstep.control.cases.wording import is_sought, searched_words
from lockstep.control.cases.words import why_words
from lockstep.control.refusals import RefusedError
from lockstep.domain.rights import EVERYTHING
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.candidates import Candidate


async def file_of(context: Root, case_id: str) -> CaseFile:
    """Everything about a case, for whoever holds the keyring."""
    found = await context.stores.files.read(case_id, EVERYTHING)
    if found is None:
        raise RefusedError(f"there is no case {case_id!r}: see `lockstep cases`")
    return found


def print_candidates(case_id: str, system: str, candidates: tuple[Candidate, ...]) -> None:
    """Accounts side by side, and the command that says whose they are."""
    out.print(f"\n[yellow]{escape(system)}[/]: whose are these accounts? Nobody touches them.")
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for one in candidates:
        table.add_column(escape(one.account_id), overflow="fold")
    for name, cells in _lines(candidates):
        table.add_row(f"[dim]{name}[/]", *map(escape, cells))
    out.print(table)
    out.print(
        f"  lockstep pick {case_id} {escape(system)} ACCOUNT... --reason WHY   (or --none)",
        soft_wrap=True,
    )


def print_searches(file: CaseFile, lanes: Mapping[str, Told]) -> None:
    """By which keys nobody was found: those that HR sent, and those tried in each such system."""
    sought = [row.system for row in file.view.revocations if is_sought(row)]
    if not sought or file.subject is None:
        return
    out.print("\nKeys of the leaver that are known:")
    for key in file.subject.keys.keys:
        where = f" in {key.system}" if key.system else ""
        out.print(f"  {key.kind.value.replace('_', ' ')}{escape(where)}: {escape(key.value)}")
    for key in file.subject.keys.withdrawn:
        out.print(f"  withdrawn: {escape(key_words(key))}")
    for system in sought:
        words = searched_words(lanes[system].searches, lanes[system].listed)
        out.print(f"  searched in {escape(system)}: {words or 'nothing yet'}", soft_wrap=True)
    case_id = file.view.case.case_id
    out.print(
        f"  More keys: lockstep case correct {case_id} --email … --reason WHY", soft_wrap=True
    )
    out.print(
        f"  A wrong one: lockstep case withdraw-key {case_id} --email … --reason WHY",
        soft_wrap=True,
    )


def _lines(candidates: tuple[Candidate, ...]) -> list[tuple[str, list[str]]]:
    signs = {True: "yes", False: "no", None: "not told"}

    def stands(one: Candidate) -> str:
        return "in doubt" if one.in_doubt else "set aside"

    return [
        ("now", [f"{stands(one)}: {why_words(one.why)}" for one in candidates]),
        ("found by", [one.found_by.replace("_", " ") for one in candidates]),
        ("name", [one.name or "not told" for one in candidates]),
        ("held there", ["\n".join(_held(one)) or "not told" for one in candidates]),
        ("made", [_when(one.created_at) for one in candidates]),
        ("last used", [_when(one.last_used_at) for one in candidates]),
        ("can sign in", [signs[one.signs_in] for one in candidates]),
    ]


def _held(one: Candidate) -> list[str]:
    return [f"{kind.replace('_', ' ')} {value}" for kind, value in one.held]


def _when(moment: datetime | None) -> str:
    return render.instant(moment) if moment else "not told"

"""The tables behind the drawn timeline: systems, decisions, calls to vendors, ledger entries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from lockstep.evidence.pack.cases.story import CaseStory, SystemStory
from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.print.clock_text import exact_text, utc_text
from lockstep.evidence.pack.print.sheet import Column, Sheet
from lockstep.scorecard.metric import ItemResult


def draw_tables(sheet: Sheet, line: CaseLine, story: CaseStory) -> None:
    """Draw all tables, one after the other, on as many pages as they need."""
    _draw_systems(sheet, line, story)
    _draw_decisions(sheet, story)
    _draw_calls(sheet, story)
    _draw_entries(sheet, story)


def _draw_systems(sheet: Sheet, line: CaseLine, story: CaseStory) -> None:
    sheet.heading("Systems", "A: the vendor accepted · R: access off · V: read-back confirmed")
    columns = (
        Column("System", 86),
        Column("Outcome", 62),
        Column("Grade", 30),
        Column("Acc.", 26, right=True),
        Column("Removed", 104),
        Column("First try", 56),
        Column("A", 56),
        Column("R", 56),
        Column("V", 56),
        Column("From E to R", 60, right=True),
        Column("SLA ends", 56),
        Column("Late by", 52, right=True),
        Column("Notes", 70),
    )
    sheet.table(columns, [_system_row(item, story.of(item.system)) for item in line.result.items])


def _system_row(item: ItemResult, story: SystemStory) -> tuple[str, ...]:
    facts = item.facts
    time = exact_text(item.ttr_ms)
    return (
        item.system,
        facts.outcome.replace("_", " ") or "open",
        facts.grade,
        str(facts.accounts),
        _counted(story.removed.items()),
        _when(facts.first_attempt_at),
        _when(story.accepted_at),
        _when(facts.off_at),
        _when(facts.read_back_at),
        f"≥ {time}" if item.is_open else time,
        _when(item.due_at),
        exact_text(item.late_ms) if item.late_ms else "",
        _tries(story, openings=facts.openings),
    )


def _when(at: int | None) -> str:
    return "" if at is None else utc_text(at)


def _counted(kinds: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in sorted(kinds))


def _tries(story: SystemStory, *, openings: int) -> str:
    faults = Counter(category for _, category in story.faults)
    parts = [f"{len(story.attempts)} tried"] if story.attempts else []
    if faults:
        parts.append(_counted(faults.items()))
    if openings > 1:
        parts.append(f"opened {openings} times")
    parts += [
        f"residual {what.replace('_', ' ')} "
        + ("for an unknown time" if bound is None else f"up to {bound} s")
        for what, bound in sorted(story.residuals.items())
    ]
    return "; ".join(parts)


def _draw_decisions(sheet: Sheet, story: CaseStory) -> None:
    if not story.decisions:
        sheet.paragraph("Decisions by people or by HR: none.")
        return
    sheet.heading("Decisions", "by HR or by a person; who it was is a commitment in the ledger")
    columns = (
        Column("At", 112),
        Column("Decision", 110),
        Column("System", 120),
        Column("By", 60),
        Column("Second person", 72),
        Column("Grade", 40),
        Column("Until", 112),
        Column("SHA-256 of the artefact", 144),
    )
    rows = [
        (
            utc_text(made.at),
            made.kind.removeprefix("decision:").replace(":", " ").replace("_", " "),
            made.system or "whole case",
            "person" if made.by_person else "HR system",
            "yes" if made.second_person else "no",
            made.grade,
            made.until,
            made.artefact,
        )
        for made in story.decisions
    ]
    sheet.table(columns, rows)


def _draw_calls(sheet: Sheet, story: CaseStory) -> None:
    dropped = story.calls_dropped
    note = f"{dropped} further calls were not recorded" if dropped else ""
    if not story.calls:
        sheet.paragraph("Calls to vendors: none.")
        return
    sheet.heading("Raw artefacts", note or "calls to the vendors, as their own logs show them")
    columns = (
        Column("System", 84),
        Column("Call", 92),
        Column("Status", 34, right=True),
        Column("Answered at", 92),
        Column("Vendor's Date header", 106),
        Column("Vendor's request id", 116),
        Column("SHA-256 of the answer", 246),
    )
    rows = [
        (call.system, call.operation, call.status, call.at, call.date, call.request_id, call.digest)
        for call in story.calls
    ]
    sheet.table(columns, rows, size=5.8)


def _draw_entries(sheet: Sheet, story: CaseStory) -> None:
    sheet.heading("Ledger", "every entry of this case, by its index in ledger/entries.jsonl")
    columns = (
        Column("Leaf", 42, right=True),
        Column("Entry", 124),
        Column("System", 110),
        Column("Occurred at", 108),
        Column("Recorded at", 108),
        Column("Leaf hash: SHA-256(0x00 and the entry's bytes)", 278),
    )
    rows = [
        (str(row.leaf), row.kind, row.system, row.occurred_at, row.recorded_at, row.leaf_hash)
        for row in story.lines
    ]
    sheet.table(columns, rows, size=5.8)

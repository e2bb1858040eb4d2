"""How the population was made, for an auditor who relies on it (information by the entity)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.domain.counting import entries as entries_of
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack.model import PackSummary
from lockstep.evidence.pack.people.population_files import PopulationFiles
from lockstep.evidence.pack.print.workbook import Sheet
from lockstep.evidence.pack.reconcile import FATES, Reconciliation
from lockstep.scorecard.words import period_text, score_text

_POLICY_COLUMNS = (
    "policy",
    "version",
    "file",
    "systems",
    "end_of_day",
    "involuntary_at_notice",
    "warn_at_percent",
)


def sheets(summary: PackSummary, files: PopulationFiles, events: Reconciliation) -> Iterator[Sheet]:
    """The workbook: first how it was made, then the same rows as the CSV files."""
    yield Sheet(
        "IPE",
        ("what", "value", "remark"),
        list(_ipe(summary, events)),
        dates={"value"},
        widths=_WIDTHS,
    )
    yield files.leavers.sheet("Leavers")
    yield files.systems.sheet("LeaverSystems")
    yield files.exceptions.sheet("Exceptions")
    yield files.scope_systems.sheet("Systems in scope")
    yield Sheet("Policy versions", _POLICY_COLUMNS, list(_policies(files.policies)))
    yield files.excluded.sheet("Not in population")


_WIDTHS = (30, 78, 68)
"""Of the first sheet: what, value, remark."""
_QUERY = (
    "folded into cases; leavers are the cases whose cutoff is at or after FROM and before TO, that"
    " were not rescinded, whose cutoff had come, and whose leaver some system knew"
)
_Line = tuple[str, str, str]


def _ipe(summary: PackSummary, events: Reconciliation) -> Iterator[_Line]:
    yield from _source(summary)
    yield ("", "", "")
    yield from _counts(summary)
    yield ("", "", "")
    yield from _reconciliation(summary, events)


def _source(summary: PackSummary) -> Iterator[_Line]:
    scope = summary.scope
    sample = f"{scope.sample_n} by seed {scope.seed}" if scope.sample_n else "none"
    yield ("Report", "Leavers of the period, and their access to each system in scope", "")
    yield ("Source", f"ledger {scope.origin}, tenant {scope.tenant}", "append only, hash tree")
    yield (
        "Checkpoint",
        f"{entries_of(summary.size)}, root {summary.root}",
        "ledger/checkpoint.txt",
    )
    yield (
        "Query",
        f"entries 0 to {summary.size - 1} in order, {_QUERY}",
        "docs/evidence-format.md",
    )
    yield ("FROM", instant_text(scope.start), "included")
    yield ("TO", instant_text(scope.end), "not included")
    yield ("Partner", scope.partner or "all", "")
    yield ("Case", scope.case_id or "all", "")
    if not scope.coming:
        yield ("Cutoff to come", "withheld", "a pack made after the cutoff shows the case")
    yield ("Sample", sample, "smallest SHA-256 of seed, newline, case id")
    yield ("Identified", "yes" if scope.identified else "no", "")
    events = summary.counts["leavers_with_events"]
    yield ("OCSF", scope.ocsf, f"every event of {events} leavers; a finding of each leaver")
    yield (
        "Run time",
        instant_text(scope.as_of),
        "when the checkpoint was signed: later facts are not in here, whenever it was exported",
    )
    ordered = "the entry evidence:exported, in the ledger after this checkpoint, is committed to it"
    yield ("Run by", scope.run_by or "not named in a pack without names", ordered)
    yield (
        "Dates",
        "in UTC, to the millisecond",
        "the same instants stand as text in the CSV files, which are what the verifier reads",
    )
    yield ("Tool", f"lockstep {summary.tool_version}", "")
    yield ("Metric", summary.metric, "SHA-256 of its definition, in the folder policy")


def _counts(summary: PackSummary) -> Iterator[_Line]:
    counts = summary.counts
    yield ("Entries of the ledger", str(counts["leaves"]), "")
    yield ("Entries shown", str(counts["entries_disclosed"]), "the others are hashes")
    yield ("Leavers", str(counts["leavers"]), "rows of Leavers")
    yield ("Leavers and systems", str(counts["leaver_systems"]), "rows of LeaverSystems")
    yield ("Not in population", str(counts["not_in_population"]), "each with its reason")
    yield ("Shown in detail", str(counts["samples"]), "")
    period = period_text(summary.period_score, leavers=counts["leavers"])
    yield ("Score of the period", period, "score/period.json")
    yield ("Official score", score_text(summary.score), "of a window of its own: score/score.json")


def _reconciliation(summary: PackSummary, events: Reconciliation) -> Iterator[_Line]:
    counts = summary.counts
    cases = counts["leavers"] + counts["not_in_population"]
    remark = "from the database, not from the ledger: compare with HR's own list"
    yield ("Reconciliation", "events received = sum of what became of them", remark)
    yield ("Events received", str(counts["hr_events"]), "of the cases below, and unreadable ones")
    for fate, text in FATES.items():
        yield (f"- {fate.replace('_', ' ')}", str(counts[f"hr_{fate}"]), text)
    for source, text, count in events.by_source():
        yield (f"  source {source}", str(count), text)
    yield ("Cases", str(cases), "leavers + not in population, with reason")
    yield ("- with an event on record", str(counts["cases_with_event"]), "")
    missing = counts["cases_without_event"]
    yield (
        "- without an event on record",
        str(missing),
        "must be 0" if missing else "HR = cases + excluded with reason",
    )


def _policies(policies: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    for digest, document in policies.items():
        cutoff = document["cutoff"]
        yield (
            digest,
            str(document["version"]),
            f"policy/{digest}.json",
            str(len(document["systems"])),
            str(cutoff["end_of_day"]),
            "yes" if cutoff["involuntary_at_notice"] else "no",
            str(document["warn_at_percent"]),
        )

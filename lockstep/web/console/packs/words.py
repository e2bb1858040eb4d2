"""Packs and the verifier's reports as pages show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lockstep.evidence.verify.report import Level, Verdict
from lockstep.storage.packs.orders import ExportRow, ExportState

_STATES = {
    ExportState.PENDING: ("waits for its turn", "info"),
    ExportState.RUNNING: ("being made", "info"),
    ExportState.DONE: ("ready", "good"),
    ExportState.FAILED: ("failed", "bad"),
    ExportState.CANCELLED: ("stopped", ""),
    ExportState.EXPIRED: ("deleted after its time", ""),
}
_VERDICTS = {
    Verdict.PASS: ("holds", "good"),
    Verdict.WARN: ("holds, with a remark", "warn"),
    Verdict.FAIL: ("fails", "bad"),
    Verdict.NOT_CHECKED: ("not checked", ""),
}
_LEVELS = {
    Level.NONE: "A step failed, so nobody vouches for anything.",
    Level.UNANCHORED: (
        "Nobody but the operator vouches for the ledger's head: no time stamp of an authority was"
        " checked here, and no witness."
    ),
    Level.ANCHORED: "A time stamp authority vouches that the head existed at that time.",
    Level.WITNESSED: "A witness has signed this head, and signs one line of history only.",
}


@dataclass(frozen=True, slots=True)
class PackLine:
    """One order for a page.

    Args:
        label: its state in words; ``colour`` of the badge.
        reason: why it names people; "" for whoever may not know.
        missing: why there is nothing to download, where one might expect it.
    """

    export_id: str
    label: str
    colour: str
    is_live: bool
    is_ready: bool
    first: str
    last: str
    partner: str
    case_id: str
    sample: int
    seed: str
    identified: bool
    ocsf: str
    checkpoint: int
    who: str
    reason: str = field(repr=False)
    requested_at: datetime
    finished_at: datetime | None
    done: int
    total: int
    size: str
    sha256: str
    error: str
    missing: str


def line_of(row: ExportRow, *, who: str, reason: str, missing: str) -> PackLine:
    """An order as it is shown; ``missing`` says why its file cannot be had."""
    state = _state(row)
    label, colour = _STATES[state]
    asked = row.parameters
    return PackLine(
        export_id=row.export_id,
        label=label,
        colour=colour,
        is_live=state in {ExportState.PENDING, ExportState.RUNNING},
        is_ready=state is ExportState.DONE and not missing,
        first=asked["first"],
        last=asked["last"],
        partner=asked["partner"],
        case_id=asked["case_id"],
        sample=asked["sample"],
        seed=asked["seed"],
        identified=asked["identified"],
        ocsf=asked["ocsf"],
        checkpoint=asked["checkpoint"],
        who=who,
        reason=reason,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
        done=row.done_entries,
        total=row.all_entries,
        size="" if row.size_bytes is None else size_text(row.size_bytes),
        sha256=row.sha256 or "",
        error=row.error or "",
        missing=missing,
    )


def _state(row: ExportRow) -> ExportState:
    """A pending export that somebody works on is running."""
    is_taken = row.claimed_until is not None and row.claimed_until > datetime.now(UTC)
    state = ExportState(row.state)
    return ExportState.RUNNING if state is ExportState.PENDING and is_taken else state


def size_text(size: int) -> str:
    """Bytes for people."""
    value, unit = float(size), "bytes"
    for larger in ("KiB", "MiB", "GiB"):
        if value < 1024:  # noqa: PLR2004 - the binary thousand
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"


def report_values(found: Mapping[str, Any]) -> dict[str, Any]:
    """A report (`Report.as_document`) with its verdicts in plain words."""
    steps = []
    for step in found["steps"]:
        label, colour = _VERDICTS[Verdict(step["verdict"])]
        steps.append({**step, "label": label, "colour": colour})
    return {
        "verified": found["verified"],
        "level": found["level"],
        "vouched": _LEVELS[Level(found["level"])],
        "facts": found["facts"],
        "caveat": found["caveat"],
        "steps": steps,
        "not_checked": found["not_checked_by_this"],
    }

"""A score in a line, as pages, commands and packs say it: never without what it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WHY_NONE: Final = {
    "no_leavers": "no leaver's time was up",
    "hr_feed_stale": "HR was not heard for too long to know who left",
    "ledger_unverified": "the ledger was not verified",
}


def score_text(document: Mapping[str, Any]) -> str:
    """The value with n and label; or that there is none, and why."""
    if document["value"] is None:
        why = "; ".join(WHY_NONE[reason] for reason in document["unscored"])
        return f"none: {why} (n {document['n']})"
    return f"{document['value']} of {document['max']} (n {document['n']}, {document['label']})"


def period_text(document: Mapping[str, Any], *, leavers: int) -> str:
    """The score of a period with ``leavers``: what is open from before it counts too."""
    text = score_text(document)
    before = document["n"] - leavers
    if before <= 0:
        return text
    return f"{text}, {before} of them from before it and still open"

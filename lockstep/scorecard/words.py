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
    """The value with n and label; or that there is none, and why. With what it could be instead."""
    return _value(document) + _range(document)


def period_text(document: Mapping[str, Any], *, leavers: int) -> str:
    """The score of a period with ``leavers``: what is open from before it counts too."""
    text = _value(document)
    before = document["n"] - leavers
    if before > 0:
        text = f"{text}, {before} of them from before it and still open"
    return text + _range(document)


def _value(document: Mapping[str, Any]) -> str:
    if document["value"] is None:
        why = "; ".join(WHY_NONE[reason] for reason in document["unscored"])
        return f"none: {why} (n {document['n']})"
    return f"{document['value']} of {document['max']} (n {document['n']}, {document['label']})"


def _range(document: Mapping[str, Any]) -> str:
    """How far what a pack withholds could move its score; empty where it shows every entry."""
    withheld = document.get("withheld")
    if not withheld:
        return ""
    limits = f"{withheld['lowest']} to {withheld['highest']}"
    return f"; what the pack withholds could make it anything from {limits}"

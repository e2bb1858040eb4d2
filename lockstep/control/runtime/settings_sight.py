"""What of the settings somebody may read who is bound to partners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def shown_to(document: Mapping[str, Any], partners: frozenset[str] | None) -> Mapping[str, Any]:
    """As much of ``document`` as somebody may read who is bound to ``partners``; None reads it all.

    Of groups and contracts only those of their own partners; of a group that has others too, theirs
    alone. A source that speaks for others too is left out, and so are tokens of the file.
    """
    if partners is None:
        return document
    groups = [
        {**row, "partners": theirs}
        for row in document["groups"]
        if (theirs := _theirs(row["partners"], partners))
    ]
    scorecard = document["scorecard"]
    penalties = [row for row in scorecard["penalties"] if row["partner"] in partners]
    sources = [
        row
        for row in document["sources"]
        if (set(row["partners"]) <= partners if row["partners"] else not row["sites"])
    ]
    return {
        **document,
        "sources": sources,
        "groups": groups,
        "tokens": [],
        "scorecard": {**scorecard, "penalties": penalties},
    }


def _theirs(named: list[str], partners: frozenset[str]) -> list[str]:
    return [name for name in named if name in partners]

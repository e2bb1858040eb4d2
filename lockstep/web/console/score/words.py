"""The metric's documents as pages show them; no figure is made here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

from lockstep.control.score.words import (
    CAPS,
    METRICS,
    READINGS,
    UNDETECTED,
    UNSCORED,
    cost_text,
    money,
    percent,
)

Document = Mapping[str, Any]

DIMENSIONS = {
    "partner": "By partner",
    "site": "By site",
    "category": "By category of system",
    "system": "By system",
    "kind": "By kind of leaver",
}
MOST_GROUPS = 100
MOST_LATE = 200
WIDTH, HEIGHT = 720, 160
"""Of the drawn trend, in units of its own."""

OLD = timedelta(minutes=1)
"""Figures that are older than that say so."""
_COLOURS = {"audit_proof": "good", "on_target": "good", "high_risk": "bad"}
_MONTHS = 13


def windows(today: date) -> list[tuple[str, str]]:
    """Windows to choose from, as (what the question says, label)."""
    month = today.replace(day=1)
    quarter = date(today.year, (today.month - 1) // 3 * 3 + 1, 1)
    year = date(today.year, 1, 1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    end = quarter - timedelta(days=1)
    last_quarter = date(end.year, (end.month - 1) // 3 * 3 + 1, 1)
    return [
        ("official", "official: 365 days up to now"),
        (f"{month}..{today}", "this month"),
        (f"{last_month}..{month - timedelta(days=1)}", "last month"),
        (f"{quarter}..{today}", "this quarter"),
        (f"{last_quarter}..{end}", "last quarter"),
        (f"{year}..{today}", "this year"),
    ]


def last_months(today: date) -> list[str]:
    """The month of ``today`` and those before it, as ``YYYY-MM``."""
    found, first = [], today.replace(day=1)
    for _ in range(_MONTHS):
        found.append(first.strftime("%Y-%m"))
        first = (first - timedelta(days=1)).replace(day=1)
    return found


def metric_values(document: Document, *, now: datetime) -> dict[str, Any]:
    """Everything that the page says of a score's document."""
    score = document["score"]
    as_of = datetime.fromisoformat(document["as_of"])
    return {
        "as_of": as_of,
        "is_old": now - as_of > OLD,
        "undetected": list(UNDETECTED.values()),
        "document": document,
        "score": _score_values(score),
        "costs": [
            {**cost, "points_text": cost_text(cost["points"])} for cost in document["explain"]
        ],
        "trend": _trend_values(document["trend"], score),
        "groups": [
            _group_values(name, title, document["by"].get(name, {}))
            for name, title in DIMENSIONS.items()
        ],
        "dimension": _dimension_values(document["dimension"]),
    }


def _score_values(score: Document) -> dict[str, Any]:
    """A score with its words; what the document says stays as it is."""
    return {
        **score,
        "reading_text": READINGS.get(score["reading"] or "", ""),
        "colour": _COLOURS.get(score["reading"] or "", "warn" if score["value"] else ""),
        "why_not": [UNSCORED[reason] for reason in score["unscored"]],
        "is_empty": list(score["unscored"]) == ["no_leavers"],
        "rate_text": percent(score["within_sla_rate"]) if score["within_sla_rate"] else "–",
        "bound_text": percent(score["wilson_lower"]) if score["wilson_lower"] else "–",
        "cap_rows": [{**hit, "text": CAPS[hit["code"]]} for hit in score["caps"]],
    }


def _group_values(name: str, title: str, groups: Mapping[str, Document]) -> dict[str, Any]:
    """The groups of one breakdown, the worst first; what has no score comes last."""
    rows = sorted(groups.items(), key=lambda row: (_rank(row[1]), row[0]))
    return {
        "name": name,
        "title": title,
        "rows": [(group, _score_values(found)) for group, found in rows[:MOST_GROUPS]],
        "more": max(0, len(rows) - MOST_GROUPS),
    }


def _rank(found: Document) -> tuple[int, Fraction]:
    value = found["value"]
    return (1, Fraction(0)) if value is None else (0, Fraction(value))


def _dimension_values(dimension: Document | None) -> dict[str, Any] | None:
    if dimension is None:
        return None
    return {
        **dimension,
        "reading_text": READINGS[dimension["reading"]],
        "colour": _COLOURS.get(dimension["reading"], "warn"),
        "rows": [(METRICS[name], row) for name, row in dimension["metrics"].items()],
    }


@dataclass(frozen=True, slots=True)
class TrendDrawing:
    """A line for paper and for browsers without scripts, in units of ``WIDTH`` and ``HEIGHT``.

    Args:
        lines: points of each unbroken part; a day without a score breaks the line.
        dots: parts of a single day, as (x, y).
        target: where the target lies.
    """

    lines: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    target: float
    first: str
    last: str
    lowest: str


def _trend_values(trend: Document | None, score: Document) -> dict[str, Any] | None:
    if trend is None:
        return None
    points = trend["points"]
    known = [float(row["value"]) for row in points if row["value"] is not None]
    return {
        "rows": list(reversed(points)),
        "changes": [row for row in trend["changes"] if row["change"] is not None],
        "drawing": _draw(points, score) if len(known) > 1 else None,
        "first": next((row for row in points if row["value"] is not None), None),
        "data": json.dumps(
            {
                "times": [_seconds(row["taken_at"]) for row in points],
                "values": [None if row["value"] is None else float(row["value"]) for row in points],
                "target": float(score["target"]),
                "max": float(score["max"]),
            }
        ),
    }


def _draw(points: list[Document], score: Document) -> TrendDrawing:
    """From the lowest whole point below every value up to the maximum."""
    top, target = float(score["max"]), float(score["target"])
    values = [float(row["value"]) for row in points if row["value"] is not None]
    low = float(int(max(0.0, min([*values, target]) - 0.5)))
    begin, end = _seconds(points[0]["taken_at"]), _seconds(points[-1]["taken_at"])

    def place(row: Document) -> tuple[float, float]:
        across = (_seconds(row["taken_at"]) - begin) / max(1, end - begin)
        return round(across * WIDTH, 1), height(float(row["value"]))

    def height(value: float) -> float:
        return round(HEIGHT * (top - value) / (top - low), 1)

    parts = [
        [place(row) for row in rows]
        for is_known, rows in groupby(points, key=lambda row: row["value"] is not None)
        if is_known
    ]
    return TrendDrawing(
        lines=tuple(" ".join(f"{x},{y}" for x, y in part) for part in parts if len(part) > 1),
        dots=tuple(part[0] for part in parts if len(part) == 1),
        target=height(target),
        first=points[0]["taken_at"][:10],
        last=points[-1]["taken_at"][:10],
        lowest=f"{low:g}",
    )


def _seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def penalty_values(document: Document) -> dict[str, Any]:
    """Penalties of a month with amounts in their currencies."""
    rows = []
    for row in document["partners"]:
        cases = [
            {**case, "amount_text": money(case["amount"], row["currency"])}
            for case in row["cases"][:MOST_LATE]
        ]
        rows.append(
            {
                **row,
                "total_text": money(row["total"], row["currency"]),
                "cases": cases,
                "more": max(0, len(row["cases"]) - MOST_LATE),
            }
        )
    return {**document, "partners": rows}

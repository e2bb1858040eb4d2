"""Reports of the dimension's other metrics, by their owners: checked, kept, said in the ledger."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from lockstep.control.score.questions import QuestionError, parse_instant
from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.dimension import METRICS
from lockstep.scorecard.numbers import decimal_text, parse_decimal
from lockstep.storage.score.scores import MetricReport, new_report_id

REPORTED = METRICS[1:]
"""All but ours, which nobody can report."""
SHORT_NAMES = {"training": "security_training"}

LARGEST_COUNT = 10**9
AHEAD = timedelta(hours=14)
"""A civil day begins so long before it does in UTC (UTC+14)."""

_SOURCE = re.compile(r"[a-z0-9-]{1,40}")
_MAX = DEFAULT.max_score
_PLACES = DEFAULT.score_places


def to_report(
    metric: str,
    *,
    value: str | None = None,
    numerator: int | None = None,
    denominator: int | None = None,
    as_of: str,
    source: str,
    now: datetime,
) -> MetricReport:
    """A report as its owner states it: a value from 0 to 20, or a share of a whole.

    Args:
        metric: one of `REPORTED`, or a short name of it.
        value: a plain decimal; None where a share is given.
        numerator: with `denominator`: the value is 20 times their share.
        denominator: at least 1, and not below `numerator`.
        as_of: when it was measured: a date (its midnight, UTC) or an instant with its zone.
        source: a stable name of where the figure comes from, never a person's.
        now: when it is recorded.

    Raises:
        QuestionError: naming what is wrong.
    """
    name = SHORT_NAMES.get(metric, metric)
    if name not in REPORTED:
        raise QuestionError(f"metric: must be one of {', '.join(REPORTED)}")
    if not _SOURCE.fullmatch(source):
        raise QuestionError("source: 1 to 40 of a-z, 0-9 and -, as in lms or hr-audit")
    measured = parse_instant(as_of, "as_of")
    if measured > now.astimezone(UTC) + AHEAD:
        raise QuestionError("as_of: lies in the future")
    found = _share(numerator, denominator) if value is None else _value(value)
    if value is not None and (numerator, denominator) != (None, None):
        raise QuestionError("value: give either it, or numerator and denominator")
    return MetricReport(
        report_id=new_report_id(),
        metric=name,
        value=decimal_text(found, _PLACES),
        as_of=measured,
        source=source,
        recorded_at=now,
    )


def _value(text: str) -> Fraction:
    try:
        found = parse_decimal(text)
    except ValueError:
        raise QuestionError("value: a plain decimal from 0 to 20, as in 19.27") from None
    if found > _MAX:
        raise QuestionError("value: a plain decimal from 0 to 20, as in 19.27")
    return found


def _share(numerator: int | None, denominator: int | None) -> Fraction:
    if numerator is None or denominator is None:
        raise QuestionError("value: give it, or numerator and denominator")
    if not 0 < denominator <= LARGEST_COUNT or not 0 <= numerator <= denominator:
        raise QuestionError("numerator: from 0 to the denominator, which is at least 1")
    return _MAX * Fraction(numerator, denominator)

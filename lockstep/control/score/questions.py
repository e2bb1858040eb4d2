"""What may be asked of the metric, as people and programs write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from lockstep.domain.errors import Kind, LockstepError
from lockstep.scorecard.metric import Window

LONGEST_WINDOW = timedelta(days=3660)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH = re.compile(r"(20[0-9]{2})-(0[1-9]|1[0-2])")
_PARTNER_LENGTH = 200


class QuestionError(LockstepError, ValueError):
    """A question that has no answer; the text says what to write instead."""

    kind = Kind.NOT_VALID


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for.

    Args:
        window: None for the official one.
        partner: only this partner's cases.
        in_full: with breakdowns and what cost which points; takes three times as long.
        sealed: count dismissals that are a secret too, and look beyond now.
    """

    window: Window | None = None
    partner: str | None = None
    in_full: bool = False
    sealed: bool = False

    def until(self, now: int) -> Window | None:
        """Its window as far as it may be looked at; None for the official one.

        Raises:
            QuestionError: if it lies in the future whole.
        """
        if self.window is None or self.sealed or self.window.end <= now:
            return self.window
        if self.window.start >= now:
            raise QuestionError("window: it must begin in the past")
        return Window(self.window.start, now)


def parse_question(
    window: str, partner: str | None, *, in_full: bool = False, sealed: bool = False
) -> Question:
    """A question as people and programs write it: ``official``, or ``FROM..TO``.

    Dates are whole days in UTC, the last one included, as in an order of a pack; an instant with
    its zone may stand in place of either, and does not belong to the window as its end.

    Raises:
        QuestionError: naming what is wrong.
    """
    if partner is not None and not (partner.isprintable() and len(partner) <= _PARTNER_LENGTH):
        raise QuestionError(f"partner: at most {_PARTNER_LENGTH} printable characters")
    if window == "official":
        return Question(None, partner, in_full, sealed)
    start, dots, end = window.partition("..")
    if not dots:
        raise QuestionError("window: write `official`, or FROM..TO as in 2026-07-01..2026-09-30")
    first, last = parse_instant(start, "window"), parse_instant(end, "window")
    if _is_date(end):
        last += timedelta(days=1)
    if not first < last:
        raise QuestionError("window: FROM must lie before TO")
    if last - first > LONGEST_WINDOW:
        raise QuestionError(f"window: at most {LONGEST_WINDOW.days} days")
    return Question(Window(to_ms(first), to_ms(last)), partner, in_full, sealed)


def parse_instant(text: str, name: str) -> datetime:
    """A date (its midnight, UTC) or an instant with its zone, from 2000 to 2100.

    Raises:
        QuestionError: naming ``name``.
    """
    wanted = f"{name}: {text[:40]!r} is neither a date (2026-07-01) nor an instant with a zone"
    try:
        moment = datetime.fromisoformat(text.strip()[:40])
    except ValueError:
        raise QuestionError(wanted) from None
    if _is_date(text):
        moment = moment.replace(tzinfo=UTC)
    if moment.tzinfo is None or not date(2000, 1, 2) <= moment.date() <= date(2099, 12, 30):
        raise QuestionError(wanted)
    return moment.astimezone(UTC)


def _is_date(text: str) -> bool:
    return len(text.strip()) == len("2026-07-01")


def parse_month(text: str) -> Window:
    """A calendar month (UTC), ``YYYY-MM``.

    Raises:
        QuestionError: if it is none.
    """
    found = _MONTH.fullmatch(text)
    if not found:
        raise QuestionError("month: write YYYY-MM, as in 2026-11")
    first = datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC)
    following = (first + timedelta(days=31)).replace(day=1)
    return Window(to_ms(first), to_ms(following))


def to_ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def to_moment(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)

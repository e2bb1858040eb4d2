"""What a further statement about a known spell does: which employment it is about, and what then.

Order of delivery and repetition must not matter, and nothing may be taken in silence: whatever
changes nothing says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lockstep.domain.cases.cutoff import zone_named
from lockstep.domain.cases.terminations import Termination, TerminationAction


class Verdict(StrEnum):
    """What a statement does. Public: stands in the inbox; never rename."""

    OPEN = "open"
    TOMBSTONE = "tombstone"
    """A rescind came before what it rescinds: remember it, open nothing."""
    DUPLICATE = "duplicate"
    OUTDATED = "outdated"
    """A later revision was heard before it: legal, and superseded."""
    AMEND = "amend"
    RESCIND = "rescind"
    TOO_LATE = "too_late"
    """The case is past its cutoff: recorded, nothing is ever re-enabled; its watch ends."""
    REHIRED = "rehired"
    """The watch of a closed case ends."""
    CONFLICT = "conflict"
    """The known revision with another content."""
    CLOSED = "closed"
    """The case is closed, and nothing says that another employment has begun since."""
    STILL_OPEN = "still_open"
    """Another employment has begun, but the case of the earlier one has not closed."""
    NOBODY = "nobody"
    """Rehired, but nobody is known who left."""
    NOT_LEFT = "not_left"
    """Rehired, but they have not left yet."""
    FOREIGN = "foreign"
    """Of a partner or site that its source does not speak for."""
    FOREIGN_CASE = "foreign_case"
    """About a leaver who, by the case that stands, is another's. Its sender hears nothing of it."""

    UNKNOWN_PLACE = "unknown_place"
    """Its partner or site is none, or looks like another."""

    @property
    def is_refusal(self) -> bool:
        """Whether it is not carried out, and somebody must hear so."""
        return self in _REFUSALS


_REFUSALS = frozenset(
    {
        Verdict.CONFLICT,
        Verdict.CLOSED,
        Verdict.STILL_OPEN,
        Verdict.NOBODY,
        Verdict.NOT_LEFT,
        Verdict.FOREIGN,
        Verdict.FOREIGN_CASE,
        Verdict.UNKNOWN_PLACE,
    }
)


@dataclass(frozen=True, slots=True)
class KnownCase:
    """What judging needs to know of an existing case.

    Args:
        cutoff_passed: its revocation has begun.
        closed_at: when it closed; None while it is open.
        is_rehired: HR said, after it closed, that they work here again.
        employment: which employment under this spell, from 1.
    """

    revision: int
    last_event_id: str
    is_rescinded: bool
    cutoff_passed: bool
    cutoff_at: datetime | None = None
    closed_at: datetime | None = None
    is_rehired: bool = False
    employment: int = 1

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None and not self.is_rescinded


def concerned(said: Termination, known: Sequence[KnownCase]) -> int | None:
    """The index of the case that a statement is about; None where nothing is known of its spell.

    ``known`` is the latest case of each employment, in order. ``hired_at`` tells them apart. A
    statement without it is about the last, unless HR recorded it before the one before closed.
    """
    if not known:
        return None
    last = len(known) - 1
    if said.hired_at is None:
        while last and _closed_after(known[last - 1], said.recorded_at):
            last -= 1
        return last
    left = [at for at, case in enumerate(known) if begins_after(said, case)]
    if not left:
        return last if said.action is TerminationAction.REHIRED else 0
    if said.action is TerminationAction.REHIRED:
        return left[-1]
    return min(left[-1] + 1, last)


def begins_after(said: Termination, case: KnownCase, cutoff: datetime | None = None) -> bool:
    """Whether ``said`` is about an employment that began after the one that ``case`` ended.

    A civil date that is the very day of the cutoff says so only of a case that has closed, and of
    a cutoff (where one is given) after that: somebody may also be hired and leave on one day.
    """
    if said.hired_at is None or case.cutoff_at is None or case.is_rescinded:
        return False
    if isinstance(said.hired_at, datetime):
        return said.hired_at > case.cutoff_at
    day = case.cutoff_at.astimezone(zone_named(said.dates.zone)).date()
    if said.hired_at != day:
        return said.hired_at > day
    return case.closed_at is not None and (cutoff is None or cutoff > case.closed_at)


def judge(  # noqa: PLR0911 - a list of rules: the first that applies decides
    said: Termination,
    known: KnownCase | None,
    *,
    cutoff: datetime | None = None,
    is_same: bool | None = None,
) -> Verdict:
    """Decide what one statement does to the case that it is about (`concerned`).

    HR's revision is the only clock that all deliveries share: below the known one it never changes
    anything.

    Args:
        said: the statement.
        known: the case; None where there is none.
        cutoff: that of ``said``.
        is_same: whether the statement known by this revision says the same; None if not known.
    """
    if known is None:
        return _of_nobody(said.action)
    if said.event_id == known.last_event_id:
        return Verdict.DUPLICATE
    leaves_again = _leaves_again(said, known, cutoff)
    if leaves_again and _begins_anew(said, known, cutoff):
        return Verdict.OPEN
    if said.revision < known.revision:
        return Verdict.OUTDATED
    if said.revision == known.revision and (is_same or (is_same is None and not leaves_again)):
        return Verdict.DUPLICATE
    if leaves_again:
        return Verdict.CLOSED
    return Verdict.CONFLICT if said.revision == known.revision else _of_later(said, known)


def _of_nobody(action: TerminationAction) -> Verdict:
    match action:
        case TerminationAction.TERMINATED | TerminationAction.AMENDED:
            return Verdict.OPEN
        case TerminationAction.RESCINDED:
            return Verdict.TOMBSTONE
        case TerminationAction.REHIRED:
            return Verdict.NOBODY


def _of_later(said: Termination, known: KnownCase) -> Verdict:
    """A revision above the known one."""
    match said.action:
        case TerminationAction.REHIRED:
            if known.is_rescinded or not known.cutoff_passed:
                return Verdict.NOT_LEFT
            return Verdict.REHIRED if known.is_closed else Verdict.STILL_OPEN
        case TerminationAction.RESCINDED:
            in_time = known.is_rescinded or not known.cutoff_passed
            return Verdict.RESCIND if in_time else Verdict.TOO_LATE
        case TerminationAction.TERMINATED | TerminationAction.AMENDED:
            if known.is_rescinded:
                return Verdict.OPEN
            if said.action is TerminationAction.TERMINATED and _surely_later(said, known):
                return Verdict.STILL_OPEN
            return Verdict.AMEND


def _leaves_again(said: Termination, known: KnownCase, cutoff: datetime | None) -> bool:
    """A termination whose cutoff lies after the closing: the closed case cannot carry it out."""
    return (
        said.action is TerminationAction.TERMINATED
        and known.is_closed
        and known.closed_at is not None
        and (cutoff is None or cutoff > known.closed_at)
    )


def _begins_anew(said: Termination, known: KnownCase, cutoff: datetime | None) -> bool:
    """HR has said that they were hired again: here, or earlier in a statement of its own.

    The latter counts for what was said after it: an old statement that comes late would otherwise
    take the access of somebody who was hired again.
    """
    was_said = known.is_rehired and said.revision > known.revision
    return was_said or begins_after(said, known, cutoff)


def _surely_later(said: Termination, known: KnownCase) -> bool:
    return begins_after(said, known) and not known.is_closed


def _closed_after(case: KnownCase, recorded_at: datetime) -> bool:
    return case.closed_at is not None and recorded_at < case.closed_at

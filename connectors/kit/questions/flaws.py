"""What is wrong with what a connector said: "" where nothing is.

The conformance suite asks these of every connector against its peer, ``lockstep connector check``
of one system that somebody has configured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from connectors.base import Transcript
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.counting import counted
from lockstep.domain.systems.access import (
    AccessKind,
    Action,
    Health,
    Location,
    Observation,
    ProblemSeverity,
)
from lockstep.domain.systems.finding import Absence, absence, judge

_DIGEST = 64
_STATUSES = range(100, 600)


def health_flaw(health: Health) -> str:
    """Reachable, and nothing blocks."""
    blocks = [one for one in health.problems if one.severity is ProblemSeverity.BLOCKS]
    if blocks:
        return " ".join(f"{one.summary} {one.fix}" for one in blocks)
    return "" if health.reachable else "it cannot be reached"


def nobody_flaw(location: Location) -> str:
    """Whom nobody knows is not found, and that the search could have found somebody is proved."""
    if location.matches:
        return "an account was found for keys that nobody has: the search does not heed its filter"
    if not location.searches:
        return "nothing was searched by e-mail or user name"
    if absence(location, accept_single_key=True) is Absence.PROVED:
        return ""
    proofs = ", ".join(dict.fromkeys(one.proof.value for one in location.searches))
    return f"nothing shows that a search would have found somebody ({proofs})"


def found_flaw(location: Location, keys: LeaverKeys, *, system: str, now: datetime) -> str:
    """One account, and the law says that it is the leaver's."""
    if location.unread:
        return f"not every search could be made ({location.unread[0].operation})"
    if not location.matches:
        return "no account was found"
    finding = judge(location.matches, keys, system=system, cutoff=now)
    if len(finding.leavers) == 1 and not finding.in_doubt:
        return ""
    reasons = ", ".join(dict.fromkeys(one.reason.value for one in finding.judged))
    accounts = counted(len(location.matches), "account was", "accounts were")
    return f"{accounts} found, and a person would be asked whose ({reasons})"


def unread_flaw(seen: Observation) -> str:
    """Every list was read."""
    rows = (f"{row.kind.value} ({row.operation or 'not asked'})" for row in seen.unread)
    told = ", ".join(rows)
    return f"could not be read: {told}" if told else ""


def snapshot_flaw(before: Observation) -> str:
    """What stands is listed once each, with a reference."""
    if not before.exists:
        return "the account that was found does not exist"
    if len(set(before.standing)) != len(before.standing):
        return "one way in is listed twice"
    if not all(way.ref for way in before.standing):
        return "a way in has no reference"
    return unread_flaw(before)


def contained_flaw(actions: Sequence[Action], after: Observation) -> str:
    """The sign-in is shut, by a call of ours."""
    if after.signs_in:
        return "the sign-in stands after it was shut"
    shut = any(action.access.kind is AccessKind.SIGN_IN for action in actions)
    return "" if shut else "no action says that the sign-in was shut"


def closed_flaw(after: Observation, residuals: Collection[str]) -> str:
    """Nothing stands, everything was read, and what outlives it is one that is declared."""
    if after.standing:
        kinds = Counter(way.kind.value for way in after.standing)
        told = ", ".join(f"{kind}: {count}" for kind, count in kinds.items())
        return f"still stands after everything was closed: {told}"
    if strange := {row.what for row in after.residuals} - set(residuals):
        return f"a residual that is not declared: {', '.join(sorted(strange))}"
    return unread_flaw(after)


def again_flaw(actions: Sequence[Action]) -> str:
    """Revoking what is closed does nothing."""
    return "what was closed already was closed again" if actions else ""


def transcript_flaw(transcript: Transcript, private: Iterable[str] = ()) -> str:
    """Each call can be found in the vendor's log, and names nobody."""
    for one in transcript.exchanges:
        if not one.operation or one.status not in _STATUSES or one.answered_at.tzinfo is None:
            return "a call has no operation, status or instant"
        if one.digest is not None and len(one.digest) != _DIGEST:
            return f"{one.operation}: its digest is none of SHA-256"
    shown = repr(transcript.exchanges)
    if any(value in shown for value in private):
        return "the record of calls names a person"
    return "" if transcript.exchanges else "no call was recorded"

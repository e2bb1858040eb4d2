"""Whom somebody of HR may report, and what they may be told of cases: by form and by sheet alike.

Of a case that they did not open, and of one that became a secret since, they learn nothing: what
they report all the same is taken, and kept for operations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lockstep.control.hr.leaver_lines import EVERYTHING, Seen
from lockstep.control.intake.events import EventError, parse_statement
from lockstep.control.intake.whose_case import Found, WhoseCase
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import Termination
from lockstep.domain.intake.brakes import Flow
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.domain.rights import Principal
from lockstep.storage.cases.keys import indexes_as_any
from lockstep.storage.intake.sent_events import SentEvent, SentEvents
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.people.acts import ActsLog
from lockstep.storage.people.identities import Identities
from lockstep.storage.records import CaseRow
from lockstep.storage.stores import Stores

TOO_LATE = "too late: dates move, and a leaving is called off, before the cutoff"
ONESELF = "this is you: somebody else must report it"
_FOREIGN = "partner: choose one of yours"
_FOREIGN_SITE = "site: choose one of yours"
_AT_ONCE = 50
_AS_FIRST = 1
"""The revision of whoever reports a leaver: they know of none, and move nobody else's case."""


def key_prefix(by: Principal) -> str:
    """How the keys of all events begin that ``by`` sends."""
    return f"hr-{by.user_id}-"


@dataclass(frozen=True, slots=True)
class Reporters:
    """Decides for anybody; `of` is what one of them sees."""

    tenant: str
    ring: Keyring = field(repr=False)
    sent: SentEvents
    log: ActsLog
    identities: Identities

    @classmethod
    def on(cls, stores: Stores) -> Reporters:
        return cls(stores.tenant, stores.ring, stores.sent_events, stores.log, stores.identities)

    def of(self, by: Principal) -> ReporterSight:
        """What somebody sees who looks at many lines."""
        return ReporterSight(self, by)

    async def why_not(self, said: Sequence[Termination], by: Principal) -> list[str]:
        """Why ``by`` may not report each of them, "" where they may.

        Nobody reports themselves, under any of the keys that they were ever known by, nor anybody
        of a partner or site that is not theirs. Who tries the former is on record.
        """
        own = await self._own_keys(by)
        whys = []
        for place, one in enumerate(said):
            if place % _AT_ONCE == 0:  # whoever else is served by this process goes on
                await asyncio.sleep(0)
            whys.append(self._why_not(one, by, own))
        if ONESELF in whys:
            await self.log.denied(by.user_id, "hr.report", why="about_oneself", token=by.token)
        return whys

    async def _own_keys(self, by: Principal) -> frozenset[bytes]:
        """Keys of ``by``, of their earlier sign-ins too; of a token, those of whoever made it."""
        known = await self.identities.of([by.user_id])
        maker = known[by.user_id].maker
        more = (await self.identities.of([maker]))[maker].keys if maker else frozenset[bytes]()
        return by.own_keys | known[by.user_id].keys | more

    def _why_not(self, said: Termination, by: Principal, own: frozenset[bytes]) -> str:
        if not Remit(by.remit.partners).covers(said.partner, said.site):
            return _FOREIGN
        if not by.remit.covers(said.partner, said.site):
            return _FOREIGN_SITE
        if own and own & indexes_as_any(self.ring, self.tenant, said.keys.keys):
            return ONESELF
        return ONESELF if goes_by_typed(by, said) else ""

    async def own(self, cases: Sequence[CaseRow], by: Principal) -> dict[str, SentEvent]:
        """What ``by`` has last said of each case that they opened and may still speak of."""
        ids = [case.case_id for case in cases if by.remit.covers(case.partner, case.site)]
        return await self.sent.that_made(key_prefix(by), by.scope, ids)


def may_hear(found: Found, by: Principal) -> bool:
    """Whether ``by`` may be told of a case that they did not open: no coming one, none of others.

    What they report all the same is kept for operations.
    """
    case = found.case
    return (
        case is not None
        and case.begun_at is not None
        and (by.partners is None or case.partner in by.partners)
    )


def goes_by_typed(by: Principal, said: Termination) -> bool:
    """Whether a leaver has the name of whoever types, or an address that begins with it.

    Nobody proved that name: it keeps out whoever does not hide who they are.
    """
    names = {name.strip().casefold() for name in by.typed}
    theirs = {
        form
        for key in said.keys.keys
        if key.kind in {KeyKind.USERNAME, KeyKind.EMAIL}
        for form in (key.value.casefold(), key.value.casefold().partition("@")[0])
    }
    return not names.isdisjoint(theirs)


@dataclass(frozen=True, slots=True)
class _Own:
    """Somebody who reports: under which name, and of whom they may not."""

    reporters: Reporters
    by: Principal

    @property
    def reporter(self) -> str:
        """With whose reports theirs are counted."""
        return self.by.user_id

    async def barred(self, said: Sequence[Termination]) -> list[str]:
        """Why each may not be reported; "" where it may."""
        return await self.reporters.why_not(said, self.by)


@dataclass(frozen=True, slots=True)
class TypedSight(_Own):
    """What whoever holds the keyring sees: everything; but they do not report themselves."""

    sealed: bool = True
    remit: Remit = EVERYBODY

    async def seen(
        self, asked: Sequence[tuple[Termination, datetime]], whose: WhoseCase
    ) -> list[Seen]:
        """What each would do."""
        return await EVERYTHING.seen(asked, whose)

    def flow(self, flow: Flow) -> Flow:
        """All that was reported within the hour."""
        return flow


@dataclass(frozen=True, slots=True)
class ReporterSight(_Own):
    """What one of them sees of a sheet's lines (`lockstep.control.hr.leaver_lines.Sight`)."""

    sealed: bool = False
    """A coming case tells nobody whose number a worker's is."""

    @property
    def remit(self) -> Remit:
        """For whose people they speak."""
        return self.by.remit

    async def seen(
        self, asked: Sequence[tuple[Termination, datetime]], whose: WhoseCase
    ) -> list[Seen]:
        """What each would do, as far as they may know.

        A revision counts for their own reports alone: it would change what others have said.
        """
        found = await whose.find(asked)
        own = await self.reporters.own([one.case for one in found if one.case], self.by)
        firsts = [
            (replace(said, revision=_AS_FIRST), cutoff)
            for (said, cutoff), one in zip(asked, found, strict=True)
            if not (one.case and one.case.case_id in own)
        ]
        others = iter(zip(firsts, await whose.find(firsts), strict=True))
        seen = []
        for (said, _), one in zip(asked, found, strict=True):
            mine = own.get(one.case.case_id) if one.case else None
            if mine is not None and one.case is not None:
                seen.append(self._of_own(said, one, one.case, mine))
            else:
                (first, _), of_first = next(others)
                seen.append(self._of_other(first, of_first))
        return seen

    def flow(self, flow: Flow) -> Flow:
        """What they may know of what was reported within the hour."""
        return flow.told_to(self.by.scope)

    def _of_other(self, said: Termination, found: Found) -> Seen:
        """As of somebody of whom nothing is known, unless they may hear of the case."""
        if found.case is None or not may_hear(found, self.by):
            found = Found(said, None, Verdict.OPEN, peers=found.peers)
        return Seen(found, found.refusal, revision=_AS_FIRST)

    def _of_own(self, said: Termination, found: Found, case: CaseRow, mine: SentEvent) -> Seen:
        if found.verdict is Verdict.CONFLICT:
            more = f"; or say it here again with revision {case.revision + 1}"
            return Seen(found, found.why + more)
        if found.verdict is not Verdict.AMEND:
            return Seen(found, found.refusal, revision=_AS_FIRST)
        if case.last_event_id == mine.key and self._said_so(said, mine):
            return Seen(replace(found, verdict=Verdict.DUPLICATE))
        is_late = case.status != CaseStatus.SCHEDULED
        return Seen(found, TOO_LATE if is_late else "")

    def _said_so(self, said: Termination, mine: SentEvent) -> bool:
        try:
            before = parse_statement(
                mine.body, tenant=said.tenant, source=said.source, event_id=mine.key
            )
        except (EventError, ValueError, KeyError, TypeError):  # erased, or of an older release
            return False
        return before.termination.says_as(said)

"""One pass over a system for one leaver: find, contain, look, strip, read back.

The sign-in is shut by the first write, before any list is read. A fault ends the pass, never what
it has done: `Progress` keeps that, and the next pass goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from connectors.base import Connector, ConnectorFault, Transcript
from connectors.kit.steps import fault_of, first_of, unread
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.intake.numbering import Numbering
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Observation,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Absence, absence, judge, not_read
from lockstep.storage.systems.revocations import Progress, Revocation

_ONE_HR_SYSTEM = Numbering()


class Pass:
    """The calls of one attempt; everything is read from, and kept in, ``work``."""

    def __init__(
        self,
        connector: Connector,
        item: Revocation,
        work: Progress,
        transcript: Transcript,
        *,
        numbering: Numbering = _ONE_HR_SYSTEM,
    ) -> None:
        self._connector = connector
        self._item = item
        self._work = work
        self._transcript = transcript
        self._numbering = numbering
        self._began = datetime.now(UTC)

    def saw(self, looks: Iterable[Observation]) -> None:
        """Keep what a look shows standing, as of the beginning of this pass."""
        self._work.snapshot = self._work.snapshot.with_standing(looks, at=self._began)

    async def find(self) -> None:
        """Search by every key, and let the law say whose the accounts are."""
        item, work = self._item, self._work
        work.key_edition = item.key_edition
        work.location = await self._located()
        work.finding = judge(
            work.location.matches,
            item.subject.keys,
            system=item.system,
            cutoff=item.cutoff,
            picks=item.picks,
            known=item.snapshot.known,
            is_whole=work.location.is_whole,
            is_one_range=self._numbering.is_one_range,
        )
        found = {match.account.id: match.account for match in work.finding.leavers}
        snapshot = work.snapshot.with_accounts(found.values())
        judged = {one.match.account.id for one in work.finding.judged}
        work.snapshot = snapshot.releasing(judged - found.keys())

    async def _located(self) -> Location:
        """Every search; where none could be made, what this case knows already can be closed."""
        item, others = self._item, self._item.picks.others
        locate = partial(self._connector.locate, item.subject.keys, self._transcript)
        try:
            return await (locate(not_theirs=others) if others else locate())
        except ConnectorFault as fault:
            rejected = fault.category is FaultCategory.CREDENTIALS_REJECTED
            is_sure = not item.subject.keys.withdrawn_of(item.system)
            if rejected or not (item.snapshot.accounts and is_sure):
                raise
            return Location((), (), unread=(unread(AccessKind.SIGN_IN, fault),))

    def require_somebody(self) -> None:
        """Let a system without any account of the leaver go on only where that is proved.

        Raises:
            ConnectorFault: a search failed, accounts are in doubt, or "nobody" is not proved.
        """
        if self._work.snapshot.accounts:
            return
        self.require_searched()
        self.require_no_doubt()
        self.require_named_read()
        proved = absence(
            self._work.location,
            accept_single_key=self._item.accept_single_key,
            withdrawn=self._item.subject.keys.withdrawn_of(self._item.system),
        )
        if proved is not Absence.PROVED:
            raise self._fault(FaultCategory.UNKNOWN_WORKER, "locate", proved.value)

    def require_searched(self) -> None:
        """Raise for a search that could not be made: an account may stand that nobody has seen."""
        if rows := self._work.location.unread:
            raise self._of_unread(rows)

    def require_named_read(self) -> None:
        """Raise for an account that HR named and that was not asked for by its id.

        An id of another form, or of a part of the system that is switched off: its account may
        stand. Where it was named by mistake, a person withdraws it.
        """
        item = self._item
        if not_read(self._work.location, item.subject.keys, system=item.system):
            raise self._fault(FaultCategory.UNKNOWN_WORKER, "locate", "named_account_not_read")

    def require_no_doubt(self) -> None:
        """Raise where a person must say whose an account is."""
        if doubts := self._work.finding.in_doubt:
            raise self._fault(FaultCategory.AMBIGUOUS_MATCH, "locate", doubts[0].reason.value)

    async def doors(self) -> dict[str, Observation]:
        """What each account's own record says stands; no list is read.

        Where the search's answer says it already, that is enough: good for knowing what to close,
        not for proving that nothing is left.
        """
        seen = {
            match.account.id: match.seen
            for match in self._work.finding.leavers
            if match.seen is not None
        }
        accounts = self._work.snapshot.accounts
        unseen = [account for account in accounts if account.id not in seen]
        looks = await _all(self._connector.look(account, self._transcript) for account in unseen)
        seen.update({look.account_id: look for look in looks})
        self.saw(seen.values())
        return seen

    async def contain(
        self, doors: Mapping[str, Observation], only: Collection[str] | None = None
    ) -> ConnectorFault | None:
        """Shut every sign-in that stands or stood (of ``only`` these); none waits for another.

        Returns:
            A refusal that only a person can mend; what hangs on no sign-in can still be stripped.

        Raises:
            ConnectorFault: one that time mends, or a rejected credential, once all were tried.
        """
        faults: list[ConnectorFault] = []
        for account in self._work.snapshot.accounts:
            stood = self._work.snapshot.standing.get(account.id, ())
            is_asked = only is None or account.id in only
            if is_asked and any(way.kind is AccessKind.SIGN_IN for way in stood):
                merged = replace(doors[account.id], standing=stood)
                faults += await self._done(
                    self._connector.contain(account, merged, self._transcript)
                )
        if not faults:
            return None
        fault = first_of(faults)
        if fault.is_transient or fault.category is FaultCategory.CREDENTIALS_REJECTED:
            raise fault
        return fault

    async def look(self, doors: Mapping[str, Observation]) -> dict[str, Observation]:
        """Read in full every account but those of which the search's answer told everything."""
        accounts = [
            account
            for account in self._work.snapshot.accounts
            if doors[account.id].unread or not doors[account.id].standing
        ]
        looks = await self.read(accounts)
        self.saw(looks)
        return {look.account_id: look for look in looks}

    def due(
        self, doors: Mapping[str, Observation], looks: Mapping[str, Observation]
    ) -> dict[str, Observation]:
        """By account: everything but the sign-in that stands, or that stood when first seen.

        What stood before is closed again although it may be gone: some ways in, such as
        sessions, may not be listed once sign-in is blocked, and a killed worker may have stopped
        between the two.
        """
        shut = {action.access for action in self._work.snapshot.done}
        found = {}
        for account, stood in self._work.snapshot.standing.items():
            seen = looks.get(account) or doors[account]
            now = set(seen.standing) if account in looks else set()
            ways = tuple(
                way
                for way in stood
                if way.kind is not AccessKind.SIGN_IN and (way in now or way not in shut)
            )
            if ways:
                found[account] = replace(seen, standing=ways)
        return found

    async def strip(self, due: Mapping[str, Observation]) -> ConnectorFault | None:
        """Close what is due; the fault is for the end, when everything was tried."""
        faults: list[ConnectorFault] = []
        for account in self._work.snapshot.accounts:
            if account.id in due:
                before = due[account.id]
                faults += await self._done(self._connector.strip(account, before, self._transcript))
        return first_of(faults) if faults else None

    async def read(self, accounts: Sequence[Account]) -> list[Observation]:
        """Read accounts in full, by their ids, side by side; most leavers have one."""
        return await _all(
            self._connector.read_back(account, self._transcript) for account in accounts
        )

    def confirm(self, looks: Sequence[Observation]) -> None:
        """Take over what a full look at every account confirms."""
        self._work.unread = tuple(row for look in looks for row in look.unread)
        unseen = any(row.kind is AccessKind.SIGN_IN for row in self._work.unread)
        if looks and not unseen and not any(look.signs_in for look in looks):
            shut = [
                whole_ms(action.accepted_at)
                for action in self._work.snapshot.done
                if action.access.kind is AccessKind.SIGN_IN
            ]
            self._work.contained_at = max(shut, default=None)

    def require_closed(self, looks: Sequence[Observation]) -> None:
        """Raise for what still stands, then for what nobody could read."""
        if any(look.standing for look in looks):
            raise self._fault(FaultCategory.NOT_APPLIED, "read_back", _kinds(looks))
        rows = [row for look in looks for row in look.unread]
        if rows:
            raise self._of_unread(rows)

    async def _done(self, closing: Awaitable[Sequence[Action]]) -> list[ConnectorFault]:
        try:
            self._did(await closing)
        except ConnectorFault as fault:
            self._did(fault.actions)
            return [fault]
        return []

    def _did(self, actions: Iterable[Action]) -> None:
        self._work.snapshot = self._work.snapshot.with_actions(actions)

    def _of_unread(self, rows: Iterable[Unread]) -> ConnectorFault:
        return first_of([fault_of(row, connector=self._connector.kind) for row in rows])

    def _fault(self, category: FaultCategory, operation: str, code: str) -> ConnectorFault:
        return ConnectorFault(
            category, connector=self._connector.kind, operation=operation, code=code
        )


async def _all(looks: Iterable[Awaitable[Observation]]) -> list[Observation]:
    jobs = list(looks)
    if len(jobs) == 1:
        return [await jobs[0]]
    return list(await asyncio.gather(*jobs))


def _kinds(looks: Sequence[Observation]) -> str:
    kinds: set[str] = {access.kind.value for look in looks for access in look.standing}
    return "still_" + "_".join(sorted(kinds))


def standing_of(looks: Iterable[Observation]) -> list[Access]:
    """Every way in that some looks show."""
    return [access for look in looks for access in look.standing]

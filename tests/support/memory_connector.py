"""A connector without a vendor: accounts in a dict, faults on demand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Exchange,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    Proof,
    Search,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory

MADE_AT = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class MemoryConnector:
    """Knows every worker id in ``standing``; `faults` are raised by operation, one each time."""

    kind: str = "memory"
    standing: dict[str, set[Access]] = field(default_factory=dict)
    faults: dict[str, list[ConnectorFault]] = field(default_factory=lambda: defaultdict(list))
    effects: list[str] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    off_since: dict[str, datetime] = field(default_factory=dict)
    skew: timedelta = timedelta(0)
    """How far the vendor's clock is from ours."""
    ineffective: int = 0
    """So many revocations are accepted and not carried out."""
    losing: int = 0
    """So many changes are carried out, and their answer is lost."""
    stale: int = 0
    """So many looks at the account's own record show an older state: no sign-in."""
    addresses: dict[str, str] = field(default_factory=dict)
    """Accounts by an address of theirs."""
    namesakes: list[Match] = field(default_factory=list)
    """Accounts that an address finds too; give each one in `standing` as well."""
    unreadable: FaultCategory | None = None
    """Why nothing but the account's own record can be read."""
    blind_to_ids: bool = False
    """Nothing is asked for by an id that HR gives."""
    unsearched: tuple[Unread, ...] = ()
    """Searches that fail while others find."""

    def hire(self, worker_id: str) -> None:
        kinds = (AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.TOKEN)
        self.standing[worker_id] = {Access(kind, f"{kind}-1") for kind in kinds}

    def fail(self, operation: str, category: FaultCategory, times: int = 1) -> None:
        fault = ConnectorFault(category, connector=self.kind, operation=operation, code="test")
        self.faults[operation].extend([fault] * times)

    def meet(self, account_id: str, email: str) -> None:
        """Let an account stand that an address of the leaver finds, and that has another number."""
        self.hire(account_id)
        known = (Key(KeyKind.EMAIL, email), Key(KeyKind.WORKER_ID, f"of-{account_id}"))
        account = Account(account_id, email, known_keys=known)
        made = Match(account, KeyKind.EMAIL, created_at=MADE_AT, name=f"Name of {account_id}")
        self.namesakes.append(made)

    def knows(self, email: str, account_id: str) -> None:
        """Let an address find an account that contradicts nothing."""
        self.addresses[email] = account_id

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        del not_theirs  # every search is proved
        self._call("locate", transcript)
        found = [worker for worker in keys.worker_ids if worker in self.standing]
        ids = [key.value for key in keys.keys if key.kind is KeyKind.ACCOUNT_ID]
        ids = [] if self.blind_to_ids else ids
        searched = [(KeyKind.WORKER_ID, value) for value in keys.worker_ids]
        searched += [(KeyKind.EMAIL, value) for value in keys.emails or ("one@example.com",)]
        by_id = tuple(Search(KeyKind.ACCOUNT_ID, value, Proof.BY_ID) for value in ids)
        return Location(
            (
                *(
                    Match(Account(value), KeyKind.ACCOUNT_ID)
                    for value in ids
                    if value in self.standing
                ),
                *(Match(_account(worker), KeyKind.WORKER_ID) for worker in found),
                *(
                    Match(Account(self.addresses[mail]), KeyKind.EMAIL)
                    for mail in keys.emails
                    if mail in self.addresses
                ),
                *(match for match in self.namesakes if match.account.locator in keys.emails),
            ),
            (*by_id, *(Search(kind, value, Proof.PROVED) for kind, value in searched)),
            unread=self.unsearched,
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        self._call("look", transcript)
        standing = self.standing.get(account.id, set())
        if self.stale:
            self.stale -= 1
            standing = set()
        return Observation(
            account.id,
            account.id in self.standing,
            tuple(way for way in standing if way.kind is AccessKind.SIGN_IN),
            self.off_since.get(account.id),
            unread=(Unread(AccessKind.SESSION), Unread(AccessKind.TOKEN)),
        )

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        doors = [way for way in before.standing if way.kind is AccessKind.SIGN_IN]
        return await self._close("contain", account, doors, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        self._call("read_back", transcript)
        if self.unreadable is not None:
            seen = await self.look(account, transcript)
            rows = tuple(Unread(row.kind, self.unreadable, "memory.list") for row in seen.unread)
            return replace(seen, unread=rows)
        standing = tuple(sorted(self.standing.get(account.id, ()), key=lambda a: a.kind))
        return Observation(
            account.id, account.id in self.standing, standing, self.off_since.get(account.id)
        )

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        ways = [way for way in before.standing if way.kind is not AccessKind.SIGN_IN]
        return await self._close("strip", account, ways, transcript)

    async def _close(
        self, operation: str, account: Account, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        self._call(operation, transcript)
        actions: list[Action] = []
        for access in ways:
            if access in self.standing[account.id]:
                if self.ineffective:
                    self.ineffective -= 1
                else:
                    self.standing[account.id].discard(access)
                self.effects.append(f"{account.id}:{access.kind}")
                actions.append(Action(access, datetime.now(UTC), "memory.close"))
        if self.losing:
            self.losing -= 1
            raise ConnectorFault(FaultCategory.TIMEOUT, connector=self.kind, operation=operation)
        return tuple(actions)

    async def health(self, transcript: Transcript) -> Health:
        return Health(True, self.problems)

    async def aclose(self) -> None:
        pass

    def _call(self, operation: str, transcript: Transcript) -> None:
        if self.faults[operation]:
            raise self.faults[operation].pop(0)
        now = datetime.now(UTC)
        date = format_datetime(now + self.skew, usegmt=True)
        transcript.add(
            Exchange(f"memory.{operation}", 200, now, "req-1", date_header=date, skew=self.skew)
        )


def _account(worker: str) -> Account:
    return Account(worker, known_keys=(Key(KeyKind.WORKER_ID, worker),))

"""A connector without a vendor: accounts in a dict, faults on demand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.access import (
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
)
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import KeyKind, LeaverKeys


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

    def hire(self, worker_id: str) -> None:
        kinds = (AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.TOKEN)
        self.standing[worker_id] = {Access(kind, f"{kind}-1") for kind in kinds}

    def fail(self, operation: str, category: FaultCategory, times: int = 1) -> None:
        fault = ConnectorFault(category, connector=self.kind, operation=operation, code="test")
        self.faults[operation].extend([fault] * times)

    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        self._call("locate", transcript)
        found = [worker for worker in keys.worker_ids if worker in self.standing]
        return Location(
            tuple(Match(Account(worker), KeyKind.WORKER_ID) for worker in found),
            (KeyKind.WORKER_ID, KeyKind.EMAIL),
        )

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        self._call("read_back", transcript)
        standing = tuple(sorted(self.standing.get(account.id, ()), key=lambda a: a.kind))
        return Observation(
            account.id, account.id in self.standing, standing, self.off_since.get(account.id)
        )

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        self._call("revoke", transcript)
        actions = []
        for access in before.standing:
            if access in self.standing[account.id]:
                if self.ineffective:
                    self.ineffective -= 1
                else:
                    self.standing[account.id].discard(access)
                self.effects.append(f"{account.id}:{access.kind}")
                actions.append(Action(access, datetime.now(UTC), "memory.close"))
        self._call("revoked", transcript)
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

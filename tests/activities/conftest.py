"""Activities with a connector in memory and a real database, run as Temporal runs them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.access import AccessActivities
from lockstep.contracts.payloads import RevokeInput
from lockstep.domain.intake.numbering import Numbering
from lockstep.storage.records import CaseRow
from lockstep.storage.systems.revocations import Revocations
from tests.support.casework import SYSTEM, WORKER, Casework
from tests.support.memory_connector import MemoryConnector


class Killed(BaseException):
    """Stands for kill -9: no handler of ours runs after it."""


class Probe(MemoryConnector):
    """Calls ``hooks`` by operation, before and after each effect."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.hooks: dict[str, Callable[[], Any]] = {}
        self.calls: list[str] = []

    async def locate(self, keys, transcript, *, not_theirs=()):
        await self._hook("locate")
        return await super().locate(keys, transcript, not_theirs=not_theirs)

    async def read_back(self, account, transcript):
        await self._hook("read_back")
        return await super().read_back(account, transcript)

    async def look(self, account, transcript):
        await self._hook("look")
        return await super().look(account, transcript)

    async def contain(self, account, before, transcript):
        await self._hook("contain")
        actions = await super().contain(account, before, transcript)
        await self._hook("contained")
        return actions

    async def strip(self, account, before, transcript):
        await self._hook("strip")
        if "mid_strip" in self.hooks:
            for gone in sorted(self.standing[account.id], key=lambda access: access.kind)[:1]:
                self.standing[account.id].discard(gone)
            await self._hook("mid_strip")
        actions = await super().strip(account, before, transcript)
        await self._hook("stripped")
        return actions

    async def _hook(self, operation: str) -> None:
        self.calls.append(operation)
        hook = self.hooks.get(operation)
        if hook is not None:
            result = hook()
            if result is not None:
                await result


@dataclasses.dataclass
class Bench:
    """One system's activities around one case."""

    work: Casework
    connector: Probe
    case: CaseRow
    numbering: Numbering = dataclasses.field(default_factory=Numbering)

    def activities(self, revocations: Revocations | None = None) -> AccessActivities:
        """As a freshly started worker has them."""
        made = revocations or Revocations(self.work.engine, self.work.ring, self.work.ledger)
        return AccessActivities(
            SYSTEM, self.connector, made, self.work.cases, numbering=self.numbering
        )

    async def revoke(
        self,
        attempt: int = 1,
        *,
        opening: int = 1,
        round_: int = 1,
        activities: AccessActivities | None = None,
    ) -> str:
        """Run one attempt; return the outcome."""
        given = RevokeInput(self.case.case_id, SYSTEM, round_, opening)
        acts = activities or self.activities()
        result = await environment(attempt).run(acts.revoke_access, given)
        return result.outcome

    async def outcomes(self) -> list[dict[str, Any]]:
        return await self.datas("revocation:outcome")

    async def datas(self, kind: str) -> list[dict[str, Any]]:
        """What the entries of one kind say."""
        entries = await self.work.entries(self.case.case_id)
        return [entry["data"] for entry in entries if entry["kind"] == kind]

    async def kinds(self) -> list[str]:
        """What was written about the revocation."""
        return (await self.work.kinds(self.case.case_id))[1:]


def environment(attempt: int = 1) -> ActivityEnvironment:
    made = ActivityEnvironment()
    made.info = dataclasses.replace(made.info, attempt=attempt)
    return made


@pytest.fixture
async def bench(engine, ring) -> Bench:
    """A leaver who has three ways into one system, and whose cutoff has come."""
    work = Casework(engine, ring)
    await work.adopt()
    connector = Probe()
    connector.hire(WORKER)
    return Bench(work, connector, await work.open())

"""What harnesses of simulated systems share: hiring people, and asking for the truth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import httpx

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.connectors.harness import FaultScript


class SandboxHarness:
    """Hires people in a simulator and asks it, not the connector, what still opens.

    Attributes:
        shape: what a new person holds.
        ways: what stands of a person, as the simulator names it.
    """

    kind: str
    shape: ClassVar[Mapping[str, Any]]
    ways: Collection[str]
    logs_refusals: bool = True
    owns: ClassVar[Mapping[str, Any]] = {}
    """What else somebody has who made things that stay."""
    owned_kinds: Collection[OwnedKind] = ()

    def __init__(self, url: str, peer: httpx.AsyncClient) -> None:
        self.script = FaultScript()
        self.base_url = url
        self._peer = peer

    async def hire(self, worker: str, **shape: object) -> LeaverKeys:
        email = f"{worker}@northwind.example.com".lower()
        person = {"worker_id": worker, "email": email, "first_name": "Test", "last_name": worker}
        await self._post("seed", people=[person], shape={self.kind: {**self.shape, **shape}})
        # The directory writes addresses as people do; the vendor does not.
        return LeaverKeys((Key(KeyKind.WORKER_ID, worker), Key(KeyKind.EMAIL, email.title())))

    async def hire_owner(self, worker: str) -> LeaverKeys:
        return await self.hire(worker, **self.owns)

    async def use(self, keys: LeaverKeys, *, refused: bool, at: datetime) -> None:
        stamp = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await self._post("use", user=keys.emails[0], refused=refused, at=stamp)

    async def still_in(self, keys: LeaverKeys) -> bool:
        standing = (await self.state(keys))["standing"]
        return any(standing[way] for way in self.ways)

    async def give_back(self, keys: LeaverKeys) -> None:
        await self._post("restore", user=keys.emails[0])

    async def state(self, keys: LeaverKeys) -> dict[str, Any]:
        """Everything that the simulator knows of the person."""
        answer = await self._peer.get(f"/sandbox/state/{keys.emails[0]}")
        found: dict[str, Any] = answer.raise_for_status().json()["accounts"][0]
        return found

    async def limit_key(self, api_key: str, *lacks: str) -> None:
        """Make an API key that lacks permission areas."""
        await self._post("tokens", token=api_key, lacks=lacks)

    async def _post(self, what: str, **body: Any) -> None:
        (await self._peer.post(f"/sandbox/{what}", json=body)).raise_for_status()


def retry_after(wait_s: int) -> dict[str, str]:
    return {"Retry-After": str(wait_s)}

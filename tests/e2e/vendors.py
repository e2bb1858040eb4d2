"""The simulated vendors as a process of their own: like real ones, they outlive our crashes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from subprocess import Popen
from sys import executable
from typing import Any

import httpx

from sandbox.people import Person
from sandbox.vendors.registry import descriptions, simulated
from tests.e2e.processes import eventually, put_down, spawn
from tests.support.ports import free_port

DIRECTORY, NETWORK, BADGES, MEASURED = "okta", "tailscale", "kisi", "instant"
"""The only names of vendors in these tests, by what they are for."""
SAMPLES = (DIRECTORY, NETWORK, BADGES)
VENDORS = tuple(simulated())
SYSTEMS = {kind: f"{kind}-sandbox" for kind in VENDORS}
SIMULATED = tuple(SYSTEMS[kind] for kind in SAMPLES)
"""The sample systems that these tests put on; a new one of the sandbox makes them no longer."""
WITHOUT_BADGES: dict[str, Any] = {BADGES: {"absent": True}}
"""The shape of a person: these vendors are slow, and their connector admits few calls at once."""
Account = dict[str, Any]


class Vendors:
    """Started with `start`; the control interface behind it tells the truth about each leaver."""

    def __init__(
        self,
        home: Path,
        *,
        latency_ms: int = 0,
        env: Mapping[str, str] | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        """``ports`` are those of a sandbox that somebody else runs."""
        self.ports = dict(ports or {name: free_port() for name in VENDORS})
        self.log = home / "vendors.log"
        self._latency_ms = latency_ms
        self._env = dict(env or {})
        self._process: Popen[bytes] | None = None
        self._http = httpx.AsyncClient(trust_env=False, timeout=60)

    async def start(self) -> None:
        ports = [part for n, port in self.ports.items() for part in (f"--{n}-port", str(port))]
        argv = [executable, "-m", "sandbox", *ports, "--latency-ms", str(self._latency_ms)]
        self._process = spawn(argv, self.log, env=self._env)

        async def says_where() -> bool:
            return b'"simulated"' in self.log.read_bytes()

        await eventually(says_where, what="the sandbox's line")

    async def stop(self) -> None:
        await self._http.aclose()
        if self._process is not None:
            await put_down(self._process, grace_s=5)

    async def seed(self, people: Iterable[Person]) -> None:
        """Give people access everywhere."""
        await self._post(VENDORS[0], "seed?all=true", {"people": [p.as_json() for p in people]})

    async def accounts(self, vendor: str, word: str) -> list[Account]:
        """What the vendor knows of a person; nothing of one who never had an account."""
        answer = await self._http.get(self._at(vendor, f"state/{word}"))
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        answer.raise_for_status()
        found: list[Account] = answer.json()["accounts"]
        return found

    async def summary(self, vendor: str) -> dict[str, Any]:
        answer = await self._http.get(self._at(vendor, "state"))
        return dict(answer.raise_for_status().json())

    async def calls(self, vendor: str, word: str) -> list[dict[str, Any]]:
        """Effect calls about a person, as the vendor remembers them."""
        answer = await self._http.get(self._at(vendor, "calls"), params={"user": word})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["calls"]
        return found

    async def set_faults(self, vendor: str, faults: Sequence[Mapping[str, object]]) -> None:
        """Arm exactly these at one vendor."""
        answer = await self._http.put(self._at(vendor, "faults"), json=list(faults))
        answer.raise_for_status()

    async def add_fault(self, vendor: str, fault: Mapping[str, object]) -> None:
        """Arm one more."""
        await self._post(vendor, "faults", fault)

    async def remove_fault(self, vendor: str, fault_id: str) -> None:
        answer = await self._http.delete(self._at(vendor, f"faults/{fault_id}"))
        assert answer.raise_for_status().json()["removed"] == 1

    async def faults(self, vendor: str) -> list[dict[str, Any]]:
        answer = await self._http.get(self._at(vendor, "faults"))
        found: list[dict[str, Any]] = answer.raise_for_status().json()["faults"]
        return found

    async def _post(self, vendor: str, path: str, value: object) -> None:
        answer = await self._http.post(self._at(vendor, path), json=value)
        answer.raise_for_status()

    def _at(self, vendor: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[vendor]}/sandbox/{path}"


def ways_in(vendor: str, account: Account) -> Counter[str]:
    """How many ways in of each kind an account has, reckoned from the vendor's own records.

    This is what a case must remove, counted without any of our connectors.
    """
    count = descriptions()[vendor].ways_in
    assert count is not None, f"{vendor} does not say"
    return Counter({kind: number for kind, number in count(account).items() if number})


def still_open(vendor: str, account: Account) -> dict[str, Any]:
    """What still stands by the vendor's own word; empty when every door is shut."""
    standing = account["standing"]
    return {name: standing[name] for name in descriptions()[vendor].doors if standing[name]}


def applied_twice(calls: Iterable[Mapping[str, Any]]) -> list[str]:
    """Targets that an effect was applied to more than once."""
    counted = Counter(f"{call['method']} {call['path']}" for call in calls if call["applied"])
    return [target for target, count in counted.items() if count > 1]

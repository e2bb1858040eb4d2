"""Cases that really run: the console, a worker with connectors in memory, and real Temporal."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from temporalio.client import Client
from temporalio.service import RPCError

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.control.runtime.start import CaseStarter
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.cases.rows import pin
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.ledger import ledger_entries
from lockstep.worker import Parts, build_workers, running
from tests.support.casework import TENANT, Casework, termination
from tests.support.memory_connector import MemoryConnector
from tests.web.console.conftest import Browser, Site

PDF = b"%PDF-1.7\nproof of work by hand\n%%EOF"
WHY = "the badge office confirmed it by phone"
HOUR = timedelta(hours=1)
DOOR, VAULT, BADGE = "door", "vault", "badge"
"""A system of tier 1, one of tier 0, and one that is worked by hand."""
BOUND_S = 120
TOKENS = {
    right: f"ward-token-{right}-0123456789abcdefghijkl"
    for right in ("act", "approve", "see_cases", "work")
}
_RIGHTS = {"work": ["see_cases", "act"]}


def ward_settings(temporal: str) -> str:
    """The settings of a console whose cases run; `write_tokens` makes its secrets."""
    tokens = "\n".join(
        f'[tokens.{right.replace("_", "-")}]\nsecret = "file:{right}.token"\n'
        f"rights = {json.dumps(_RIGHTS.get(right, [right]))}\n"
        f'owner = {{ email = "{right}@example.com" }}'
        for right in TOKENS
    )
    return f"""
tenant = "{TENANT}"
keyring = "file:keyring.json"

[temporal]
mode = "external"
address = "{temporal}"

[ledger]
key = "file:ledger.key"

[systems.{BADGE}]
connector = "manual"

{tokens}
"""


def write_tokens(folder: Path) -> None:
    for right, secret in TOKENS.items():
        (folder / f"{right}.token").write_text(secret)


POLICY = pin(
    Policy(
        "1",
        (
            SystemPolicy(DOOR, "memory", Category.SAAS, Tier.ONE),
            SystemPolicy(VAULT, "memory", Category.IDENTITY, Tier.ZERO),
            SystemPolicy(BADGE, "manual", Category.BADGE, Tier.MANUAL),
        ),
        watch=(),
    )
)


@dataclass
class Ward:
    """Opens cases, and waits for what becomes of them."""

    site: Site
    client: Client
    work: Casework
    starter: CaseStarter
    dispatcher: Dispatcher
    connectors: dict[str, MemoryConnector]
    opened: list[str] = field(default_factory=list)

    async def open(
        self, worker_id: str = "W-1", *, due: timedelta = timedelta(0), **changes: Any
    ) -> CaseRow:
        """A case whose cutoff lies ``due`` from now, with its workflow running."""
        case = await self.work.open(termination(worker_id, **changes), due=due)
        self.opened.append(case.case_id)
        for connector in self.connectors.values():
            connector.hire(worker_id)
        await self.starter.start(case)
        return case

    async def stuck(self, worker_id: str = "W-1", **changes: Any) -> CaseRow:
        """A case of which all three systems wait for a person."""
        for connector in self.connectors.values():
            connector.fail("locate", FaultCategory.PERMISSION_MISSING)
        case = await self.open(worker_id, **changes)
        for system in (DOOR, VAULT, BADGE):
            await self.until(case, system, "needs_person")
        return case

    async def until(self, case: CaseRow, system: str, state: str) -> None:
        """Wait until a system is in ``state`` (or has this outcome)."""

        async def there() -> bool:
            row = await self.work.row(case.case_id, system)
            return state in {row.state, row.outcome}

        await eventually(there, f"{system} is {state}")

    async def acts(self, case_id: str) -> list[str]:
        """What the ledger says that people did and were refused, about one case."""
        entries = await self.work.entries(case_id)
        return [
            entry["data"]["act"] + ("!" if entry["kind"] == "access:denied" else "")
            for entry in entries
            if entry["kind"].startswith("access:")
        ]

    async def decisions(self, case_id: str) -> list[dict[str, Any]]:
        entries = await self.work.entries(case_id)
        return [entry for entry in entries if entry["kind"].startswith("decision:")]

    async def denied(self) -> list[str]:
        """Every denied act in the ledger, by what was tried."""
        query = select(ledger_entries.c.body).where(ledger_entries.c.kind == "access:denied")
        async with self.work.engine.connect() as connection:
            bodies = (await connection.scalars(query)).all()
        return [json.loads(body)["data"]["act"] for body in bodies]

    async def sql(self, statement: str, **values: object) -> list[Any]:
        async with self.work.engine.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    async def leave(self) -> None:
        for case_id in self.opened:
            with contextlib.suppress(RPCError):
                await self.client.get_workflow_handle(case_id).terminate("the test is over")


@contextlib.asynccontextmanager
async def warding(site: Site, client: Client) -> AsyncIterator[Ward]:
    """A worker on the site's database and on real Temporal."""
    work = Casework(site.engine, site.ring)
    await work.adopt(POLICY)
    connectors = {DOOR: MemoryConnector(), VAULT: MemoryConnector()}
    inbox = work.inbox
    parts = Parts(work.stores, connectors)
    starter = CaseStarter(client, work.cases, tuple(connectors))
    dispatcher = Dispatcher(
        inbox=inbox,
        cases=work.cases,
        starter=starter,
        policy=POLICY,
        brake=Brake(Brakes(site.engine, site.ring, TENANT), site.ring, BrakeRule(0, 0)),
    )
    ward = Ward(site, client, work, starter, dispatcher, connectors)
    async with running(build_workers(client, parts, hear=dispatcher.hear)):
        try:
            yield ward
        finally:
            await ward.leave()


async def eventually(check: Callable[[], Any], what: str) -> None:
    """Poll until ``check`` holds."""
    deadline = time.monotonic() + BOUND_S
    while not await check():
        assert time.monotonic() < deadline, f"not in time: {what}"
        await asyncio.sleep(0.05)


def soon(**duration: float) -> str:
    """A moment from now, as a form has it (UTC)."""
    moment = datetime.now(UTC) + timedelta(**duration)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def page(case) -> str:
    return f"/console/cases/{case.case_id}"


async def seen(browser: Browser, case, act: str, system: str = "") -> str:
    """What a form on the page carries."""
    answer = await browser.get(page(case))
    place = f"/systems/{system}/{act}" if system else f"/{act}"
    form = re.search(
        rf'action="[^"]*{place}".*?name="seen" value="([^"]*)"', answer.text, re.DOTALL
    )
    assert form is not None, (act, system)
    return form.group(1)


async def act(browser: Browser, case, what: str, system: str = "", **fields):
    """Send a form as the page has it; ``file`` is (name, content)."""
    path = f"{page(case)}/systems/{system}/{what}" if system else f"{page(case)}/{what}"
    file = fields.pop("file", None)
    data = {"csrf": browser.csrf, "reason": WHY, **fields}
    if file is not None:
        return await browser.client.post(path, data=data, files={"artefact": file})
    return await browser.client.post(path, data=data)


async def request_of(ward: Ward, case) -> str:
    [row] = await ward.sql(
        "select request_id from requests where case_id = :c order by asked_at desc limit 1",
        c=case.case_id,
    )
    return row.request_id

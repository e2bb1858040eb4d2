"""Somebody of HR in the console, and the worker behind the inbox."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.rights import Role
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.records import CaseRow
from tests.support.casework import EMAIL, NAME, TENANT, WORKER, Casework
from tests.web.console.conftest import Browser, Site, text_of

SCRIPT = "<script>alert(1)</script>"
HOME = "/console/hr"
DAY = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
"""One day for every form, around midnight too."""


def form(**changes: str) -> dict[str, str]:
    """A leaver as somebody of HR enters them."""
    return {
        "worker_id": WORKER,
        "name": NAME,
        "emails": f"{EMAIL}, second@example.com",
        "kind": "voluntary",
        "zone": "Asia/Manila",
        "when": "last_day",
        "last_working_day": DAY,
        "partner": "northwind",
        "site": "cebu",
        "spell": "1",
        "reason": "ticket 7",
        **changes,
    }


@dataclass
class Starter:
    """Stands for the starting of workflows."""

    woken: list[str] = field(default_factory=list)

    async def start(self, case: CaseRow) -> None:
        """Nothing runs in these tests."""

    async def wake(self, case: CaseRow, event_id: str) -> None:
        self.woken.append(case.case_id)

    async def end_watch(self, case: CaseRow, event_id: str) -> None:
        self.woken.append(case.case_id)


class Hr:
    """Somebody of HR, and the worker behind the inbox."""

    def __init__(self, site: Site, browser: Browser, work: Casework) -> None:
        self.site = site
        self.browser = browser
        self.work = work

    async def send(self, **changes: str) -> str:
        """Check and report; return the page that follows."""
        page = await self.browser.post(f"{HOME}/preview", form(**changes))
        assert page.status_code == 200, text_of(page)
        once = re.search(r'name="once" value="([^"]+)"', page.text)[1]
        done = await self.browser.post(f"{HOME}/report", {**form(**changes), "once": once})
        assert done.status_code == 303, text_of(done)
        return text_of(await self.browser.get(HOME))

    async def dispatch(self) -> None:
        """Carry out what is in the inbox."""
        brakes = Brakes(self.work.engine, self.work.ring, TENANT)
        dispatcher = Dispatcher(
            inbox=self.work.inbox,
            cases=self.work.cases,
            starter=Starter(),
            policy=self.work.policy,
            brake=Brake(brakes, self.work.ring, BrakeRule(per_hour=0, dismissals_per_hour=0)),
        )
        while await dispatcher.drain_once():
            pass

    async def newest_event(self) -> str:
        page = await self.browser.get(HOME)
        return re.search(r'href="(/console/hr/\d+)"', page.text)[1]

    async def change(self, event: str, act: str, **given: str):
        data = {"once": secrets.token_urlsafe(16), **given}
        return await self.browser.post(f"{event}/{act}", data)


@pytest.fixture
async def hr(site, engine, ring):
    work = Casework(engine, ring)
    await work.adopt()
    return Hr(site, await site.sign_in(Role.HR, name="Hannah HR"), work)


async def cases(hr: Hr) -> list[tuple]:
    """Kind, status, partner and cutoff of every case, the oldest first."""
    query = "select kind, status, partner, cutoff_at from cases order by opened_at"
    async with hr.site.engine.connect() as connection:
        return [tuple(row) for row in (await connection.exec_driver_sql(query)).all()]


async def entries(site: Site, kind: str) -> list[dict]:
    """Entries of a kind, or all, the oldest first."""
    async with site.engine.connect() as connection:
        rows = await connection.exec_driver_sql("select body from ledger_entries order by id")
        found = [json.loads(bytes(row.body)) for row in rows]
    return [entry for entry in found if not kind or entry["kind"] == kind]

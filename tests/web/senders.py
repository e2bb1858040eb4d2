"""HR systems that are bound to partners, the hook that they deliver to, and the worker behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
from sqlalchemy import text

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.control.intake.places import Places
from lockstep.control.intake.whose_case import WhoseCase
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.intake.numbering import Numbering
from lockstep.domain.intake.place_names import PlaceList
from lockstep.domain.intake.remit import Remit
from lockstep.storage.cases.rows import pin
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.intake.refused_events import RefusedEvents
from lockstep.storage.intake.seen_places import SeenPlaces
from lockstep.web.app import assemble
from lockstep.web.hooks.routes import Hooks
from lockstep.web.hooks.signatures import Verifier
from tests.support.casework import TENANT, Casework
from tests.web.conftest import LIMIT, SECRET, event, signed

NOW = datetime.now(UTC)
SOON = NOW + timedelta(days=3)
LATER = NOW + timedelta(days=300)
SOURCES = ("hr-a", "hr-b", "hr-all")
REMITS = {
    "hr-a": Remit(frozenset({"Northwind"})),
    "hr-b": Remit(frozenset({"Contoso", "Fabrikam"}), frozenset({"Manila", "Cebu"})),
}
MINE = {"partner": "Northwind"}
THEIRS = {"partner": "Contoso", "site": "Manila"}


class Starter:
    """No workflow is needed here."""

    async def start(self, case) -> None: ...

    async def wake(self, case, event_id: str) -> None: ...

    async def end_watch(self, case, event_id: str) -> None: ...


class House:
    """Three HR systems of which two are bound, the hook, and the worker behind it.

    ``shared``: whether policy says that all of them number the same people.
    """

    def __init__(
        self,
        work: Casework,
        *,
        shared: bool,
        remits: Mapping[str, Remit] = REMITS,
        listed: PlaceList | None = None,
    ) -> None:
        self.work = work
        places = [Places(listed or PlaceList(), SeenPlaces(work.engine)) for _ in range(2)]
        same = (SOURCES,) if shared else ()
        if shared:
            work.policy = pin(replace(work.policy.policy, same_people=same))
        whose = WhoseCase(work.cases, work.inbox, Numbering(SOURCES, same), remits)
        hooks = Hooks(
            tenant=TENANT,
            inbox=work.inbox,
            whose=whose,
            feeds=Feeds(work.engine, TENANT),
            verifiers={name: Verifier([SECRET]) for name in SOURCES},
            rule=CutoffRule(),
            max_body_bytes=LIMIT,
            systems=frozenset({"okta"}),
            places=places[0],
        )
        self.app = assemble(work.engine, hooks)
        self.dispatcher = Dispatcher(
            inbox=work.inbox,
            cases=work.cases,
            starter=Starter(),  # type: ignore[arg-type] # the methods that are called
            policy=work.policy,
            brake=Brake(Brakes(work.engine, work.ring, TENANT), work.ring, BrakeRule(0, 0)),
            sources=SOURCES,
            remits=remits,
            places=places[1],
        )
        self.sent = 0
        self.problems: list[str] = []
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=False),
            base_url="http://lockstep",
        )

    async def send(
        self,
        source: str,
        *,
        ends: datetime = SOON,
        worker: str = "1005",
        email: str = "a@example.com",
        event_id: str = "",
        dispatch: bool = True,
        **said: object,
    ) -> tuple[int, str]:
        """Deliver an event and carry out what was taken; status and word of the answer."""
        self.sent += 1
        dates = {"zone": "Asia/Manila", "access_ends_at": ends.isoformat()}
        who = {"id": worker, "emails": [email]}
        raw = json.dumps(event(worker=who, dates=dates, **said)).encode()
        headers = signed(raw, event_id=event_id or f"evt-{self.sent}")
        answer = await self.client.post(f"/hooks/{source}", content=raw, headers=headers)
        while dispatch and await self.dispatcher.drain_once():
            pass
        body = answer.json()
        self.problems = body.get("problems", [])
        return answer.status_code, body.get("error") or body["status"]

    async def cases(self) -> list[tuple]:
        """What is known of each case: partner, status, revision, cutoff in days."""
        query = text("select partner, status, revision, cutoff_at from cases order by opened_at")
        async with self.work.engine.connect() as connection:
            rows = (await connection.execute(query)).all()
        return [
            (row.partner, row.status, row.revision, round((row.cutoff_at - NOW).days / 10))
            for row in rows
        ]

    async def told(self) -> list[str]:
        """What operations see of events, by verdict; of one that was done in part, that."""
        newest = await RefusedEvents(self.work.engine).newest()
        return [row.verdict if row.trouble == "refused" else row.trouble for row in newest]

    async def keys(self) -> int:
        return await self.work.count("case_keys")

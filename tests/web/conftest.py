"""The hook on a real database, and a sender that signs like an HR system."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url
from standardwebhooks import Webhook

from lockstep.control.intake.whose_case import WhoseCase
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.intake.numbering import Numbering
from lockstep.storage.cases.cases import Cases
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.ledger.append import Ledger
from lockstep.web.app import assemble
from lockstep.web.hooks.routes import Hooks
from lockstep.web.hooks.signatures import Verifier
from tests.support.casework import EMAIL, NAME, TENANT, WORKER
from tests.support.late_routes import late_routes

SECRET = "whsec_" + base64.b64encode(b"first secret of this test " * 1).decode()
NEXT_SECRET = "whsec_" + base64.b64encode(b"second secret of this test").decode()
WRONG_SECRET = "whsec_" + base64.b64encode(b"secret of somebody else...").decode()
LIMIT = 256 * 1024
ENDED_MS = 30_000
"""How long to wait until a session that was ended is gone."""


def event(**changes: object) -> dict[str, object]:
    """A valid event; ``changes`` replaces members."""
    today = datetime.now(UTC).date()
    return {
        "revision": 1,
        "recorded_at": datetime.now(UTC).isoformat(),
        "kind": "voluntary",
        "worker": {"id": WORKER, "name": NAME, "emails": [EMAIL]},
        "dates": {"zone": "Asia/Manila", "last_working_day": today.isoformat()},
        **changes,
    }


def body(**changes: object) -> bytes:
    return json.dumps(event(**changes)).encode()


def signed(
    raw: bytes, *, event_id: str = "evt_1", secret: str = SECRET, age: timedelta = timedelta(0)
) -> dict[str, str]:
    """The headers of a delivery, as Standard Webhooks has them."""
    moment = datetime.now(UTC) - age
    text = raw.decode("utf-8", "surrogateescape") if _is_utf8(raw) else ""
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, moment, text),
    }


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass
class Hook:
    """A sender, and what the other side holds."""

    app: FastAPI
    client: httpx.AsyncClient
    inbox: Inbox
    superuser_url: str
    seen: list[httpx.Response] = field(default_factory=list)

    async def deliver(
        self, raw: bytes, headers: dict[str, str] | None = None, *, source: str = "hr", **options
    ) -> httpx.Response:
        """Post ``raw``, signed unless ``headers`` are given."""
        chosen = signed(raw, **options) if headers is None else headers
        answer = await self.client.post(f"/hooks/{source}", content=raw, headers=chosen)
        self.seen.append(answer)
        return answer

    async def counts(self) -> dict[str, int]:
        return await self.inbox.counts()

    def database(self, *, up: bool) -> None:
        """Let the server refuse every connection to our database, or admit them again."""
        url = make_url(self.superuser_url)
        admin = url.set(drivername="postgresql", database="postgres")
        with psycopg.connect(admin.render_as_string(), autocommit=True) as connection:
            connection.execute(f"alter database {url.database} allow_connections {up}".encode())
            connection.execute(
                "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = %s",
                [ENDED_MS, url.database],
            )


@pytest.fixture(scope="session", autouse=True)
def _routes_are_late() -> Iterator[None]:
    """Most tests here make an application of their own, and ask little of it."""
    with late_routes():
        yield


@pytest.fixture
async def hook(engine, ring, database) -> AsyncIterator[Hook]:
    """The assembled application with one source that has two active secrets."""
    inbox = Inbox(engine, ring)
    hooks = Hooks(
        tenant=TENANT,
        inbox=inbox,
        whose=WhoseCase(Cases(engine, ring, Ledger(engine)), inbox, Numbering(("hr", "hr-b"))),
        feeds=Feeds(engine, TENANT),
        verifiers={"hr": Verifier([SECRET, NEXT_SECRET]), "hr-b": Verifier([SECRET])},
        rule=CutoffRule(),
        max_body_bytes=LIMIT,
        systems=frozenset({"aws", "okta"}),
    )
    app = assemble(engine, hooks)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lockstep") as client:
        yield Hook(app, client, inbox, database.superuser_url)

"""A whole installation with people who may sign in, and what HR and the vendors do to it."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks import Webhook

from lockstep.cli.context import embedded_postgres
from lockstep.cli.runtime.init import SECRET
from lockstep.composition import open_stores
from lockstep.control.people.sessions import Identity, Sessions
from lockstep.domain.rights import Permission, Role
from lockstep.storage.engine.database import create_engine
from tests.e2e.installation import Installation, Said, settings_text
from tests.e2e.leavers import new_person, termination
from tests.e2e.processes import eventually
from tests.e2e.vendors import Vendors
from tests.e2e.walk import Walk

IMPORT = "hr-import"
"""A source that reports too many at once."""
PASS = 3
"""How many leavers of it pass within an hour; dismissals are not limited."""
MANY = 6
MORE = f"""
[sources.{IMPORT}]
secrets = ["file:{SECRET}"]

[brake]
per_hour = {PASS}
dismissals_per_hour = 0
"""
HOSTILE = (
    "<script>window.hit=1</script><img src=x onerror=window.hit=1>"
    "'\"}}{{7*7}}\u202egnitfil\u202c \N{PILE OF POO} "
    "Wolfeschlegelsteinhausenbergerdorff-Nachname"
)
"""What a hostile HR system may write into a name."""
HOSTILE_PLACE = HOSTILE.replace("\u202e", "").replace("\u202c", "")[:100]
"""And into a partner or a site, where what nobody can see is refused at the door."""


@dataclass
class Stage:
    """What every test in a browser stands on."""

    walk: Walk
    engine: AsyncEngine
    sessions: Sessions

    @property
    def installation(self) -> Installation:
        return self.walk.installation

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.installation.settings.web.port}"

    async def member(
        self,
        name: str,
        *roles: Role,
        partners: Collection[str] | None = None,
        more: Collection[Permission] = (),
    ) -> str:
        """Somebody whom an identity provider has signed in; return their session's cookie."""
        return await self.sessions.begin(
            Identity(
                issuer="https://id.example.com",
                subject=secrets.token_hex(8),
                name=name,
                roles=frozenset(roles),
                partners=None if partners is None else frozenset(partners),
                more=frozenset(more),
            )
        )

    def link(self) -> str:
        """The one-time link that `lockstep up` has printed."""
        [found] = re.findall(
            r"http://\S+/console/sign-in/link\S+", self.installation.log.read_text()
        )
        return found

    async def import_leaver(self, *, days: int = 3, **changes: object) -> str:
        """The other source reports a leaver who leaves in some days; return the event's id."""
        person = new_person()
        ends = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        dates = {"zone": person.time_zone, "access_ends_at": ends}
        event = termination(person, kind="voluntary", dates=dates, **changes)
        return await self.send(f"evt-{person.worker_id}", event, source=IMPORT)

    async def send(self, event_id: str, event: dict[str, object], *, source: str) -> str:
        """Sign and deliver as an HR system does."""
        body, now = json.dumps(event), datetime.now(UTC)
        [secret] = self.installation.settings.source_secrets(source)
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            answer = await http.post(
                f"{self.origin}/hooks/{source}",
                content=body,
                headers={
                    "content-type": "application/json",
                    "webhook-id": event_id,
                    "webhook-timestamp": str(int(now.timestamp())),
                    "webhook-signature": Webhook(secret).sign(event_id, now, body),
                },
            )
        assert answer.status_code == 202, answer.text
        return event_id

    async def handled(self, event_id: str, state: str) -> None:
        """Wait until an event is in ``state``."""

        async def there() -> bool:
            rows = await self.installation.books.try_ask(
                "select 1 from inbox where dedupe_key = %(e)s and state = %(s)s",
                e=event_id,
                s=state,
            )
            return bool(rows)

        await eventually(there, what=f"{event_id} {state}")


async def begin(home: Path, more: str = MORE) -> Stage:
    """Start vendors and `lockstep up`; end it with `end`. ``more``: further settings."""
    vendors = Vendors(home)
    installation = Installation(home, settings_text(vendors.ports, more=more))
    try:
        await vendors.start()
        await installation.up()
    except BaseException:
        await installation.down()
        await vendors.stop()
        raise
    settings = installation.settings
    engine = create_engine(embedded_postgres(settings).app_url)
    sessions = Sessions(open_stores(settings, engine, settings.open_keyring()))
    return Stage(Walk(installation, vendors, Said(0, "", "")), engine, sessions)


async def end(stage: Stage) -> None:
    await stage.engine.dispose()
    await stage.installation.down()
    await stage.walk.vendors.stop()

"""The whole web application with its console on a fresh database, and browsers that sign in."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.people.sessions import Identity, Sessions
from lockstep.domain.cases.leavers import Key
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Principal, Role
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.evidence.format.notes import FileSigner
from lockstep.settings import Settings, load_settings
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.runtime.sweeping import Sweeps
from lockstep.storage.stores import Stores
from lockstep.web.app import build_app
from tests.conftest import Database, fresh_database
from tests.support.casework import TENANT, Casework
from tests.support.ledgers import ORIGIN as LOG

ORIGIN = "http://127.0.0.1:8080"
COOKIE = "lockstep"
SETTINGS = f"""
tenant = "{TENANT}"
keyring = "file:keyring.json"

[temporal]
mode = "external"
address = "127.0.0.1:1"

[ledger]
key = "file:ledger.key"

[systems.memory-1]
connector = "manual"

[systems.memory-2]
connector = "manual"
"""


@dataclass
class Browser:
    """Somebody who is signed in. ``csrf`` is what the forms of their session carry."""

    client: httpx.AsyncClient
    principal: Principal
    csrf: str = field(repr=False)

    async def get(self, path: str, **options: object) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(
        self, path: str, data: dict[str, object] | None = None, **options: object
    ) -> httpx.Response:
        """Send a form of ours, with its token."""
        return await self.client.post(path, data={"csrf": self.csrf, **(data or {})}, **options)

    async def part(self, path: str, **options: object) -> httpx.Response:
        """A part of a page, as htmx asks for it."""
        return await self.client.get(path, headers={"hx-request": "true"}, **options)


@dataclass
class Site:
    """The application, and what it stands on."""

    app: FastAPI
    settings: Settings
    engine: AsyncEngine
    ring: Keyring
    signer: FileSigner
    folder: Path
    sessions: Sessions
    stores: Stores
    _open: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def visitor(self) -> httpx.AsyncClient:
        """A browser that nobody has signed in with."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url=ORIGIN)
        return await self._open.enter_async_context(client)

    async def sign_in(
        self,
        *roles: Role,
        partners: Collection[str] | None = None,
        more: Collection[Permission] = (),
        name: str = "Olivia Operator",
        subject: str = "",
        keys: Sequence[Key] = (),
        speaks: Remit | None = None,
    ) -> Browser:
        """A new session of a person; the same ``subject`` is the same person."""
        who = Identity(
            issuer="https://id.example.com",
            subject=subject or secrets.token_hex(8),
            name=name,
            roles=frozenset(roles),
            partners=None if partners is None else frozenset(partners),
            more=frozenset(more),
            keys=tuple(keys),
            speaks=speaks,
        )
        cookie = await self.sessions.begin(who)
        signed = await self.sessions.read(cookie)
        assert signed is not None
        client = await self.visitor()
        client.cookies.set(COOKIE, cookie)
        return Browser(client, signed.principal, signed.csrf)

    async def aclose(self) -> None:
        await self._open.aclose()


@pytest.fixture
def site_settings() -> str:
    """The settings file; a module that needs another overrides this fixture."""
    return SETTINGS


@contextlib.asynccontextmanager
async def opened_site(
    engine: AsyncEngine, ring: Keyring, database: Database, folder: Path, text: str
) -> AsyncIterator[Site]:
    """The application as `lockstep web` builds it; Temporal is connected when first needed."""
    signer = FileSigner.generate(LOG)
    ring.save(folder / "keyring.json")
    (folder / "ledger.key").write_text(signer.to_text())
    (folder / "lockstep.toml").write_text(text)
    settings = load_settings(folder / "lockstep.toml")
    app = build_app(settings, database.app_url, ring)
    stores = Stores(engine, ring, tenant=TENANT)
    made = Site(app, settings, engine, ring, signer, folder, Sessions(stores), stores)
    async with app.router.lifespan_context(app):
        yield made
        await made.aclose()


@contextlib.asynccontextmanager
async def shared_site(
    postgres: EmbeddedPostgres, ring: Keyring, folder: Path, text: str = SETTINGS
) -> AsyncIterator[tuple[Site, Database]]:
    """A site for all tests of a module, whose requests change no answer of another."""
    with fresh_database(postgres) as database:
        engine = create_engine(database.app_url)
        async with opened_site(engine, ring, database, folder, text) as made:
            yield made, database
        await engine.dispose()


@pytest.fixture
async def site(engine, ring, database, tmp_path, site_settings) -> AsyncIterator[Site]:
    """A site of its own, with the settings of ``site_settings``."""
    async with opened_site(engine, ring, database, tmp_path, site_settings) as made:
        yield made


def text_of(answer: httpx.Response) -> str:
    """What a person reads: without tags, blanks as one."""
    words = re.sub(r"<(script|style)\b.*?</\1>", " ", answer.text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", words).split())


@pytest.fixture
async def work(site: Site) -> Casework:
    """Casework on the site's database."""
    made = Casework(site.engine, site.ring)
    await made.adopt()
    await StalledCases(site.engine).looked({}, at=datetime.now(UTC), total=0)  # a worker has
    await Sweeps(site.engine).looked(datetime.now(UTC), total=0)
    return made

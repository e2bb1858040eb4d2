"""The API as its callers have it: tokens with rights, and requests that carry them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.intake.whose_case import WhoseCase
from lockstep.control.people.tokens import Tokens
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.rules import Rules
from lockstep.control.score.sight import ScoreSight
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.intake.numbering import Numbering
from lockstep.domain.rights import Permission
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.stores import Stores
from lockstep.web.api import ScoreApi
from lockstep.web.api.auth import Gate
from lockstep.web.app import assemble
from lockstep.web.hooks.routes import Hooks
from tests.support.casework import TENANT

SECRETS = {right: f"token-of-{right.value}-" + "x" * 32 for right in Permission}
"""One token per right; it has this right and no other."""


@dataclass
class Api:
    """A caller."""

    app: FastAPI
    client: httpx.AsyncClient
    gate: Gate
    engine: AsyncEngine
    service: ScoreService
    seen: list[httpx.Response] = field(default_factory=list)

    async def ask(
        self, method: str, path: str, *, right: Permission | None = None, **options: object
    ) -> httpx.Response:
        """One request with the token of ``right``, or with none."""
        headers = dict(options.pop("headers", {}))
        if right is not None:
            headers["authorization"] = f"Bearer {SECRETS[right]}"
        answer = await self.client.request(method, path, headers=headers, **options)
        self.seen.append(answer)
        return answer

    async def get(self, path: str, **options: object) -> httpx.Response:
        """Read with the right to read."""
        return await self.ask("GET", path, right=Permission.SCORE, **options)


@contextlib.asynccontextmanager
async def asking(
    engine: AsyncEngine, ring: Keyring, *, by_partner: bool = False, per_minute: int = 10_000
) -> AsyncIterator[Api]:
    """The assembled application with one token for each right."""
    tokens = Tokens({right.value: (SECRETS[right], [right]) for right in Permission})
    gate = Gate(tokens, per_minute=per_minute)
    stores = Stores(engine, ring, tenant=TENANT, partners=["fabrikam"])
    service = ScoreService(stores.scores, Rules(tenant=TENANT))
    api = ScoreApi(
        gate,
        service,
        stores.scores,
        stores.deliveries,
        stores.stalled,
        ScoreSight(service, stores.known, stores.sight),
        by_partner,
    )
    whose = WhoseCase(stores.cases, stores.inbox, Numbering())
    hooks = Hooks(TENANT, stores.inbox, whose, stores.feeds, {}, CutoffRule(), 262_144)
    app = assemble(engine, hooks, api)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lockstep") as client:
        yield Api(app, client, gate, engine, service)
    await service.aclose()

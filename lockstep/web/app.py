"""Builds the web application; only this module of the web reads settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

import lockstep
from connectors.openid.provider import OpenIdProvider
from lockstep.composition import Root, open_stores
from lockstep.control.board.now import Board
from lockstep.control.hr.leaver_lines import LeaverLines
from lockstep.control.hr.own_reports import OwnReports
from lockstep.control.hr.own_sheets import OwnSheets
from lockstep.control.people.oidc import CALLBACK, OidcSignIn
from lockstep.control.people.sessions import Sessions
from lockstep.control.people.tokens import Tokens
from lockstep.control.runtime.temporal import connect
from lockstep.control.score.sight import ScoreSight
from lockstep.settings import Settings
from lockstep.settings.shown import shown
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.api import ScoreApi
from lockstep.web.api.acts import acts_routers
from lockstep.web.api.answers import AliveDocument, ReadyDocument, UnreadyDocument, told
from lockstep.web.api.auth import Gate, add_answers
from lockstep.web.api.cases import cases_router
from lockstep.web.api.events import events_router
from lockstep.web.api.evidence import Packs, evidence_router
from lockstep.web.bounds import Bounds
from lockstep.web.console.console import Console
from lockstep.web.console.gate import ConsoleGate
from lockstep.web.console.listening import Live
from lockstep.web.console.pages import POLICY, STATIC, Pages
from lockstep.web.console.refusals import Refusals
from lockstep.web.console.routes import routers
from lockstep.web.headers import Headers
from lockstep.web.hooks.routes import EVENT_MODELS, Hooks, router
from lockstep.web.hooks.signatures import Verifier
from lockstep.web.incidents import Incidents
from lockstep.web.outages import ERRORS

_READ_ONLY = (
    "select current_setting('transaction_read_only') = 'on' from (select 1 from inbox limit 1) i"
    " right join (select 1) one on true"
)
"""Also asks whether the inbox can be read; whether its disk is full only a write would tell."""


def build_app(settings: Settings, database_url: str, ring: Keyring) -> FastAPI:
    """The application; raises `SettingsError` for a source without a usable secret."""
    engine = create_engine(database_url, application="lockstep-web")
    root = Root(settings, open_stores(settings, engine, ring))
    stores = root.stores
    hooks = Hooks(
        tenant=settings.tenant,
        inbox=stores.inbox,
        whose=root.whose,
        feeds=stores.feeds,
        verifiers={name: Verifier(settings.source_secrets(name)) for name in settings.sources},
        rule=root.policy.cutoff,
        max_body_bytes=settings.web.max_body_bytes,
        systems=frozenset(settings.systems),
        places=root.places,
    )
    remits = {name: table.to_remit() for name, table in settings.tokens.items()}
    gate = Gate(
        Tokens(settings.token_book(), root.token_owners, remits),
        made=root.tokens,
        acts=stores.log,
    )
    packs = Packs(
        root.exporter, stores.exports, root.packs_folder, stores.export_views, stores.views
    )
    api = ScoreApi(
        gate=gate,
        service=root.score,
        sight=ScoreSight(root.score, stores.known, stores.sight),
        scores=stores.scores,
        deliveries=stores.deliveries,
        stalled=stores.stalled,
        by_partner=settings.scorecard.metrics_by_partner,
    )
    console = _console(root, packs)
    more = [
        evidence_router(gate, packs),
        cases_router(gate, console.board, console.cases),
        *acts_routers(gate, console.cases),
        events_router(gate, console.reports),
    ]
    return assemble(engine, hooks, api, more=more, console=console)


def _console(root: Root, packs: Packs) -> Console:
    settings, stores = root.settings, root.stores
    return Console(
        stores=stores,
        gate=ConsoleGate(root.sessions, settings.origin),
        pages=Pages(),
        desk=root.desk,
        policy=root.policy,
        score=root.score,
        packs=packs,
        log=settings.ledger_origin,
        anchors={name: table.kind for name, table in settings.ledger.anchors.items()},
        shown=shown(settings),
        temporal=settings.temporal_address(),
        board=Board(stores),
        cases=root.cases,
        live=Live(stores.ledger_tail),
        systems=root.systems,
        pauses=root.pauses,
        brake=root.brake,
        tokens=root.tokens,
        bars=root.bars,
        reports=OwnReports(
            stores,
            root.whose,
            rule=root.policy.cutoff,
            systems=frozenset(settings.systems),
            places=root.places,
            desk=root.cases,
        ),
        sheets=_sheets(root),
        oidc=_oidc(settings, root.sessions),
        links=settings.one_time_links,
        provider=settings.oidc.name if settings.oidc else "",
    )


def _sheets(root: Root) -> OwnSheets:
    stores = root.stores
    lines = LeaverLines(
        root.desk,
        root.whose,
        stores.brakes,
        root.settings.brake.to_rule(),
        root.places,
        pairs=root.settings.console.pairs(),
    )
    return OwnSheets(lines, root.reporters, stores.inbox, stores.ring, tenant=stores.tenant)


def _oidc(settings: Settings, sessions: Sessions) -> OidcSignIn | None:
    """Signing in at the identity provider of the settings, if there is one."""
    table, client = settings.oidc, settings.oidc_client()
    if table is None or client is None:
        return None
    return OidcSignIn(
        OpenIdProvider(table.issuer, client=client),
        sessions,
        table.to_reading(settings.groups.values()),
        scopes=table.scopes,
        redirect_uri=f"{settings.origin}{CALLBACK}",
        signed_out_uri=f"{settings.origin}/console/sign-in",
    )


def assemble(
    engine: AsyncEngine,
    hooks: Hooks,
    api: ScoreApi | None = None,
    *,
    more: Sequence[APIRouter] = (),
    console: Console | None = None,
) -> FastAPI:
    """Put the routes together; ``more`` are routes of the API made by `Gate.router`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if console is not None:  # Temporal may still be down: it connects when first needed
            console.desk.attach(await connect(console.temporal, console.stores.ring, lazy=True))
        yield
        if console is not None and console.oidc is not None:
            await console.oidc.aclose()
        if api is not None:
            await api.service.aclose()
        await engine.dispose()

    app = FastAPI(
        title="Lockstep",
        version=lockstep.__version__,
        # No interactive pages: they load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # A redirect to the other spelling would name the host that the request did.
        redirect_slashes=False,
        lifespan=lifespan,
    )
    _add_routes(app, router(hooks))
    if api is not None:
        _add_routes(app, *api.routers(), *more)
        add_answers(app)
    refusals = None
    if console is not None:
        _add_routes(app, *routers(console))
        refusals = Refusals(console.pages, console.gate)
        refusals.install(app)
        app.mount("/console/static", StaticFiles(directory=STATIC), name="static")
    _add_health(app, engine)
    secure = console is not None and console.gate.secure
    # The last is the outermost: every answer carries the headers.
    app.add_middleware(Incidents, page=refusals.fault if refusals else None)
    app.add_middleware(Bounds, page=refusals.bound if refusals else None)
    app.add_middleware(Headers, pages=POLICY, secure=secure)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def _add_routes(app: FastAPI, *routed: APIRouter) -> None:
    """Take the routes as their routers have made them.

    `include_router` would work each out once more, which costs the first request 0.2 s.
    """
    for routes in routed:
        app.router.routes.extend(routes.routes)


def _add_health(app: FastAPI, engine: AsyncEngine) -> None:
    @app.get(
        "/healthz",
        tags=["health"],
        summary="The process answers",
        responses={200: told(AliveDocument, "It does.")},
    )
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Events can be stored",
        responses={
            200: told(ReadyDocument, "They can."),
            503: told(UnreadyDocument, "The database cannot be reached."),
        },
    )
    async def readyz() -> JSONResponse:
        try:
            async with engine.connect() as connection:
                read_only = await connection.scalar(text(_READ_ONLY))
        except ERRORS:
            read_only = True
        if read_only:
            return JSONResponse({"status": "database_unreachable"}, 503)
        return JSONResponse({"status": "ready"})


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description, with the schemas of messages, which FastAPI cannot see in a raw body."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        parts = schema.setdefault("components", {}).setdefault("schemas", {})
        for model in EVENT_MODELS:
            message = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.update(message.pop("$defs", {}))
            parts[model.__name__] = message
        app.openapi_schema = schema
    return app.openapi_schema

"""Builds the web application; only this module of the web reads settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
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
from lockstep.control.ledger.facts import LedgerSight
from lockstep.control.packs.check import PackChecker
from lockstep.control.packs.orders import PackOrders
from lockstep.control.people.oidc import CALLBACK, OidcSignIn
from lockstep.control.people.sessions import Sessions
from lockstep.control.people.tokens import Tokens
from lockstep.control.runtime.temporal import connect
from lockstep.settings import Settings
from lockstep.settings.shown import shown
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.api import ScoreApi
from lockstep.web.api.acts import acts_routers
from lockstep.web.api.answers import (
    AliveDocument,
    Health,
    ReadyDocument,
    Told,
    UnreadyDocument,
    told,
)
from lockstep.web.api.auth import Gate, add_answers
from lockstep.web.api.cases import cases_router
from lockstep.web.api.events import events_router
from lockstep.web.api.evidence import Packs, evidence_router
from lockstep.web.api.seats import seats_router
from lockstep.web.bounds import Bounds
from lockstep.web.console.cases.now import NowRoom
from lockstep.web.console.cases.page import CaseRoom
from lockstep.web.console.console import Console
from lockstep.web.console.front import Front
from lockstep.web.console.gate import ConsoleGate
from lockstep.web.console.intake.brake import BrakeRoom
from lockstep.web.console.intake.sheet import HrRoom
from lockstep.web.console.listening import Live
from lockstep.web.console.live import LiveRoom
from lockstep.web.console.packs.page import PacksRoom
from lockstep.web.console.pages import POLICY, STATIC, Pages
from lockstep.web.console.people.access import AccessRoom
from lockstep.web.console.people.sign_in import SignIn
from lockstep.web.console.refusals import Refusals
from lockstep.web.console.routes import routers
from lockstep.web.console.score.page import ScoreRoom
from lockstep.web.console.systems.page import SystemsRoom
from lockstep.web.console.systems.seats import SeatsRoom
from lockstep.web.console.systems.settings import SettingsRoom
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
        sight=root.score_sight,
        scores=stores.scores,
        deliveries=stores.deliveries,
        stalled=stores.stalled,
        by_partner=settings.scorecard.metrics_by_partner,
    )
    board = Board(stores)
    reports = OwnReports(
        stores,
        root.whose,
        rule=root.policy.cutoff,
        systems=frozenset(settings.systems),
        places=root.places,
        desk=root.cases,
    )
    console = _console(root, board, reports)
    more = [
        evidence_router(gate, packs),
        cases_router(gate, board, root.cases),
        *acts_routers(gate, root.cases),
        events_router(gate, reports),
        seats_router(gate, root.seats),
    ]

    async def attach() -> None:
        """Temporal may still be down: it connects when first needed."""
        root.desk.attach(await connect(settings.temporal_address(), ring, lazy=True))

    return assemble(engine, hooks, api, more=more, console=console, begin=attach)


def _console(root: Root, board: Board, reports: OwnReports) -> Console:
    settings, stores = root.settings, root.stores
    front = Front(ConsoleGate(root.sessions, settings.origin), Pages())
    both = front.gate, front.pages
    provider = settings.oidc.name if settings.oidc else ""
    return Console(
        front=front,
        sign_in=SignIn(_oidc(settings, root.sessions), settings.one_time_links, provider),
        now=NowRoom(*both, board, stores.saved_views, stores.ring, list(settings.systems)),
        live=LiveRoom(*both, Live(stores.ledger_tail)),
        cases=CaseRoom.of(front, stores, root.cases),
        hr=HrRoom(*both, reports, _sheets(root)),
        brake=BrakeRoom(*both, root.brake),
        systems=SystemsRoom(*both, root.systems, root.pauses),
        packs=_packs(root, front),
        score=ScoreRoom(*both, root.score, root.score_sight),
        seats=SeatsRoom(*both, root.seats),
        access=AccessRoom(*both, root.tokens, root.bars),
        settings=SettingsRoom(*both, shown(settings), stores.policy_history),
    )


def _packs(root: Root, front: Front) -> PacksRoom:
    settings, stores = root.settings, root.stores
    anchors = {name: table.kind for name, table in settings.ledger.anchors.items()}
    return PacksRoom(
        front.gate,
        front.pages,
        PackOrders(stores, root.exporter, folder=root.packs_folder),
        LedgerSight(stores, root.score.rules, origin=settings.ledger_origin, anchors=anchors),
        PackChecker(),
        stores.sight,
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
    begin: Callable[[], Awaitable[None]] | None = None,
) -> FastAPI:
    """Put the routes together.

    ``more`` are routes of the API made by `Gate.router`; ``begin`` runs before the first answer.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if begin is not None:
            await begin()
        yield
        if console is not None and console.sign_in.oidc is not None:
            await console.sign_in.oidc.aclose()
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
        refusals = Refusals(console.front.pages, console.front.gate)
        refusals.install(app)
        app.mount("/console/static", StaticFiles(directory=STATIC), name="static")
    _add_health(app, engine)
    secure = console is not None and console.front.gate.secure
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
    async def healthz() -> Told:
        return Told(AliveDocument(status=Health.OK))

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Events can be stored",
        responses={
            200: told(ReadyDocument, "They can."),
            503: told(UnreadyDocument, "The database cannot be reached."),
        },
    )
    async def readyz() -> Told:
        try:
            async with engine.connect() as connection:
                read_only = await connection.scalar(text(_READ_ONLY))
        except ERRORS:
            read_only = True
        if read_only:
            return Told(UnreadyDocument(status=Health.UNREACHABLE), 503)
        return Told(ReadyDocument(status=Health.READY))


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

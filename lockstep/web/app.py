"""Builds the web application; only this module of the web reads settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import lockstep
from lockstep.chores import build_exporter, build_score_service, packs_folder
from lockstep.control.events import TerminationEvent
from lockstep.control.tokens import Tokens
from lockstep.settings import Settings
from lockstep.storage.deliveries import Deliveries
from lockstep.storage.engine import create_engine
from lockstep.storage.exports import Exports
from lockstep.storage.inbox import Inbox
from lockstep.storage.keyring import Keyring
from lockstep.storage.scores import Scores
from lockstep.web.api import ScoreApi
from lockstep.web.api.auth import Gate, add_answers
from lockstep.web.api.evidence import Packs, evidence_router
from lockstep.web.hooks.routes import Hooks, router
from lockstep.web.hooks.signatures import Verifier

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def build_app(settings: Settings, database_url: str, ring: Keyring) -> FastAPI:
    """The application; raises `SettingsError` for a source without a usable secret."""
    engine = create_engine(database_url, application="lockstep-web")
    verifiers = {name: Verifier(settings.source_secrets(name)) for name in settings.sources}
    hooks = Hooks(
        tenant=settings.tenant,
        inbox=Inbox(engine, ring),
        verifiers=verifiers,
        rule=settings.to_policy().cutoff,
        max_body_bytes=settings.web.max_body_bytes,
    )
    tokens = Tokens(settings.token_book())
    if not tokens:  # there is no API without a token that could ask it
        return assemble(engine, hooks)
    gate = Gate(tokens)
    packs = Packs(build_exporter(settings, engine, ring), Exports(engine), packs_folder(settings))
    api = _score_api(settings, engine, gate)
    return assemble(engine, hooks, api, more=[evidence_router(gate, packs)])


def _score_api(settings: Settings, engine: AsyncEngine, gate: Gate) -> ScoreApi:
    scores = Scores(engine)
    return ScoreApi(
        gate=gate,
        service=build_score_service(settings, scores),
        scores=scores,
        deliveries=Deliveries(engine),
        by_partner=settings.scorecard.metrics_by_partner,
    )


def assemble(
    engine: AsyncEngine,
    hooks: Hooks,
    api: ScoreApi | None = None,
    *,
    more: Sequence[APIRouter] = (),
) -> FastAPI:
    """Put the routes together; ``more`` are routes of the API made by `Gate.router`."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        if api is not None:
            await api.service.aclose()
        await engine.dispose()

    app = FastAPI(
        title="Lockstep",
        version=lockstep.__version__,
        # No interactive pages: they load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.include_router(router(hooks))
    if api is not None:
        for routes in [*api.routers(), *more]:
            app.include_router(routes)
        add_answers(app)
    _add_health(app, engine)

    @app.middleware("http")
    async def harden(
        request: Request, proceed: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await proceed(request)
        response.headers.update(_HEADERS)
        return response

    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign] # FastAPI's documented way
    return app


def _add_health(app: FastAPI, engine: AsyncEngine) -> None:
    @app.get("/healthz", tags=["health"], summary="The process answers")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get(
        "/readyz",
        tags=["health"],
        summary="Events can be stored",
        responses={503: {"description": "The database cannot be reached."}},
    )
    async def readyz() -> JSONResponse:
        try:
            async with engine.connect() as connection:
                await connection.execute(text("select 1 from inbox limit 1"))
        except (SQLAlchemyError, OSError):
            return JSONResponse({"status": "database_unreachable"}, 503)
        return JSONResponse({"status": "ready"})


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description, with the event's schema, which FastAPI cannot see in a raw body."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, routes=app.routes)
        event = TerminationEvent.model_json_schema(ref_template="#/components/schemas/{model}")
        parts = schema.setdefault("components", {}).setdefault("schemas", {})
        parts.update(event.pop("$defs", {}))
        parts["TerminationEvent"] = event
        app.openapi_schema = schema
    return app.openapi_schema

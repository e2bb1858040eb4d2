"""Builds the web application; only this module of the web reads settings."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

import lockstep
from lockstep.control.events import TerminationEvent
from lockstep.settings import Settings
from lockstep.storage.engine import create_engine
from lockstep.storage.inbox import Inbox
from lockstep.storage.keyring import Keyring
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
    return assemble(engine, hooks)


def assemble(engine: AsyncEngine, hooks: Hooks) -> FastAPI:
    """Put the routes together."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
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

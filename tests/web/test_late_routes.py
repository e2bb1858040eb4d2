"""An application whose routes are late is the one that production makes."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from lockstep.web.app import build_app
from tests.support.late_routes import LateRoute, late_routes
from tests.web.console.conftest import site, site_settings  # noqa: F401 - fixtures


def asked_for(dependant: Dependant) -> list[Any]:
    """What is worked out before an answer, by name: guards, then the parameters of each."""
    named = [field.name for field in (*dependant.path_params, *dependant.query_params)]
    called = getattr(dependant.call, "__qualname__", type(dependant.call).__name__)
    return [called, *named, *(asked_for(each) for each in dependant.dependencies)]


def table(app: FastAPI) -> list[tuple[object, ...]]:
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    return [
        (each.path, each.methods, each.name, each.tags, each.status_code, asked_for(each.dependant))
        for each in routes
    ]


async def test_late_routes_are_the_routes_of_production(site, database):  # noqa: F811 - the fixture
    """In the same order, with the same guards and parameters, and described alike."""
    with late_routes(APIRoute):
        made = build_app(site.settings, database.app_url, site.ring)
    kinds = {type(route) for app in (made, site.app) for route in app.routes}

    assert {APIRoute, LateRoute} < kinds
    assert table(site.app) == table(made)
    assert len(table(made)) > 100
    assert site.app.openapi() == made.openapi()


def test_a_route_that_cannot_be_made_fails_when_asked():
    """It stays no secret: whoever asks for it is told why, and production asks at once."""
    wrong = {"status_code": 204, "response_model": int}
    with late_routes(APIRoute), pytest.raises(AssertionError, match="204"):
        APIRouter().add_api_route("/x", lambda: 1, **wrong)
    routes = APIRouter()
    routes.add_api_route("/x", lambda: 1, **wrong)
    with pytest.raises(AssertionError, match="204"):
        assert routes.routes[0].dependant


async def test_a_method_that_a_late_route_does_not_take_is_refused():
    """Before it is made, as after."""
    app = FastAPI()
    routes = APIRouter()
    routes.get("/x")(lambda: "there")
    app.router.routes.extend(routes.routes)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://lockstep") as client:
        for _ in range(2):
            assert (await client.post("/x")).status_code == httpx.codes.METHOD_NOT_ALLOWED
            assert (await client.get("/x")).json() == "there"

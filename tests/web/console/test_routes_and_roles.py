"""Every route and every role, with the answer that is expected; a route that is not here fails.

A new route is one line in the table of its module: who is let in, and what they are answered.
Whoever is not named is refused: a page sends nobody away to sign in (303) and refuses a wrong role
(403); the API refuses nobody (401) and a wrong role (403). No token opens a page, and no session
opens the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlalchemy import text
from starlette.routing import BaseRoute, Route

from lockstep.domain.rights import Role
from lockstep.settings import load_settings
from lockstep.web.app import build_app
from tests.conftest import Database
from tests.web.console.conftest import COOKIE, SETTINGS, Site, shared_site

EVERYBODY = frozenset(Role)
CASES = frozenset({Role.OPERATOR, Role.APPROVER, Role.AUDITOR})
ACT = frozenset({Role.OPERATOR})
APPROVE = frozenset({Role.APPROVER})
SYSTEMS = frozenset({Role.OPERATOR, Role.APPROVER, Role.ADMIN})
PAUSE = frozenset({Role.OPERATOR, Role.ADMIN})
SCORE = frozenset({Role.OPERATOR, Role.APPROVER, Role.AUDITOR, Role.VIEWER, Role.ADMIN})
EXPORT = frozenset({Role.AUDITOR})
HR = frozenset({Role.HR})
ADMIN = frozenset({Role.ADMIN})
NO_ROLE: frozenset[Role] = frozenset()


@dataclass(frozen=True)
class To:
    """Who is let in, and what they are answered. ``roles`` None: anybody, without signing in."""

    roles: frozenset[Role] | None
    answer: int = 200
    others: int = 403
    """What other roles are answered."""
    path: str = ""
    """What to call where the route has parameters."""
    form: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    query: str = ""


ORDER = {"from": "2026-10-01", "to": "2026-10-31"}
REPORT = {"value": "19", "as_of": "2024-11-01", "source": "lms"}
PACK = "eaaaaaaaaaaaa"
NEVER = "t" + "a" * 12
REQUEST = "r" + "0" * 12

PROCESS = {
    ("GET", "/healthz"): To(None),
    ("GET", "/readyz"): To(None),
    ("GET", "/openapi.json"): To(None),
    ("HEAD", "/openapi.json"): To(None),
    ("POST", "/hooks/{source}"): To(None, 404, path="/hooks/nobody", body={}),
}
API_SCORE = {
    ("GET", "/api/score"): To(SCORE),
    ("GET", "/api/score/trend"): To(SCORE),
    ("GET", "/api/dimension"): To(SCORE),
    ("GET", "/api/penalties"): To(SCORE, query="month=2026-10"),
    ("GET", "/api/seats"): To(SCORE),
    ("GET", "/api/metrics"): To(SCORE),
    ("GET", "/metrics"): To(SCORE),
    # No role reports the other metrics: a token is given just this right.
    ("PUT", "/api/metrics/{metric}"): To(
        NO_ROLE, 201, path="/api/metrics/security_training", body=REPORT
    ),
    ("POST", "/api/metrics/{metric}"): To(
        NO_ROLE, 201, path="/api/metrics/security_training", body=REPORT
    ),
}
API_EVIDENCE = {
    ("POST", "/api/evidence/exports"): To(EXPORT, 422, body=ORDER),  # nothing is sealed yet
    ("GET", "/api/evidence/exports"): To(EXPORT),
    ("GET", "/api/evidence/exports/{export_id}"): To(
        EXPORT, 404, path=f"/api/evidence/exports/{PACK}"
    ),
    ("GET", "/api/evidence/exports/{export_id}/file"): To(
        EXPORT, 404, path=f"/api/evidence/exports/{PACK}/file"
    ),
}
API_CASES = {
    ("GET", "/api/cases"): To(CASES),
    # An auditor sees no names, and must not look for them either.
    ("POST", "/api/cases/search"): To(ACT | APPROVE, body={"key": "W-1"}),
    ("GET", "/api/cases/{case_id}"): To(CASES, 404, path="/api/cases/c1"),
}
API_EVENTS = {
    ("GET", "/api/events"): To(HR),
    ("GET", "/api/events/{event}"): To(HR, 404, path="/api/events/1"),
    # A key, the header of the API, is not given here: nothing is stored.
    ("POST", "/api/events"): To(HR, 422, body={}),
    ("POST", "/api/events/{event}/amend"): To(HR, 422, path="/api/events/1/amend", body={}),
    ("POST", "/api/events/{event}/rescind"): To(HR, 422, path="/api/events/1/rescind", body={}),
    ("POST", "/api/events/{event}/rehire"): To(HR, 422, path="/api/events/1/rehire", body={}),
}
API_ACTS = {
    **{
        ("POST", f"/api/cases/{{case_id}}/systems/{{system}}/{act}"): To(
            ACT, 404, path=f"/api/cases/c1/systems/memory-1/{act}", body=body
        )
        for act, body in {
            "retry": {"reason": "x"},
            "attest": {"reason": "x"},
            "waive": {"reason": "x", "until": "2030-01-01T00:00:00Z"},
            "pick": {"reason": "x", "accounts": []},
        }.items()
    },
    **{
        ("POST", f"/api/cases/{{case_id}}/{act}"): To(
            ACT, 404, path=f"/api/cases/c1/{act}", body=body
        )
        for act, body in {
            "reschedule": {"reason": "x", "last_working_day": "2026-12-01"},
            "rescind": {"reason": "x"},
            "rehire": {"reason": "x"},
            "correct": {"reason": "x", "site": "x"},
            "withdraw-key": {"reason": "x", "kind": "email", "value": "a@example.com"},
            "comment": {"text": "x"},
            "assign": {"user": "unobody"},
        }.items()
    },
    ("POST", "/api/cases/{case_id}/acts/{act_id}/send"): To(
        ACT, 404, path=f"/api/cases/c1/acts/a{'0' * 16}/send"
    ),
    **{
        ("POST", f"/api/requests/{{request_id}}/{act}"): To(
            roles, 404, path=f"/api/requests/{REQUEST}/{act}", body={"reason": "x"}
        )
        for act, roles in {"withdraw": ACT, "approve": APPROVE, "refuse": APPROVE}.items()
    },
    ("GET", "/api/requests"): To(CASES),
}
SIGN_IN = {
    ("GET", "/"): To(None, 303),
    ("GET", "/console"): To(None, 303),
    ("GET", "/console/sign-in"): To(None),
    ("GET", "/console/sign-in/link"): To(None),
    ("POST", "/console/sign-in/link"): To(None, 403, form={"key": "x"}),
    ("POST", "/console/sign-out"): To(EVERYBODY, 303),
}
OIDC = {
    ("GET", "/console/oidc/start"): To(None, 503),  # this provider is down
    ("GET", "/console/oidc/callback"): To(None, 403),
    ("POST", "/console/oidc/back-channel-logout"): To(None, 400, form={"logout_token": "x"}),
    ("GET", "/console/signed-out"): To(None),
}
ACCESS = {
    ("GET", "/console/access"): To(ADMIN),
    ("POST", "/console/access/sessions/{user_id}/end"): To(
        ADMIN, 404, path="/console/access/sessions/unobody/end"
    ),
    ("POST", "/console/access/tokens"): To(ADMIN, 422),
    ("POST", "/console/access/tokens/{token_id}/end"): To(
        ADMIN, 404, path=f"/console/access/tokens/{NEVER}/end"
    ),
    ("POST", "/console/access/bars/find"): To(ADMIN, form={"key": "x"}),
    ("POST", "/console/access/bars/{case_id}/lift"): To(
        ADMIN, 422, path="/console/access/bars/c1/lift", form={"reason": "hired again"}
    ),
}
HR_PAGE = {
    ("GET", "/console/hr"): To(HR),
    ("POST", "/console/hr/preview"): To(HR, 422),
    ("POST", "/console/hr/change"): To(HR),
    ("POST", "/console/hr/report"): To(HR, 422),
    ("POST", "/console/hr/sheet/preview"): To(HR, 422),
    ("POST", "/console/hr/sheet/report"): To(HR, 422),
    ("GET", "/console/hr/{event}"): To(HR, 404, path="/console/hr/1"),
    ("POST", "/console/hr/{event}/amend"): To(HR, 404, path="/console/hr/1/amend"),
    ("POST", "/console/hr/{event}/rescind"): To(HR, 404, path="/console/hr/1/rescind"),
    ("POST", "/console/hr/{event}/rehire"): To(HR, 404, path="/console/hr/1/rehire"),
}
NOW = {
    # The first page: whoever may not see cases is sent to the first one of theirs.
    ("GET", "/console/"): To(CASES, others=303),
    ("POST", "/console/search"): To(CASES, 303, form={"text": "x"}),
    ("POST", "/console/views"): To(CASES, 303, form={"name": "mine", "query": ""}),
    ("POST", "/console/views/{view_id}/remove"): To(CASES, 404, path="/console/views/v1/remove"),
    ("GET", "/console/live"): To(CASES | SYSTEMS),
}
SYSTEMS_PAGE = {
    ("GET", "/console/systems"): To(SYSTEMS),
    ("GET", "/console/systems/{system}"): To(SYSTEMS, path="/console/systems/memory-1"),
    ("POST", "/console/systems/{system}/pause"): To(
        PAUSE, 422, path="/console/systems/memory-1/pause"
    ),
    ("POST", "/console/systems/{system}/resume"): To(
        PAUSE, 422, path="/console/systems/memory-1/resume"
    ),
    ("POST", "/console/systems/{system}/pauses/{pause_id}/agree"): To(
        APPROVE, 404, path="/console/systems/memory-1/pauses/p1/agree"
    ),
}
BRAKE = {
    ("GET", "/console/brake"): To(SYSTEMS),
    ("POST", "/console/brake/{brake_id}/release"): To(
        APPROVE, 404, path="/console/brake/b1/release"
    ),
    ("POST", "/console/brake/{brake_id}/refuse"): To(APPROVE, 404, path="/console/brake/b1/refuse"),
}
EVIDENCE = {
    ("GET", "/console/evidence"): To(EXPORT),
    ("GET", "/console/evidence/packs"): To(EXPORT, 303),  # a part of a page
    ("POST", "/console/evidence/packs"): To(EXPORT, 422),
    ("GET", "/console/evidence/packs/{export_id}"): To(
        EXPORT, 404, path=f"/console/evidence/packs/{PACK}"
    ),
    ("GET", "/console/evidence/packs/{export_id}/file"): To(
        EXPORT, 404, path=f"/console/evidence/packs/{PACK}/file"
    ),
    ("POST", "/console/evidence/packs/{export_id}/verify"): To(
        EXPORT, 404, path=f"/console/evidence/packs/{PACK}/verify"
    ),
    ("POST", "/console/evidence/verify"): To(EXPORT, 422),
    ("GET", "/console/evidence/checkpoints/{size}"): To(
        EXPORT, 404, path="/console/evidence/checkpoints/1"
    ),
    ("GET", "/console/evidence/key"): To(EXPORT, 404),  # nothing is sealed yet
}
PEOPLE = {
    ("GET", "/console/people-metric"): To(SCORE),
    ("GET", "/console/seats"): To(SCORE),
    ("GET", "/console/people-metric/figures"): To(SCORE),
    ("GET", "/console/people-metric/penalties"): To(SCORE, query="month=2026-10"),
}
SETTINGS_PAGE = {
    ("GET", "/console/settings"): To(ADMIN),
    ("GET", "/console/settings/policies"): To(ADMIN, 404),
}
CASE = {
    ("GET", "/console/cases/{case_id}"): To(CASES, 404, path="/console/cases/c1"),
    ("GET", "/console/cases/{case_id}/proofs.json"): To(
        CASES, 404, path="/console/cases/c1/proofs.json"
    ),
    ("GET", "/console/cases/{case_id}/artefacts/{artefact_id}"): To(
        CASES, 404, path="/console/cases/c1/artefacts/a1"
    ),
    ("POST", "/console/cases/{case_id}/artefacts/{artefact_id}"): To(
        EXPORT, 404, path="/console/cases/c1/artefacts/a1"
    ),
    ("POST", "/console/cases/{case_id}/names"): To(EXPORT, 404, path="/console/cases/c1/names"),
    **{
        ("POST", f"/console/cases/{{case_id}}/systems/{{system}}/{act}"): To(
            ACT, 404, path=f"/console/cases/c1/systems/memory-1/{act}", form={"reason": "x"}
        )
        for act in ("retry", "attest", "waive", "pick")
    },
    **{
        ("POST", f"/console/cases/{{case_id}}/{act}"): To(
            ACT,
            404,
            path=f"/console/cases/c1/{act}",
            form={"reason": "x", "text": "x", "kind": "email", "value": "a@example.com"},
        )
        for act in (
            *("reschedule", "rescind", "rehire", "correct", "withdraw-key"),
            *("comment", "assign"),
        )
    },
    ("POST", "/console/cases/{case_id}/acts/{act_id}/send"): To(
        ACT, 404, path="/console/cases/c1/acts/a1/send"
    ),
    **{
        ("POST", f"/console/requests/{{request_id}}/{act}"): To(
            roles, 404, path=f"/console/requests/r1/{act}", form={"reason": "x"}
        )
        for act, roles in {"withdraw": ACT, "approve": APPROVE, "refuse": APPROVE}.items()
    },
    ("GET", "/console/bulk"): To(ACT, 422),
    ("POST", "/console/bulk"): To(ACT, 422),
    ("POST", "/console/bulk/became"): To(ACT, 422),
}
TABLE = {
    **PROCESS,
    **API_SCORE,
    **API_EVIDENCE,
    **API_CASES,
    **API_EVENTS,
    **API_ACTS,
    **SIGN_IN,
    **OIDC,
    **ACCESS,
    **HR_PAGE,
    **NOW,
    **CASE,
    **SYSTEMS_PAGE,
    **BRAKE,
    **EVIDENCE,
    **PEOPLE,
    **SETTINGS_PAGE,
}
OPEN = {route: to for route, to in TABLE.items() if to.roles is None and route not in OIDC}
PAGES = {
    route: to
    for route, to in TABLE.items()
    if to.roles is not None and route[1].startswith("/console/")
}
API = {
    route: to
    for route, to in TABLE.items()
    if to.roles is not None and not route[1].startswith("/console/")
}
PROVIDER = """
[oidc]
issuer = "http://127.0.0.1:9"
client_id = "lockstep"

[groups.ops]
group = "ops"
roles = ["operator"]
partners = ["*"]
"""


def secret_of(role: Role) -> str:
    return f"token-of-{role.value}-" + "x" * 32


def settings_with_tokens(folder: Path) -> str:
    """The settings, with a token for each role."""
    tables = []
    for role in Role:
        (folder / f"{role.value}.token").write_text(secret_of(role))
        rights = json.dumps(sorted(role.permissions))
        secret = f'secret = "file:{role.value}.token"'
        tables.append(f"[tokens.{role.value}]\n{secret}\nrights = {rights}\n")
    return SETTINGS + "\n".join(tables)


@pytest.fixture(scope="module")
async def shared(postgres, ring, tmp_path_factory) -> AsyncIterator[tuple[Site, Database]]:
    """One site for all routes; whoever asks signs in anew."""
    folder = tmp_path_factory.mktemp("site")
    async with shared_site(postgres, ring, folder, settings_with_tokens(folder)) as made:
        yield made


@pytest.fixture(scope="module")
def site(shared) -> Site:
    return shared[0]


@pytest.fixture(scope="module")
def app_with_provider(shared) -> FastAPI:
    """The same installation where people sign in at a provider, which is down."""
    site, database = shared
    file = site.folder / "with_provider.toml"
    file.write_text(SETTINGS + PROVIDER)
    return build_app(load_settings(file), database.app_url, site.ring)


def all_routes(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    """Method and path of every route of an application, those of included routers too."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from all_routes(route.original_router.routes)
        elif isinstance(route, APIRoute | Route):
            for method in route.methods or ():
                yield method, route.path
        else:
            assert getattr(route, "path", "") == "/console/static", route


async def test_the_table_names_every_route(site, app_with_provider):
    """No more and no less: whoever adds a route says here who may call it."""
    found = {*all_routes(site.app.routes), *all_routes(app_with_provider.routes)}

    assert found == set(TABLE)


async def test_with_a_provider_only_its_routes_are_new_and_the_links_are_gone(
    site, app_with_provider
):
    """Nothing else depends on how people sign in."""
    before, after = set(all_routes(site.app.routes)), set(all_routes(app_with_provider.routes))

    assert after - before == set(OIDC)
    assert {path for _, path in before - after} == {"/console/sign-in/link"}


async def call(
    client: httpx.AsyncClient,
    route: tuple[str, str],
    *,
    csrf: str = "",
    headers: dict[str, str] | None = None,
) -> int:
    """A call that makes sense; the status of the answer."""
    method, path = route
    to = TABLE[route]
    url = (to.path or path) + (f"?{to.query}" if to.query else "")
    assert "{" not in url, f"the table gives no path for {path}"
    if route == ("GET", "/console/live"):
        return await status_of_stream(client, url)
    options: dict[str, Any] = {"headers": headers or {}}
    if to.body is not None:
        options["json"] = to.body
    elif method != "GET":
        options["data"] = {"csrf": csrf, **to.form}
    return (await client.request(method, url, **options)).status_code


async def status_of_stream(client: httpx.AsyncClient, path: str) -> int:
    """The status of an answer that never ends; the caller leaves as soon as it knows."""
    begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1:8080"), (b"cookie", cookie.encode())],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8080),
    }
    app = client._transport.app

    async def receive() -> dict[str, Any]:
        await begun
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start" and not begun.done():
            begun.set_result(message["status"])

    task = asyncio.create_task(app(scope, receive, send))
    try:
        return await asyncio.wait_for(begun, 60)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("route", PAGES, ids=" ".join)
async def test_a_page_opens_to_its_roles_alone(site, route):
    """Every role, nobody, and a token; and every refusal of somebody known is on record."""
    to = PAGES[route]
    found, before = {}, await newest(site)
    for role in Role:
        browser = await site.sign_in(role)
        found[role] = await call(browser.client, route, csrf=browser.csrf)

    assert found == {role: to.answer if role in to.roles else to.others for role in Role}
    refused = list(found.values()).count(403)
    assert len(await denied(site, before)) == refused
    assert await call(await site.visitor(), route) == 303
    everything = await site.visitor()
    everything.headers["authorization"] = f"Bearer {secret_of(Role.ADMIN)}"
    assert await call(everything, route) == 303


@pytest.mark.parametrize("route", API, ids=" ".join)
async def test_a_call_opens_to_its_roles_alone(site, route):
    """Every role as a token, nobody, and a session of somebody who has every role."""
    to = API[route]
    client, before = await site.visitor(), await newest(site)
    found = {
        role: await call(client, route, headers={"authorization": f"Bearer {secret_of(role)}"})
        for role in Role
    }

    assert found == {role: to.answer if role in to.roles else 403 for role in Role}
    assert len(await denied(site, before)) == len(EVERYBODY - to.roles)
    assert await call(client, route) == 401
    browser = await site.sign_in(*Role)
    assert browser.client.cookies.get(COOKIE)
    assert await call(browser.client, route) == 401


@pytest.mark.parametrize("route", OPEN, ids=" ".join)
async def test_what_is_open_is_open_to_anybody(site, route):
    """Without a session and without a token."""
    assert await call(await site.visitor(), route) == OPEN[route].answer


@pytest.mark.parametrize("route", OIDC, ids=" ".join)
async def test_the_way_to_the_provider_is_open_to_anybody(app_with_provider, route):
    """It must be: it is how people come in."""
    transport = httpx.ASGITransport(app_with_provider, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
        assert await call(client, route) == OIDC[route].answer


CHANGES = [route for route in PAGES if route[0] != "GET"]


@pytest.mark.parametrize("route", CHANGES, ids=" ".join)
async def test_a_form_of_another_site_changes_nothing(site, route):
    """Without the session's token, with another's, with a foreign origin: refused and recorded."""
    browser = await site.sign_in(*Role)
    other = await site.sign_in(*Role)
    foreign, before = {"origin": "https://evil.example.com"}, await newest(site)
    forged = [
        await call(browser.client, route),
        await call(browser.client, route, csrf="x"),
        await call(browser.client, route, csrf=other.csrf),
        await call(browser.client, route, csrf=browser.csrf, headers=foreign),
        await call(browser.client, route, csrf=browser.csrf, headers={"origin": "null"}),
    ]

    assert forged == [403] * len(forged)
    whys = [entry["data"]["why"] for entry in await denied(site, before)]
    assert whys == ["forged_form"] * 3 + ["foreign_origin"] * 2
    assert await site.sessions.read(browser.client.cookies[COOKIE]) is not None


async def newest(site: Site) -> int:
    """Where the ledger ends by now; routes share it."""
    async with site.engine.connect() as connection:
        return int(await connection.scalar(text("select coalesce(max(id), 0) from ledger_entries")))


async def denied(site: Site, before: int) -> list[dict[str, Any]]:
    """Entries of the ledger about denied acts, beyond ``before``, the oldest first."""
    query = text(
        "select body from ledger_entries where kind = 'access:denied' and id > :before order by id"
    )
    async with site.engine.connect() as connection:
        rows = await connection.execute(query, {"before": before})
        found = [json.loads(bytes(row.body)) for row in rows]
    for entry in found:
        assert entry["data"]["act"].split()[1].startswith("/"), entry
    return found

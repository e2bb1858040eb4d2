"""Who may call what: every route against every right, and nonsense against every route."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.domain.rights import Permission
from tests.support.asking import SECRETS, Api, asking
from tests.web.conftest import ENDED_MS

REPORT = {"value": "19", "as_of": "2024-11-01", "source": "lms"}
ROUTES = {
    ("GET", "/api/score"): Permission.SCORE,
    ("GET", "/api/score/trend"): Permission.SCORE,
    ("GET", "/api/dimension"): Permission.SCORE,
    ("GET", "/api/penalties"): Permission.SCORE,
    ("GET", "/api/metrics"): Permission.SCORE,
    ("GET", "/metrics"): Permission.SCORE,
    ("PUT", "/api/metrics/{metric}"): Permission.REPORT,
    ("POST", "/api/metrics/{metric}"): Permission.REPORT,
}
OPEN = {"/healthz", "/readyz", "/openapi.json", "/hooks/{source}"}


@pytest.fixture
async def api(engine, ring) -> AsyncIterator[Api]:
    async with asking(engine, ring) as made:
        yield made


async def call(api: Api, method: str, path: str, **options: object):
    """A request that makes sense."""
    where = path.replace("{metric}", "security_training")
    if path == "/api/penalties":
        where += "?month=2024-11"
    if method != "GET":
        options["json"] = REPORT
    return await api.ask(method, where, **options)


async def test_the_table_names_every_route(api):
    """A route that is new stands here with its right, or is open for a reason."""
    described = {
        (method.upper(), path)
        for path, methods in api.app.openapi()["paths"].items()
        for method in methods
        if path not in OPEN
    }

    assert described == set(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_a_route_opens_to_its_right_alone(api, route):
    """The right one is let in, the others get 403, and who has no token gets 401."""
    method, path = route
    statuses = {
        right: (await call(api, method, path, right=right)).status_code for right in Permission
    }
    without = await call(api, method, path)
    wrong = await call(api, method, path, headers={"authorization": "Bearer " + "y" * 43})
    basic = await call(
        api, method, path, headers={"authorization": f"Basic {SECRETS[ROUTES[route]]}"}
    )

    assert statuses.pop(ROUTES[route]) in {200, 201}
    assert set(statuses.values()) == {403}
    assert [answer.status_code for answer in (without, wrong, basic)] == [401] * 3
    assert without.headers["www-authenticate"] == "Bearer"
    assert without.json() == {"error": "token_needed"}
    for answer in api.seen:
        assert answer.headers["cache-control"] == "no-store"
        assert not any(secret in answer.text for secret in SECRETS.values())


@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
async def test_every_answer_is_described(api, route):
    """Programs can rely on the description: refusals included, and the token it takes."""
    method, path = route
    described = api.app.openapi()["paths"][path][method.lower()]

    assert {"401", "403", "422", "429", "503"} <= set(described["responses"])
    assert described["security"] == [{"token": []}]
    assert described["summary"]


NONSENSE = [
    "",
    "%00",
    "%ff%fe",
    "%ed%a0%80",
    "a" * 5000,
    "-1",
    "1e400",
    "NaN",
    "9" * 400,
    "..",
    "2024-01-01..",
    "[]",
    "{}",
    "' or 1=1 --",
    "official%0d%0aX-Injected: 1",
    "🦆",
]
PARAMETERS = {
    "/api/score": ("window", "partner", "detail", "nobody"),
    "/api/score/trend": ("days",),
    "/api/penalties": ("month",),
    "/api/dimension": ("nobody",),
    "/api/metrics": ("nobody",),
    "/metrics": ("name[]",),
}


async def test_nonsense_never_breaks_a_read(api):
    """Whatever stands in whichever parameter, once or twice, the answer is ours."""
    for path, names in PARAMETERS.items():
        for name, value in itertools.product(names, NONSENSE):
            for query in (f"{name}={value}", f"{name}={value}&{name}={value}", f"{value}={name}"):
                answer = await api.get(f"{path}?{query}")
                known = {200, 422, 404} if name == "partner" else {200, 422}
                assert answer.status_code in known, (path, query, answer.text)
                assert "X-Injected" not in answer.headers
                if answer.status_code == 422:
                    assert answer.json()["error"] == "not_valid"


BODIES = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"{}",
    b"\xff\xfe",
    b"{" * 60_000,
    b"[" * 60_000,
    b"1e999999",
    b"9" * 60_000,
    json.dumps({**REPORT, "value": "\x00"}).encode(),
    json.dumps({**REPORT, "value": ["19"]}).encode(),
    json.dumps({**REPORT, "value": {"a": 1}}).encode(),
    json.dumps({**REPORT, "value": True}).encode(),
    json.dumps({**REPORT, "source": "Maria Dalisay"}).encode(),
    json.dumps({**REPORT, "Maria": "Dalisay"}).encode(),
    json.dumps({**REPORT, "as_of": "now"}).encode(),
    json.dumps({**REPORT, "as_of": "2999-01-01"}).encode(),
    json.dumps({**REPORT, "value": None, "numerator": 1.5, "denominator": 2}).encode(),
    json.dumps({**REPORT, "value": None, "numerator": 3, "denominator": 2}).encode(),
    json.dumps({**REPORT, "numerator": 3, "denominator": 4}).encode(),
    json.dumps(REPORT).encode().replace(b'"19"', b"NaN"),
    json.dumps(REPORT).encode().replace(b'"19"', b"-0.0"),
    json.dumps(REPORT).encode().replace(b'"19"', b"20.000001"),
    json.dumps(REPORT).encode().replace(b'"19"', rb'"\ud800"'),
    json.dumps(REPORT).encode("utf-16"),
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: repr(body[:40]))
async def test_nonsense_never_becomes_a_report(api, body):
    """It is refused with a word for programs, and nothing of it is quoted or kept."""
    answer = await api.ask(
        "PUT",
        "/api/metrics/security_training",
        right=Permission.REPORT,
        content=body,
        headers={"content-type": "application/json"},
    )

    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["error"] in {"not_json", "not_valid"}
    for word in ("Maria", "Dalisay", "Traceback"):
        assert word not in answer.text
    assert (await api.get("/api/metrics")).json() == {"reports": []}


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-type": "text/plain"}, b"{}", 415),
        ({}, b"{}", 415),
        ({"content-type": "application/json"}, b" " * 70_000, 413),
        ({"content-type": "application/json", "content-length": "9" * 30}, b" " * 70_000, 413),
    ],
)
async def test_a_body_is_bounded_and_json(api, headers, content, status):
    """Refused before it is read as a whole."""
    path = "/api/metrics/security_training"
    answer = await api.ask("PUT", path, right=Permission.REPORT, content=content, headers=headers)

    assert answer.status_code == status


@pytest.mark.parametrize("metric", ["access_revocation", "vibes", "%00", "x" * 500, "..%2f.."])
async def test_a_metric_that_is_not_there_cannot_be_reported(api, metric):
    """Nor can ours: it is computed."""
    answer = await api.ask("PUT", f"/api/metrics/{metric}", right=Permission.REPORT, json=REPORT)

    assert answer.status_code in {404, 422}


async def test_without_a_database_the_answer_is_503(api, database):
    """And a hint when to ask again; the process goes on, and so do the answers afterwards."""
    name = make_url(database.superuser_url).database
    admin = make_url(database.superuser_url).set(drivername="postgresql", database="postgres")
    statement = f"alter database {name} allow_connections "
    with psycopg.connect(admin.render_as_string(), autocommit=True) as connection:
        connection.execute((statement + "false").encode())
        connection.execute(
            "select pg_terminate_backend(pid, %s) from pg_stat_activity where datname = %s",
            [ENDED_MS, name],
        )
        answers = [
            await call(api, method, path, right=right) for (method, path), right in ROUTES.items()
        ]
        connection.execute((statement + "true").encode())

    assert [answer.status_code for answer in answers] == [503] * len(ROUTES)
    assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
    assert (await api.get("/api/score")).status_code == 200


async def test_a_token_that_asks_too_often_waits_and_the_others_do_not(engine, ring):
    """Each has its own measure, which refills by itself."""
    async with asking(engine, ring, per_minute=5) as api:
        now = 0.0
        api.gate.clock = lambda: now
        statuses = [(await api.get("/api/dimension")).status_code for _ in range(7)]
        refused = api.seen[-1]
        other = await call(api, "PUT", "/api/metrics/{metric}", right=Permission.REPORT)
        now = 13.0
        later = await api.get("/api/dimension")

    assert statuses == [200] * 5 + [429] * 2
    assert refused.headers["retry-after"] == "13"
    assert (other.status_code, later.status_code) == (201, 200)


async def test_without_tokens_there_is_no_api(engine, ring, hook):
    """Nothing to guess at: the routes do not exist."""
    for method, path in ROUTES:
        answer = await hook.client.request(method, path.replace("{metric}", "security_training"))
        assert answer.status_code == 404

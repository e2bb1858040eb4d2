"""Whatever is wrong with an address or a form, a person reads a page of ours that says so."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse
from sqlalchemy import text

from lockstep.domain.rights import Permission, Role
from tests.web.console.conftest import COOKIE, ORIGIN, Browser, Site, shared_site, text_of
from tests.web.console.test_routes_and_roles import PAGES

HOSTILE = [
    "%00",
    "%ff%fe",
    "%F0%9F%A6%86",
    "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
    "%0d%0aX-Injected:%201",
    "'%20or%201=1--",
    "-1",
    "9" * 40,
    "x" * 2000,
]
QUERIES = ("before", "case", "from", "to", "month", "old", "new", "window", "partner", "state")
WITH_IDS = sorted({route for route in PAGES if "{" in route[1]})
GETS = sorted(path for method, path in PAGES if method == "GET" and "{" not in path)
PARTS = {"/console/people-metric/penalties", "/console/people-metric/figures"}
"""They answer by parts of pages, whoever asks."""
SECURE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
}


@pytest.fixture(scope="module")
async def everybody(postgres, ring, tmp_path_factory) -> AsyncIterator[Browser]:
    """Somebody with every role, at a site where nothing comes of what they ask."""
    async with shared_site(postgres, ring, tmp_path_factory.mktemp("site")) as (site, _):
        yield await site.sign_in(*Role, more=[Permission.SEALED])


def assert_page(answer: httpx.Response, *, part: bool | None = False) -> None:
    """It is HTML of ours with all protections, and quotes nothing that could run."""
    assert answer.headers["content-type"].startswith("text/html"), answer.text[:200]
    for name, value in SECURE.items():
        assert answer.headers[name] == value
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert "x-injected" not in answer.headers
    assert "<script>alert" not in answer.text
    assert part is None or ("<html" in answer.text) is not part
    assert '"detail"' not in answer.text
    assert 'role="alert"' in answer.text


def check(answer: httpx.Response, what: str, *, part: bool | None = False) -> None:
    """Never a fault of ours; a refusal is a page."""
    assert answer.status_code < 500, (what, answer.status_code)
    if answer.status_code >= 400:
        assert_page(answer, part=part)


@pytest.mark.parametrize("route", WITH_IDS, ids=" ".join)
async def test_an_id_that_cannot_be_is_refused_on_a_page(everybody, route):
    """For every page and form with an id in its address, whole and as a part."""
    method, path = route
    for text_ in HOSTILE:
        url = re.sub(r"\{\w+\}", text_, path)
        if method == "GET":
            check(await everybody.get(url), url)
        else:
            check(await everybody.post(url, {"reason": "x"}), url)
    url = re.sub(r"\{\w+\}", "-1", path)
    headers = {"hx-request": "true"}
    data = None if method == "GET" else {"csrf": everybody.csrf}
    check(await everybody.client.request(method, url, headers=headers, data=data), url, part=None)


@pytest.mark.parametrize("path", [path for path in GETS if path != "/console/live"])
async def test_a_query_that_cannot_be_is_refused_on_a_page(everybody, path):
    """Whatever stands in it: a page, of one kind or the other."""
    for value in (*HOSTILE, "x", "2026-13-45", "1e400"):
        query = "&".join(f"{name}={value}" for name in QUERIES)
        answer = await everybody.get(f"{path}?{query}")
        check(answer, f"{path}?{query}"[:200], part=None if path in PARTS else False)


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/console/hr/abc", 404, "Not found"),
        ("/console/hr/-1", 404, "Not found"),
        ("/console/hr?before=abc", 422, "Not understood"),
        ("/console/people-metric?from=" + "9" * 99, 422, "Not understood"),
        ("/console/nothing", 404, "Not found"),
        ("/console/nothing/%3Cscript%3Ealert(1)%3C/script%3E", 404, "Not found"),
        ("/console/static/none.js", 404, "Not found"),
        ("/console/evidence/", 404, "Not found"),
    ],
)
async def test_a_refusal_has_our_layout(everybody, path, status, says):
    """With the menu for somebody signed in; as a part, only the note."""
    whole, part = await everybody.get(path), await everybody.part(path)

    assert (whole.status_code, part.status_code) == (status, status)
    assert_page(whole)
    assert_page(part, part=True)
    assert says in text_of(whole)
    assert 'aria-label="Pages"' in whole.text


async def test_a_stranger_learns_nothing_from_an_address_that_is_none(site):
    """404 in our layout, without a menu; what needs a session leads to the sign-in as before."""
    visitor = await site.visitor()
    unknown = await visitor.get("/console/nothing")
    assert unknown.status_code == 404
    assert_page(unknown)
    assert 'aria-label="Pages"' not in unknown.text
    assert (await visitor.get("/console/hr/abc")).status_code == 303


async def test_another_method_is_refused_on_a_page(everybody):
    """And says which there are."""
    answer = await everybody.client.delete("/console/evidence")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert_page(answer)
    assert "Not possible here" in text_of(answer)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-length": str(21 * 1024 * 1024)}, b"", 413),
        ({"content-length": "abc"}, b"", 411),
        ({"content-type": "multipart/form-data; boundary=x"}, b"--x\r\nnonsense", 400),
        ({"content-type": "multipart/form-data"}, b"nonsense", 400),
        ({"content-type": "application/json"}, b"{", 403),
        ({"content-type": "application/x-www-form-urlencoded"}, b"&".join([b"a=1"] * 200), 400),
        ({"content-type": "text/plain"}, b"hello", 403),
    ],
)
@pytest.mark.parametrize("path", ["/console/access/tokens", "/console/systems/memory-1/pause"])
async def test_a_body_that_is_no_form_of_ours_is_refused_on_a_page(
    everybody, path, headers, content, status
):
    """Too large, of no size, in pieces that do not fit, or something else."""
    answer = await everybody.client.post(path, content=content, headers=headers)
    assert answer.status_code in {status, 403, 422}, answer.text[:300]
    assert_page(answer)


async def test_programs_are_answered_as_before(site):
    """JSON for the API, the hooks and the provider; nothing of it is a page."""
    visitor = await site.visitor()
    for method, path, status in (
        ("GET", "/api/nothing", 404),
        ("DELETE", "/api/score", 405),
        ("POST", "/hooks/nobody", 404),
        ("GET", "/consolex", 404),
    ):
        answer = await visitor.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/json"


@pytest.fixture
def broken(site: Site) -> Site:
    """The application with routes that fail as nobody foresaw."""

    async def boom(request: Request):
        raise RuntimeError("maria@example.com secret-of-the-vendor")

    async def wrong_sql(request: Request):
        async with site.engine.connect() as connection:
            await connection.execute(text("select nothing from nowhere"))

    async def later(request: Request):
        async def body():
            yield b"begun"
            raise RuntimeError("maria@example.com")

        return StreamingResponse(body())

    for path, route in {"boom": boom, "sql": wrong_sql, "later": later}.items():
        site.app.add_api_route(f"/console/{path}", route)
        site.app.add_api_route(f"/api/{path}", route)
    return site


@pytest.mark.parametrize("path", ["boom", "sql"])
async def test_a_fault_that_nobody_foresaw_has_a_number_and_no_details(broken, path):
    """The number stands in the log; people get a page, programs JSON, both all headers."""
    visitor = await broken.visitor()
    with structlog.testing.capture_logs() as logs:
        page = await visitor.get(f"/console/{path}")
        part = await visitor.get(f"/console/{path}", headers={"hx-request": "true"})
    assert [page.status_code, part.status_code] == [500, 500]
    assert_page(page)
    assert_page(part, part=True)
    numbers = [line["incident"] for line in logs if line["event"] == "unforeseen_fault"]
    assert [numbers[0] in page.text, numbers[1] in part.text] == [True, True]
    assert "database" not in page.text
    assert "maria" not in page.text
    if path == "boom":
        answer = await visitor.get("/api/boom")
        assert answer.status_code == 500
        assert set(answer.json()) == {"error", "incident"}
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")


async def test_an_answer_that_breaks_off_is_not_made_whole(broken):
    """What was begun cannot become a page: the connection breaks, and the log has a line."""
    transport = httpx.ASGITransport(broken.app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        with structlog.testing.capture_logs() as logs, pytest.raises(RuntimeError):
            await client.get("/console/later")
    assert [line["event"] for line in logs].count("unforeseen_fault") == 1


@pytest.mark.parametrize("path", ["/console", "/console/evidence/", "/api/score/", "//evil.com"])
async def test_no_answer_names_the_host_that_a_request_named(everybody, path):
    """Behind a cache, or in a link, it would lead people elsewhere."""
    answer = await everybody.get(path, headers={"host": "evil.example.com"})
    assert "evil" not in answer.headers.get("location", "")
    assert "evil.example.com" not in answer.text


async def test_the_first_page_is_found_without_its_slash(everybody):
    """As people type it."""
    answer = await everybody.get("/console")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/")
    assert json.dumps(dict(everybody.client.cookies)).count(COOKIE) == 1

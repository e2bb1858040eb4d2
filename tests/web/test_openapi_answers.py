"""Every wanted answer of every operation, once, held against the OpenAPI description."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi.responses import JSONResponse, Response
from sqlalchemy import text

from lockstep.composition import Root
from lockstep.control.people.api_tokens import ApiTokenDesk, Wish
from lockstep.control.score.readings import Readings
from lockstep.domain.rights import Role
from lockstep.web.api.answers import AliveDocument, Health, ReadyDocument, Told
from tests.support.casework import EMAIL
from tests.support.scoring import DAY, HOUR, facts, listen, store
from tests.web.conftest import body as event_body
from tests.web.conftest import signed
from tests.web.console.conftest import Site, site  # noqa: F401 - a fixture
from tests.web.console.ward import BADGE, DOOR, VAULT
from tests.web.openapi_description import Description, NonconformingError, Success
from tests.web.test_openapi_fuzz import (
    SECRET,
    TOKENS,
    known,  # noqa: F401 - a fixture
)
from tests.web.test_openapi_fuzz import site_settings as fuzz_settings  # noqa: F401 - a fixture

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\nproof").decode()
WHY = "the owner confirmed it by phone"
CASE = "/api/cases/{case_id}"
SYSTEM = f"{CASE}/systems/{{system}}"
REQUEST = "/api/requests/{request_id}"
EXPORTS = "/api/evidence/exports"
FILE = f"{EXPORTS}/{{export_id}}/file"
METRIC = "/api/metrics/{metric}"
HOOK = "/hooks/{source}"
READS = ("/api/score", "/api/score/trend", "/api/dimension", "/api/metrics", "/metrics")
SEATS = "/api/seats"
EVENT = "/api/events/{event}"
LISTS = ("/api/cases", "/api/requests", "/api/events", EXPORTS)


@pytest.fixture
def site_settings(fuzz_settings) -> str:  # noqa: F811 - the fixture
    """With a contract, so that penalties cost something."""
    terms = 'currency = "PHP"\nper_case = 500000\nper_started_hour = 25000'
    return f"{fuzz_settings}\n[scorecard.penalties.northwind]\n{terms}\n"


@dataclass
class Asking:
    """A program that holds every answer against the description."""

    client: httpx.AsyncClient
    description: Description
    token: str = TOKENS["fuzz-0"]
    met: set[Success] = field(default_factory=set)
    made: list[Response] = field(default_factory=list)
    """Answers that routes made, the last one last."""
    modelled: frozenset[tuple[str, str]] = frozenset()
    """Routes whose models FastAPI writes."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        status: int = 200,
        at: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> httpx.Response:
        """One request; ``at`` fills the path."""
        self.made.clear()
        answer = await self.client.request(
            method,
            path.format(**at or {}),
            headers={"authorization": f"Bearer {self.token}", **(headers or {})},
            **options,
        )
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        self.met.add(self.description.check(method, path, answer))
        self._hold(method, path, answer)
        return answer

    def _hold(self, method: str, path: str, answer: httpx.Response) -> None:
        """What the route returned is what it declares."""
        returned = None
        if self.made:
            made = self.made[-1]
            assert made.body == answer.content
            returned = getattr(made, "document", made.body)
        elif answer.headers["content-type"] == "application/json":
            assert answer.status_code >= 400 or (method, path) in self.modelled
        self.description.held(method, path, answer.status_code, returned)

    def by(self, token: str) -> Asking:
        """The same by another token."""
        return replace(self, token=token)


@pytest.fixture
async def asker(site, monkeypatch) -> Asking:  # noqa: F811 - the fixture
    made: list[Response] = []
    render = JSONResponse.init_headers

    def seen(self: Response, headers: Mapping[str, str] | None = None) -> None:
        render(self, headers)
        made.append(self)

    for kind in (Told, JSONResponse):
        monkeypatch.setattr(kind, "init_headers", seen)
    modelled = frozenset(
        (method, route.path)
        for route in site.app.routes
        if getattr(route, "response_model", None) is not None
        for method in route.methods
    )
    description = Description(site.app.openapi())
    return Asking(await site.visitor(), description, made=made, modelled=modelled)


def case_id(number: int) -> str:
    return "c" + base64.b32encode((number << 4).to_bytes(8)).decode().lower()[:12]


async def a_year(site: Site) -> None:  # noqa: F811 - the class
    """Cases of every kind that the metric knows, a source of HR, and readings of two days."""
    shapes: list[dict[str, Any]] = [
        {},
        {"took": 3 * HOUR},
        {"took": 6 * HOUR},
        {"took": 30 * HOUR, "partner": "contoso"},
        {"took": None},
        {"took": None, "tier": "0"},
        {"took": None, "ago": HOUR},
        {"took": None, "ago": -DAY},
        {"took": None, "rescinded": True},
        {"took": -HOUR},
        {"items": ()},
    ]
    made = [facts("", **shape, case_id=case_id(n)) for n, shape in enumerate(shapes)]
    many = [facts("", case_id=case_id(1000 + n)) for n in range(25)]
    await store(site.engine, [*made, *many])
    await listen(site.engine, "hr", heard=timedelta(hours=1))
    root = Root(site.settings, site.stores)
    scores, service = site.stores.scores, root.score
    for ago in (8, 0):
        moment = datetime.now(UTC) - timedelta(days=ago)
        await Readings(scores, service, now=lambda at=moment: at).step()
    await service.aclose()


async def read_the_metric(asker: Asking) -> None:
    """The score as a whole, in brief, of a partner, of a window; and all that goes with it."""
    for query in ("", "?detail=score", "?partner=contoso", "?window=2020-01-01..2020-12-31"):
        await asker.ask("GET", "/api/score", **_query(query))
    for path in READS[1:]:
        await asker.ask("GET", path)
    await asker.ask("GET", SEATS, params={"month": "2026-10"})
    month = f"{datetime.now(UTC) - timedelta(days=10):%Y-%m}"
    told = (await asker.ask("GET", "/api/penalties", params={"month": month})).json()
    assert any(row["total"] for row in told["partners"])


def _query(text: str) -> dict[str, Any]:
    pairs = dict(part.split("=") for part in text.removeprefix("?").split("&") if part)
    return {"params": pairs} if pairs else {}


async def report_metrics(asker: Asking) -> None:
    """New, and known already, by both methods."""
    for method, metric in (("PUT", "security_training"), ("POST", "zero_contractor")):
        report = {"value": "19.27", "as_of": "2026-11-01", "source": "lms"}
        for status in (201, 200):
            await asker.ask(method, METRIC, at={"metric": metric}, json=report, status=status)


async def deliver(asker: Asking) -> None:
    """A termination, the same again, and a heartbeat."""
    raw = event_body()
    for status in (202, 200):
        await asker.ask(
            "POST",
            HOOK,
            at={"source": "hr"},
            content=raw,
            headers=signed(raw, secret=SECRET),
            status=status,
        )


async def report(asker: Asking, names: Mapping[str, list[str]]) -> None:
    """A leaver, other dates, and calling it off; each under a key of its own."""
    day = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    leaver = {"worker_id": "W-901", "kind": "voluntary", "zone": "UTC", "last_working_day": day}

    def key(number: int) -> dict[str, str]:
        return {"idempotency-key": f"{number}-0123456789abcdef"}

    await asker.ask("POST", "/api/events", headers=key(1), json=leaver, status=202)
    at = {"event": names["event"][0]}
    assert (await asker.ask("GET", EVENT, at=at)).json()["changeable"]
    moved = {"zone": "UTC", "access_ends_at": f"{day}T10:00:00Z"}
    stop = {"reason": WHY}
    await asker.ask("POST", f"{EVENT}/amend", at=at, headers=key(2), json=moved, status=202)
    await asker.ask("POST", f"{EVENT}/rescind", at=at, headers=key(3), json=stop, status=202)
    assert len((await asker.ask("GET", "/api/events")).json()["events"]) == 4


async def act(asker: Asking, names: Mapping[str, list[str]]) -> None:
    """Everything that is done to cases, with and without a second person."""
    second = asker.by(TOKENS["fuzz-1"])
    one, other, *rest = names["case_id"][2:]
    here, there = {"case_id": one}, {"case_id": other}
    await asker.ask("POST", f"{SYSTEM}/retry", at={**here, "system": DOOR}, json={"reason": WHY})
    word = {"reason": WHY, "seen": ""}
    await asker.ask("POST", f"{SYSTEM}/attest", at={**here, "system": BADGE}, json=word)
    proof = {**word, "artefact": {"name": "badge.png", "content": PNG}}
    asked = await asker.ask(
        "POST", f"{SYSTEM}/attest", at={**there, "system": BADGE}, json=proof, status=202
    )
    waiver = {**word, "until": (datetime.now(UTC) + timedelta(days=3)).isoformat()}
    at = {**here, "system": VAULT}
    waived = await asker.ask("POST", f"{SYSTEM}/waive", at=at, json=waiver, status=202)
    assert len((await asker.ask("GET", "/api/requests")).json()["requests"]) == 4
    await second.ask("POST", f"{REQUEST}/approve", at=asked.json(), json={})
    await second.ask("POST", f"{REQUEST}/refuse", at=waived.json(), json={"reason": WHY})
    again = await asker.ask("POST", f"{SYSTEM}/waive", at=at, json=waiver, status=202)
    await asker.ask("POST", f"{REQUEST}/withdraw", at=again.json(), json={})
    doubtful = {"case_id": names["in_doubt"][0]}
    pick = {"reason": WHY, "accounts": [f"acc-{DOOR}"]}
    await asker.ask("POST", f"{SYSTEM}/pick", at={**doubtful, "system": DOOR}, json=pick)
    none = {"reason": WHY, "accounts": []}
    at = {**doubtful, "system": VAULT}
    await asker.ask("POST", f"{SYSTEM}/pick", at=at, json=none, status=202)
    await act_on_the_whole(asker, names, rest)


async def act_on_the_whole(
    asker: Asking, names: Mapping[str, list[str]], coming: list[str]
) -> None:
    """Dates, a comment, somebody to see to it; dismissals are prolonged by two people only."""
    moved = {"reason": WHY, "last_working_day": names["last_working_day"][0]}
    later = {"reason": WHY, "access_ends_at": (datetime.now(UTC) + timedelta(days=9)).isoformat()}
    at = {"case_id": coming[0]}
    await asker.ask("POST", f"{CASE}/reschedule", at=at, json=moved)
    await asker.ask("POST", f"{CASE}/rescind", at={"case_id": coming[1]}, json={"reason": WHY})
    prolong = {"reschedule": later, "rescind": {"reason": WHY}}
    for dismissed, (what, body) in zip(coming[-3:-1], prolong.items(), strict=True):
        at_it = {"case_id": dismissed}
        await asker.ask("POST", f"{CASE}/{what}", at=at_it, json=body, status=202)
    more = {"reason": WHY, "emails": ["second@example.com"], "site": "davao"}
    await asker.ask("POST", f"{CASE}/correct", at={"case_id": coming[2]}, json=more)
    wrong = {"reason": WHY, "kind": "email", "value": EMAIL}
    await asker.ask("POST", f"{CASE}/withdraw-key", at={"case_id": coming[2]}, json=wrong)
    at_it = {"case_id": coming[-1]}
    await asker.ask("POST", f"{CASE}/withdraw-key", at=at_it, json=wrong, status=202)
    await asker.ask("POST", f"{CASE}/comment", at=at, json={"text": "called the site"})
    await asker.ask("POST", f"{CASE}/assign", at=at, json={"user": names["user"][0]})


async def rehire(site: Site, asker: Asking, names: Mapping[str, list[str]]) -> None:  # noqa: F811
    """Closed cases: of a leaver, of somebody dismissed, and of one's own report."""
    closed, dismissed = names["case_id"][-1], names["case_id"][-4]
    at = {"event": names["event"][0]}
    close = text(
        "update cases set status = 'closed', begun_at = now(), closed_at = now(), kind ="
        " case when case_id = :case then 'involuntary' else kind end where case_id = :case"
        " or case_id = :reported"
    )
    reported = (await asker.ask("GET", EVENT, at=at)).json()["case_id"]
    async with site.engine.begin() as connection:
        await connection.execute(close, {"case": dismissed, "reported": reported})
    why = {"reason": WHY}
    await asker.ask("POST", f"{CASE}/rehire", at={"case_id": closed}, json=why)
    await asker.ask("POST", f"{CASE}/rehire", at={"case_id": dismissed}, json=why, status=202)
    key = {"idempotency-key": "4-0123456789abcdef"}
    await asker.ask("POST", f"{EVENT}/rehire", at=at, headers=key, json=why, status=202)


async def send_again(site: Site, asker: Asking) -> None:  # noqa: F811 - the class
    """A retry whose answer was lost."""
    async with site.engine.begin() as connection:
        lost = text("update acts set state = 'sent' where kind = 'retry' returning case_id, act_id")
        at = dict((await connection.execute(lost)).mappings().one())
    await asker.ask("POST", f"{CASE}/acts/{{act_id}}/send", at=at)


async def read_cases(asker: Asking, names: Mapping[str, list[str]]) -> None:
    """Lists by page, one by one, and by key."""
    query: dict[str, Any] = {"state": "any", "limit": 7}
    page = (await asker.ask("GET", "/api/cases", params=query)).json()
    assert page["next"]
    await asker.ask("GET", "/api/cases", params={**query, "after": page["next"]})
    for case in [*names["case_id"], *names["in_doubt"]]:
        await asker.ask("GET", CASE, at={"case_id": case})
    found = await asker.ask("POST", "/api/cases/search", json={"key": EMAIL})
    assert found.json()["cases"]


async def export(asker: Asking, names: Mapping[str, list[str]]) -> None:
    """Order, look, fetch, fetch a part."""
    order = {"from": "2026-01-01", "to": "2026-12-31", "sample": 5}
    ordered = await asker.ask("POST", EXPORTS, json=order, status=202)
    await asker.ask("GET", EXPORTS)
    await asker.ask("GET", f"{EXPORTS}/{{export_id}}", at=ordered.json())
    done = {"export_id": names["export_id"][0]}
    await asker.ask("GET", f"{EXPORTS}/{{export_id}}", at=done)
    await asker.ask("GET", FILE, at=done)
    await asker.ask("GET", FILE, at=done, headers={"range": "bytes=0-9"}, status=206)


async def test_every_wanted_answer_of_every_operation_is_as_described(
    site,  # noqa: F811
    known,  # noqa: F811
    asker,
):
    """None is left out: an operation that is new is called here, or this fails."""
    await a_year(site)
    await read_cases(asker, known)
    await act(asker, known)
    await send_again(site, asker)
    await read_cases(asker, known)
    await export(asker, known)
    await report(asker, known)
    await rehire(site, asker, known)
    await deliver(asker)
    await report_metrics(asker)
    await read_the_metric(asker)
    await asker.ask("GET", "/healthz")
    await asker.ask("GET", "/readyz")

    assert asker.description.successes() == asker.met


async def test_a_token_of_one_partner_gets_what_is_described(
    site,  # noqa: F811
    known,  # noqa: F811
    asker,
):
    """What is left out for it is null or empty where the description says so."""
    await a_year(site)
    admin = await site.sign_in(Role.ADMIN, *Role)
    wish = Wish(
        "of one partner",
        roles=frozenset({Role.VIEWER, Role.AUDITOR, Role.HR}),
        partners=frozenset({"northwind"}),
        lifetime=timedelta(days=1),
    )
    text, _ = await ApiTokenDesk(site.stores).make(wish, by=admin.principal)
    scoped = asker.by(text)
    told = await scoped.ask("GET", "/api/score", params={"partner": "northwind"})
    assert told.json()["scheduled"] is None
    for path in LISTS:
        await scoped.ask("GET", path)
    for path in READS[1:]:
        await scoped.ask("GET", path, status=403)


async def test_with_nothing_at_all_the_answers_are_as_described(asker):
    """What does not exist yet is null where the description says so, or absent."""
    for path in (*READS, *LISTS):
        await asker.ask("GET", path)
    await asker.ask("GET", "/api/penalties", params={"month": "2026-10"})


async def test_refusals_are_as_described(asker):
    """Each with its word, and the headers that its status needs."""
    nobody = asker.by("nobody" * 8)
    await nobody.ask("GET", "/api/cases", status=401)
    await asker.ask("GET", CASE, at={"case_id": case_id(9)}, status=404)
    await asker.ask("GET", "/api/cases", params={"limit": 0}, status=422)
    await asker.ask("POST", "/api/cases/search", content=b"x", status=415)
    media = {"content-type": "application/json"}
    await asker.ask("POST", "/api/cases/search", content=b"{", headers=media, status=400)
    await asker.ask("POST", "/api/cases/search", content=b" " * 70_000, headers=media, status=413)
    await asker.ask("POST", HOOK, at={"source": "nobody"}, json={}, status=404)
    await asker.ask("POST", HOOK, at={"source": "hr"}, json={}, status=401)


async def test_what_a_route_returns_beside_its_model_is_found(asker):
    """Another model is, and so are a dict and a text that look the same on the way."""
    asker.description.held("GET", "/healthz", 200, AliveDocument(status=Health.OK))
    beside = (ReadyDocument(status=Health.READY), {"status": "ok"}, b'{"status":"ok"}')
    for returned in beside:
        with pytest.raises(NonconformingError, match="AliveDocument"):
            asker.description.held("GET", "/healthz", 200, returned)

"""Two worlds that differ in one sealed case look the same to everybody without the right.

Every route of the application is asked in both, by everybody whom it lets in and by a stranger: a
new route is asked as soon as it is in the table of `test_routes_and_roles`. Instants are masked,
and what is random every time.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import false, text

from lockstep.control.people.api_tokens import NEVER, ApiTokenDesk, Wish
from lockstep.domain.cases.terminations import TerminationAction, TerminationKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.rights import Permission, Role
from lockstep.domain.stalled import TaskFault
from lockstep.storage.engine.database import create_engine
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.records import CaseRow
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.score import scores
from tests.conftest import Database
from tests.control.intake.test_brake import Hall
from tests.support.board import HOUR, came_back, stuck
from tests.support.casework import TENANT, revised, termination
from tests.support.exporting import Packing
from tests.support.ledgers import LedgerBook
from tests.web.conftest import SECRET
from tests.web.console import test_routes_and_roles as routes_and_roles
from tests.web.console.conftest import COOKIE, Site
from tests.web.console.hr_office import form
from tests.web.console.test_routes_and_roles import TABLE, all_routes, secret_of
from tests.web.console.worlds import Ask, Visitor, World, copied, installed

pytestmark = pytest.mark.timeout(1500)  # thousands of requests, each in both worlds
SOON = timedelta(days=1)
SECRET_WORKER = "W-900900"
STATES = ("need", "scheduled", "closed", "rescinded", "any")
STREAMS = {("GET", "/console/live")}
"""Endless answers, which give no sign of what is sealed either: `test_live` listens to them."""
TODAY = datetime.now(UTC).date()


@pytest.fixture
def site_settings(tmp_path) -> str:
    """The settings, with a source of HR and a token for each role."""
    (tmp_path / "hr.secret").write_text(SECRET)
    source = '[sources.hr]\nsecrets = ["file:hr.secret"]\n'
    tokens = routes_and_roles.settings_with_tokens(tmp_path)
    return f"{tokens}\n{source}"


WIDEST = ("of all, signed in", *(f"{role.value} by token" for role in Role))
"""How the names of those end who see of all partners what their role may see."""


@dataclass
class Home:
    """The first world, and who looks at it."""

    site: Site
    database: Database
    packing: Packing
    visitors: dict[Role | None, list[Visitor]]
    shown: dict[str, str]
    """Cases that everybody may see, by what they are."""


@pytest.fixture
async def home(site, engine, ring, database, tmp_path) -> AsyncIterator[Home]:
    """Leavers whose access is gone, stuck, coming, called off; and everybody who may look."""
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    packing = Packing(engine, ring, book, tmp_path)
    await packing.work.adopt()
    feeds = Feeds(engine, TENANT)
    await feeds.expect(["hr"], at=datetime.now(UTC) - timedelta(days=2))
    now = datetime.now(UTC)
    await feeds.hear("hr", sent_at=now, received_at=now)
    rows = {
        "done": await packing.revoked("W-1"),
        "stuck": await stuck(packing.work, "W-2", due=-HOUR),
        "coming": await packing.opened("W-3", due=SOON, site="manila"),
        "back": await packing.revoked("W-4", partner="contoso"),
    }
    await came_back(packing.work, rows["back"])
    shown = {name: row.case_id for name, row in rows.items()}
    await packing.seal()
    await StalledCases(engine).looked({}, at=datetime.now(UTC), total=0)
    visitors = {role: await visitors_of(site, role) for role in Role}
    yield Home(site, database, packing, {**visitors, None: [Visitor("a stranger")]}, shown)
    book.close()


async def visitors_of(site: Site, role: Role) -> list[Visitor]:
    """Somebody of this role for all partners and for one, in a browser and by a token."""
    exports = Permission.SEE_CASES in role.permissions
    made = []
    for partners in (None, ["northwind"]):
        name = f"{role.value} of {partners or 'all'}"
        browser = await site.sign_in(role, partners=partners, name=name)
        cookies = {COOKIE: str(browser.client.cookies[COOKIE])}
        made.append(Visitor(f"{name}, signed in", {}, cookies, browser.csrf, exports))
    tokens = {f"{role.value} by token": secret_of(role)}
    if not role.permissions & NEVER:
        admin = await site.sign_in(*Role, more=list(Permission))
        wish = Wish("x", frozenset({role}), frozenset({"northwind"}))
        desk = ApiTokenDesk(site.stores)
        tokens[f"{role.value} of northwind by token"], _ = await desk.make(wish, by=admin.principal)
    for name, token in tokens.items():
        made.append(Visitor(name, {"authorization": f"Bearer {token}"}, exports=exports))
    return made


# --- What is sealed -------------------------------------------------------------------------------

DISMISSED = TerminationKind.INVOLUNTARY


async def dismissed(packing: Packing, worker: str = SECRET_WORKER, **said: object) -> CaseRow:
    """A coming dismissal, of a partner and a site that nobody else has."""
    more = {"partner": "fabrikam", "site": "lima", "kind": DISMISSED, **said}
    due = more.pop("due", SOON)
    return await packing.opened(worker, due=due, **more)


async def one(packing: Packing) -> None:
    """One dismissal is coming."""
    await dismissed(packing)


async def of_a_known_partner(packing: Packing) -> None:
    """One whose partner and site are known."""
    await dismissed(packing, "W-81", partner="northwind", site="cebu")


async def moved(packing: Packing) -> None:
    """One whose date was moved."""
    case = await dismissed(packing, "W-82")
    said = revised(
        termination("W-82", kind=DISMISSED, partner="fabrikam", site="lima"),
        2,
        action=TerminationAction.AMENDED,
    )
    assert await packing.work.cases.amend(case, said, datetime.now(UTC) + 3 * SOON)


async def called_off(packing: Packing) -> None:
    """One that was called off before its cutoff, which was yesterday."""
    case = await dismissed(packing, "W-83", due=-SOON)
    await put(packing, case, SOON, "begun_at = null, status = 'scheduled'")
    said = revised(termination("W-83", kind=DISMISSED), 2, action=TerminationAction.RESCINDED)
    await packing.work.cases.rescind(case, said)
    await put(packing, case, -SOON)


async def put(packing: Packing, case: CaseRow, due: timedelta, more: str = "") -> None:
    """Let a cutoff be so far from now, as if the clock were elsewhere."""
    values = ", ".join(filter(None, ["cutoff_at = now() + :due", more]))
    moved_to = text(f"update cases set {values} where case_id = :case")
    async with packing.engine.begin() as connection:
        await connection.execute(moved_to, {"case": case.case_id, "due": due})


async def failing(packing: Packing) -> None:
    """One whose workflow cannot go on, and of which something was found while it was rehearsed."""
    case = await dismissed(packing)
    await came_back(packing.work, case)
    found = {case.case_id: TaskFault.WORKER}
    await StalledCases(packing.engine).looked(found, at=datetime.now(UTC), total=1)


async def many(packing: Packing) -> None:
    """So many that the brake holds some of them."""
    hall = Hall(packing.work, BrakeRule(per_hour=3, dismissals_per_hour=2))
    for number in range(5):
        await hall.send(f"W-70{number}", kind="involuntary", partner="fabrikam")
    await hall.dispatch()


async def everything(packing: Packing) -> None:
    """All of these at once."""
    for secret in (of_a_known_partner, moved, called_off, failing, many):
        await secret(packing)


# --- What is asked --------------------------------------------------------------------------------


def asks_of(route: tuple[str, str], home: Home, hidden: str) -> Iterator[Ask]:
    """What is asked of one route: as the table calls it, and what could tell.

    Of cases: one that everybody sees, and the one that is hidden.
    """
    method, path = route
    to = TABLE[route]
    url = (to.path or path) + (f"?{to.query}" if to.query else "")
    if path == "/hooks/{source}":
        yield Ask(method, "/hooks/nobody", {"json": {}})
        return
    options: dict[str, object] = {"json": to.body} if to.body is not None else {}
    if to.form:
        options["data"] = dict(to.form)
    yield Ask(method, url, options)
    known = home.shown.values() if method == "GET" else [home.shown["stuck"]]
    for case_id in (*known, hidden):
        if "{case_id}" in path:
            there = url.replace("/c1", f"/{case_id}")
            yield Ask(method, there, options)
    yield from MORE.get(route, ())


_NEXT_YEAR = f"{TODAY.year - 1}-01-01..{TODAY.year + 1}-12-31"
_KNOWN = {"worker_id": SECRET_WORKER, "name": "", "emails": ""}
_KEY = {"idempotency-key": "k" * 24}
_REPORT = {
    "worker_id": "W-77",
    "kind": "voluntary",
    "zone": "UTC",
    "last_working_day": (TODAY + timedelta(days=2)).isoformat(),
    "partner": "northwind",
    "source": "hr",
}
MORE = {
    ("GET", "/api/score"): [
        Ask("GET", f"/api/score?window={_NEXT_YEAR}"),
        Ask("GET", f"/api/score?window={TODAY + SOON}..{TODAY + 9 * SOON}"),
        Ask("GET", f"/api/score?window={TODAY - 9 * SOON}..{TODAY + SOON}&detail=score"),
        *[Ask("GET", f"/api/score?partner={name}") for name in ("northwind", "fabrikam")],
        Ask("GET", f"/api/score?partner=northwind&window={_NEXT_YEAR}"),
    ],
    ("GET", "/api/penalties"): [
        Ask("GET", f"/api/penalties?month={TODAY + offset * SOON:%Y-%m}") for offset in (0, 1, 32)
    ],
    ("GET", "/console/people-metric"): [
        Ask("GET", f"/console/people-metric?window={_NEXT_YEAR}"),
        Ask("GET", "/console/people-metric?partner=fabrikam"),
    ],
    ("GET", "/console/people-metric/figures"): [
        Ask("GET", f"/console/people-metric/figures?window={_NEXT_YEAR}"),
    ],
    ("GET", "/console/people-metric/penalties"): [
        Ask("GET", f"/console/people-metric/penalties?month={TODAY + SOON:%Y-%m}")
    ],
    ("GET", "/api/cases"): [
        *[Ask("GET", f"/api/cases?state={state}") for state in STATES],
        *[Ask("GET", f"/api/cases?{name}") for name in ("partner=fabrikam", "site=lima")],
        Ask("GET", "/api/cases?kind=involuntary"),
    ],
    ("POST", "/api/cases/search"): [
        Ask("POST", "/api/cases/search", {"json": {"key": SECRET_WORKER}})
    ],
    ("GET", "/console/"): [
        *[Ask("GET", f"/console/?state={state}") for state in STATES],
        Ask("GET", "/console/?partner=fabrikam"),
        Ask("GET", "/console/?kind=involuntary"),
    ],
    ("POST", "/console/search"): [
        Ask("POST", "/console/search", {"data": {"text": SECRET_WORKER}})
    ],
    ("GET", "/console/bulk"): [Ask("GET", "/console/bulk?action=retry&state=any")],
    ("POST", "/console/access/bars/find"): [
        Ask("POST", "/console/access/bars/find", {"data": {"key": SECRET_WORKER}})
    ],
    ("POST", "/console/hr/preview"): [
        Ask("POST", "/console/hr/preview", {"data": {**form(), **_KNOWN}}),
        Ask("POST", "/console/hr/preview", {"data": form()}),
    ],
    ("POST", "/api/events"): [
        Ask("POST", "/api/events", {"json": _REPORT, "headers": _KEY}),
        Ask(
            "POST",
            "/api/events",
            {
                "json": {**_REPORT, "worker_id": SECRET_WORKER},
                "headers": {"idempotency-key": "s" * 24},
            },
        ),
    ],
    ("POST", "/api/evidence/exports"): [
        Ask("POST", "/api/evidence/exports", {"json": {**routes_and_roles.ORDER, **more}})
        for more in ({"partner": "fabrikam"}, {"partner": "northwind"})
    ],
}
"""Beside the call of the table: windows that lie ahead, names and keys that only the secret has."""


def in_order(routes: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Reading first, and what ends a session last."""
    return sorted(routes, key=lambda route: (route[0] != "GET", "sign-out" in route[1], route))


@asynccontextmanager
async def two_worlds(
    home: Home, secret: Callable[[Packing], Awaitable[None]]
) -> AsyncIterator[tuple[World, World, str]]:
    """The world as it is, a copy in which ``secret`` is so, and the id of a case that is hidden."""
    await home.site.engine.dispose()
    folder = home.site.folder / "other"
    folder.mkdir()
    shutil.copy(home.site.folder / "ledger-head", folder / "ledger-head")
    async with AsyncExitStack() as stack:
        other = stack.enter_context(copied(home.database))
        engine = create_engine(other.app_url)
        stack.push_async_callback(engine.dispose)
        book = LedgerBook(other.app_url, other.superuser_url, folder)
        stack.callback(book.close)
        book.signer = home.packing.book.signer
        packing = Packing(engine, home.site.ring, book, folder)
        packing.work.policy = home.packing.work.policy
        before = set(home.shown.values())
        await secret(packing)
        for each in (packing, home.packing):
            await each.seal()
            await keep_fresh(each)
        async with engine.connect() as connection:
            ids = set(await connection.scalars(text("select case_id from cases order by case_id")))
        [hidden, *_] = sorted(ids - before)
        worlds = [
            await stack.enter_async_context(installed(home.site.folder, database, home.site.ring))
            for database in (home.database, other)
        ]
        yield worlds[0], worlds[1], hidden


async def keep_fresh(packing: Packing) -> None:
    """What a worker saw of Temporal is good for a minute, and asking everything takes longer."""
    later = text("update task_looks set looked_at = clock_timestamp() + interval '1 hour'")
    async with packing.engine.begin() as connection:
        await connection.execute(later)


async def differences(
    home: Home,
    secret: Callable[[Packing], Awaitable[None]],
    only: str = "",
    *,
    by: tuple[str, ...] = ("",),
) -> list[str]:
    """What tells the worlds apart: who asked what, and how the answers differ.

    ``only``: how the paths begin that are asked; "" is every route that there is. ``by``: how the
    names of those end who ask, beside the stranger.
    """
    found: list[str] = []
    async with two_worlds(home, secret) as (one_world, other, hidden):
        routes = set(all_routes(one_world.app.routes))
        assert routes <= set(TABLE), "a route is not in the table"
        for role, visitors in home.visitors.items():
            for route in in_order(routes - STREAMS):
                roles = TABLE[route].roles
                if (role and roles is not None and role not in roles) or not route[1].startswith(
                    only
                ):
                    continue
                for visitor in visitors:
                    if role and bool(visitor.cookies) != route[1].startswith("/console"):
                        continue
                    if role and not visitor.name.endswith(by):
                        continue
                    for ask in asks_of(route, home, hidden):
                        found += await apart(one_world, other, ask, visitor)
    return found


async def apart(one_world: World, other: World, ask: Ask, visitor: Visitor) -> list[str]:
    """How the two answers differ; a clock that has moved on between them is no difference."""
    tries = 3 if ask.method == "GET" else 1
    for _ in range(tries):
        here, there = await one_world.ask(ask, visitor), await other.ask(ask, visitor)
        if here == there:
            return []
    lines = difflib.unified_diff(
        f"{here.status}\n{here.text}".replace(",", ",\n").splitlines(),
        f"{there.status}\n{there.text}".replace(",", ",\n").splitlines(),
        "without",
        "with",
        n=0,
        lineterm="",
    )
    return [f"{visitor.name}: {ask}\n" + "\n".join(lines)]


@pytest.mark.parametrize(
    ("secret", "by"), [(one, WIDEST), (everything, ("",))], ids=["one", "everything"]
)
async def test_a_sealed_case_tells_itself_to_nobody_without_the_right(home, secret, by):
    """Request for request, over every route, whatever there is to be hidden.

    Of one alone those are asked who see most; of everything, which holds it, everybody.
    """
    found = await differences(home, secret, by=by)
    assert not found, "\n".join(found)[:20_000]


async def test_a_leak_is_noticed(home, monkeypatch):
    """The guard above fails where one query forgets the condition."""
    monkeypatch.setattr(scores, "is_sealed_fact", false)
    found = await differences(home, called_off, "/api/score")

    assert any("GET /api/score" in each for each in found)


async def test_who_has_the_right_tells_the_worlds_apart(home):
    """There is something to be hidden: the same requests show it."""
    sealed = Visitor("sealed", {}, {})
    browser = await home.site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    sealed.cookies[COOKIE] = str(browser.client.cookies[COOKIE])
    async with two_worlds(home, one) as (one_world, other, hidden):
        asks = [Ask("GET", "/console/?state=any"), Ask("GET", f"/console/cases/{hidden}")]
        for ask in asks:
            assert await apart(one_world, other, ask, sealed)

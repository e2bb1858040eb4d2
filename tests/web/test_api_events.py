"""Programs of HR report by token: under the rules of the page, once for each key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lockstep.control.people.api_tokens import ApiTokenDesk, TokenRefusedError, Wish
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Role
from tests.support.casework import EMAIL, NAME, WORKER
from tests.web.console.conftest import Site, site  # noqa: F401 - a fixture
from tests.web.console.conftest import site_settings as site_settings  # noqa: PLC0414
from tests.web.console.hr_office import Hr, cases, hr  # noqa: F401 - a fixture

DAYS = timedelta(days=1)
TODAY = datetime.now(UTC)
"""One day for all: what is sent twice is the same, around midnight too."""


class Program:
    """One token, and its calls."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self.client = client
        self.token = token

    async def ask(self, method: str, path: str, key: str = "", **options: object) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.token}"}
        if key:
            headers["idempotency-key"] = key.ljust(16, "-")
        return await self.client.request(method, path, headers=headers, **options)

    async def report(self, key: str = "one", **changes: object) -> httpx.Response:
        return await self.ask("POST", "/api/events", key, json={**leaver(), **changes})


def leaver(**changes: object) -> dict[str, object]:
    return {
        "worker_id": WORKER,
        "name": NAME,
        "emails": [EMAIL],
        "kind": "voluntary",
        "zone": "Asia/Manila",
        "last_working_day": day(3),
        "partner": "northwind",
        **changes,
    }


def day(ahead: int) -> str:
    return (TODAY + ahead * DAYS).date().isoformat()


async def program(site: Site, *, keys: tuple[Key, ...] = (), partners=None) -> Program:  # noqa: F811
    """A token of the role HR, and of nobody's unless ``keys`` say whose."""
    made_by = await site.sign_in(*Role, more=[Permission.SEND_EVENTS])
    wish = Wish(
        "payroll",
        roles=frozenset({Role.HR}),
        partners=partners,
        lifetime=DAYS,
        keys=keys,
    )
    desk = ApiTokenDesk(site.stores)
    text, _ = await desk.make(wish, by=made_by.principal)
    return Program(await site.visitor(), text)


@pytest.fixture
async def payroll(site) -> Program:  # noqa: F811
    return await program(site)


async def test_a_leaver_is_reported_moved_and_called_off(payroll, hr):  # noqa: F811
    """Each is taken, carried out, and told when asked for again."""
    told = await payroll.report()
    assert told.status_code == 202
    path = f"/api/events/{told.json()['id']}"
    assert told.json()["became"] == "Waits to be carried out."
    await hr.dispatch()
    said = (await payroll.ask("GET", path)).json()
    assert (said["case_status"], said["changeable"]) == ("scheduled", True)

    dates = {"zone": "Asia/Manila", "last_working_day": day(9)}
    assert (await payroll.ask("POST", f"{path}/amend", "two", json=dates)).status_code == 202
    await hr.dispatch()
    moved = (await payroll.ask("GET", path)).json()
    assert moved["cutoff_at"] > said["cutoff_at"]
    stays = {"reason": "they stay"}
    assert (await payroll.ask("POST", f"{path}/rescind", "three", json=stays)).status_code == 202
    await hr.dispatch()
    newest = (await payroll.ask("GET", "/api/events")).json()["events"]
    assert [each["action"] for each in newest] == ["rescinded", "amended", "terminated"]
    [[_, status, partner, _]] = await cases(hr)
    assert (status, partner) == ("rescinded", "northwind")


async def test_the_same_key_is_the_same_report(payroll, hr):  # noqa: F811
    """Sent twice it is stored once; about somebody else it is refused."""
    first, again = await payroll.report(), await payroll.report()
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    other = await payroll.report(worker_id="W-other")
    assert other.status_code == 409
    assert other.json()["error"] == "key_was_used"
    await hr.dispatch()
    assert len(await cases(hr)) == 1
    kept = (await payroll.ask("GET", "/api/events")).json()["events"]
    assert [row["became"].partition(":")[0] for row in kept] == ["Refused", "Scheduled"]


async def test_a_key_is_never_taken_for_something_else(payroll, hr):  # noqa: F811
    """Other dates, or a change under the key of the report, are refused and not passed over."""
    path = f"/api/events/{(await payroll.report()).json()['id']}"
    await hr.dispatch()
    assert (await payroll.report(last_working_day=day(9))).status_code == 409
    for act, body in (
        ("amend", {"zone": "Asia/Manila", "last_working_day": day(9)}),
        ("rescind", {"reason": "they stay"}),
    ):
        answer = await payroll.ask("POST", f"{path}/{act}", "one", json=body)
        assert answer.status_code == 409
        assert answer.json()["error"] == "key_was_used"
    dates = {"zone": "Asia/Manila", "last_working_day": day(9)}
    for _ in range(2):
        again = await payroll.ask("POST", f"{path}/amend", "two", json=dates)
        assert again.status_code == 202
        await hr.dispatch()
    now = {"last_working_day": None, "access_ends_at": "now", "worker_id": "W-now"}
    assert [(await payroll.report("three", **now)).status_code for _ in range(2)] == [202, 202]
    events = (await payroll.ask("GET", "/api/events")).json()["events"]
    assert sum(not row["became"].startswith("Refused") for row in events) == 3


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "fired"}, "kind"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"emails": ["nobody"]}, "emails"),
        ({"emails": ["a@example.com;b@example.com"]}, "semicolon"),
        ({"access_ends_at": "tomorrow"}, "access_ends_at"),
        ({"surprise": 1}, "surprise"),
        ({"worker_id": ""}, "worker.id"),
    ],
)
async def test_what_cannot_be_is_told_by_field(payroll, hr, changes, says):  # noqa: F811
    """Nothing is stored, and nothing of what was sent is quoted."""
    answer = await payroll.report(**changes)
    assert answer.status_code == 422
    assert says in " ".join(answer.json()["problems"])
    assert EMAIL not in answer.text
    await hr.dispatch()
    assert await cases(hr) == []


async def test_without_a_key_nothing_is_stored(payroll, hr):  # noqa: F811
    """A lost answer could otherwise become two reports."""
    assert (await payroll.report("")).status_code == 422
    assert (await payroll.report("a key with blanks")).status_code == 422
    await hr.dispatch()
    assert await cases(hr) == []


async def test_only_ones_own_reports_are_there(payroll, site):  # noqa: F811
    """Another token of the same role finds and changes none of them."""
    path = f"/api/events/{(await payroll.report()).json()['id']}"
    other = await program(site)
    assert (await other.ask("GET", "/api/events")).json() == {"events": [], "next": None}
    assert (await other.ask("GET", path)).status_code == 404
    stays = {"reason": "they stay"}
    assert (await other.ask("POST", f"{path}/rescind", "x", json=stays)).status_code == 404


async def test_a_token_reports_for_its_partners_and_never_its_owner(site, hr):  # noqa: F811
    """The same rules as for a person."""
    contoso = await program(site, partners=frozenset({"contoso"}))
    assert (await contoso.report()).status_code == 422
    own = await program(site, keys=(Key(KeyKind.EMAIL, EMAIL.upper()),))
    refused = await own.report()
    assert refused.json()["problems"] == ["this is you: somebody else must report it"]
    await hr.dispatch()
    assert await cases(hr) == []


async def test_a_token_reports_nobody_of_its_maker_either(site, hr):  # noqa: F811
    """Whoever made it has seen it; a key in another field is theirs too, or a later sign-in's."""
    keys = [Key(KeyKind.EMAIL, EMAIL)]
    rights = {"more": [Permission.SEND_EVENTS], "subject": "maker"}
    maker = await site.sign_in(*Role, keys=keys, **rights)
    wish = Wish("mine", roles=frozenset({Role.HR}), partners=None, lifetime=DAYS)
    desk = ApiTokenDesk(site.stores)
    text, _ = await desk.make(wish, by=maker.principal)
    mine = Program(await site.visitor(), text)
    for key, changes in (("one", {}), ("two", {"emails": [], "employee_number": EMAIL})):
        refused = await mine.report(key, **changes)
        assert refused.json()["problems"] == ["this is you: somebody else must report it"]
    await site.sign_in(*Role, keys=[*keys, Key(KeyKind.USERNAME, "ana.new")], **rights)
    refused = await mine.report("three", emails=[], employee_number="ana.new")
    assert refused.json()["problems"] == ["this is you: somebody else must report it"]
    await hr.dispatch()
    assert await cases(hr) == []


async def test_a_token_reports_for_no_more_sites_than_its_maker(site, hr):  # noqa: F811
    """It is bound to theirs without being asked; it may be bound to fewer, never to more."""
    speaks = Remit(frozenset({"northwind"}), frozenset({"cebu", "manila"}))
    maker = await site.sign_in(*Role, partners=["northwind", "contoso"], speaks=speaks)
    desk = ApiTokenDesk(site.stores)

    async def make(partner: str = "northwind", sites: frozenset[str] | None = None) -> Program:
        wish = Wish("x", frozenset({Role.HR}), frozenset({partner}), lifetime=DAYS, sites=sites)
        text, _ = await desk.make(wish, by=maker.principal)
        return Program(await site.visitor(), text)

    theirs, one = await make(), await make(sites=frozenset({"cebu"}))
    assert (await theirs.report(site="manila")).status_code == 202
    for token, key, place in ((one, "two", "manila"), (theirs, "three", "davao")):
        refused = await token.report(key, site=place)
        assert refused.json()["problems"] == ["site: choose one of yours"]
    for more in ({"sites": frozenset({"davao"})}, {"partner": "contoso"}):
        with pytest.raises(TokenRefusedError, match="other partners or sites"):
            await make(**more)

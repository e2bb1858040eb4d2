"""`Access`: who is signed in, API tokens, and bars."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from lockstep.control.people.api_tokens import NEVER, ApiTokenDesk, TokenRefusedError, Wish
from lockstep.control.people.sessions import COMMAND_LINE, SignInError
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.rights import Permission, Role
from tests.support.casework import EMAIL, Casework, termination
from tests.web.console.conftest import COOKIE, Browser, Site, text_of

HOME = "/console/access"
SCRIPT = "<script>alert(1)</script>"
TOKEN = re.compile(r'class="mono secret" value="(lk_t[a-z2-7]{12}_[A-Za-z0-9_-]{43})"')
GINA = [Key(KeyKind.EMAIL, "gina@example.com")]
MARIA = [Key(KeyKind.EMAIL, EMAIL.upper())]


def wish(**changes: object) -> dict[str, object]:
    """A token as an administrator asks for it."""
    return {"label": "grafana", "role": "viewer", "days": "30", "whose": "every", **changes}


async def make(browser: Browser, **changes: object) -> str:
    """Make a token on the page; return it."""
    page = await browser.post(f"{HOME}/tokens", wish(**changes))
    assert page.status_code == 200, text_of(page)
    return TOKEN.search(page.text)[1]


async def ask(site: Site, token: str, path: str = "/api/score", **options) -> httpx.Response:
    client = await site.visitor()
    return await client.get(path, headers={"authorization": f"Bearer {token}"}, **options)


async def sql(site: Site, statement: str, **given: object) -> list:
    async with site.engine.begin() as connection:
        answer = await connection.exec_driver_sql(statement, given)
        return list(answer.all()) if answer.returns_rows else []


async def entries(site: Site) -> list[dict]:
    return [
        json.loads(bytes(row[0]))
        for row in await sql(site, "select body from ledger_entries order by id")
    ]


@pytest.fixture
async def admin(site) -> Browser:
    return await site.sign_in(Role.ADMIN, name="Ada Admin")


@pytest.fixture
async def giver(site) -> Browser:
    """An administrator who may do more besides, and so may give it."""
    roles = (Role.ADMIN, Role.OPERATOR, Role.AUDITOR, Role.HR)
    return await site.sign_in(*roles, name="Gina Giver", keys=GINA)


@pytest.fixture
async def work(engine, ring) -> Casework:
    made = Casework(engine, ring)
    await made.adopt()
    return made


async def test_the_page_shows_who_is_signed_in(site, admin):
    """With roles, partners and last use; the cookie of nobody."""
    await site.sign_in(Role.OPERATOR, partners=["northwind"], name=SCRIPT)
    page = await admin.get(HOME)
    seen = text_of(page)

    for word in ("Ada Admin", "you", "operator", "northwind", "every partner"):
        assert word in seen
    assert SCRIPT not in page.text
    assert admin.client.cookies[COOKIE] not in page.text


async def test_many_who_are_signed_in_come_in_pages(site, admin):
    """A hundred at a time, none twice and none left out; a page that is not there is the last."""
    people = {f"Person {number:03}" for number in range(102)}
    for name in people:
        await site.sign_in(Role.VIEWER, name=name)
    pages = [await admin.get(f"{HOME}?sessions={number}") for number in (1, 2, "9", "x", "9" * 50)]
    found = [re.findall(r"Person \d{3}(?=</bdi>)", page.text) for page in pages]

    assert "Signed in (103)" in text_of(pages[0])
    assert "page 1 of 2" in text_of(pages[0])
    assert sorted(found[0] + found[1]) == sorted(people)
    assert found[2] == found[1]
    assert found[3] == found[4] == found[0]


async def test_an_administrator_ends_every_session_of_somebody(site, admin):
    """At once, in every browser; others go on; and who did it is on record."""
    one = await site.sign_in(Role.OPERATOR, subject="s-1")
    two = await site.sign_in(Role.OPERATOR, subject="s-1")
    other = await site.sign_in(Role.OPERATOR)
    user = one.principal.user_id
    assert (await admin.post(f"{HOME}/sessions/{user}/end")).status_code == 303

    assert (await one.get("/console/")).status_code == 303
    assert (await two.get("/console/")).status_code == 303
    assert (await other.get("/console/")).status_code == 200
    assert (await admin.post(f"{HOME}/sessions/{user}/end")).status_code == 404
    assert (await entries(site))[-1]["data"] == {
        "act": "session.end_all",
        "user": admin.principal.user_id,
    }


async def test_an_administrator_of_a_partner_knows_of_that_partner_only(site, admin):
    """Sessions, tokens and bars of others are absent: not listed, not ended, not found."""
    local = await site.sign_in(Role.ADMIN, partners=["northwind"], name="Local Admin")
    theirs = await site.sign_in(Role.OPERATOR, partners=["contoso"], name="Carl Contoso")
    token = await make(admin, label="contoso-token", whose="some", partners="contoso")
    page = (await local.get(HOME)).text

    for word in ("Carl Contoso", "Ada Admin", "contoso-token"):
        assert word not in page
    user, token_id = theirs.principal.user_id, token.split("_")[1]
    assert (await local.post(f"{HOME}/sessions/{user}/end")).status_code == 404
    assert (await local.post(f"{HOME}/tokens/{token_id}/end")).status_code == 404
    assert (await theirs.get("/console/")).status_code == 200
    for given in ({"whose": "every"}, {"whose": "some", "partners": "contoso\nnorthwind"}):
        refused = await local.post(f"{HOME}/tokens", wish(**given))
        assert refused.status_code == 422
        assert "only what you have" in text_of(refused)
    await make(local, whose="some", partners="northwind")


async def test_a_token_is_shown_once_and_kept_as_its_digest(site, admin):
    """It works, its last use shows, and nothing that is stored opens anything."""
    token = await make(admin)
    assert (await ask(site, token)).status_code == 200
    page = await admin.get(HOME)
    assert token not in page.text
    assert "never" not in text_of(page).split("Tokens of the API")[1].split("Make a token")[0]

    secret = token.split("_", 2)[2]
    dumped = str(await sql(site, "select t::text from api_tokens t"))
    assert secret not in dumped
    assert secret not in str(await entries(site))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda token: token[:-1] + ("A" if token[-1] != "A" else "B"),
        lambda token: token[:-1],
        lambda token: token + "x",
        lambda token: token.upper(),
        lambda token: "lk_taaaaaaaaaaaa_" + token.split("_", 2)[2],
        lambda token: token.replace("lk_", "xx_"),
        lambda token: token.split("_", 2)[2],
        lambda token: "lk_t' or 1=1 --_x",
        lambda _: "lk_",
    ],
    ids=range(9),
)
async def test_a_token_that_is_nearly_right_is_none(site, admin, spoil):
    """401, like no token at all."""
    token = await make(admin)
    answer = await ask(site, spoil(token))
    assert (answer.status_code, answer.json()) == (401, {"error": "token_needed"})


async def test_a_token_ends_by_hand_and_by_time(site, admin):
    """Both at once; what ended does not end again."""
    first, second = await make(admin), await make(admin)
    token_id = first.split("_")[1]
    assert (await admin.post(f"{HOME}/tokens/{token_id}/end")).status_code == 303
    assert (await admin.post(f"{HOME}/tokens/{token_id}/end")).status_code == 404
    await sql(
        site,
        "update api_tokens set expires_at = now() - interval '1 second' where token_id = %(t)s",
        t=second.split("_")[1],
    )

    assert [(await ask(site, token)).status_code for token in (first, second)] == [401, 401]
    seen = text_of(await admin.get(HOME))
    assert "expired" in seen
    assert "ended" in seen


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": ""}, "label"),
        ({"label": "x" * 81}, "label"),
        ({"label": "a\u202eb"}, "label"),
        ({"label": "a\x00b"}, "label"),
        ({"role": "king"}, "choose roles"),
        ({"role": []}, "role or a permission"),
        ({"role": "operator"}, "what you have, which is not: act or see cases"),
        ({"role": "hr"}, "not: send events"),
        ({"permission": "act"}, "not: act"),
        ({"permission": "identified"}, "not: identified"),
        ({"permission": "report"}, "not: report"),
        ({"role": "approver"}, "needs a person"),
        ({"role": "admin"}, "needs a person"),
        ({"permission": "approve"}, "needs a person"),
        ({"permission": "sealed"}, "what you have, which is not: sealed"),
        ({"permission": "fly"}, "choose roles"),
        ({"days": "0"}, "days at most"),
        ({"days": "367"}, "days at most"),
        ({"days": "9" * 400}, "days at most"),
        ({"days": "-3"}, "days at most"),
        ({"days": "soon"}, "number of days"),
        ({"whose": "some"}, "at least one"),
        ({"whose": "some", "partners": "x" * 201}, "200"),
        ({"whose": "some", "partners": "a\x00b"}, "printable"),
        ({"whose": ""}, "at least one"),
    ],
)
async def test_a_token_that_should_not_be_is_not_made(site, admin, changes, says):
    """And the page says why, with what was entered."""
    page = await admin.post(f"{HOME}/tokens", wish(**changes))

    assert page.status_code == 422
    assert says in text_of(page)
    assert await sql(site, "select 1 from api_tokens") == []


def test_no_token_is_a_second_person():
    """Whoever could make such a token could agree with themselves."""
    assert {Permission.APPROVE, Permission.MANAGE_ACCESS} == NEVER


async def test_only_who_sees_dismissals_lets_a_token_see_them(site):
    """Nobody gives what they do not have."""
    plain = await site.sign_in(Role.ADMIN)
    refused = await plain.post(f"{HOME}/tokens", wish(permission="sealed"))
    assert (refused.status_code, "what you have" in text_of(refused)) == (422, True)
    trusted = await site.sign_in(Role.ADMIN, more=[Permission.SEALED])
    await make(trusted, permission="sealed")


async def test_an_administrator_alone_cannot_act_through_a_token(site, admin):
    """The page offers what they may do themselves, and nothing else is made."""
    offered = set(
        re.findall(r'name="(?:role|permission)" value="(\w+)"', (await admin.get(HOME)).text)
    )
    assert offered == {"viewer", "see_systems", "pause_systems", "score", "see_settings"}
    await make(admin, role="viewer", permission="see_systems")


async def test_the_command_line_gives_what_no_person_has(site):
    """Whoever runs the server holds the keyring anyway; a second person is still no program."""
    desk = ApiTokenDesk(site.stores)
    wanted = Wish("lms", frozenset({Role.OPERATOR}), None, frozenset({Permission.REPORT}))
    text, _ = await desk.make(wanted, by=COMMAND_LINE)
    assert (await desk.find(text)).may(Permission.REPORT)
    with pytest.raises(TokenRefusedError, match="needs a person"):
        await desk.make(replace(wanted, more=frozenset({Permission.APPROVE})), by=COMMAND_LINE)


async def test_a_token_ends_with_the_access_of_whoever_made_it(site, giver, work):
    """Its maker has seen it: a copy is worth nothing after their cutoff. Others' go on."""
    colleague = await site.sign_in(Role.ADMIN, Role.OPERATOR)
    token, other = await make(giver, role="operator"), await make(colleague, role="operator")
    case = await work.open(termination(keys=LeaverKeys(tuple(GINA))))
    await work.cases.begin(case.case_id)

    assert (await ask(site, token, "/api/cases")).status_code == 401
    assert (await ask(site, other, "/api/cases")).status_code == 200


async def test_nobody_sees_their_own_case_through_a_token_that_they_made(site, giver, work):
    """Though it names no owner: it is blind to the case of whoever holds it."""
    token = await make(giver, role="operator")
    case = await work.open(termination(keys=LeaverKeys(tuple(GINA))), due=timedelta(hours=1))

    assert (await ask(site, token, "/api/cases")).json()["cases"] == []
    assert (await ask(site, token, f"/api/cases/{case.case_id}")).status_code == 404


async def test_a_token_sees_its_partners_only(site, giver, work):
    """The score of one of them, no other's, and nothing that is about all of them."""
    token = await make(giver, role="auditor", whose="some", partners="northwind\ncontoso")
    await work.open(termination("W-1", partner="fabrikam"))

    expected = {
        "/api/score?partner=northwind": 200,
        "/api/score?partner=contoso&detail=score": 200,
        "/api/score": 422,
        "/api/score?partner=": 422,
        "/api/score?partner=fabrikam": 404,
        "/api/score?partner=nobody": 404,
        "/api/score/trend": 403,
        "/api/dimension": 403,
        "/api/penalties?month=2026-10": 403,
        "/api/metrics": 403,
        "/metrics": 403,
        "/api/evidence/exports": 200,
    }
    found = {path: (await ask(site, token, path)).status_code for path in expected}
    assert found == expected
    assert "fabrikam" not in (await ask(site, token, "/api/score?partner=northwind")).text
    assert "by" not in (await ask(site, token, "/api/score?partner=contoso&detail=score")).json()


async def test_a_token_orders_packs_of_its_partners_only(site, giver, work):
    """Not of everybody, of another, nor of a case of another; and finds no such order."""
    case = await work.open(termination("W-1", partner="fabrikam"))
    token = await make(giver, role="auditor", whose="some", partners="northwind")
    headers = {"authorization": f"Bearer {token}"}
    client = await site.visitor()

    async def order(**changes: str) -> tuple[int, str]:
        body = {"from": "2026-10-01", "to": "2026-10-31", **changes}
        answer = await client.post("/api/evidence/exports", json=body, headers=headers)
        return answer.status_code, answer.text

    assert "name one that the token is for" in (await order())[1]
    assert (await order(partner="fabrikam"))[0] == 404
    assert (await order(case=case.case_id))[0] == 404
    assert (await order(case=case.case_id[:3]))[0] == 404
    await sql(
        site,
        "insert into exports (export_id, parameters, requested_at, requested_by, state) values"
        " ('ebbbbbbbbbbbb', %(p)s, now(), 'token:x', 'pending')",
        p=json.dumps({"partner": "fabrikam", "case_id": "", "identified": False}),
    )
    assert (await ask(site, token, "/api/evidence/exports")).json() == {"exports": []}
    for path in ("", "/file"):
        answer = await ask(site, token, f"/api/evidence/exports/ebbbbbbbbbbbb{path}")
        assert answer.status_code == 404


async def test_a_leaver_loses_session_and_token_with_the_cutoff(site, giver, work):
    """In the transaction that begins the case; and comes in no more, by no way."""
    maria = await site.sign_in(Role.OPERATOR, subject="maria", keys=MARIA)
    await site.sign_in(Role.OPERATOR, subject="maria", keys=MARIA)  # on her telephone too
    token = await make(giver, role="operator", owner_email=EMAIL)
    other = await make(giver, role="operator", owner_email="somebody.else@example.com")
    case = await work.open(termination(), due=timedelta(hours=1))
    assert (await maria.get("/console/")).status_code == 200
    assert (await ask(site, token, "/api/cases")).status_code == 200

    await sql(site, "update cases set cutoff_at = now()")
    await work.cases.begin(case.case_id)
    assert (await maria.get("/console/")).status_code == 303
    assert (await ask(site, token, "/api/cases")).status_code == 401
    assert (await ask(site, other, "/api/cases")).status_code == 200
    with pytest.raises(SignInError, match="ended"):
        await site.sign_in(Role.OPERATOR, subject="maria", keys=MARIA)
    refused = await giver.post(f"{HOME}/tokens", wish(owner_email=EMAIL))
    assert "access has ended" in text_of(refused)
    barred = (await work.entries(case.case_id))[-1]
    assert (barred["kind"], barred["data"]) == ("case:barred", {"sessions": 2, "tokens": 1})
    assert "owner or maker left" in text_of(await giver.get(HOME))


async def test_whoever_signs_in_while_their_case_begins_is_out_too(site, work):
    """Though the session was not there yet when the case ended the others."""
    maria = await site.sign_in(Role.OPERATOR, keys=MARIA)
    case = await work.open(termination())
    await work.cases.begin(case.case_id)
    await sql(site, "update sessions set ended_at = null, end_reason = null")

    assert (await maria.get("/console/")).status_code == 303
    assert await site.sessions.read(maria.client.cookies[COOKIE]) is None


async def test_a_bar_is_lifted_with_a_reason(site, admin, work):
    """For somebody who was hired again; what ended stays ended."""
    maria = await site.sign_in(Role.OPERATOR, subject="maria", keys=MARIA)
    case = await work.open(termination())
    await work.cases.begin(case.case_id)
    found = await admin.post(f"{HOME}/bars/find", {"key": f" {EMAIL.upper()} "})
    assert case.case_id in found.text
    assert EMAIL not in found.text
    nobody = await admin.post(f"{HOME}/bars/find", {"key": "W-0"})
    assert "Nobody with that key" in text_of(nobody)

    lift = f"{HOME}/bars/{case.case_id}/lift"
    assert (await admin.post(lift, {"reason": "  "})).status_code == 422
    assert (await admin.post(lift, {"reason": "hired again"})).status_code == 303
    assert (await admin.post(lift, {"reason": "hired again"})).status_code == 422
    assert (await maria.get("/console/")).status_code == 303
    again = await site.sign_in(Role.OPERATOR, subject="maria", keys=MARIA)
    assert (await again.get("/console/")).status_code == 200
    assert "hired again" not in str(await sql(site, "select b::text from barred_keys b"))
    last = [entry for entry in await entries(site) if entry["data"].get("act") == "bar.lift"]
    assert last[0]["case"] == case.case_id


async def test_a_bar_outside_of_the_scope_is_not_there(site, work):
    """Of another partner's leaver, and of oneself."""
    case = await work.open(termination(partner="contoso"))
    await work.cases.begin(case.case_id)
    local = await site.sign_in(Role.ADMIN, partners=["northwind"])
    assert case.case_id not in (await local.get(HOME)).text
    assert case.case_id not in (await local.post(f"{HOME}/bars/find", {"key": EMAIL})).text
    lift = await local.post(f"{HOME}/bars/{case.case_id}/lift", {"reason": "x"})
    assert lift.status_code == 422


@pytest.mark.parametrize("case_id", ["nothing", "%00", "a'b", "%F0%9F%A6%86", "..%2f.."])
async def test_a_bar_that_is_not_there_breaks_nothing(admin, case_id):
    """Whatever stands in the address."""
    for path in (f"/bars/{case_id}/lift", f"/tokens/{case_id}/end", f"/sessions/{case_id}/end"):
        answer = await admin.post(f"{HOME}{path}", {"reason": "x"})
        assert answer.status_code in {404, 422}


async def test_a_denied_call_of_a_known_token_is_on_record(site, admin):
    """By the token's id; a stranger's call is not, however often it comes."""
    token = await make(admin)
    assert (await ask(site, token, "/api/cases")).status_code == 403
    await ask(site, "x" * 40)

    denied = [entry for entry in await entries(site) if entry["kind"] == "access:denied"]
    assert [entry["actor"] for entry in denied] == [{"type": "token", "ref": token.split("_")[1]}]
    assert denied[0]["data"]["act"] == "GET /api/cases"


async def test_tokens_and_sessions_show_nowhere(site, admin):
    """No text of an object of ours holds a secret."""
    token = await make(admin)
    desk = ApiTokenDesk(site.stores)
    row = (await desk.all(by=admin.principal))[0]
    signed = await site.sessions.read(admin.client.cookies[COOKIE])

    for shown in (repr(row), repr(await desk.find(token)), repr(signed), repr(admin.principal)):
        assert token.split("_", 2)[2] not in shown
        assert signed.csrf not in shown
        assert "Ada" not in shown


async def test_a_used_token_says_when(site, admin):
    """To the minute."""
    token = await make(admin)
    await ask(site, token)
    [(used,)] = await sql(site, "select used_at from api_tokens")
    assert datetime.now(UTC) - used < timedelta(minutes=1)
    await ask(site, token)
    assert await sql(site, "select used_at from api_tokens") == [(used,)]

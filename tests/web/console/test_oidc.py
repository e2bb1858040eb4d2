"""Signing in at a real OpenID provider, end to end, and what is refused on the way."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from connectors.openid.examine import examine
from connectors.openid.provider import OpenIdProvider
from lockstep.cli.runtime.doctor import examine as doctor
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.settings import load_settings
from lockstep.web.app import build_app
from tests.support import identity_provider
from tests.support.casework import EMAIL, Casework, termination
from tests.support.identity_provider import CLIENT_KEY, SECRET, IdentityProvider
from tests.web.console.conftest import COOKIE, ORIGIN, SETTINGS, Site, text_of

CALLBACK = f"{ORIGIN}/console/oidc/callback"
START = "/console/oidc/start"
HOST = "127.0.0.1"
PEOPLE = {
    "olivia": {
        "name": "Olivia Operator",
        "email": "olivia@example.com",
        "preferred_username": "olivia",
        "groups": ["ops-north", "hr-all", "canteen"],
    },
    "edda": {"name": "Edda", "email": "edda@example.com", "groups": ["everybody"]},
    "nokey": {"name": "Nobody Knows", "groups": ["ops-north"]},
    "hostile": {
        "name": "<script>alert(1)</script>\u202e\u0000\r\nSet-Cookie: x=y",
        "email": "hostile@example.com",
        "groups": ["ops-north"],
    },
    "maria": {"name": "Maria", "email": EMAIL.upper(), "groups": ["ops-north"]},
}


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider.running(redirects=[CALLBACK], people=PEOPLE) as made:
        yield made


BY_SECRET = """
client_id = "lockstep"
client_secret = "file:oidc.secret"
"""


@pytest.fixture
def site_settings(provider, tmp_path, request) -> str:
    """The settings with the provider, two groups, and its secrets by reference.

    A test's parameter says who we are there.
    """
    (tmp_path / "oidc.secret").write_text(SECRET)
    (tmp_path / "oidc.pem").write_bytes(CLIENT_KEY.as_pem(private=True))
    return f"""{SETTINGS}
[oidc]
issuer = "{provider.issuer}"
{getattr(request, "param", BY_SECRET)}
name = "Acme"

[groups.ops]
group = "ops-north"
roles = ["operator"]
partners = ["northwind"]
sealed = true

[groups.hr]
group = "hr-all"
roles = ["hr"]
partners = ["contoso"]
"""


class Person:
    """A browser of somebody, at us and at the provider."""

    def __init__(self, site: Site, ours: httpx.AsyncClient, provider: IdentityProvider) -> None:
        self.site = site
        self.ours = ours
        self.provider = provider
        self.theirs = httpx.AsyncClient(timeout=60)

    async def begin(self, *, next_path: str = "") -> str:
        """Where we send the browser."""
        query = f"?{urlencode({'next': next_path})}" if next_path else ""
        answer = await self.ours.get(f"{START}{query}")
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    async def back(self, who: str, *, next_path: str = "") -> str:
        """The address by which the provider sends the browser back to us."""
        return await self.provider.sign_in(self.theirs, await self.begin(next_path=next_path), who)

    async def sign_in(self, who: str, *, next_path: str = "") -> httpx.Response:
        return await self.ours.get(await self.back(who, next_path=next_path))

    @property
    def cookie(self) -> str | None:
        return self.ours.cookies.get(COOKIE)

    async def signed(self):
        return await self.site.sessions.read(self.cookie or "")


@pytest.fixture
async def person(site, provider):
    async with contextlib.AsyncExitStack() as stack:
        made = Person(site, await site.visitor(), provider)
        await stack.enter_async_context(made.theirs)
        yield made


async def test_somebody_signs_in_and_has_what_their_groups_give(person):
    """Code, PKCE, ID token and userinfo; roles, partners and rights of all groups together."""
    answer = await person.sign_in("olivia", next_path="/console/hr?before=9")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/hr?before=9")
    flags = answer.headers["set-cookie"].lower()
    assert "httponly" in flags
    assert "samesite=lax" in flags

    me = (await person.signed()).principal
    assert me.name == "Olivia Operator"
    assert me.roles == {Role.OPERATOR, Role.HR}
    assert me.partners == {"northwind", "contoso"}
    assert me.may(Permission.SEALED)
    assert not me.may(Permission.APPROVE)
    assert me.own_keys == person.site.sessions.indexes(
        [Key(KeyKind.EMAIL, "olivia@example.com"), Key(KeyKind.USERNAME, "olivia")]
    )
    page = await person.ours.get("/console/")
    assert page.status_code == 200
    assert "Olivia Operator" in page.text


async def test_the_request_to_the_provider_is_protected(person):
    """PKCE by S256, a state and a nonce, each new every time; the secret stays with us."""
    asked = [parse_qs(urlsplit(await person.begin()).query) for _ in range(2)]

    assert asked[0]["code_challenge_method"] == ["S256"]
    assert asked[0]["response_type"] == ["code"]
    assert asked[0]["redirect_uri"] == [CALLBACK]
    for name in ("state", "nonce", "code_challenge"):
        assert asked[0][name] != asked[1][name]
        assert len(asked[0][name][0]) >= 43
    assert SECRET not in str(asked)


async def test_every_sign_in_is_a_new_session_and_the_old_one_ends(person):
    """A cookie that was known before signing in opens nothing afterwards (session fixation)."""
    person.ours.cookies.set(COOKIE, "planted" * 6, domain=HOST)
    await person.sign_in("olivia")
    first = person.cookie
    assert first != "planted" * 6
    await person.sign_in("olivia")

    assert person.cookie != first
    assert await person.site.sessions.read(first) is None
    assert await person.signed() is not None


async def test_a_state_works_once(person):
    """The address by which the provider sends back opens nothing a second time."""
    back = await person.back("olivia")
    state_cookie = dict(person.ours.cookies)
    assert (await person.ours.get(back)).status_code == 303
    person.ours.cookies.clear()
    for name, value in state_cookie.items():
        person.ours.cookies.set(name, value, domain=HOST)

    again = await person.ours.get(back)
    assert again.status_code == 403
    assert "Begin again" in again.text
    assert person.cookie is None


async def test_a_sign_in_ends_in_the_browser_that_began_it(person):
    """Whoever is lured to the address of somebody else's sign-in is not signed in as them."""
    back = await person.back("olivia")
    victim = await person.site.visitor()
    refused = await victim.get(back)

    assert refused.status_code == 403
    assert victim.cookies.get(COOKIE) is None


async def test_a_code_is_used_once(person):
    """A code that somebody has caught and brings with a state of their own proves nothing."""
    back = await person.back("olivia")
    code = parse_qs(urlsplit(back).query)["code"][0]
    await person.ours.get(back)
    await person.ours.post("/console/sign-out")
    person.ours.cookies.delete(COOKIE)

    fresh = parse_qs(urlsplit(await person.begin()).query)["state"][0]
    query = urlencode({"code": code, "state": fresh, "iss": person.provider.issuer})
    answer = await person.ours.get(f"/console/oidc/callback?{query}")
    assert answer.status_code == 403
    assert "proves nothing" in answer.text
    assert person.cookie is None


@pytest.mark.parametrize(
    "query",
    [
        "",
        "state=",
        "state=x",
        "code=x",
        "state=%00&code=%00",
        "error=access_denied",
        "error=<script>alert(1)</script>&state=x",
        "state=" + "a" * 4000,
    ],
)
async def test_an_answer_that_nobody_asked_for_is_refused(person, query):
    """Without a sign-in of this browser there is nothing to complete, and nothing is quoted."""
    answer = await person.ours.get(f"/console/oidc/callback?{query}")

    assert answer.status_code == 403
    assert "alert(1)" not in answer.text
    assert person.cookie is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"error": "access_denied"}, "cancelled"),
        ({"error": "server_error"}, "has a fault"),
        ({"error": "unauthorized_client"}, "registration"),
        ({"error": "<b>x"}, "registration"),
        ({"iss": "https://evil.example.com"}, "proves nothing"),
        ({"iss": ""}, "proves nothing"),
        ({"code": ""}, "proves nothing"),
        ({"code": "made-up"}, "proves nothing"),
    ],
)
async def test_what_the_provider_refuses_is_said_in_plain_words(person, change, says):
    """And nobody is signed in."""
    back = urlsplit(await person.back("olivia"))
    given = {name: values[0] for name, values in parse_qs(back.query).items()}
    answer = await person.ours.get(f"/console/oidc/callback?{urlencode(given | change)}")

    assert answer.status_code == 403
    shown = text_of(answer)
    assert says in shown
    assert "<b>x" not in answer.text
    assert person.cookie is None
    assert re.search(r"For your administrator: s[0-9a-f]{12} is its number", shown)


REFUSED = {"error": "invalid_scope", "error_description": "AADSTS70011: <b>scope</b> gr\u00f6up"}


async def test_what_the_provider_said_is_for_administrators(person, capsys):
    """Whoever is not one gets a number; the log has both, and so has an administrator's page."""
    number = r"For your administrator: (s[0-9a-f]{12}) is its number"
    shown = []
    for role in (None, Role.OPERATOR, Role.ADMIN):
        if role is not None:
            someone = await person.site.sign_in(role)
            person.ours.cookies.set(COOKIE, someone.client.cookies[COOKIE], domain=HOST)
        state = parse_qs(urlsplit(await person.begin()).query)["state"][0]
        answer = await person.ours.get(f"{CALLBACK}?{urlencode({**REFUSED, 'state': state})}")
        assert answer.status_code == 403
        assert "<b>scope" not in answer.text
        shown.append(text_of(answer))

    logged = capsys.readouterr().out
    for text in shown:
        [line] = [line for line in logged.splitlines() if re.search(number, text)[1] in line]
        assert "invalid_scope" in line
        assert "AADSTS70011" in line
    assert ["AADSTS70011" in text for text in shown] == [False, False, True]


REGISTRATIONS = {
    "client_secret_post": 'client_secret = "file:oidc.secret"\nclient_auth = "client_secret_post"',
    "none": 'client_auth = "none"',
    "private_key_jwt": 'client_key = "file:oidc.pem"\nclient_key_id = "ours"',
}


@pytest.mark.parametrize(
    "site_settings",
    [f'client_id = "lockstep-{name}"\n{more}' for name, more in REGISTRATIONS.items()],
    ids=REGISTRATIONS,
    indirect=True,
)
async def test_we_prove_who_we_are_as_it_was_registered(person):
    """By a secret in the body, by PKCE alone, and by a key."""
    assert (await person.sign_in("olivia")).status_code == 303
    assert person.provider.clients_served()[-1] == (person.site.settings.oidc.client_id, "body")


async def test_a_secret_goes_by_header_where_both_are_offered(person):
    """As the specification has it for whoever says nothing at the registration."""
    assert (await person.sign_in("olivia")).status_code == 303
    assert person.provider.clients_served()[-1] == ("lockstep", "header")


@pytest.mark.parametrize(
    "site_settings",
    [f'{BY_SECRET}scopes = ["openid", "email", "profile"]\nname_claim = "preferred_username"'],
    indirect=True,
)
async def test_scopes_and_the_claim_of_the_name_are_as_they_are_set(person):
    """What is asked for, and under which name somebody is known here."""
    asked = parse_qs(urlsplit(await person.begin()).query)
    assert asked["scope"] == ["openid email profile"]
    await person.sign_in("olivia")
    assert (await person.signed()).principal.name == "olivia"


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (BY_SECRET, []),
        ('client_id = "lockstep"\nclient_secret = "file:wrong"', ["client_refused"]),
        ('client_id = "nobody"\nclient_secret = "file:oidc.secret"', ["client_refused"]),
        ('client_id = "lockstep-none"', []),
        (f'{BY_SECRET}scopes = ["openid", "payroll"]', ["scopes"]),
        (f'client_id = "lockstep-private_key_jwt"\n{REGISTRATIONS["private_key_jwt"]}', []),
    ],
)
async def test_doctor_asks_the_provider(provider, tmp_path, ring, more, found):
    """Discovery, keys, methods, scopes, and whether it knows us by what we would show."""
    (tmp_path / "oidc.secret").write_text(SECRET)
    (tmp_path / "wrong").write_text("another secret")
    (tmp_path / "oidc.pem").write_bytes(CLIENT_KEY.as_pem(private=True))
    ring.save(tmp_path / "keyring.json")
    groups = '[groups.a]\ngroup = "a"\npartners = ["*"]'
    text = f'{SETTINGS}\n[oidc]\nissuer = "{provider.issuer}"\n{more}\n{groups}'
    (tmp_path / "lockstep.toml").write_text(text)
    settings = load_settings(tmp_path / "lockstep.toml")
    async with contextlib.aclosing(
        OpenIdProvider(provider.issuer, client=settings.oidc_client())
    ) as asked:
        problems = await examine(asked, scopes=settings.oidc.scopes, redirect_uri=CALLBACK)
    assert [problem.code for problem in problems] == found

    [told] = [check for check in await doctor(settings) if check.part == "identity provider"]
    level = "ok" if not found else "warning" if found == ["scopes"] else "problem"
    assert told.level == level
    assert "another secret" not in str(told)


async def test_somebody_without_a_role_is_told_so(person):
    """A group that gives nothing here is no way in."""
    answer = await person.sign_in("edda")

    assert answer.status_code == 403
    assert "no role" in answer.text


async def test_somebody_whom_hr_could_not_know_is_not_let_in(person):
    """Without a key nobody could keep them from their own case, nor out when they leave."""
    answer = await person.sign_in("nokey")

    assert answer.status_code == 403
    assert "Ask your administrator to release" in answer.text


async def test_a_hostile_name_stays_a_text(person):
    """Neither a script, nor a header, nor a change of direction."""
    await person.sign_in("hostile")
    page = await person.ours.get("/console/")

    assert page.status_code == 200
    assert "<script>alert(1)" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "\u202e" not in page.text
    assert (await person.signed()).principal.name.isprintable()


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example.com/console/",
        "//evil.example.com/console/",
        "/console/../../evil",
        "/\\evil.example.com",
        "/console/\r\nSet-Cookie: x=y",
        "javascript:alert(1)",
        "/console/%0d%0aX: y",
        "/consolex",
    ],
)
async def test_after_signing_in_one_stays_here(person, target):
    """Whatever the link said that led to the sign-in (open redirect, header injection)."""
    answer = await person.sign_in("olivia", next_path=target)

    where = httpx.URL(answer.headers["location"])
    assert not where.host or str(where).startswith(ORIGIN)
    assert where.path.startswith("/console/")
    assert "x" not in person.ours.cookies
    assert "evil" not in where.host


async def test_a_leaver_past_the_cutoff_does_not_come_in(person):
    """The provider may still know them; the refusal of somebody known is on record."""
    work = Casework(person.site.engine, person.site.ring)
    await work.adopt()
    assert (await person.sign_in("maria")).status_code == 303
    case = await work.open(termination())
    await work.cases.begin(case.case_id)

    assert await person.signed() is None
    refused = await person.sign_in("maria")
    assert refused.status_code == 403
    assert "has ended" in refused.text
    assert "access:denied" in [entry["kind"] for entry in await entries(person.site)]


async def entries(site: Site) -> list[dict[str, object]]:
    """Every entry of the ledger, the oldest first."""
    async with site.engine.connect() as connection:
        rows = await connection.exec_driver_sql("select body from ledger_entries order by id")
        return [json.loads(bytes(row.body)) for row in rows]


async def test_signing_out_leads_to_the_provider_too(person):
    """Ours ends at once; the other is one click away, and ends what the provider knows."""
    await person.sign_in("olivia")
    signed = await person.signed()
    answer = await person.ours.post("/console/sign-out", data={"csrf": signed.csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/signed-out")
    assert await person.signed() is None

    page = await person.ours.get("/console/signed-out")
    link = page.text.split('primary" href="')[1].split('"')[0].replace("&amp;", "&")
    assert link.startswith(person.provider.issuer)
    await person.provider.sign_out(person.theirs, link)
    begun = await person.theirs.get(await person.begin())
    while begun.is_redirect:
        begun = await person.theirs.get(str(begun.next_request.url))
    assert 'value="login"' in begun.text


async def test_the_provider_ends_a_session_here(person):
    """Back-channel logout: that session and no other, once per token."""
    await person.sign_in("olivia")
    other = Person(person.site, await person.site.visitor(), person.provider)
    async with other.theirs:
        await other.sign_in("olivia")
        before = len(person.provider.logout_tokens())
        page = await person.ours.get("/console/signed-out")
        link = page.text.split('primary" href="')[1].split('"')[0].replace("&amp;", "&")
        await person.provider.sign_out(person.theirs, link)
        token = await one_more(person.provider, before)

        told = await other.ours.post(
            "/console/oidc/back-channel-logout", data={"logout_token": token}
        )
        assert (told.status_code, told.headers["cache-control"]) == (200, "no-store")
        assert await person.signed() is None
        assert await other.signed() is not None
        again = await other.ours.post(
            "/console/oidc/back-channel-logout", data={"logout_token": token}
        )
        assert (again.status_code, again.json()) == (400, {"error": "invalid_request"})


async def one_more(provider: IdentityProvider, before: int) -> str:
    """The logout token that comes after so many."""
    deadline = time.monotonic() + 60
    while len(provider.logout_tokens()) == before:
        assert time.monotonic() < deadline, "the provider sends no logout token"
        await asyncio.sleep(0.02)
    [token] = provider.logout_tokens()[before:]
    return token


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"logout_token=",
        b"logout_token=a.b.c",
        b"logout_token=%00",
        b"x" * 70_000,
        b"\xff=\xff",
    ],
)
async def test_nonsense_ends_no_session(person, body):
    """Whatever comes to the door of the provider, it is refused with a word."""
    await person.sign_in("olivia")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await person.ours.post(
        "/console/oidc/back-channel-logout", content=body, headers=headers
    )

    assert answer.status_code == 400
    assert await person.signed() is not None


async def test_with_a_provider_there_are_no_links(site, provider):
    """The one-time link of an evaluation is gone: its routes do not exist."""
    visitor = await site.visitor()
    secret = await site.sessions.make_link()
    for answer in (
        await visitor.get(f"/console/sign-in/link?key={secret}"),
        await visitor.post("/console/sign-in/link", data={"key": secret}),
    ):
        assert answer.status_code == 404
    assert not site.settings.one_time_links
    assert "Sign in with Acme" in (await visitor.get("/console/sign-in")).text


async def test_a_provider_that_is_down_is_said_to_be(site, database, ring):
    """A page that helps, at once; back-channel logout asks for another try."""
    site.settings.oidc.issuer = "http://127.0.0.1:9"
    app = build_app(site.settings, database.app_url, ring)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False), base_url=ORIGIN
    ) as client:
        answer = await client.get(START)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
        assert "cannot be used just now" in answer.text
        assert (await client.get("/console/signed-out")).status_code == 200
        logout = await client.post(
            "/console/oidc/back-channel-logout", data={"logout_token": "a.b.c"}
        )
        assert logout.status_code == 400

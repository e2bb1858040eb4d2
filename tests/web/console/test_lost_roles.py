"""Tokens of somebody whose rights shrink at the identity provider."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection

import psycopg
import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from lockstep.control.people.api_tokens import ApiTokenDesk, Wish
from lockstep.control.people.oidc import Group, Reading, identity_of
from lockstep.control.people.sessions import COMMAND_LINE, LOCAL_ADMINISTRATOR, SignInError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Principal, Role
from lockstep.storage.tables.sign_in import sessions
from tests.web.console.conftest import SETTINGS, Browser, Site, text_of
from tests.web.console.test_access import HOME, ask, entries, sql

OLIVIA = "olivia@example.com"
EVERYTHING = frozenset({"ops", "hr", "boss"})
READING = Reading(
    groups=(
        Group("ops", frozenset({Role.OPERATOR}), frozenset({"northwind", "contoso"})),
        Group("ops-north", frozenset({Role.OPERATOR}), frozenset({"northwind"})),
        Group("hr", frozenset({Role.HR}), frozenset({"northwind", "contoso"})),
        Group(
            "boss",
            frozenset({Role.ADMIN}),
            frozenset({"northwind"}),
            frozenset({Permission.SEALED}),
        ),
    ),
    keys={KeyKind.EMAIL: "email"},
)
LASTING = "lasting-token-0123456789abcdefghijklmnop"


@pytest.fixture
def site_settings(tmp_path) -> str:
    """With a token of the settings."""
    (tmp_path / "see.token").write_text(LASTING)
    return f'{SETTINGS}\n[tokens.see]\nsecret = "file:see.token"\nrights = ["see_cases"]\n'


async def sign_in(site: Site, groups: Collection[str] | None, *, email: str = OLIVIA) -> Principal:
    """Sign in with what a provider says of somebody; ``groups`` None: it leaves that claim out."""
    claims: dict[str, object] = {"sub": email, "email": email, "name": "Olivia"}
    if groups is not None:
        claims["groups"] = sorted(groups)
    cookie = await site.sessions.begin(identity_of(claims, READING, issuer="https://id.example"))
    signed = await site.sessions.read(cookie)
    assert signed is not None
    return signed.principal


async def token(
    site: Site,
    by: Principal,
    *permissions: Permission,
    partners: Collection[str] | None = ("northwind",),
    owner: str = "",
) -> str:
    """A token that ``by`` makes."""
    wish = Wish(
        "test",
        frozenset(),
        None if partners is None else frozenset(partners),
        frozenset(permissions),
        keys=(Key(KeyKind.EMAIL, owner),) if owner else (),
    )
    text, _ = await ApiTokenDesk(site.stores).make(wish, by=by)
    return text


async def stands(site: Site, text: str) -> bool:
    return await ApiTokenDesk(site.stores).find(text) is not None


def id_of(text: str) -> str:
    return text.split("_")[1]


async def endings(site: Site) -> list[dict]:
    """What the ledger says of tokens that ended."""
    return [
        row for row in await entries(site) if row["data"].get("act", "").startswith("token.end")
    ]


@pytest.mark.parametrize(
    ("left", "permission", "partners"),
    [
        ({"hr", "boss"}, Permission.ACT, ("northwind",)),
        ({"ops", "hr"}, Permission.SEALED, ("northwind",)),
        ({"ops-north", "boss"}, Permission.SEE_CASES, ("contoso",)),
        ({"ops-north", "boss"}, Permission.SEE_CASES, ("contoso", "northwind")),
    ],
    ids=["role", "sealed", "partner", "one partner of two"],
)
async def test_a_token_ends_when_its_maker_lost_what_it_gives(site, left, permission, partners):
    """At their next sign-in, and only that token: what they still have, it may still give."""
    olivia = await sign_in(site, EVERYTHING)
    lost = await token(site, olivia, permission, partners=partners)
    kept = await token(site, olivia, Permission.SCORE)
    await sign_in(site, EVERYTHING)
    assert await stands(site, lost), "nothing has shrunk yet"
    await sign_in(site, left)

    assert not await stands(site, lost)
    assert await stands(site, kept)
    assert (await ask(site, lost, "/api/cases")).status_code == 401
    [entry] = await endings(site)
    assert entry["actor"] == {"type": "lockstep"}
    assert (entry["kind"], entry["data"]) == (
        "access:acted",
        {"act": f"token.end:{id_of(lost)}", "user": olivia.user_id, "why": "maker_lost_rights"},
    )


async def test_every_partner_is_more_than_some(site):
    """A token for all of them ends when its maker is left with a few."""
    ada = await site.sign_in(Role.ADMIN, subject="ada")
    text = await token(site, ada.principal, Permission.SCORE, partners=None)
    await site.sign_in(Role.ADMIN, subject="ada", partners=["northwind", "contoso"])
    assert not await stands(site, text)


async def test_what_ended_does_not_come_back_with_the_role(site):
    """Whoever has it again makes a new one."""
    olivia = await sign_in(site, EVERYTHING)
    text = await token(site, olivia, Permission.ACT)
    await sign_in(site, {"boss"})
    again = await sign_in(site, EVERYTHING)
    assert not await stands(site, text)
    assert await stands(site, await token(site, again, Permission.ACT))


async def test_the_page_says_that_it_ended_and_why(site):
    """To whoever may know of the token."""
    olivia = await sign_in(site, EVERYTHING)
    await token(site, olivia, Permission.ACT)
    await sign_in(site, {"boss"})
    ada: Browser = await site.sign_in(Role.ADMIN)
    shown = text_of(await ada.get(HOME))
    assert "ended its maker lost a right or a partner that it gives" in shown


@pytest.mark.parametrize("groups", [None, (), ("canteen",)])
async def test_a_provider_that_sends_no_groups_ends_nothing(site, groups):
    """The sign-in is refused, as a fault of the provider looks the same as the loss of all."""
    olivia = await sign_in(site, EVERYTHING)
    text = await token(site, olivia, Permission.ACT)
    with pytest.raises(SignInError, match="no role"):
        await sign_in(site, groups)

    assert await stands(site, text)
    assert await endings(site) == []


async def test_others_keep_their_tokens(site):
    """Those of colleagues who have the role still, and those that ended or expired before."""
    olivia = await sign_in(site, EVERYTHING)
    paul = await sign_in(site, EVERYTHING, email="paul@example.com")
    his = await token(site, paul, Permission.ACT)
    for_her = await token(site, paul, Permission.ACT, owner=OLIVIA)
    gone, old = [await token(site, olivia, Permission.ACT) for _ in range(2)]
    desk = ApiTokenDesk(site.stores)
    await desk.end(id_of(gone), by=olivia)
    expired = "update api_tokens set expires_at = now() - interval '1 s' where token_id = %(t)s"
    await sql(site, expired, t=id_of(old))
    await sign_in(site, {"boss"})

    assert await stands(site, his)
    assert await stands(site, for_her), "it follows its maker"
    assert [row["data"]["act"] for row in await endings(site)] == [f"token.end:{id_of(gone)}"]


async def test_tokens_of_the_server_follow_the_owner_that_they_have(site):
    """Those without one, and those of the settings, are nobody's; more than was had is not lost."""
    await sign_in(site, EVERYTHING)
    hers = await token(site, COMMAND_LINE, Permission.ACT, owner=OLIVIA.upper())
    beyond = await token(site, COMMAND_LINE, Permission.REPORT, partners=None, owner=OLIVIA)
    nobodys = await token(site, COMMAND_LINE, Permission.ACT)
    other = await token(site, COMMAND_LINE, Permission.ACT, owner="paul@example.com")
    await sign_in(site, {"ops", "hr"})
    assert await stands(site, hers)
    olivia = await sign_in(site, {"hr"})

    assert not await stands(site, hers)
    for text in (beyond, nobodys, other):
        assert await stands(site, text)
    assert (await ask(site, LASTING, "/api/cases")).status_code == 200
    [entry] = await endings(site)
    assert (entry["data"]["user"], entry["data"]["why"]) == (olivia.user_id, "owner_lost_rights")


async def test_the_first_sign_in_of_an_owner_ends_nothing(site):
    """Nothing was lost by somebody of whom nothing was known."""
    text = await token(site, COMMAND_LINE, Permission.ACT, owner=OLIVIA)
    await sign_in(site, {"hr"})
    assert await stands(site, text)


@pytest.mark.parametrize("readable", [True, False])
async def test_what_an_old_session_says_keeps_nobody_out(site, readable):
    """It may name a role that is none any more, and its key may be gone."""
    olivia = await sign_in(site, EVERYTHING)
    text = await token(site, olivia, Permission.ACT)
    document = {"roles": ["king", "operator"], "more": ["fly"], "partners": None}
    async with site.engine.begin() as connection:
        key = await connection.scalar(select(sessions.c.session_hash))
        sealed = site.ring.encrypt(json.dumps(document).encode(), context=key)
        private = sealed if readable else b"sealed under a key of long ago"
        await connection.execute(update(sessions).values(private=private))
    owned = await token(site, COMMAND_LINE, Permission.ACT, owner=OLIVIA)
    await sign_in(site, {"boss"})
    assert not await stands(site, text)
    assert await stands(site, owned) is not readable, "what was had before cannot be told"


async def test_a_local_administrator_keeps_what_they_made(site):
    """Each link gives the same rights, so that nothing shrinks."""
    for _ in range(2):
        cookie = await site.sessions.use_link(await site.sessions.make_link())
    signed = await site.sessions.read(cookie)
    most = (Permission.ACT, Permission.SEALED, Permission.EXPORT)
    text = await token(site, signed.principal, *most, partners=None)
    await site.sessions.begin(LOCAL_ADMINISTRATOR)
    await sign_in(site, {"hr"})
    assert await stands(site, text)
    assert await endings(site) == []


async def test_of_sign_ins_at_once_each_token_ends_once(site):
    """One entry for each token, whatever order they come in, and everybody comes in."""
    olivia = await sign_in(site, EVERYTHING)
    texts = [await token(site, olivia, Permission.ACT) for _ in range(3)]
    mixed = [{"boss"}, EVERYTHING, {"hr"}, {"boss"}, EVERYTHING]
    people = await asyncio.gather(*(sign_in(site, groups) for groups in mixed))

    assert {one.user_id for one in people} == {olivia.user_id}
    assert not any([await stands(site, text) for text in texts])
    acts = sorted(row["data"]["act"] for row in await endings(site))
    assert acts == sorted(f"token.end:{id_of(text)}" for text in texts)


async def test_what_an_older_session_still_makes_ends_at_the_next_sign_in(site):
    """A session has what its sign-in gave it; the token is measured by the newest."""
    older = await sign_in(site, EVERYTHING)
    await sign_in(site, {"boss"})
    text = await token(site, older, Permission.ACT)
    await sign_in(site, {"boss"})
    assert not await stands(site, text)


async def test_token_entry_and_session_stand_or_fall_together(site, database):
    """A sign-in that fails in the database has ended nothing."""
    olivia = await sign_in(site, EVERYTHING)
    text = await token(site, olivia, Permission.ACT)
    url = make_url(database.superuser_url).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as server:
        server.execute("alter table sessions add constraint none check (false) not valid")
    with pytest.raises(IntegrityError):
        await sign_in(site, {"boss"})

    assert await stands(site, text)
    assert await endings(site) == []


async def test_a_token_that_is_used_while_its_maker_signs_in_ends(site):
    """What notes the last use does not hide it."""
    olivia = await sign_in(site, EVERYTHING)
    text = await token(site, olivia, Permission.ACT)
    await asyncio.gather(sign_in(site, {"boss"}), *(stands(site, text) for _ in range(5)))
    assert not await stands(site, text)

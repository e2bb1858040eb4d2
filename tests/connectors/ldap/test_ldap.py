"""OpenLDAP's own traps, against a real server and a real replica of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.ldap.connector import LdapConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation, ProblemSeverity
from lockstep.domain.systems.active import gathered
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.ldap.harness import GROUPS, OURS, PEOPLE, POLICY, LdapHarness, harness
from tests.connectors.ldap.slapd import SUFFIX, Slapd
from tests.connectors.revoking import revoke
from tests.support.homes import server_home

_PATIENCE_S = 20.0


@pytest.fixture(scope="module")
async def peer() -> AsyncIterator[LdapHarness]:
    async with harness() as made:
        yield made


@pytest.fixture(scope="module")
def replica(peer: LdapHarness) -> Iterator[Slapd]:
    with server_home() as folder:
        made = Slapd(Path(folder) / "copy", follows=peer.server.port)
        made.prepare()
        with made.running():
            yield made


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


async def found(connector: LdapConnector, uid: str, transcript: Transcript) -> Account:
    keys = LeaverKeys((Key(KeyKind.USERNAME, uid),))
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account


async def closed(connector: LdapConnector, uid: str, transcript: Transcript) -> Observation:
    """Revoke somebody, and look again."""
    account = await found(connector, uid, transcript)
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    return await connector.read_back(account, transcript)


async def in_time(done: Callable[[], Awaitable[bool]]) -> None:
    """Replication takes what it takes, and no longer than this."""
    ends = time.monotonic() + _PATIENCE_S
    for _ in count():
        if await done():
            return
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)


async def test_names_that_look_like_filters_are_names(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """Neither a value that is a filter nor a name full of separators finds or changes another."""
    colleague = peer.create("ana", cn="ana")
    peer.create("a*)(uid=ana", cn=r"Cruz\, Ana \+ \"x\" \<y\>")
    connector = peer.connect()
    for strange in ("*", "an*", "ana)(|(uid=*", "\\2a", "a\x00b"):
        keys = LeaverKeys((Key(KeyKind.USERNAME, strange),))
        assert not (await connector.locate(keys, transcript)).matches, strange

    assert (await closed(connector, "a*)(uid=ana", transcript)).is_closed
    assert peer.server.signs_in(colleague, "ana")


async def test_a_person_who_was_renamed_is_closed_by_id(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """The id stays while name and place change; somebody new under the old name is not touched."""
    old = peer.create("moved")
    connector = peer.connect()
    account = await found(connector, "moved", transcript)
    before = await connector.read_back(account, transcript)
    peer.server.admin(
        f"dn: {old}\nchangetype: modrdn\nnewrdn: cn=renamed\ndeleteoldrdn: 1\n\n"
        f"dn: cn=renamed,{PEOPLE}\nchangetype: modify\nreplace: uid\nuid: renamed\n"
    )
    peer.create("moved", joins=False)
    await revoke(connector, account, before, transcript)

    assert not peer.server.signs_in(f"cn=renamed,{PEOPLE}", "moved")
    assert peer.server.signs_in(old, "moved")


async def test_the_last_member_of_a_group_asks_a_person(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """A group that must have a member keeps it; all else of the leaver is closed."""
    dn = peer.create("last")
    peer.server.admin(f"dn: cn=alone,{GROUPS}\nobjectClass: groupOfNames\nmember: {dn}\n", add=True)
    connector = peer.connect()
    account = await found(connector, "last", transcript)
    before = await connector.read_back(account, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert [way.kind for way in after.standing] == [AccessKind.GROUP]


async def test_a_group_that_no_search_shows_is_unread(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """The person's own entry tells of a group elsewhere: that is neither empty nor known."""
    dn = peer.create("hidden")
    peer.server.admin(
        f"dn: cn=elsewhere,ou=services,{SUFFIX}\nobjectClass: groupOfNames\nmember: {dn}\n",
        add=True,
    )
    connector = peer.connect()
    seen = await connector.read_back(await found(connector, "hidden", transcript), transcript)

    assert [(row.kind, row.code) for row in seen.unread] == [(AccessKind.GROUP, "groups_not_seen")]


async def test_each_replica_is_read_by_itself(
    peer: LdapHarness, replica: Slapd, transcript: Transcript
) -> None:
    """The replica that follows is closed too; one that is silent is not proved."""
    dn = peer.create("far")
    connector = peer.connect(replicas=[replica.socket])
    await in_time(lambda: asyncio.to_thread(replica.signs_in, dn, "far"))
    account = await found(connector, "far", transcript)
    before = await connector.read_back(account, transcript)
    assert [way.kind for way in before.standing].count(AccessKind.SIGN_IN) == 2
    await revoke(connector, account, before, transcript)

    async def arrived() -> bool:
        return (await connector.read_back(account, transcript)).is_closed

    await in_time(arrived)
    assert not replica.signs_in(dn, "far")
    places = [place.ref for place in await connector.places(transcript)]
    assert places == ["provider", replica.socket]

    silent = peer.connect(replicas=["/nowhere/ldapi"])
    after = await silent.read_back(account, transcript)
    assert not after.is_closed
    assert {row.kind for row in after.unread} >= {AccessKind.SIGN_IN, AccessKind.GROUP}


async def test_a_lock_that_the_policy_makes_worthless_is_said(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """Without pwdLockout TRUE the lock alone shuts nothing; the end of the password does."""
    policy = f"dn: {POLICY}\nchangetype: modify\nreplace: pwdLockout\npwdLockout: "
    dn = peer.create("unlocked")
    connector = peer.connect()
    peer.server.admin(f"{policy}FALSE\n")
    try:
        problems = (await connector.health(transcript)).problems
        assert (await closed(connector, "unlocked", transcript)).is_closed
        assert not peer.server.signs_in(dn, "unlocked")
    finally:
        peer.server.admin(f"{policy}TRUE\n")

    said = [(one.code, one.severity) for one in problems]
    assert said == [("lock_without_effect", ProblemSeverity.LIMITS)]
    assert not (await connector.health(transcript)).problems


async def test_our_own_entry_is_nobodys_to_shut(peer: LdapHarness, transcript: Transcript) -> None:
    """Whoever shuts it shuts Lockstep out."""
    [entry] = peer.server.values("(cn=revoker)", "entryUUID")
    connector = peer.connect(base=SUFFIX)
    before = await connector.look(Account(entry), transcript)
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(Account(entry), before, transcript)

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert peer.server.signs_in(OURS, peer.secret)


async def test_without_a_policy_the_password_is_taken_away(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """No password has that hash; where it may not be read, nothing is said to be shut."""
    dn = peer.create("scrambled")
    root = {"bind_dn": f"cn=admin,{SUFFIX}", "secret": "the-peers-own-truth"}
    connector = peer.connect(flavour="scramble", **root)
    after = await closed(connector, "scrambled", transcript)
    blind = await peer.connect(flavour="scramble").look(Account(after.account_id), transcript)

    assert after.is_closed
    assert not peer.server.signs_in(dn, "scrambled")
    assert blind.signs_in


async def test_a_connection_that_was_bound_before_is_told_as_residual(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """It goes on answering: for how long is what the settings say, or not known."""
    peer.create("bound")
    seen = await closed(peer.connect(), "bound", transcript)
    assert [(one.what, one.bound_s) for one in seen.residuals] == [
        ("bound_connection", None),
        ("sign_in_without_password", None),
    ]
    stated = peer.connect(connection_bound_s=600, other_sign_in_bound_s=0)
    again = await stated.read_back(Account(seen.account_id), transcript)
    assert [(one.what, one.bound_s) for one in again.residuals] == [("bound_connection", 600)]


async def test_whoever_is_shut_is_not_among_the_active(
    peer: LdapHarness, transcript: Transcript
) -> None:
    """The list shows everybody else, and is whole."""
    peer.create("stays")
    peer.create("goes")
    connector = peer.connect()
    await closed(connector, "goes", transcript)
    listed = await gathered(connector.list_active(transcript))
    names = {key.value for one in listed.accounts for key in one.account.known_keys}

    assert "stays" in names
    assert "goes" not in names
    assert listed.is_complete


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server": "ldap.example.com", "tls": "off"}, "tls: off only for"),
        ({"server": "ldap.example.com", "ca_file": "/nowhere/ca.pem"}, "ca_file: there is no such"),
        ({"server": "ldaps://ldap.example.com"}, "server: host or host:port"),
        ({"server": "ldap.example.com", "replicas": ["ldap://x"]}, "replicas: host or host:port"),
        ({"server": "ldap.example.com", "flavour": "other"}, "flavour: one of"),
        ({}, "server: missing"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    """Each is named, and no value is quoted."""
    given = {"bind_dn": "cn=ours", "base": "dc=example", **settings}
    with pytest.raises(ValueError, match=said):
        LdapConnector(ConnectorOptions("ldap", given, {"password": "p"}))

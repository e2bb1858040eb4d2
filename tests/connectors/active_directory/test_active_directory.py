"""Active Directory's own traps, against two real controllers of one domain."""

from __future__ import annotations

import base64
import struct
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from connectors.active_directory import accounts
from connectors.active_directory.connector import ActiveDirectoryConnector
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.ldap.messages import Entry
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation
from lockstep.domain.systems.active import gathered
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.active_directory.harness import (
    PASSWORD,
    PEOPLE,
    ActiveDirectoryHarness,
    harness,
)
from tests.connectors.active_directory.samba import SUFFIX, Controller
from tests.connectors.revoking import revoke


@pytest.fixture(scope="module")
async def peer() -> AsyncIterator[ActiveDirectoryHarness]:
    async with harness() as made:
        yield made


@pytest.fixture(scope="module")
def second(peer: ActiveDirectoryHarness) -> Controller:
    """It has a copy of whoever was there when it joined."""
    for name in ("everywhere", "unreached", "twofold"):
        peer.create(name)
    return peer.domain.second()


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


async def found(connector: ActiveDirectoryConnector, name: str, transcript: Transcript) -> Account:
    keys = LeaverKeys((Key(KeyKind.USERNAME, name),))
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account


async def closed(
    connector: ActiveDirectoryConnector, name: str, transcript: Transcript
) -> Observation:
    """Revoke somebody, and look again."""
    account = await found(connector, name, transcript)
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    return await connector.read_back(account, transcript)


async def test_every_controller_is_found_and_read_by_itself(
    peer: ActiveDirectoryHarness, second: Controller, transcript: Transcript
) -> None:
    """The configuration names both; nothing is closed before the last one says so too."""
    connector, user = peer.connect(), "everywhere@corp.test"
    places = [place.ref for place in await connector.places(transcript)]
    account = await found(connector, "everywhere", transcript)
    before = await connector.read_back(account, transcript)
    began = datetime.now(UTC) - timedelta(seconds=1)
    await revoke(connector, account, before, transcript)
    behind = await connector.read_back(account, transcript)
    assert places == ["dc1.corp.test", "dc2.corp.test"]
    assert [way.kind for way in before.standing].count(AccessKind.SIGN_IN) == 2
    assert second.signs_in(user, PASSWORD)
    assert {way.ref.partition("@")[2] for way in behind.standing} == {second.host}
    assert behind.signs_in
    assert behind.off_since is None

    there = peer.connect(server=second.host, controllers=[second.host])
    await revoke(there, account, await there.read_back(account, transcript), transcript)
    after = await connector.read_back(account, transcript)
    assert after.is_closed
    assert not second.signs_in(user, PASSWORD)
    assert after.off_since is not None
    assert began <= after.off_since <= datetime.now(UTC)


async def test_a_controller_that_cannot_be_reached_is_not_proved(
    peer: ActiveDirectoryHarness, second: Controller, transcript: Transcript
) -> None:
    """What stands there is unread; for how long at most is what the settings say."""
    connector = peer.connect(
        addresses=[peer.domain.first.address, f"{second.host}=/nowhere/ldapi"], site_link_s=900
    )
    after = await closed(connector, "unreached", transcript)
    health = await connector.health(transcript)

    assert not after.standing
    assert {row.kind for row in after.unread} >= {AccessKind.SIGN_IN, AccessKind.GROUP}
    assert ("unreached_controller", 900) in [(one.what, one.bound_s) for one in after.residuals]
    assert [problem.code for problem in health.problems] == ["controller_not_read"]


async def test_another_controller_under_that_name_is_not_it(
    peer: ActiveDirectoryHarness, second: Controller, transcript: Transcript
) -> None:
    """Its certificate says who it is: one controller cannot answer for two."""
    connector = peer.connect(
        addresses=[peer.domain.first.address, f"{second.host}={peer.domain.first.at}:636"]
    )
    seen = await connector.read_back(await found(connector, "twofold", transcript), transcript)

    assert {row.category for row in seen.unread} == {FaultCategory.UNREACHABLE}


async def test_neither_bind_nor_ticket_is_given_any_more(
    peer: ActiveDirectoryHarness, transcript: Transcript
) -> None:
    """Both oracles said yes before; a colleague with a similar name signs in as ever."""
    peer.create("ada")
    peer.create("ada.l", cn=r"L\, Ada \+ \"x\"")
    first, domain = peer.domain.first, peer.domain
    assert first.signs_in("ada.l@corp.test", PASSWORD)
    assert domain.gets_a_ticket("ada.l", PASSWORD)
    connector = peer.connect(controllers=["dc1.corp.test"])
    account = await found(connector, "ada.l", transcript)
    door = await connector.look(account, transcript)
    await connector.contain(account, door, transcript)
    assert "data 533" in first.refusal("ada.l@corp.test", PASSWORD)
    after = await closed(connector, "ada.l", transcript)

    assert after.is_closed
    assert not first.signs_in("ada.l@corp.test", PASSWORD)
    assert not domain.gets_a_ticket("ada.l", PASSWORD)
    assert first.signs_in("ada@corp.test", PASSWORD)
    assert {(one.what, one.bound_s) for one in after.residuals} == {
        ("new_service_tickets", 1_200),
        ("service_ticket", 36_000),
        ("bound_connection", None),
        ("cached_logon", None),
    }


async def test_who_was_disabled_by_hand_gets_a_new_password_too(
    peer: ActiveDirectoryHarness, transcript: Transcript
) -> None:
    """Whoever enables the account again must not bring the old one back."""
    dn = peer.create("byhand")
    peer.domain.first.admin(
        f"dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 514\n"
    )
    connector = peer.connect(controllers=["dc1.corp.test"])
    account = await found(connector, "byhand", transcript)
    before = await connector.read_back(account, transcript)
    after = await closed(connector, "byhand", transcript)
    peer.domain.first.admin(
        f"dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 512\n"
        "-\nreplace: logonHours\n"
    )

    assert not before.signs_in
    assert AccessKind.SECRET in {way.kind for way in before.standing}
    assert after.is_closed
    assert "data 52e" in peer.domain.first.refusal("byhand@corp.test", PASSWORD)


async def test_a_primary_group_stays_and_is_said(
    peer: ActiveDirectoryHarness, transcript: Transcript
) -> None:
    """It is no value of member that could be taken away."""
    dn = peer.create("primary")
    first = peer.domain.first
    [sid] = first.values("(sAMAccountName=clerks)", "objectSid")
    rid = struct.unpack("<L", bytes.fromhex(sid)[-4:])[0]
    first.admin(f"dn: {dn}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {rid}\n")
    connector = peer.connect(controllers=["dc1.corp.test"])
    after = await closed(connector, "primary", transcript)

    assert ("primary_group", None) in [(one.what, one.bound_s) for one in after.residuals]


@pytest.mark.parametrize(
    ("name", "code"),
    [("Administrator", "critical_system_object"), ("lockstep", "our_own_account")],
)
async def test_accounts_that_nobody_may_disable(
    peer: ActiveDirectoryHarness, transcript: Transcript, name: str, code: str
) -> None:
    """Whoever disables them shuts everybody out, or us."""
    connector = peer.connect(controllers=["dc1.corp.test"])
    account = await found(connector, name, transcript)
    door = await connector.look(account, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(account, door, transcript)

    assert (caught.value.category, caught.value.code) == (FaultCategory.PROTECTED_ACCOUNT, code)


async def test_whoever_is_disabled_is_not_among_the_active(
    peer: ActiveDirectoryHarness, transcript: Transcript
) -> None:
    """The list shows everybody else, without computers, and is whole."""
    peer.create("stays")
    peer.create("goes")
    connector = peer.connect(controllers=["dc1.corp.test"])
    await closed(connector, "goes", transcript)
    listed = await gathered(connector.list_active(transcript))
    names = {key.value for one in listed.accounts for key in one.account.known_keys}

    assert "stays" in names
    assert not names & {"goes", "DC1$"}
    assert listed.is_complete


async def test_who_may_act_for_others_is_told(
    peer: ActiveDirectoryHarness, transcript: Transcript
) -> None:
    """A computer that trusts the account to act for anybody names it by its SID."""
    dn = peer.create("delegate")
    first = peer.domain.first
    [sid] = first.values("(sAMAccountName=delegate)", "objectSid")
    ace = struct.pack("<BBHL", 0, 0, 8 + len(sid) // 2, 0xF01FF) + bytes.fromhex(sid)
    acl = struct.pack("<BBHHH", 2, 0, 8 + len(ace), 1, 0) + ace
    system = bytes.fromhex("010100000000000512000000")
    descriptor = struct.pack("<BBHLLLL", 1, 0, 0x8004, 20, 0, 0, 20 + len(system)) + system + acl
    first.admin(
        f"dn: CN=files,{PEOPLE}\nchangetype: add\nobjectClass: computer\nsAMAccountName: files$\n"
        f"msDS-AllowedToActOnBehalfOfOtherIdentity:: {base64.b64encode(descriptor).decode()}\n\n"
        f"dn: CN=clerks,{PEOPLE}\nchangetype: modify\nreplace: managedBy\nmanagedBy: {dn}\n"
    )
    connector = peer.connect()
    owned = await connector.list_owned(await found(connector, "delegate", transcript), transcript)

    assert owned.is_whole
    assert {thing.name for thing in owned.things} == {"files", "clerks"}


def test_metadata_that_is_cut_off_is_none() -> None:
    """Half a record says nothing of when; it is not taken for a date."""
    row = struct.pack("<LLQ16sQQ", 0x00090008, 1, 13_400_000_000, bytes(16), 1, 1)
    whole = struct.pack("<QLL", 1, 1, 0) + row
    for raw in (b"", whole[:-1], whole[:20], struct.pack("<QLL", 2, 1, 0) + row):
        assert not accounts.changes(Entry("", {"replpropertymetadata": (raw,)}))
    assert accounts.changes(Entry("", {"replpropertymetadata": (whole,)}))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"addresses": ["dc1"]}, "addresses: name=host:port"),
        ({"tls": "off"}, "tls: off only for"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file: there is no such"),
        ({"user": ""}, "user: missing"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    """Each is named, and no value is quoted."""
    given = {"server": "dc1.corp.test", "user": "ours@corp.test", "base": SUFFIX, **settings}
    with pytest.raises(ValueError, match=said):
        ActiveDirectoryConnector(ConnectorOptions("ad", given, {"password": "p"}))

"""OpenVPN's own traps: its files, its book, its line. The tunnels are in `test_openvpn_tunnel`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from connectors.base import ConnectorFault, Transcript
from connectors.openvpn import checks
from connectors.openvpn.connector import OpenVpnConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Proof
from lockstep.domain.systems.active import gathered
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.openvpn.authority import DAY, CertificateAuthority
from tests.connectors.openvpn.gateway import SimulatedGateway
from tests.connectors.openvpn.harness import OpenVpnHarness
from tests.connectors.revoking import revoke


@pytest.fixture
async def peer(tmp_path: Path) -> AsyncIterator[OpenVpnHarness]:
    made = OpenVpnHarness(tmp_path)
    await made.gateway.start(made.socket)
    yield made
    await made.gateway.stop()


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


async def account_of(
    connector: OpenVpnConnector, keys: LeaverKeys, transcript: Transcript
) -> Account:
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account


async def closed(
    connector: OpenVpnConnector, keys: LeaverKeys, transcript: Transcript
) -> tuple[Account, bool]:
    account = await account_of(connector, keys, transcript)
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    return account, (await connector.read_back(account, transcript)).is_closed


async def test_every_certificate_of_a_name_goes_and_who_was_revoked_stays_so(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """A renewed certificate is the same person's; the new list keeps all of the old one."""
    peer.ca.write_list([0x77])
    keys = await peer.hire("w-renewed")
    again = peer.ca.give("w-renewed", files=False)
    old = peer.serials["w-renewed"]
    peer.ca.give("w-renewed-not", files=False)
    _, is_closed = await closed(peer.connect(), keys, transcript)
    made = x509.load_pem_x509_crl(peer.ca.crl.read_bytes())

    assert is_closed
    assert peer.ca.revoked() == {0x77, old, again}
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 8
    assert made.next_update_utc is not None
    assert made.next_update_utc > made.last_update_utc + 100 * DAY
    assert made.is_signature_valid(peer.ca.key.public_key())


async def test_the_next_list_of_the_ca_does_not_forget(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """The CA makes its lists from its book: the certificate is revoked there too, or stands."""
    keys = await peer.hire("w-book")
    connector = peer.connect()
    account = await account_of(connector, keys, transcript)
    before = await connector.read_back(account, transcript)
    await connector.contain(account, before, transcript)
    half = await connector.read_back(account, transcript)
    await connector.strip(account, half, transcript)
    lines = [line for line in peer.ca.index.read_text().splitlines() if "w-book" in line]

    assert AccessKind.CREDENTIAL in {way.kind for way in half.standing}
    assert [line.split("\t")[0] for line in lines] == ["R"]
    assert (await connector.read_back(account, transcript)).is_closed


async def test_a_file_that_is_gone_or_half_there_is_not_a_closed_door(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """A missing or broken list is told, kept, and never made anew from nothing."""
    keys = await peer.hire("w-nolist")
    connector = peer.connect()
    account = await account_of(connector, keys, transcript)
    before = await connector.look(account, transcript)
    for content in (None, b"", b"-----BEGIN X509 CRL-----\nhalf\n"):
        peer.ca.crl.unlink(missing_ok=True)
        if content is not None:
            peer.ca.crl.write_bytes(content)
        seen = await connector.read_back(account, transcript)
        with pytest.raises(ConnectorFault):
            await connector.contain(account, before, transcript)
        assert AccessKind.SIGN_IN in {row.kind for row in seen.unread}
        assert not (await connector.health(transcript)).is_ready
    assert not peer.ca.crl.read_bytes().endswith(b"END X509 CRL-----\n")


async def test_a_list_that_somebody_else_signed_is_none(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """Its issuer has our CA's name and not its key: OpenVPN would let everybody in."""
    keys = await peer.hire("w-forged")
    connector = peer.connect()
    account = await account_of(connector, keys, transcript)
    forger = CertificateAuthority(peer.folder / "forger")
    forger.write_list([peer.serials["w-forged"]])
    peer.ca.crl.write_bytes(forger.crl.read_bytes())
    seen = await connector.read_back(account, transcript)

    assert [row.code for row in seen.unread] == ["list_of_another_ca"]
    assert not seen.is_closed


async def test_each_server_is_proved_by_itself(
    peer: OpenVpnHarness, transcript: Transcript, tmp_path: Path
) -> None:
    """Two servers with lists of their own: one that cannot be reached keeps the case open."""
    south = SimulatedGateway(peer.ca, peer.ccd, peer.secret)
    await south.start(tmp_path / "south.sock")
    for name in ("north", "south"):
        (tmp_path / f"{name}.pem").write_bytes(peer.ca.crl.read_bytes())
    keys = await peer.hire("w-two")
    south.clients[9] = "w-two"
    both = {"north": str(peer.socket), "south": str(tmp_path / "south.sock")}
    connector = peer.connect(gateways=both, crl=str(tmp_path / "{gateway}.pem"))
    account, is_closed = await closed(connector, keys, transcript)
    assert is_closed
    assert south.clients == {}
    await south.stop()
    (tmp_path / "south.sock").unlink(missing_ok=True)
    after = await connector.read_back(account, transcript)
    places = await connector.places(transcript)

    assert [place.ref for place in places] == ["north", "south"]
    assert (await connector.read_back_at(places[0], account, transcript)).is_closed
    with pytest.raises(ConnectorFault):
        await connector.read_back_at(places[1], account, transcript)
    assert {row.kind for row in after.unread} == {AccessKind.SESSION}
    assert not after.is_closed


async def test_a_block_by_client_configuration_keeps_what_stands_there(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """`disable` is added; routes of the person stay, and everybody's file is never written."""
    keys = await peer.hire("w-ccd")
    (peer.ccd / "w-ccd").write_text("push route\n")
    peer.ca.give("DEFAULT", files=False)
    connector = peer.connect(revoke="ccd", ccd=str(peer.ccd), crl=None, ca_key=None)
    _, is_closed = await closed(connector, keys, transcript)
    everybody = LeaverKeys((Key(KeyKind.WORKER_ID, "DEFAULT"),))
    account = await account_of(connector, everybody, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(account, await connector.look(account, transcript), transcript)

    assert is_closed
    assert (peer.ccd / "w-ccd").read_text() == "push route\ndisable\n"
    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert not (peer.ccd / "DEFAULT").exists()
    assert [path.name for path in peer.ccd.iterdir()] == ["w-ccd"]


async def test_addresses_stand_in_the_certificates(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """A folder of certificates tells addresses and ages; a server's own is nobody's."""
    peer.ca.give("vpn", is_server=True)
    peer.ca.give("w-mail", mail="mail@northwind.example.com")
    peer.ca.give("w-past", mail="past@northwind.example.com", ends=-DAY)
    connector = peer.connect(certificates=str(peer.ca.certs))
    keys = LeaverKeys((Key(KeyKind.EMAIL, "Mail@northwind.example.com"),))
    [match] = (await connector.locate(keys, transcript)).matches
    listed = await gathered(connector.list_active(transcript))

    assert match.account.locator == "w-mail"
    assert match.created_at is not None
    assert [one.account.locator for one in listed.accounts] == ["w-mail"]
    assert listed.is_complete


async def test_a_book_that_does_not_know_who_is_connected_proves_nothing(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """Somebody is in whom the book leaves out: that nobody else is there is not proved."""
    await peer.hire("w-known")
    peer.gateway.clients[99] = "w-of-another-book"
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "w-nobody"),))
    location = await peer.connect().locate(keys, transcript)

    assert {search.proof for search in location.searches} == {Proof.UNPROVED}


async def test_who_only_knocks_is_nobody(peer: OpenVpnHarness, transcript: Transcript) -> None:
    """The status shows UNDEF while somebody has shown no certificate yet: no tunnel, no name."""
    await peer.hire("w-known")
    peer.gateway.clients[99] = "UNDEF"
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "w-nobody"),))
    location = await peer.connect().locate(keys, transcript)

    assert {search.proof for search in location.searches} == {Proof.LISTED}


async def test_a_certificate_that_the_book_lacks_asks_a_person(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """It is revoked at once; that the CA's next list would forget it stays open, and is said."""
    serial = peer.ca.give("w-lost", mail="lost@northwind.example.com")
    peer.ca.index.write_text("")
    connector = peer.connect(certificates=str(peer.ca.certs))
    keys = LeaverKeys((Key(KeyKind.EMAIL, "lost@northwind.example.com"),))
    account = await account_of(connector, keys, transcript)
    before = await connector.read_back(account, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)

    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert serial in peer.ca.revoked()
    assert {way.kind for way in after.standing} == {AccessKind.CREDENTIAL}


async def test_a_name_that_cannot_be_sent_is_ended_by_number(
    peer: OpenVpnHarness, transcript: Transcript
) -> None:
    """A space or a colon would be read as something else by the line."""
    serial = peer.ca.give("Ada Lovelace: ops", files=False)
    assert peer.gateway.connect("Ada Lovelace: ops", serial)
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "Ada Lovelace: ops"),))
    _, is_closed = await closed(peer.connect(), keys, transcript)

    assert is_closed
    assert peer.script.effects[1] == "client.kill number=1"


@pytest.mark.parametrize(
    ("said", "category"),
    [
        (">INFO:hello\r\nnothing of the kind\r\nEND\r\n", FaultCategory.UNEXPECTED_ANSWER),
        ("HTTP/1.1 400 Bad Request\r\n" + "x" * 80, FaultCategory.UNEXPECTED_ANSWER),
        (">INFO:hello\r\n" + "x" * 40_000, FaultCategory.UNEXPECTED_ANSWER),
        (">INFO:hello\r\nERROR: unknown command\r\n", FaultCategory.VENDOR_ERROR),
        (">INFO:hello\r\nTITLE\thalf an answer\r\n", FaultCategory.UNREACHABLE),
    ],
)
async def test_what_a_line_may_not_say(
    peer: OpenVpnHarness, transcript: Transcript, said: str, category: FaultCategory
) -> None:
    """Another protocol, a line without end, half an answer: unread, each with its reason."""
    keys = await peer.hire("w-line")
    connector = peer.connect()
    account = await account_of(connector, keys, transcript)
    peer.gateway.said = said
    seen = await connector.read_back(account, transcript)

    assert [row.category for row in seen.unread] == [category]
    assert {row.kind for row in seen.unread} == {AccessKind.SESSION}


@pytest.mark.parametrize(
    ("config", "codes"),
    [
        ("crl-verify {crl}\n", set()),
        ("port 1194 # crl-verify {crl}\n", {"crl_not_used"}),
        ("crl-verify /elsewhere/crl.pem\n", {"crl_not_used"}),
        ("crl-verify {crl} dir\n", {"crl_is_a_folder"}),
        ("crl-verify {crl}\ncapath /etc/ca\n", {"missing_list_lets_in"}),
        ("crl-verify {crl}\nverify-client-cert none\n", {"certificates_not_required"}),
        ("crl-verify {crl}\nusername-as-common-name\n", {"sessions_by_username"}),
        (None, {"configuration_not_seen"}),
    ],
)
async def test_health_says_what_makes_a_list_useless(
    peer: OpenVpnHarness, transcript: Transcript, config: str | None, codes: set[str]
) -> None:
    """The server's own configuration is read: a list that it does not read shuts nobody out."""
    await peer.hire("w-health")
    path = peer.folder / "server.conf"
    path.write_text((config or "").format(crl=peer.ca.crl))
    connector = peer.connect(config=str(path) if config else None)
    health = await connector.health(transcript)

    assert {problem.code for problem in health.problems} == codes


@pytest.mark.parametrize(
    ("ends", "code"), [(-DAY, "crl_expired"), (2 * DAY, "crl_expires_soon"), (30 * DAY, "")]
)
async def test_a_list_that_ends_is_told(
    peer: OpenVpnHarness, transcript: Transcript, ends: timedelta, code: str
) -> None:
    """With a list that has ended the server refuses everybody."""
    await peer.hire("w-ends")
    peer.ca.write_list((), ends=ends)
    health = await peer.connect(config=None).health(transcript)

    assert {one.code for one in health.problems} - {"configuration_not_seen"} == {code} - {""}


def test_of_a_relative_path_the_name_is_compared() -> None:
    """A server that starts in its folder names its list so."""
    told = checks.read_config(b"crl-verify crl.pem\n")

    assert not [*checks.of_config("north", told, crl="/etc/openvpn/crl.pem", ccd="", by_list=True)]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"gateways": {"a": "vpn.example.com:7505"}}, "gateways: a: another machine"),
        ({"gateways": {}}, "gateways: a table of names"),
        ({"gateways": {"a": "x"}}, "gateways: a: a socket's path"),
        ({"gateways": {"index": "/run/x.sock"}}, "gateways: index stands for"),
        ({"crl": None}, "crl: missing"),
        ({"crl": "crl.pem"}, "crl: a whole path"),
        ({"ca": "/nowhere/ca.crt"}, "ca: no certificate"),
        ({"ca_key": "/nowhere/ca.key"}, "ca_key: no key"),
        ({"revoke": "ccd"}, "ccd: missing"),
    ],
)
def test_settings_that_cannot_be_are_refused(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    """Each is named, and no value is quoted."""
    with pytest.raises(ValueError, match=said):
        OpenVpnHarness(tmp_path).connect(**settings)

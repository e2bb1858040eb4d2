"""The anchor ``mail``: a message over TLS, to all recipients or to none, the same each time."""

from __future__ import annotations

import email
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from connectors.anchors.base import AnchorFault
from lockstep.evidence.format.notes import open_note, parse_checkpoint
from tests.connectors.anchors.peers import (
    SECRET,
    SIGNER,
    Authority,
    build,
    checkpoint,
    free_port,
)


class Mailbox:
    """What arrived; refuses the recipients it is told to."""

    def __init__(self) -> None:
        self.arrived: list[Envelope] = []
        self.refused: dict[str, str] = {}

    async def handle_RCPT(self, server, session, envelope, address, options) -> str:  # noqa: N802
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        self.arrived.append(envelope)
        return "250 queued"

    @property
    def messages(self) -> list[EmailMessage]:
        return [email.message_from_bytes(one.content, policy=default) for one in self.arrived]


def sign_in(server, session, envelope, mechanism, given) -> AuthResult:
    return AuthResult(success=given.password == SECRET.encode(), handled=False)


@contextmanager
def running(box: Mailbox, **options: object) -> Iterator[int]:
    port = free_port()
    server = Controller(
        box,
        hostname="127.0.0.1",
        port=port,
        ready_timeout=60,
        authenticator=sign_in,
        **{"auth_required": True, **options},
    )
    server.start()
    try:
        yield port
    finally:
        server.stop()


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def tls(tmp_path) -> ssl.SSLContext:
    return Authority.make(tmp_path).server()


@pytest.fixture
def starttls(box, tls) -> Iterator[int]:
    """A server that takes nothing before STARTTLS and a sign-in."""
    with running(box, tls_context=tls, require_starttls=True) as port:
        yield port


def anchor_to(number: int, home, secret: str = SECRET, **settings: object):
    given = {
        "host": "127.0.0.1",
        "port": number,
        "to": ["auditor@example.org", "client@example.com"],
        "sender": "ledger@acme.example",
        "username": "ledger",
        "ca_file": "root.pem",
        **settings,
    }
    return build("mail", given, {"password": secret} if secret else {}, home=home)


async def test_the_mailbox_holds_the_note(tmp_path, box, starttls):
    """Signed in over STARTTLS; what stands between the rules verifies with the ledger's key."""
    receipt = await anchor_to(starttls, tmp_path).publish(checkpoint(7))
    [message], [envelope] = box.messages, box.arrived
    text = message.get_content().replace("\r\n", "\n")  # lines travel with both
    note = re.search(r"^-+8<-+\n(.*)^-+8<-+\n", text, re.DOTALL | re.MULTILINE)[1]
    body, signed_by = open_note(note, [SIGNER.verifier])

    assert envelope.rcpt_tos == ["auditor@example.org", "client@example.com"]
    assert (parse_checkpoint(body).size, signed_by) == (7, [SIGNER.verifier])
    assert note.encode() == checkpoint(7).note
    assert receipt.decode() == f"{message['Message-ID']}\n"
    assert message["Subject"] == "Ledger checkpoint 7"
    assert message["Date"] == "Tue, 01 Sep 2026 12:00:07 +0000"
    assert max(envelope.content) < 0x80


async def test_a_repetition_is_the_same_message(tmp_path, box, starttls):
    """Same id and bytes, so that a mailbox can put doubles together; another size is another."""
    anchor = anchor_to(starttls, tmp_path)
    receipts = [await anchor.publish(checkpoint(size)) for size in (7, 7, 8)]

    assert receipts[0] == receipts[1] != receipts[2]
    assert box.arrived[0].content == box.arrived[1].content


async def test_tls_from_the_first_byte(tmp_path, box, tls):
    """The other port of mail servers works too."""
    with running(box, ssl_context=tls, auth_required=False) as port:
        await anchor_to(port, tmp_path, "", username="", security="tls").publish(checkpoint(7))

    assert len(box.arrived) == 1


async def test_a_wrong_password_needs_a_person(tmp_path, box, starttls):
    """Neither the password nor the server's text is in the fault."""
    with pytest.raises(AnchorFault) as caught:
        await anchor_to(starttls, tmp_path, "wrong-password").publish(checkpoint(7))

    assert (str(caught.value), caught.value.transient) == ("refused: 535", False)
    assert box.arrived == []


async def test_a_server_of_another_authority_gets_no_password(tmp_path, box, starttls):
    """Its certificate is checked before anything is said."""
    other = tmp_path / "other"
    other.mkdir()
    Authority.make(other, "Another root")
    with pytest.raises(AnchorFault, match="certificate is not trusted"):
        await anchor_to(starttls, tmp_path, ca_file="other/root.pem").publish(checkpoint(7))

    assert box.arrived == []


async def test_a_server_without_starttls_gets_nothing(tmp_path, box, tls):
    """An attacker in between who hides STARTTLS learns nothing."""
    with (
        running(box, auth_required=False) as port,
        pytest.raises(AnchorFault, match="no STARTTLS") as caught,
    ):
        await anchor_to(port, tmp_path).publish(checkpoint(7))

    assert not caught.value.transient
    assert box.arrived == []


@pytest.mark.parametrize(("code", "transient"), [(550, False), (451, True)])
async def test_when_one_recipient_is_refused_nobody_gets_it(
    tmp_path, box, starttls, code, transient
):
    """Else every repetition would reach those who have it already."""
    box.refused = {"client@example.com": f"{code} no"}
    anchor = anchor_to(starttls, tmp_path)
    with pytest.raises(AnchorFault, match=f"recipient refused: {code}") as caught:
        await anchor.publish(checkpoint(7))
    assert caught.value.transient is transient
    assert box.arrived == []

    box.refused = {}
    await anchor.publish(checkpoint(7))
    assert len(box.arrived) == 1


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"security": "none", "host": "mail.example.com"}, "security: none is for loopback"),
        ({"security": "startls"}, "security: one of starttls, tls, none"),
        ({"to": []}, "to: give at least one"),
        ({"to": "a@example.com\r\nBcc: b@example.com"}, "to: give"),
        ({"to": "-oQ/tmp"}, "to: give plain addresses"),
        ({"sender": "Ledger <l@example.com>"}, "sender: give plain addresses"),
        ({"to": ["a@example.com"] * 21}, "to: 20 at most"),
        ({"username": ""}, "username: give it together"),
        ({"port": 0}, "port: give a whole number from 1 to 65535"),
        ({"host": ""}, "host: give"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, settings, reason):
    """Nothing can be smuggled into a header or a command, nothing travels in clear."""
    Authority.make(tmp_path)
    with pytest.raises(ValueError, match=reason) as caught:
        anchor_to(25, tmp_path, **settings)

    assert SECRET not in str(caught.value)

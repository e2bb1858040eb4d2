"""Anchor ``mail``: a message to an auditor's or client's mailbox."""

from __future__ import annotations

import re
import smtplib
import ssl
from datetime import UTC
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from connectors.anchors.base import (
    ANSWER_S,
    CA_FILE,
    LOOPBACK,
    AnchorCheckpoint,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    OwnThread,
    tls_context,
)
from connectors.base import OptionSpec

KIND = "mail"
_ADDRESS = re.compile(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]+\.)*[A-Za-z0-9-]+$")
_SECURITY = ("starttls", "tls", "none")
_MAX_RECIPIENTS = 20
_PERMANENT = 500
_ACCEPTED = frozenset({250, 251})

_TEXT = """\
This message is a copy of a signed checkpoint of the access-revocation ledger
{origin}
with {size} entries. Keep it: whoever later shows you this ledger must show one
that begins with exactly these entries. `lockstep evidence verify --previous`
checks that; save the lines between the two rules to a file for it.

--------8<--------
{note}--------8<--------
"""


class MailAnchor:
    """One mail server and its recipients: all of them take the message, or nobody gets it."""

    def __init__(self, options: AnchorOptions) -> None:
        self._host = options.text("host")
        if not self._host or self._host.startswith("-"):
            raise ValueError("host: give the mail server's name")
        self._port = options.number("port", low=1, high=65535)
        self._security = options.text("security")
        if self._security not in _SECURITY:
            raise ValueError(f"security: one of {', '.join(_SECURITY)}")
        if self._security == "none" and self._host not in LOOPBACK:
            raise ValueError("security: none is for loopback only; use starttls or tls")
        self._sender = _address("sender", options.text("sender"))
        self._recipients = tuple(_address("to", one) for one in options.texts("to"))
        if len(self._recipients) > _MAX_RECIPIENTS:
            raise ValueError(f"to: {_MAX_RECIPIENTS} at most")
        self._username, self._password = options.text("username"), options.secret("password")
        if bool(self._username) != bool(self._password):
            raise ValueError("username: give it together with password, or neither")
        self._tls = tls_context(options.file("ca_file"))
        self._thread = OwnThread(options.name)

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """The receipt is the Message-ID, which is the same at every repetition."""
        return await self._thread.run(self._publish, checkpoint)

    async def aclose(self) -> None:
        self._thread.close()

    def _publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        message = self._message(checkpoint)
        try:
            with self._connect() as server:
                self._send(server, message)
        except smtplib.SMTPResponseException as error:  # its text is the server's
            fault = _refused("refused", error.smtp_code)
        except smtplib.SMTPNotSupportedError:
            fault = AnchorFault("the server offers no STARTTLS or no sign-in", transient=False)
        except ssl.SSLCertVerificationError:
            fault = AnchorFault("the server's certificate is not trusted", transient=False)
        except (smtplib.SMTPException, OSError, ValueError) as error:
            fault = AnchorFault(type(error).__name__)
        else:
            return f"{message['Message-ID']}\n".encode()
        raise fault

    def _connect(self) -> smtplib.SMTP:
        here = self._sender.partition("@")[2]
        if self._security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, here, timeout=ANSWER_S, context=self._tls
            )
        else:
            server = smtplib.SMTP(self._host, self._port, here, timeout=ANSWER_S)
        try:
            if self._security == "starttls":
                server.starttls(context=self._tls)
            if self._username:
                server.login(self._username, self._password)
        except BaseException:
            server.close()
            raise
        return server

    def _send(self, server: smtplib.SMTP, message: EmailMessage) -> None:
        """Ask for every recipient first: a repetition must not write to some again and again."""
        server.ehlo_or_helo_if_needed()
        code, _ = server.mail(self._sender)
        if code not in _ACCEPTED:
            raise _refused("sender refused", code)
        for recipient in self._recipients:
            code, _ = server.rcpt(recipient)
            if code not in _ACCEPTED:
                raise _refused("recipient refused", code)
        code, _ = server.data(message.as_bytes(policy=SMTP))
        if code not in _ACCEPTED:
            raise _refused("message refused", code)

    def _message(self, checkpoint: AnchorCheckpoint) -> EmailMessage:
        """The same bytes at every repetition."""
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = ", ".join(self._recipients)
        message["Subject"] = f"Ledger checkpoint {checkpoint.size}"
        message["Date"] = format_datetime(checkpoint.signed_at.astimezone(UTC))
        domain = self._sender.partition("@")[2]
        message["Message-ID"] = f"<checkpoint.{checkpoint.key}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no answer of a robot, please
        text = _TEXT.format(
            origin=checkpoint.origin, size=checkpoint.size, note=checkpoint.note.decode()
        )
        # Seven bits only: a relay may change other lines, and the note's dash is not ASCII.
        message.set_content(text, cte="quoted-printable")
        return message


def _refused(what: str, code: int) -> AnchorFault:
    return AnchorFault(f"{what}: {code}", transient=code < _PERMANENT)


def _address(option: str, value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{option}: give plain addresses such as ledger@example.com")
    return value


MANIFEST = AnchorManifest(
    kind=KIND,
    build=MailAnchor,
    options=(
        OptionSpec("host", "the mail server"),
        OptionSpec("to", "address of the auditor or client, or a list of up to 20"),
        OptionSpec("sender", "our address"),
        OptionSpec("port", "its port", required=False, default=587),
        OptionSpec(
            "security",
            "starttls, tls from the first byte, or none (loopback only)",
            required=False,
            default="starttls",
            choices=_SECURITY,
        ),
        OptionSpec("username", "to sign in with", required=False, default=""),
        OptionSpec("password", "its password", required=False, secret=True),
        CA_FILE,
    ),
    proves="the mailbox of somebody else holds a copy, with the dates of the servers in between",
)

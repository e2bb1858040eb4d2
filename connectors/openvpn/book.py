"""The book of a CA as easy-rsa and openssl keep it (``index.txt``), and the certificates beside it.

Of the form: https://docs.openssl.org/3.0/man1/openssl-ca/ and easy-rsa's ``pki/index.txt``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from connectors.kit.lines.recorded import OTHER_FORM, Refusal

NOT_IN_BOOK: Final = "certificate_not_in_index"
"""The next list of the CA would let it in again, and there is no line to mark."""
_FIELDS: Final = 6
_SERIAL = re.compile(r"[0-9A-Fa-f]{1,64}")
_NAME = re.compile(r"(?:^|(?<=[/,+]))\s*(CN|emailAddress)\s*=\s*((?:\\.|[^/,+\\])*)")
_INSTANT = re.compile(r"(\d{2}|\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z", re.ASCII)
_SHORT: Final = 13


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate.

    Args:
        serial: which the CA gave it.
        name: its common name, by which the server knows whoever connects.
        ends: until when it is valid.
        addresses: e-mail addresses that the CA put into it.
        is_revoked: whether the book says so; what the server reads is the list.
        made_at: from when on it is valid, where the certificate itself is here.
        is_server: it may open no tunnel as a client.
    """

    serial: int
    name: str = field(repr=False)
    ends: datetime
    addresses: tuple[str, ...] = field(default=(), repr=False)
    is_revoked: bool = False
    made_at: datetime | None = None
    is_server: bool = False

    @property
    def account_id(self) -> str:
        return account_id(self.name)


def account_id(name: str) -> str:
    """The id of whoever has this common name, without the name in it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def read_book(raw: bytes) -> tuple[Entry, ...]:
    """Every certificate of the book.

    Raises:
        Refusal: a line of another form: then nothing is known of whom it leaves out.
    """
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise Refusal(OTHER_FORM) from None
    return tuple(_entry(line) for line in lines if line.strip())


def _entry(line: str) -> Entry:
    parts = line.split("\t")
    if len(parts) != _FIELDS or parts[0] not in {"V", "R", "E"} or not _SERIAL.fullmatch(parts[3]):
        raise Refusal(OTHER_FORM)
    names = {"CN": [""], "emailAddress": []}
    for kind, value in _NAME.findall(parts[5]):
        names[kind].append(re.sub(r"\\(.)", r"\1", value).strip())
    return Entry(
        serial=int(parts[3], 16),
        name=names["CN"][-1],
        ends=_instant(parts[1]),
        addresses=tuple(names["emailAddress"]),
        is_revoked=parts[0] == "R",
    )


def _instant(text: str) -> datetime:
    """``YYMMDDHHMMSSZ``, or with four digits of the year from 2050 on."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        raise Refusal(OTHER_FORM)
    year, month, day, hour, minute, second = map(int, found.groups())
    year += 2000 if len(text) == _SHORT else 0
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Refusal(OTHER_FORM) from None


def with_certificates(
    entries: Iterable[Entry], files: Mapping[str, bytes], *, ca: x509.Certificate
) -> tuple[Entry, ...]:
    """The entries, with what the certificates say of them.

    A certificate of the same CA that the book does not know is added: it lets in all the same.

    Raises:
        Refusal: a file that is no certificate.
    """
    told: dict[int, Entry] = {}
    for raw in files.values():
        try:
            certificate = x509.load_pem_x509_certificate(raw)
        except ValueError:
            raise Refusal(OTHER_FORM) from None
        if certificate.issuer == ca.subject:
            told[certificate.serial_number] = _of(certificate)
    known = {entry.serial: entry for entry in entries}
    for serial, entry in told.items():
        book = known.get(serial)
        known[serial] = Entry(
            serial=serial,
            name=entry.name,
            ends=entry.ends,
            addresses=tuple(dict.fromkeys((*(book.addresses if book else ()), *entry.addresses))),
            is_revoked=book.is_revoked if book else False,
            made_at=entry.made_at,
            is_server=entry.is_server,
        )
    return tuple(known.values())


def _of(certificate: x509.Certificate) -> Entry:
    names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(_COMMON)]
    addresses = [str(one.value) for one in certificate.subject.get_attributes_for_oid(_EMAIL)]
    is_server = False
    try:
        also = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses += also.get_values_for_type(x509.RFC822Name)
    except x509.ExtensionNotFound:
        pass
    try:
        uses = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        is_server = ExtendedKeyUsageOID.CLIENT_AUTH not in uses
    except x509.ExtensionNotFound:
        pass
    return Entry(
        serial=certificate.serial_number,
        name=names[-1] if names else "",
        ends=certificate.not_valid_after_utc,
        addresses=tuple(addresses),
        made_at=certificate.not_valid_before_utc,
        is_server=is_server,
    )


_COMMON: Final = NameOID.COMMON_NAME
_EMAIL: Final = NameOID.EMAIL_ADDRESS


def live(entries: Iterable[Entry], now: datetime) -> tuple[Entry, ...]:
    """Those that have not ended; whether they are revoked is for the list to say."""
    return tuple(entry for entry in entries if entry.ends > now)


def marked(raw: bytes | None, serials: Collection[int], *, now: datetime) -> bytes | None:
    """The book with these certificates marked as revoked; None where all of them are.

    The next list that the CA makes is made from the book: it would forget what only a list says.

    Raises:
        Refusal: a line of another form, or a certificate that the book does not know.
    """
    if raw is None:
        raise Refusal("ENOENT")
    if set(serials) - {entry.serial for entry in read_book(raw)}:
        raise Refusal(NOT_IN_BOOK)
    lines = raw.decode("utf-8").splitlines(keepends=True)
    new = [_marked(line, serials, now) for line in lines]
    return "".join(new).encode() if new != lines else None


def _marked(line: str, serials: Collection[int], now: datetime) -> str:
    parts: Sequence[str] = line.split("\t")
    if len(parts) != _FIELDS or parts[0] != "V" or int(parts[3], 16) not in serials:
        return line
    return "\t".join(("R", parts[1], now.strftime("%y%m%d%H%M%SZ"), *parts[3:]))

"""Certificate revocation lists: what one says, and one with more in it."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from connectors.kit.lines.recorded import Refusal

OTHER_CA: Final = "list_of_another_ca"
"""No list of the file is signed by the CA: a server then checks nothing, and lets everybody in."""
NO_LIST: Final = "no_revocation_list"

_BLOCK = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----\n?", re.DOTALL)

SigningKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
_Digest = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
List = x509.CertificateRevocationList


def read_list(raw: bytes, *, ca: x509.Certificate) -> List:
    """The list of this CA, its signature checked.

    Raises:
        Refusal: there is none.
    """
    return _ours(raw, ca)[1]


def has(revocations: List, serial: int) -> bool:
    """Whether a certificate is on it; one that was only held and let go again is not."""
    found = revocations.get_revoked_certificate_by_serial_number(serial)
    if found is None:
        return False
    try:
        reason = found.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return True
    return reason is not x509.ReasonFlags.remove_from_crl


def with_serials(
    raw: bytes,
    serials: Collection[int],
    *,
    ca: x509.Certificate,
    key: SigningKey,
    now: datetime,
    lasts: timedelta,
) -> bytes | None:
    """The file with a new list, which has all of the old one and these too; None where it has.

    Raises:
        Refusal: there is no list of this CA: one made from nothing would let in whoever was
            revoked before.
    """
    block, old = _ours(raw, ca)
    new = [serial for serial in sorted(serials) if not has(old, serial)]
    if not new:
        return None
    ends = max(now + lasts, old.next_update_utc or now)
    made = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(now)
        .next_update(ends)
    )
    for extension in old.extensions:
        value = extension.value
        if isinstance(value, x509.CRLNumber):
            value = x509.CRLNumber(value.crl_number + 1)
        made = made.add_extension(value, extension.critical)
    for row in old:
        if row.serial_number not in new:
            made = made.add_revoked_certificate(row)
    for serial in new:
        row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
        made = made.add_revoked_certificate(row)
    signed = made.sign(key, _digest(key, old))
    return raw.replace(block, signed.public_bytes(serialization.Encoding.PEM))


def _ours(raw: bytes, ca: x509.Certificate) -> tuple[bytes, List]:
    blocks = _BLOCK.findall(raw)
    if not blocks:
        raise Refusal(NO_LIST)
    for block in blocks:
        try:
            read = x509.load_pem_x509_crl(block)
            key = cast("CertificateIssuerPublicKeyTypes", ca.public_key())
            signed = read.issuer == ca.subject and read.is_signature_valid(key)
        except (ValueError, TypeError):
            continue
        if signed:
            return block, read
    raise Refusal(OTHER_CA)


def _digest(key: SigningKey, old: List) -> _Digest | None:
    """As strong as the CA signed its last list."""
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return None
    kept = old.signature_hash_algorithm
    return kept if isinstance(kept, hashes.SHA384 | hashes.SHA512) else hashes.SHA256()

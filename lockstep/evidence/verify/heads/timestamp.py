"""RFC 3161 time stamps: an authority says that the ledger's head existed at a time.

Signed data in CMS are not among what `cryptography` verifies, so this needs `rfc3161-client`;
without it the step says that it was not done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from lockstep.evidence.verify.report import NotCheckedError, RefutedError, UnusableError

try:
    import rfc3161_client as tsp
except ImportError:  # the single-file verifier may run with `cryptography` alone
    tsp = None  # type: ignore[assignment]

MAX_TOKEN = 256 * 1024

_HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


def read_roots(raw: bytes) -> list[x509.Certificate]:
    """The certificates of time stamp authorities that the reader trusts: PEM, or one in DER.

    Raises:
        UnusableError: if there is none.
    """
    try:
        if b"-----BEGIN" in raw:
            return x509.load_pem_x509_certificates(raw)
        return [x509.load_der_x509_certificate(raw)]
    except ValueError:
        raise UnusableError("the authority's root certificate cannot be read") from None


def stamped_at(token: bytes, message: bytes, roots: Sequence[x509.Certificate]) -> datetime | None:
    """When an authority stamped ``message`` (UTC); None if the token is of another authority.

    Raises:
        NotCheckedError: without `rfc3161-client`.
        RefutedError: if it cannot be read, stamps something else than ``message``, or is of a
            trusted authority and does not hold.
    """
    if tsp is None:
        raise NotCheckedError(
            "the package rfc3161-client is not installed here; `openssl ts -verify` checks"
            " anchors/*.tsr over ledger/checkpoint.txt too"
        )
    if len(token) > MAX_TOKEN:
        raise RefutedError("it is larger than a time stamp can be")
    try:
        response = tsp.decode_timestamp_response(token)
        imprint = response.tst_info.message_imprint
        method, stamped = imprint.hash_algorithm.dotted_string, imprint.message
        moment = response.tst_info.gen_time
    except ValueError:
        raise RefutedError("it cannot be read as a time stamp") from None
    if method not in _HASHES or hashlib.new(_HASHES[method], message).digest() != stamped:
        raise RefutedError("it stamps something else than this pack's ledger/checkpoint.txt")
    for root in roots:
        verifier = tsp.VerifierBuilder().add_root_certificate(root).build()
        try:
            if verifier.verify_message(response, message):
                return moment
        except (tsp.VerificationError, ValueError):
            continue
    if any(_is_issued_by(raw, root) for raw in response.signed_data.certificates for root in roots):
        raise RefutedError("it is damaged: it names the authority that you gave, and does not hold")
    return None


def _is_issued_by(raw: bytes, root: x509.Certificate) -> bool:
    """Whether a certificate of the token is one that a trusted authority has signed."""
    try:
        x509.load_der_x509_certificate(raw).verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True

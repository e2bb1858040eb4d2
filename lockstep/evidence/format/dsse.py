"""DSSE envelopes (secure-systems-lab/dsse, version 1) around in-toto statements."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from typing import Any

from lockstep.evidence.format.notes import Signer, VerifierKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class EnvelopeError(ValueError):
    """An envelope that cannot be read, says more than it may, or that others have signed."""


def pae(payload_type: str, body: bytes) -> bytes:
    """The pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def seal_envelope(body: bytes, signer: Signer) -> bytes:
    """Sign ``body``; the envelope as JSON with a newline at its end."""
    return _written(body, [(signer.verifier.id, signer.sign(pae(PAYLOAD_TYPE, body)))])


def open_envelope(raw: bytes, keys: Iterable[VerifierKey]) -> bytes:
    """The signed body, exactly as signed.

    No digest covers the envelope, so nothing may stand in it beside the body and signatures of
    ``keys``: it is the very bytes that a writer of the same body and signatures makes.

    Raises:
        EnvelopeError: if it cannot be read, says anything else, or another has signed it.
    """
    try:
        document: Any = json.loads(raw.decode())
        body = base64.b64decode(document["payload"], validate=True)
        kind = document["payloadType"]
        signed = [
            (bytes.fromhex(row["keyid"]), base64.b64decode(row["sig"], validate=True))
            for row in document["signatures"]
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EnvelopeError("this is no DSSE envelope") from None
    if kind != PAYLOAD_TYPE:
        raise EnvelopeError("the envelope holds something else than an in-toto statement")
    if raw != _written(body, signed):
        raise EnvelopeError("the envelope says more than body and signatures, or in another form")
    _check_signatures(body, signed, keys)
    return body


def _check_signatures(
    body: bytes, signed: Sequence[tuple[bytes, bytes]], keys: Iterable[VerifierKey]
) -> None:
    message = pae(PAYLOAD_TYPE, body)
    known = {key.id: key for key in keys}
    ids = [key_id for key_id, _ in signed]
    if not signed or not all(
        key_id in known and known[key_id].verifies(message, signature)
        for key_id, signature in signed
    ):
        raise EnvelopeError("the statement is not signed by the key that you gave")
    if len(set(ids)) != len(ids):
        raise EnvelopeError("the statement is signed twice by one key")


def _written(body: bytes, signed: Sequence[tuple[bytes, bytes]]) -> bytes:
    document = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": key_id.hex(), "sig": base64.b64encode(signature).decode()}
            for key_id, signature in signed
        ],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"

"""DSSE envelopes (secure-systems-lab/dsse, version 1) around in-toto statements."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from lockstep.evidence.notes import Signer, VerifierKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


class EnvelopeError(ValueError):
    """An envelope that cannot be read, or that none of the keys has signed."""


def pae(payload_type: str, body: bytes) -> bytes:
    """The pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)


def seal_envelope(body: bytes, signer: Signer) -> bytes:
    """Sign ``body``; the envelope as JSON with a newline at its end."""
    signature = signer.sign(pae(PAYLOAD_TYPE, body))
    document = {
        "payload": base64.b64encode(body).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": signer.verifier.id.hex(), "sig": base64.b64encode(signature).decode()}
        ],
    }
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def open_envelope(raw: bytes, keys: Iterable[VerifierKey]) -> bytes:
    """The signed body, exactly as signed.

    Raises:
        EnvelopeError: if it cannot be read or no key of ``keys`` has signed it.
    """
    try:
        document: Any = json.loads(raw)
        body = base64.b64decode(document["payload"], validate=True)
        kind = document["payloadType"]
        signatures = [base64.b64decode(row["sig"], validate=True) for row in document["signatures"]]
    except (ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        raise EnvelopeError("this is no DSSE envelope") from None
    if kind != PAYLOAD_TYPE:
        raise EnvelopeError("the envelope holds something else than an in-toto statement")
    message = pae(kind, body)
    if not any(key.verifies(message, one) for key in keys for one in signatures):
        raise EnvelopeError("the statement is not signed by the key that you gave")
    return body

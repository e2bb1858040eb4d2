"""Envelopes: the published encoding, and what is refused."""

from __future__ import annotations

import base64
import json

import pytest

from lockstep.evidence.dsse import (
    PAYLOAD_TYPE,
    EnvelopeError,
    open_envelope,
    pae,
    seal_envelope,
)
from lockstep.evidence.notes import FileSigner

BODY = b'{"_type":"https://in-toto.io/Statement/v1"}'
SIGNER = FileSigner.generate("acme/lockstep-ledger")


def test_the_published_encoding() -> None:
    """The example of the DSSE protocol."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_what_was_sealed_is_opened() -> None:
    """The very bytes come back; the key's id is a hint and nothing more."""
    raw = seal_envelope(BODY, SIGNER)
    document = json.loads(raw)

    assert open_envelope(raw, [SIGNER.verifier]) == BODY
    document["signatures"][0]["keyid"] = "another"
    assert open_envelope(json.dumps(document).encode(), [SIGNER.verifier]) == BODY


def test_one_good_signature_is_enough() -> None:
    """Others may have signed too."""
    document = json.loads(seal_envelope(BODY, FileSigner.generate("other")))
    document["signatures"] += json.loads(seal_envelope(BODY, SIGNER))["signatures"]
    assert open_envelope(json.dumps(document).encode(), [SIGNER.verifier]) == BODY


def test_another_body_is_refused() -> None:
    """The signature is over the body."""
    document = json.loads(seal_envelope(BODY, SIGNER))
    document["payload"] = base64.b64encode(BODY + b" ").decode()
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(json.dumps(document).encode(), [SIGNER.verifier])


def test_another_type_is_refused() -> None:
    """The signature is over the type too, and only statements are wanted."""
    document = json.loads(seal_envelope(BODY, SIGNER))
    document["payloadType"] = "text/plain"
    with pytest.raises(EnvelopeError, match="something else"):
        open_envelope(json.dumps(document).encode(), [SIGNER.verifier])


def test_another_key_is_refused() -> None:
    """Whoever signs with a key of the same name is still somebody else."""
    raw = seal_envelope(BODY, FileSigner.generate(SIGNER.name))
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(raw, [SIGNER.verifier])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"payload":1,"payloadType":"x","signatures":[]}',
        b'{"payload":"!","payloadType":"x","signatures":[]}',
        b'{"payload":"","payloadType":"x","signatures":[{"sig":1}]}',
        b'{"payload":"","payloadType":"x","signatures":1}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_envelope_is_refused(raw: bytes) -> None:
    """With the one error that the caller expects."""
    with pytest.raises(EnvelopeError):
        open_envelope(raw, [SIGNER.verifier])


def test_no_signature_is_none() -> None:
    """An empty list signs nothing."""
    raw = json.dumps(
        {"payload": base64.b64encode(BODY).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    ).encode()
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(raw, [SIGNER.verifier])

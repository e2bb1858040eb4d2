"""Envelopes: the published encoding, and what is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from lockstep.evidence.format.dsse import (
    PAYLOAD_TYPE,
    EnvelopeError,
    open_envelope,
    pae,
    seal_envelope,
)
from lockstep.evidence.format.notes import FileSigner

BODY = b'{"_type":"https://in-toto.io/Statement/v1"}'
SIGNER = FileSigner("acme/lockstep-ledger", bytes([3]) * 32)
"""Its id has letters in it, which could be upper case."""


def test_the_published_encoding() -> None:
    """The example of the DSSE protocol."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def written(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode() + b"\n"


def test_what_was_sealed_is_opened() -> None:
    """The very bytes come back."""
    raw = seal_envelope(BODY, SIGNER)

    assert raw == written(json.loads(raw))
    assert open_envelope(raw, [SIGNER.verifier]) == BODY


def test_two_trusted_keys_may_sign() -> None:
    """The one before and the one after a hand-over."""
    other = FileSigner.generate(SIGNER.name)
    document = json.loads(seal_envelope(BODY, other))
    document["signatures"] += json.loads(seal_envelope(BODY, SIGNER))["signatures"]
    raw = written(document)

    assert open_envelope(raw, [SIGNER.verifier, other.verifier]) == BODY
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(raw, [SIGNER.verifier])


LOOSE: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "a member more": lambda it: written({**it, "note": "all is well"}),
    "a member twice": lambda it: written(it).replace(b"{", b'{"payload":"all is well",', 1),
    "a member more beside a signature": lambda it: written(
        {**it, "signatures": [{**it["signatures"][0], "note": "all is well"}]}
    ),
    "words for a key's id": lambda it: written(
        {**it, "signatures": [{**it["signatures"][0], "keyid": "all is well"}]}
    ),
    "another key's id": lambda it: written(
        {**it, "signatures": [{**it["signatures"][0], "keyid": "00000000"}]}
    ),
    "a signature of nobody": lambda it: written(
        {
            **it,
            "signatures": [
                *it["signatures"],
                {"keyid": "00000000", "sig": base64.b64encode(b"all is well").decode()},
            ],
        }
    ),
    "one signature twice": lambda it: written({**it, "signatures": it["signatures"] * 2}),
    "an upper-case id": lambda it: written(it).replace(
        it["signatures"][0]["keyid"].encode(), it["signatures"][0]["keyid"].upper().encode()
    ),
    "blanks": lambda it: json.dumps(it, sort_keys=True).encode() + b"\n",
    "another order": lambda it: (
        json.dumps(dict(reversed(it.items())), separators=(",", ":")).encode() + b"\n"
    ),
    "no line feed": lambda it: written(it)[:-1],
    "a line feed more": lambda it: written(it) + b"\n",
    "a mark before": lambda it: b"\xef\xbb\xbf" + written(it),
    "UTF-16": lambda it: written(it).decode().encode("utf-16"),
    "UTF-32": lambda it: written(it).decode().encode("utf-32-be"),
    "an escape where none is needed": lambda it: written(it).replace(
        b"payload", b"p\\u0061yload", 1
    ),
    "base64 without its end": lambda it: written({**it, "payload": it["payload"].rstrip("=")}),
    "base64 with blanks": lambda it: written({**it, "payload": it["payload"] + "\n"}),
    "base64 with loose bits": lambda it: written(
        {**it, "payload": it["payload"].replace("fQ==", "fR==")}
    ),
}
"""The envelope with a place in which something readable fits, or in another form."""


@pytest.mark.parametrize("form", LOOSE)
def test_nothing_stands_beside_body_and_signature(form: str) -> None:
    """No digest covers the envelope: a stranger's verifier could read there what nobody signed."""
    body = BODY[:-1] + b" " * ((1 - len(BODY)) % 3) + b"}"  # so long that base64 has bits over
    document = json.loads(seal_envelope(body, SIGNER))
    loose = LOOSE[form](document)

    assert loose != written(document)
    with pytest.raises(EnvelopeError):
        open_envelope(loose, [SIGNER.verifier])


def test_another_body_is_refused() -> None:
    """The signature is over the body."""
    document = json.loads(seal_envelope(BODY, SIGNER))
    document["payload"] = base64.b64encode(BODY + b" ").decode()
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(written(document), [SIGNER.verifier])


def test_another_type_is_refused() -> None:
    """The signature is over the type too, and only statements are wanted."""
    document = json.loads(seal_envelope(BODY, SIGNER))
    document["payloadType"] = "text/plain"
    with pytest.raises(EnvelopeError, match="something else"):
        open_envelope(written(document), [SIGNER.verifier])


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
    raw = written(
        {"payload": base64.b64encode(BODY).decode(), "payloadType": PAYLOAD_TYPE, "signatures": []}
    )
    with pytest.raises(EnvelopeError, match="not signed"):
        open_envelope(raw, [SIGNER.verifier])

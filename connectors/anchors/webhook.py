"""Anchor ``webhook``: a signed message to somebody who keeps it (Standard Webhooks 1.0)."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from connectors.anchors.base import (
    ANSWER_S,
    CA_FILE,
    CONNECT_S,
    LOOPBACK,
    AnchorCheckpoint,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    AnchorUnfit,
    tls_context,
)
from connectors.base import OptionSpec
from connectors.http import require_safe_url

KIND = "webhook"
_KEY_BYTES = range(24, 65)  # Standard Webhooks 1.0, "Signature scheme"
_PASSING = frozenset({408, 425, 429})
_FINAL = {
    405: "the receiver takes no POST at this address: correct url",
    410: "the receiver is gone for good: correct url, or remove the anchor",
    501: "the receiver cannot do this: correct url",
}
"""Standard Webhooks 1.0 has 410 for "send nothing here any more"."""


class WebhookAnchor:
    """One receiver. It gets the same ``webhook-id`` and bytes for the same checkpoint always."""

    def __init__(self, options: AnchorOptions) -> None:
        self._url = httpx.URL(require_safe_url(options.text("url"), option="url"))
        self._webhook = Webhook(_key(options.secret("secret")))
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,  # a redirect could carry the message to another host
            verify=tls_context(options.file("ca_file")),
            trust_env=self._url.host not in LOOPBACK,  # the environment's proxy
            headers={"User-Agent": "lockstep", "Content-Type": "application/json"},
        )

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """Any 2xx is an arrival, nothing else is; the answer's body is not read."""
        body = _body(checkpoint)
        message_id, now = f"chk_{checkpoint.key}", datetime.now(UTC)
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(message_id, now, body.decode()),
        }
        try:
            async with self._client.stream(
                "POST", self._url, content=body, headers=headers
            ) as answer:
                status = answer.status_code
        except httpx.RequestError as error:
            fault = AnchorFault(type(error).__name__)  # its text could hold the address
        else:
            if httpx.codes.is_success(status):
                return f"{message_id} {status} sha256:{checkpoint.digest}\n".encode()
            passing = status in _PASSING or httpx.codes.is_server_error(status)
            fault = AnchorFault(f"status {status}", transient=passing)
            if status in _FINAL:
                fault = AnchorUnfit(f"status {status}: {_FINAL[status]}")
        raise fault

    async def aclose(self) -> None:
        await self._client.aclose()


def _body(checkpoint: AnchorCheckpoint) -> bytes:
    """The same bytes at every repetition."""
    document = {
        "type": "ledger.checkpoint",
        "timestamp": checkpoint.signed_at.astimezone(UTC).isoformat(),
        "data": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "note": checkpoint.note.decode(),
        },
    }
    return json.dumps(document, sort_keys=True).encode()


def _key(secret: str) -> bytes:
    """The key's bytes; the signing library would take anything, down to one guessable byte."""
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) not in _KEY_BYTES:
        raise ValueError("secret: write it as whsec_ and base64 of 24 to 64 bytes")
    return key


MANIFEST = AnchorManifest(
    kind=KIND,
    build=WebhookAnchor,
    options=(
        OptionSpec("url", "address of the receiver; https, or http to loopback"),
        OptionSpec("secret", "whsec_ and base64 of 24 to 64 bytes", secret=True),
        CA_FILE,
    ),
    proves="the receiver holds a copy that carries our signature twice: the note's, the message's",
)

"""Who sent this: Standard Webhooks signatures over the raw body, two active secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError

from lockstep.control.intake.webhook_secret import webhook_key

MAX_ID = 256
_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
_OLDER = "svix-"
"""What the same headers begin with at senders that keep to the name before the standard's."""


class SignatureError(ValueError):
    """The delivery was not signed by a known sender within five minutes."""


class BodyError(ValueError):
    """The body cannot be a signed text at all."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a good signature vouches for beside the body."""

    event_id: str
    sent_at: datetime


class Verifier:
    """Checks deliveries of one source against its active secrets.

    The library compares in constant time and refuses timestamps more than five minutes off, in
    either direction (Standard Webhooks 1.0, "Verifying webhook authenticity").
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        if not secrets:
            raise ValueError("a source needs a secret")
        self._webhooks = [Webhook(webhook_key(secret)) for secret in secrets]

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Delivery:
        """Check one delivery.

        Raises:
            SignatureError: missing, malformed, stale or wrong signature.
            BodyError: a body that is not UTF-8.
        """
        wanted = _headers(headers)
        event_id = wanted["webhook-id"]
        if not all(wanted.values()) or len(event_id) > MAX_ID or not event_id.isprintable():
            raise SignatureError("missing, oversized or unprintable webhook headers")
        accepted = False
        for webhook in self._webhooks:  # no early exit: which secret matched must not show
            try:
                webhook.verify(body, wanted, json_parse=False)
                accepted = True
            except UnicodeDecodeError as error:
                raise BodyError("the body is not UTF-8") from error
            except (WebhookVerificationError, ValueError):
                continue
        if not accepted:
            raise SignatureError("no active secret made this signature")
        sent_at = datetime.fromtimestamp(float(wanted["webhook-timestamp"]), UTC)
        return Delivery(event_id, sent_at)


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The three headers by their standard names; all of one family, never of two."""
    if any(name in headers for name in _HEADERS):
        return {name: headers.get(name, "") for name in _HEADERS}
    return {name: headers.get(name.replace("webhook-", _OLDER), "") for name in _HEADERS}

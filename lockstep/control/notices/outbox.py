"""Carries the outbox to the scorecard's webhook: signed, one at a time, until each has arrived."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta

import httpx
import structlog
from sqlalchemy.exc import SQLAlchemyError
from standardwebhooks import Webhook

from connectors.http import Dialect, require_safe_url, retry_after
from lockstep.control.intake.webhook_secret import webhook_key
from lockstep.storage.outgoing.deliveries import Deliveries, Delivery

log = structlog.get_logger("lockstep.outbox")

SHORTEST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(hours=1)
PATIENCE = timedelta(seconds=20)
"""For one whole exchange, so that an answer that trickles holds nothing up."""
LEASE = timedelta(seconds=60)
"""A message whose sender died is sent again after this long; longer than `PATIENCE`."""
POLL = timedelta(seconds=1)

_DOUBLINGS = 12
_DIALECT = Dialect(connector="scorecard")


class Webhooks:
    """One receiver by Standard Webhooks 1.0 ("Webhook headers", "Signature scheme").

    Args:
        url: https, or http to loopback.
        secret: ``whsec_`` and base64 of 24 to 64 bytes.

    Raises:
        ValueError: for an unsafe address or an unusable secret; quotes neither.
    """

    def __init__(self, url: str, secret: str, *, patience: timedelta = PATIENCE) -> None:
        self._url = httpx.URL(require_safe_url(url, option="scorecard.url"))
        self._webhook = Webhook(webhook_key(secret))
        self._patience = patience.total_seconds()
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(self._patience, connect=5),
            follow_redirects=False,  # a redirect could carry the score to another host
            verify=ssl.create_default_context(),
            trust_env=self._url.scheme == "https",  # the environment's proxy
            headers={"User-Agent": "lockstep", "Content-Type": "application/json"},
            limits=httpx.Limits(max_connections=2),
        )

    async def send(self, delivery: Delivery) -> tuple[str, timedelta | None]:
        """Send once. Empty text: it has arrived; else why not, and the receiver's waiting time.

        Any 2xx is an arrival, nothing else is. The answer's body is not read.
        """
        now = datetime.now(UTC)
        headers = {
            "webhook-id": delivery.delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self._webhook.sign(
                delivery.delivery_id, now, delivery.body.decode()
            ),
        }
        try:
            async with (
                asyncio.timeout(self._patience),
                self._client.stream(
                    "POST", self._url, content=delivery.body, headers=headers
                ) as answer,
            ):
                if answer.is_success:
                    return "", None
                return f"status {answer.status_code}", retry_after(answer.headers, _DIALECT, now)
        except TimeoutError:
            return "no answer in time", None
        except httpx.RequestError as error:  # its text could hold the address
            return type(error).__name__, None

    async def aclose(self) -> None:
        await self._client.aclose()


class Outbox:
    """Sends what is pending for one target, newest first, and retries for ever.

    At least once: a message that arrived while its sender died arrives again, with the same
    ``webhook-id`` and the same bytes. Any number of these loops may run.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        receiver: Webhooks,
        *,
        target: str,
        lease: timedelta = LEASE,
        poll: timedelta = POLL,
    ) -> None:
        self._deliveries = deliveries
        self._receiver = receiver
        self._target = target
        self._lease = lease
        self._poll = poll.total_seconds()

    async def run(self) -> None:
        """Send until cancelled. Outages of database and receiver end by themselves."""
        try:
            while True:
                try:
                    busy = await self.step()
                except (SQLAlchemyError, OSError) as error:
                    log.warning("outbox_waits", error=type(error).__name__)
                    busy = False
                if not busy:
                    await asyncio.sleep(self._poll)
        finally:
            await self._receiver.aclose()

    async def step(self) -> bool:
        """Try one message; False if none was due."""
        delivery = await self._deliveries.claim(self._target, lease=self._lease)
        if delivery is None:
            return False
        error, asked = await self._receiver.send(delivery)
        if not error:
            await self._deliveries.delivered(delivery)
            log.info("message_delivered", attempt=delivery.attempts)
            return True
        wait = min(max(asked or _backoff(delivery.attempts), SHORTEST_WAIT), LONGEST_WAIT)
        log.warning("message_not_delivered", attempt=delivery.attempts, code=error)
        await self._deliveries.failed(delivery, error=error, wait=wait)
        return True


def _backoff(attempts: int) -> timedelta:
    """1 s, 2 s, 4 s ... 1 h."""
    return min(SHORTEST_WAIT * (1 << min(attempts - 1, _DOUBLINGS)), LONGEST_WAIT)

"""Telling people by mail, Slack, Teams, PagerDuty and whatever else Apprise speaks."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

PATIENCE = timedelta(seconds=25)
_SERVICE_S = 20
_MOST_TITLE = 200
_MOST_BODY = 8000
_PLAIN_TEXT = "text"

# Apprise logs addresses in full when a delivery fails, and those hold tokens.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


class ChannelError(Exception):
    """It was not delivered; the text never holds the address."""


class Channel:
    """One Apprise URL (`mailtos://…`, `slack://…`, `msteams://…`, `pagerduty://…`, `json://…`).

    Raises:
        ValueError: for an address that Apprise cannot read; never quotes it.
    """

    def __init__(self, url: str, *, patience: timedelta = PATIENCE) -> None:
        # Loaded when somebody is told something: it knows a hundred services.
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415

        asset = AppriseAsset(
            app_id="Lockstep",
            app_desc="Lockstep",
            app_url="",
            async_mode=False,
            plugin_paths=[],
            secure_logging=True,
            http_redirects=0,
        )
        self._apprise = Apprise(asset=asset)
        if not self._apprise.add(url) or len(self._apprise) != 1:
            raise ValueError("not an address that Apprise can read: see docs/console.md, Notices")
        self._patience = patience.total_seconds()

    async def send(self, title: str, body: str) -> None:
        """Deliver one message, in a thread of its own.

        Raises:
            ChannelError: if it was refused, failed, or took too long.
        """
        work = asyncio.to_thread(
            self._apprise.notify,
            body=_plain(body, lines=True)[:_MOST_BODY],
            title=_plain(title)[:_MOST_TITLE],
            body_format=_PLAIN_TEXT,
            timeout=min(_SERVICE_S, self._patience),
        )
        try:
            arrived = await asyncio.wait_for(work, self._patience)
        except TimeoutError:
            raise ChannelError("no answer in time") from None
        except Exception as error:  # noqa: BLE001 - whatever a plugin lets through names the address
            raise ChannelError(type(error).__name__) from None
        if not arrived:
            raise ChannelError("refused or unreachable")


def _plain(text: str, *, lines: bool = False) -> str:
    """Without control characters: a name must not become a header of a mail."""
    kept = "\n" if lines else ""
    return "".join(sign if sign.isprintable() or sign in kept else " " for sign in text)

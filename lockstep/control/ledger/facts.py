"""How the ledger stands, for people who look at evidence: heads, keys, copies elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from lockstep.control.score.metric import unsealed_since
from lockstep.control.score.rules import Rules
from lockstep.storage.engine.direct import connect
from lockstep.storage.ledger.anchorings import Standing
from lockstep.storage.ledger.checkpoints import StoredCheckpoint
from lockstep.storage.ledger.head import LedgerRefusedError
from lockstep.storage.ledger.keys import read_chain
from lockstep.storage.score.scores import LedgerHead
from lockstep.storage.stores import Stores

HEADS = 12
"""So many of the newest checkpoints are offered."""


@dataclass(frozen=True, slots=True)
class AnchorFacts:
    """One place outside the database, and how it stands."""

    name: str
    kind: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What stands.

    Args:
        origin: the ledger's name in every head.
        head: sizes, and the newest head's root.
        unsealed_since: since when an entry waits too long for a head; None if none does.
        checkpoints: the newest ones, the largest first.
        keys: verifier keys that the ledger names, oldest first; the last one is in force.
        refused: why the keys cannot be told; "" if they can.
    """

    origin: str
    head: LedgerHead
    unsealed_since: datetime | None
    checkpoints: list[StoredCheckpoint]
    keys: tuple[str, ...]
    refused: str
    anchors: list[AnchorFacts]


class LedgerSight:
    """Reads only. ``anchors``: kinds by name."""

    def __init__(
        self, stores: Stores, rules: Rules, *, origin: str, anchors: Mapping[str, str]
    ) -> None:
        self._scores = stores.scores
        self._anchorings = stores.anchorings
        self._url = stores.engine.url
        self._rules = rules
        self._origin = origin
        self._anchors = dict(sorted(anchors.items()))
        self.checkpoints = stores.checkpoints

    async def facts(self) -> LedgerFacts:
        """Everything at once."""
        async with self._scores.reading() as reading:
            head = await reading.head()
        keys, refused = await self.keys()
        standings = await self._anchorings.standings([*self._anchors])
        return LedgerFacts(
            origin=self._origin,
            head=head,
            unsealed_since=unsealed_since(head, self._rules, datetime.now(UTC)),
            checkpoints=await self.checkpoints.newest(HEADS),
            keys=keys,
            refused=refused,
            anchors=[AnchorFacts(row.anchor, self._anchors[row.anchor], row) for row in standings],
        )

    async def keys(self) -> tuple[tuple[str, ...], str]:
        """Verifier keys, oldest first; and why there are none, or ""."""
        return await asyncio.to_thread(self._read_keys)

    def _read_keys(self) -> tuple[tuple[str, ...], str]:
        try:
            with contextlib.closing(connect(self._url, application="lockstep-web-keys")) as link:
                chain = read_chain(link)
        except LedgerRefusedError as error:
            return (), str(error)
        except psycopg.Error:
            return (), "the database did not answer"
        return tuple(term.key.to_text() for term in chain.terms), ""


def age(standing: Standing, now: datetime) -> timedelta | None:
    """How long ago an anchor took its last checkpoint; None before the first."""
    return None if standing.done_at is None else max(now - standing.done_at, timedelta(0))

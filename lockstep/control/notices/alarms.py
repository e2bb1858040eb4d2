"""Facts that no row about a case tells: the ledger, its anchors, silent sources of HR."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lockstep.control.runtime.clock_watch import clock_lines
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.notices import Fact, NoticeKind
from lockstep.evidence.format.canonical import instant_text
from lockstep.storage.intake.feeds import read_feeds
from lockstep.storage.ledger.anchorings import AnchorState
from lockstep.storage.ledger.state import not_in_order_since
from lockstep.storage.score.facts_proof import TOLD_FOR, changed_facts
from lockstep.storage.stores import Stores

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DISORDER = (
    "What is done waits for its place in it: no head is signed, no score follows. Revocations go"
    " on. `lockstep doctor` says more."
)
_CHANGED = (
    "Facts that the score is made of were changed in the database by another hand than ours. They"
    " are folded anew from the ledger; find out who may write there. `lockstep doctor` says more."
)
_ATTEMPTS = 5
"""A receiver that is away for a minute alarms nobody."""


class Alarms:
    """Looks at what the ledger depends on. ``silent_after``: how long HR may say nothing."""

    def __init__(self, stores: Stores, *, anchors: Sequence[str], silent_after: timedelta) -> None:
        self._stores = stores
        self._anchors = list(anchors)
        self._silent_after = silent_after

    async def anchors(self, now: datetime) -> list[Fact]:
        """Anchors that have failed for a while, or that hold another ledger than ours."""
        found = []
        for standing in await self._stores.anchorings.standings(self._anchors):
            state = standing.state
            failing = state is AnchorState.FAILING and standing.attempts >= _ATTEMPTS
            if failing or state in {AnchorState.CONFLICT, AnchorState.UNFIT}:
                key = f"{NoticeKind.ANCHOR.value}:{standing.anchor}:{state}:{standing.size}"
                found.append(Fact(key, NoticeKind.ANCHOR, now, system=standing.anchor))
        return found

    async def ledger(self, now: datetime) -> list[Fact]:
        """What is wrong with the ledger, or with what is kept beside it."""
        return [*await self.disorder(now), *await self.changed(now)]

    async def changed(self, now: datetime) -> list[Fact]:
        """Kept facts that another hand than the sequencer's had changed."""
        changed = await changed_facts(self._stores.engine)
        if changed is None or now - changed.at > TOLD_FOR:
            return []
        key = f"{NoticeKind.LEDGER.value}:facts:{instant_text(whole_ms(changed.at))}"
        return [Fact(key, NoticeKind.LEDGER, changed.at, system=_CHANGED)]

    async def disorder(self, now: datetime) -> list[Fact]:  # noqa: ARG002 - the database's clock
        """A ledger whose entries wait for their place, whoever holds the sequencer's lock."""
        async with self._stores.engine.connect() as connection:
            since = await not_in_order_since(connection)
        if since is None:
            return []
        key = f"{NoticeKind.LEDGER.value}:{instant_text(whole_ms(since))}"
        return [Fact(key, NoticeKind.LEDGER, since, system=_DISORDER)]

    async def clocks(self, now: datetime) -> list[Fact]:
        """Clocks that differ; once a day of each, however it moves."""
        found = []
        for look in await self._stores.clocks.read():
            for line in clock_lines([look]):
                key = f"{NoticeKind.CLOCK.value}:{look.who}:{now:%Y-%m-%d}"
                found.append(Fact(key, NoticeKind.CLOCK, look.looked_at, system=line))
        return found

    async def silent(self, now: datetime) -> list[Fact]:
        """Expected sources that have not been heard for longer than they may."""
        async with self._stores.engine.connect() as connection:
            feeds = await read_feeds(connection)
        found = []
        for feed in feeds:
            now_ms = (now - _EPOCH) // timedelta(milliseconds=1)
            silent = timedelta(milliseconds=feed.age_ms(now_ms))
            if silent > self._silent_after:
                since = whole_ms(now - silent)
                key = f"{NoticeKind.SILENT.value}:{feed.source}:{instant_text(since)}"
                found.append(Fact(key, NoticeKind.SILENT, since, system=feed.source))
        return found

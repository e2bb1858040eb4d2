"""HR's sources in the ledger: which are expected, and that one was heard."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy import ARRAY, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.domain.cases.clocks import whole_ms
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.ledger.feeds import FeedBook
from lockstep.scorecard.facts import Feed
from lockstep.storage.ledger.append import Append, append_all

_LOCK = 7_212_019_003
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Feeds:
    """Says in the ledger what the score needs to know of HR's sources."""

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant
        self._said: dict[str, str] = {}

    async def expect(self, sources: Collection[str], *, at: datetime | None = None) -> bool:
        """Put on record which sources are expected; True if others were until now.

        Args:
            sources: their names, as in the settings.
            at: since when; default now.
        """
        wanted = sorted(sources)
        now = whole_ms(at or datetime.now(UTC))
        async with self._engine.begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            said = list(await connection.scalars(_EXPECTED))
            last = json.loads(said[-1])["data"]["sources"] if said else []
            if wanted == last:
                return False
            entry = Entry(
                kind=EntryKind.FEED_EXPECTED,
                key=f"{EntryKind.FEED_EXPECTED.value}:{len(said) + 1:06}",
                tenant=self._tenant,
                occurred_at=now,
                recorded_at=now,
                data={"sources": wanted},
            )
            await append_all(connection, [Append(entry)])
        return True

    async def hear(self, source: str, *, sent_at: datetime, received_at: datetime) -> bool:
        """Put on record that a source was heard, once an hour; True if that is new.

        Args:
            source: its name, as in the settings.
            sent_at: when the sender signed the message. Its hour is the key, so that a message
                that somebody repeats says nothing that it had not said before.
            received_at: when we heard it.
        """
        key = _heard_key(source, sent_at.astimezone(UTC).strftime("%Y-%m-%dT%H"))
        if self._said.get(source) == key:
            return False
        entry = Entry(
            kind=EntryKind.FEED_HEARD,
            key=key,
            tenant=self._tenant,
            occurred_at=whole_ms(received_at),
            recorded_at=whole_ms(received_at),
            data={"source": source},
        )
        async with self._engine.begin() as connection:
            [is_new] = await append_all(connection, [Append(entry)])
        self._said[source] = key
        return is_new


async def read_feeds(connection: AsyncConnection, *, partner: str | None = None) -> list[Feed]:
    """The expected sources of HR, by name, as the entries tell that a pack discloses.

    Args:
        connection: one consistent look.
        partner: count only this partner's cases as hearing, like a pack for the partner.
    """
    book = FeedBook()
    for body in await connection.scalars(_EXPECTED):
        book.take_expected(json.loads(body))
    names = list(book.expected)
    if not names:
        return []
    prefixes = [_heard_key(name, "") for name in names]
    for body in await connection.scalars(_HEARD, {"prefixes": prefixes}):
        book.take_heard(json.loads(body))
    rows = await connection.execute(_RECEIVED, {"names": names, "partner": partner})
    for source, received_at in rows:
        book.hear(source, (received_at - _EPOCH) // timedelta(milliseconds=1))
    return list(book.feeds())


def _heard_key(source: str, hour: str) -> str:
    return f"{EntryKind.FEED_HEARD.value}:{source}:{hour}"


_EXPECTED = text(
    """
    select body from ledger_entries
     where key between 'feed:expected:000000' and 'feed:expected:999999'
       and kind = 'feed:expected' order by key
    """
)
"""Found by the index of keys, like the next: a ledger of millions is not read through."""

_HEARD = text(
    """
    select e.body from unnest(:prefixes) as s(prefix) cross join lateral (
        select body from ledger_entries
         where key between s.prefix || '0000-00-00T00' and s.prefix || '9999-99-99T99'
           and kind = 'feed:heard' and starts_with(key, s.prefix)
         order by key desc limit 2) e
    """
).bindparams(bindparam("prefixes", type_=ARRAY(Text)))
"""Two of each: clocks may differ by minutes, so the one before the last hour's can be the later."""

_RECEIVED = text(
    """
    select source, max(least(received_at, opened_at)) from cases
     where source = any(:names) and (cast(:partner as text) is null or partner = :partner)
     group by source
    """
).bindparams(bindparam("names", type_=ARRAY(Text)))

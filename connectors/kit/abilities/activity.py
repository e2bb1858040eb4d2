"""What was done with an account, from the vendor's own log; "nothing" only with proof."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.base import ConnectorFault, Transcript
from connectors.kit.abilities.gaps import flawed, gap
from connectors.kit.abilities.rows import Log, Ordered
from connectors.kit.calls import Api, Listed, Words
from connectors.kit.instants import told_instant
from connectors.kit.pages import Item
from connectors.kit.paths import at
from connectors.kit.records import Records
from connectors.kit.steps import attempt
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.activity import Activity, Use
from lockstep.domain.systems.faults import FaultCategory

ACTIVITY: Final = "activity"
NO_INSTANT: Final = "entry_without_instant"
_NOT_A_CODE: Final = re.compile(r"[^A-Za-z0-9_.:-]+")
_LONGEST_CODE: Final = 64


class ActivityLog:
    """Runs the row of one vendor against one system."""

    def __init__(self, row: Log, api: Api) -> None:
        self._row = row
        self._api = api

    async def since(self, account: Account, since: datetime, transcript: Transcript) -> Activity:
        """See `connectors.abilities.TellsActivity`."""
        row, now = self._row, datetime.now(UTC)
        begin = max(since, now - row.widest) if row.widest else since
        words = {**Records.words(account), **_span(begin, now)}
        items = await attempt(self._entries(row.listed, row.ordered, words, transcript))
        if isinstance(items, ConnectorFault):
            return Activity(account.id, since, (), None, now, (gap(ACTIVITY, items),))
        mine = [
            (item, kind) for item in items if row.mine(item, words) and (kind := row.kind(item))
        ]
        uses = [
            Use(moment, kind, _code(row.what(item)), str(item[row.listed.shape.ref]))
            for item, kind in mine
            if (moment := told_instant(at(item, row.at)))
        ]
        unread = len(uses) < len(mine)
        operation = row.listed.call.operation
        gaps = (flawed(ACTIVITY, operation, NO_INSTANT),) if unread else ()
        kept = sorted((use for use in uses if use.at >= since), key=lambda use: use.at)
        reaches = await self._reach(begin, now, transcript, alive=bool(items))
        # What lies before the longest span that may be asked for was not asked for.
        if reaches is not None and begin > since:
            reaches = max(reaches, begin)
        return Activity(account.id, since, tuple(kept), reaches, now, gaps)

    async def _reach(
        self, begin: datetime, now: datetime, transcript: Transcript, *, alive: bool
    ) -> datetime | None:
        """From when on the log holds entries; None where nothing shows it.

        An entry of anybody's from before proves it. What the vendor documents counts only while
        the log shows anything at all: one that may not be read can look like an empty one.
        """
        row, known = self._row, list[datetime]()
        if row.oldest is not None:
            words = {**Records.words(Account("")), **_span(begin - row.look_back, begin)}
            asked = self._entries(row.oldest, row.oldest_ordered, words, transcript, some=True)
            items = await attempt(asked)
            if not isinstance(items, ConnectorFault):
                alive = alive or bool(items)
                known += [moment for item in items if (moment := told_instant(at(item, row.at)))]
        if row.kept is not None and alive:
            known.append(now - row.kept)
        return min(known, default=None)

    async def _entries(
        self,
        listed: Listed,
        ordered: Ordered | None,
        words: Words,
        transcript: Transcript,
        *,
        some: bool = False,
    ) -> list[Item]:
        if ordered is not None:
            words = {**words, "ref": await self._ready(ordered, words, transcript)}
        if some:
            return await self._api.some(listed, words, transcript)
        return await self._api.whole(listed, words, transcript)

    async def _ready(self, ordered: Ordered, words: Words, transcript: Transcript) -> str:
        """The id of a list that was ordered, once it is ready.

        Raises:
            ConnectorFault: it was refused, given up, or is not ready soon.
        """
        answer = await self._api.probe(ordered.make, words, transcript)
        ref = at(answer.data, ordered.ref)
        if not isinstance(ref, str | int) or isinstance(ref, bool):
            raise self._api.odd(ordered.make.operation, "no_id")
        for _ in range(ordered.tries):
            data = answer.data if isinstance(answer.data, dict) else {}
            ready = ordered.ready(data)
            if ready:
                return str(ref)
            if ready is None:
                raise self._api.fault(
                    FaultCategory.VENDOR_ERROR, ordered.make.operation, "given_up"
                )
            answer = await self._api.probe(ordered.poll, {**words, "ref": str(ref)}, transcript)
        raise self._api.fault(FaultCategory.VENDOR_ERROR, ordered.poll.operation, "not_ready")


def _span(begin: datetime, end: datetime) -> Words:
    # The millisecond that has begun is asked for too.
    return {"since": _written(begin), "until": _written(end + timedelta(milliseconds=1))}


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _code(what: object) -> str:
    return _NOT_A_CODE.sub("_", str(what or "unknown"))[:_LONGEST_CODE]

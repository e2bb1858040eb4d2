"""Tells people what needs them: once per fact and route, quiet hours kept, nothing lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from connectors.channel import Channel, ChannelError
from lockstep.domain.notices import Fact, NoticeKind, Route
from lockstep.storage.outgoing.notices import Notice, Notices

log = structlog.get_logger("lockstep.notices")

POLL = timedelta(seconds=5)
LEASE = timedelta(seconds=90)
"""A process that died while it sent keeps its notices for so long; longer than a delivery."""
PER_MINUTE = 6
"""Messages of a route; what is more goes together into one."""
MOST_TOGETHER = 500
_THIN = timedelta(hours=6)
_SHORTEST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(minutes=15)
_DOUBLINGS = 8

FactSource = Callable[[datetime], Awaitable[list[Fact]]]
NameReader = Callable[[str], Awaitable[str]]

TITLES = {
    NoticeKind.STUCK: "A revocation needs a person",
    NoticeKind.NEAR: "A revocation is near its limit",
    NoticeKind.BREACHED: "A revocation is past its limit",
    NoticeKind.RETURNED: "A later look found access",
    NoticeKind.BRAKE: "Terminations wait for an approver",
    NoticeKind.ANCHOR: "A copy of the ledger cannot be kept",
    NoticeKind.SILENT: "HR has not been heard",
    NoticeKind.STALLED: "A case cannot go on: its workflow fails",
    NoticeKind.LOST: "A case's workflow was lost",
    NoticeKind.EVENT: "An event of HR was not carried out, or not in full",
    NoticeKind.LEDGER: "The ledger is not in order",
    NoticeKind.CLOCK: "Clocks differ",
    NoticeKind.EXPORT: "A pack could not be made",
    NoticeKind.OUTAGE: "A fault of a system holds up more than ten leavers",
}
_PAGES = {
    NoticeKind.BRAKE: "/console/brake",
    NoticeKind.ANCHOR: "/console/evidence",
    NoticeKind.SILENT: "/console/people-metric",
    NoticeKind.STALLED: "/console/",
    NoticeKind.LOST: "/console/",
    NoticeKind.EVENT: "/console/",
    NoticeKind.LEDGER: "/console/evidence",
    NoticeKind.CLOCK: "/console/",
    NoticeKind.EXPORT: "/console/evidence",
    NoticeKind.OUTAGE: "/console/systems/{system}",
}


@dataclass(frozen=True, slots=True)
class Message:
    """What one delivery says."""

    title: str
    body: str


class Notifier:
    """Finds facts, and carries them to the routes. Any number of these may run.

    At least once: a message that arrived while its sender died may arrive again.

    Args:
        routes: where to, each with its channel.
        sources: more facts than those of the database, such as anchors that fail.
        origin: where browsers find the console.
        leaver: the name of a case's leaver, for routes that may name people.
    """

    def __init__(
        self,
        notices: Notices,
        routes: Sequence[tuple[Route, Channel]],
        *,
        origin: str,
        leaver: NameReader,
        sources: Mapping[NoticeKind, FactSource] | None = None,
    ) -> None:
        self._notices = notices
        self._routes = list(routes)
        self._sources = dict(sources or {})
        self._origin = origin
        self._leaver = leaver
        self._thinned_at = datetime.fromtimestamp(0, UTC)

    async def run(self) -> None:
        """Tell until cancelled. Outages of database and receivers end by themselves."""
        while True:
            try:
                now = datetime.now(UTC)
                await self.step(now)
                if now - self._thinned_at > _THIN:
                    await self._notices.thin(now)
                    self._thinned_at = now
            except (SQLAlchemyError, OSError) as error:
                log.warning("notices_wait", error=type(error).__name__)
            await asyncio.sleep(POLL.total_seconds())

    async def step(self, now: datetime) -> None:
        """Look once, and send what is due; a dead route holds up no other."""
        await self.look(now)
        await asyncio.gather(*(self._deliver(route, channel) for route, channel in self._routes))

    async def look(self, now: datetime) -> None:
        """Put what is new into the outbox, and take out what is over."""
        facts = await self._notices.about_cases(now)
        for source in self._sources.values():
            facts += await source(now)
        wanted = [
            (route.name, fact)
            for route, _ in self._routes
            for fact in _told_together([fact for fact in facts if route.wants(fact)])
        ]
        await self._notices.put(wanted, now)
        standing = {fact.key for fact in facts}
        await self._notices.end(standing, list(NoticeKind))
        await self._escalate(standing, now)

    async def _escalate(self, standing: Collection[str], now: datetime) -> None:
        for route, _ in self._routes:
            if route.escalate_to:
                told = await self._notices.unanswered(route.name, now - route.after)
                facts = [(route.escalate_to, fact) for fact in told if fact.key in standing]
                await self._notices.put(facts, now, escalated_from=route.name)

    async def _deliver(self, route: Route, channel: Channel) -> None:
        now = datetime.now(UTC)
        due, left = await self._notices.claim(
            route.name, now, lease=LEASE, most=MOST_TOGETHER, per_minute=PER_MINUTE
        )
        due = await self._without_quiet(route, due, now)
        if not due:
            return
        groups = [[notice] for notice in due] if len(due) < left else [due]
        for group in groups:
            await self._send(route, channel, group)

    async def _without_quiet(
        self, route: Route, due: Sequence[Notice], now: datetime
    ) -> list[Notice]:
        """What may be said now; the rest waits until the quiet ends."""
        if route.quiet is None:
            return list(due)
        loud: list[Notice] = []
        held: dict[datetime, list[str]] = {}
        for notice in due:
            until = route.quiet.until(now, notice.kind)
            if until is None:
                loud.append(notice)
            else:
                held.setdefault(until, []).append(notice.notice_id)
        for until, ids in held.items():
            await self._notices.later(ids, until)
        return loud

    async def _send(self, route: Route, channel: Channel, group: Sequence[Notice]) -> None:
        ids = [notice.notice_id for notice in group]
        message = await self.message(route, group)
        try:
            await channel.send(message.title, message.body)
        except ChannelError as error:
            attempts = max(notice.attempts for notice in group)
            log.warning("notice_not_sent", attempt=attempts, error=str(error))
            wait = min(_SHORTEST_WAIT * (1 << min(attempts - 1, _DOUBLINGS)), _LONGEST_WAIT)
            await self._notices.later(ids, datetime.now(UTC) + wait, str(error))
            return
        await self._notices.sent(ids, datetime.now(UTC))
        log.info("notice_sent", count=len(ids))

    async def message(self, route: Route, group: Sequence[Notice]) -> Message:
        """What these notices say; several of them as counts and one link."""
        if len(group) == 1:
            return await self._single(route, group[0])
        counts = Counter(notice.kind for notice in group)
        lines = [f"{count} × {TITLES[kind]}" for kind, count in counts.most_common()]
        lines.append(f"{self._origin}/console/")
        return Message(f"Lockstep: {len(group)} things need somebody", "\n".join(lines))

    async def _single(self, route: Route, notice: Notice) -> Message:
        lines = [f"{TITLES[notice.kind]}."]
        if notice.escalated_from:
            lines.append("Nobody has taken it yet.")
        if notice.case_id:
            name = await self._leaver(notice.case_id) if route.names else ""
            about = [f"case {notice.case_id}", name, notice.system, notice.partner]
            lines.append(" · ".join(part for part in about if part))
            lines.append(f"{self._origin}/console/cases/{notice.case_id}")
        else:
            lines.append(notice.system)
            lines.append(self._origin + _PAGES[notice.kind].format(system=notice.system))
        again = "Still open: " if notice.escalated_from else ""
        return Message(f"Lockstep: {again}{TITLES[notice.kind]}", "\n".join(lines))


def _told_together(facts: Sequence[Fact]) -> list[Fact]:
    """Without those that another of ``facts`` tells of too: one message instead of hundreds."""
    keys = {fact.key for fact in facts}
    return [fact for fact in facts if fact.covered_by not in keys]

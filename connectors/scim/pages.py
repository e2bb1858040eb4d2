"""Lists of any length, page by page, from servers that count, page and number as they like.

RFC 7644 section 3.4.2.4 wants ``startIndex`` from 1, ``count``, and everything in ``totalResults``.
Servers count only the page, cap it, start at 0, take ``startIndex`` for a page's number, repeat or
overlap pages, or answer all of it at once. So a list is walked until nothing new comes, its
distinct ids are compared with its own claim, and only what agrees counts as whole.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from typing import Any

from connectors.base import ConnectorFault, Transcript
from connectors.http import TOO_LARGE
from connectors.scim import wire
from connectors.scim.client import PAGE, Page, ScimClient, fault, refuses, status_of
from connectors.scim.members import may_be_cut
from lockstep.domain.systems.faults import FaultCategory

LONG_ANSWER_BYTES = 48 * 1024 * 1024
"""Bound of one page: a group of 50,000 members is about ten megabytes."""
_EMPTY_AT_MOST = 2
_ROUND = 10
_MOST_IDS = 3_000_000


class Walk:
    """One walk through one list; only ids are remembered, so its length does not matter.

    Args:
        path: ``/Users`` or ``/Groups``.
        operation: our name of the calls.
        params: further parameters of every call, such as ``filter``.
        count: resources per page at first; halved while a page is too large.

    Attributes:
        seen: the distinct ids so far.
        whole: after the walk, whether it saw everything that the server claims to have.
        denied: whether a 404 stood for the list.
    """

    def __init__(
        self,
        client: ScimClient,
        path: str,
        operation: str,
        transcript: Transcript,
        params: Mapping[str, str | int] | None = None,
        *,
        count: int = PAGE,
    ) -> None:
        self._client = client
        self._path = path
        self._operation = operation
        self._transcript = transcript
        self._params = dict(params or {})
        self._count = count
        self._total: int | None = None
        self._repeats = False
        self.seen: set[str] = set()
        self.whole = False
        self.denied = False

    async def few(
        self, fits: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> list[dict[str, Any]]:
        """Everything under a filter: further pages only where something speaks for them.

        An answer that does not fit is that of a server which ignores filters: it is not gone on.
        """
        page = await self._ask({"startIndex": 1})
        found, self.denied = self._fresh(page), page.denied
        if not all(map(fits, found)):
            return found
        claims_more = self._total is not None and self._total > len(self.seen)
        if not claims_more and not page.cursor and not may_be_cut(len(page.resources)):
            self.whole = True
            return found
        async for more in self._onward(page):
            found += more
        self.whole = self._agrees()
        return found

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Every resource once, a page at a time."""
        first = await self._ask({"startIndex": 1})
        if fresh := self._fresh(first):
            yield fresh
        async for fresh in self._onward(first):
            yield fresh
        if self.seen and not first.cursor:
            async for fresh in self._odd_numbering(first):
                yield fresh
        is_whole = self._agrees() and (not self._repeats or await self._all_at_once(first))
        self.whole = is_whole and not self._ends_at_a_cut()

    async def _onward(self, first: Page) -> AsyncIterator[list[dict[str, Any]]]:
        """The pages after the first, until one is empty or brings nothing new.

        A page may be empty before the end, because all in it are hidden: where the list claims
        more, a few such are passed over.
        """
        start, page, empty, further = 1, first, 0, False
        while True:
            empty = 0 if page.resources else empty + 1
            claims_more = (self._total or 0) > len(self.seen)
            if empty > (_EMPTY_AT_MOST if claims_more else 0):
                return
            start += len(page.resources) or self._count
            where: dict[str, str | int] = {"startIndex": start}
            if page.cursor:
                where = {"cursor": page.cursor}  # RFC 9865
            elif first.cursor:
                return
            page = await self._ask(where)
            fresh = self._fresh(page)
            if page.resources and not fresh:
                self._repeats = not further
                return
            if fresh:
                yield fresh
                further = True

    async def _odd_numbering(self, first: Page) -> AsyncIterator[list[dict[str, Any]]]:
        """A list that starts at 0, and one whose ``startIndex`` is the number of a page."""
        try:
            page = await self._ask({"startIndex": 0})
        except ConnectorFault as told:
            if told.is_transient:
                raise
            return  # a server that refuses 0 starts at 1
        if fresh := self._fresh(page):
            yield fresh
        number = 2
        while (self._total or 0) > len(self.seen) or may_be_cut(len(first.resources)):
            fresh = self._fresh(await self._ask({"startIndex": number}))
            if not fresh:
                return
            yield fresh
            number += 1

    async def _all_at_once(self, first: Page) -> bool:
        """Whether a server that repeats its first page has shown all of it.

        It has if it ignores ``count`` too, or if it counts from another start after all: then it
        only repeats what lies beyond the end.
        """
        if len(self.seen) <= 1:
            return True
        page = await self._ask({"startIndex": 2, "count": 1})
        shown = [wire.id_of(one) for one in page.resources]
        return len(shown) > 1 or shown == [wire.id_of(one) for one in first.resources[1:2]]

    def _ends_at_a_cut(self) -> bool:
        """Whether the list may be the start of a longer one, whatever it claims.

        Servers cut lists and count what is left. So a list of exactly so many is not believed; a
        smaller round one neither, where it names no total and heeds no paging.
        """
        size = len(self.seen)
        is_vouched = self._total is not None or not self._repeats
        return may_be_cut(size) or (not is_vouched and size > 0 and size % _ROUND == 0)

    def _fresh(self, page: Page) -> list[dict[str, Any]]:
        if page.total is not None:
            self._total = max(self._total or 0, page.total)
        shown = wire.distinct(page.resources)
        new = {one_id: one for one_id, one in shown.items() if one_id not in self.seen}
        self.seen.update(new)
        if len(self.seen) > _MOST_IDS:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, self._operation, "list_without_end")
        return list(new.values())

    def _agrees(self) -> bool:
        return self._total is None or self._total <= len(self.seen)

    async def _ask(self, where: Mapping[str, str | int]) -> Page:
        """One page, of fewer resources while it is too large for us."""
        while True:
            params = {**where, "count": where.get("count", self._count), **self._params}
            try:
                return await self._client.page(
                    self._path, self._operation, self._transcript, params, most=LONG_ANSWER_BYTES
                )
            except ConnectorFault as told:
                if told.code != TOO_LARGE or self._count == 1 or "count" in where:
                    raise
            self._count = max(1, self._count // 8)


async def ids_under(
    client: ScimClient,
    path: str,
    only: str,
    transcript: Transcript,
    *,
    further: bool,
    news: Collection[str] = (),
) -> list[str] | None:
    """Ids of the resources under one filter; None when the server refuses it.

    Only ids are asked for: the members of a large group are megabytes. ``further`` says whether
    later pages count too, ``news`` which refusals are told all the same.
    """
    params = {"filter": only, "attributes": "id"}
    walk = Walk(client, path, f"{path[1:].lower()}.search", transcript, params)
    try:
        return [wire.id_of(one) for one in await walk.few(lambda _: further)]
    except ConnectorFault as told:
        if status_of(told) in news or not refuses(told):
            raise
        return None

"""Lists of any length: how a vendor pages is data, and one walk knows when it has seen it all.

A walk is bounded, notices a page that comes again and a cursor that leads back, and compares what
it saw with what the vendor says there is. What does not agree is not whole, with a code that says
why; nobody may conclude an absence from it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import httpx

from connectors.http import Answer
from connectors.kit.paths import Path, at

Item = dict[str, Any]
Params = Mapping[str, str | int]
Ask = Callable[[Params], Awaitable[Answer]]

MOST_PAGES: Final = 50
_YES: Final = (True, "true")
NO_LIST: Final = "no_list"
NO_ID: Final = "no_id"
REPEATED: Final = "page_repeated"
FEWER: Final = "fewer_than_told"
ENDLESS: Final = "too_many_pages"


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a walk has come.

    Args:
        pages: so many pages were read.
        shown: entries of the last one.
        counted: entries of all of them.
        distinct: entries, each counted once.
        total: how many there are, as the vendor says.
    """

    pages: int
    shown: int
    counted: int
    distinct: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Whole:
    """The vendor gives every list whole."""

    def first(self) -> Params:
        return {}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        return None


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """RFC 8288: ``Link: <…>; rel="next"``. Only its query: our credential follows no link."""

    size: Params | None = None
    rel: str = "next"

    def first(self) -> Params:
        return self.size or {}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        header = ", ".join(answer.headers.get_list("link"))
        links = httpx.Response(200, headers={"link": header}).links if header else {}
        return _query(links.get(self.rel, {}).get("url"))


@dataclass(frozen=True, slots=True)
class NextLink:
    """The address of the next page stands in the body; only its query is used."""

    at: Path = ("@odata.nextLink",)
    size: Params | None = None

    def first(self) -> Params:
        return self.size or {}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        return _query(at(answer.data, self.at))


@dataclass(frozen=True, slots=True)
class Cursor:
    """A cursor or token in the body, sent back as a parameter; none or an empty one is the end.

    ``more`` is where the vendor says that there is more: then no cursor is a flaw, not the end.
    """

    param: str
    at: Path
    size: Params | None = None
    more: Path = ()

    def first(self) -> Params:
        return self.size or {}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        told = at(answer.data, self.at)
        if not isinstance(told, str | int) or told == "":
            says_more = bool(self.more) and at(answer.data, self.more) in _YES
            return self.first() if says_more else None  # which was asked: the walk notices
        return {**self.first(), self.param: told}


@dataclass(frozen=True, slots=True)
class Offset:
    """A number of what is skipped (``startIndex`` counts from 1), or of the page.

    Args:
        param: ``offset``, ``startIndex``, ``page``.
        size: entries asked for.
        size_param: ``limit``, ``count``, ``per_page``.
        origin: the number of the first entry or page.
        by_page: whether pages are numbered, not entries.
    """

    param: str = "offset"
    size: int = 100
    size_param: str = "limit"
    origin: int = 0
    by_page: bool = False

    def first(self) -> Params:
        return {self.size_param: self.size, self.param: self.origin}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        """The next page; no total is believed while the page has the size of a usual cut."""
        is_last = seen.shown < self.size and not is_usual_cut(seen.shown)
        if not seen.shown or (is_last and seen.total is not None and seen.distinct >= seen.total):
            return None
        passed = seen.pages if self.by_page else seen.counted
        return {self.size_param: self.size, self.param: self.origin + passed}


@dataclass(frozen=True, slots=True)
class Relay:
    """GraphQL connections: ``pageInfo`` says whether there is more, and after which cursor."""

    at: Path
    size: Params | None = None
    param: str = "after"

    def first(self) -> Params:
        return self.size or {}

    def after(self, answer: Answer, seen: Seen) -> Params | None:  # noqa: ARG002 - as the others
        """Nothing only where the vendor says that this was the end.

        What does not say so asks for the same again, which a walk does not take for the end.
        """
        info = at(answer.data, self.at)
        more = info.get("hasNextPage") if isinstance(info, dict) else None
        if more is False:
            return None
        told = at(info, ("endCursor",)) if more is True else None
        return {**self.first(), self.param: told} if isinstance(told, str) else self.first()


Pager = Whole | LinkHeader | NextLink | Cursor | Offset | Relay


@dataclass(frozen=True, slots=True)
class Total:
    """Where the vendor says how many there are: in the body, or after the slash of a range."""

    at: Path = ()
    header: str = ""

    def of(self, answer: Answer) -> int | None:
        told = at(answer.data, self.at) if self.at else None
        if self.header:
            told = answer.headers.get(self.header, "").rpartition("/")[2]
        text = str(told) if isinstance(told, int | str) and not isinstance(told, bool) else ""
        return int(text) if text.isascii() and text.isdigit() else None


@dataclass(frozen=True, slots=True)
class Shape:
    """Where a list's entries stand in an answer.

    Args:
        at: the list in the body; the body itself by default.
        ref: the field that names an entry; "" where the vendor names none, as in some logs: they
            are numbered, so that a page that comes again is not noticed by its entries.
        total: where the vendor says how many there are, if it does.
        null_is_empty: whether ``null`` is an empty list, as Go writes one.
        says: what a body says beside the list, of a vendor that leaves an empty list out: without
            it an answer without a list is no list.
        parts: fields that name an entry together; with slashes between they become ``ref``.
        plain: whether entries are texts, each its own ``ref``.
        counts: whether an entry is one; any other is left out, whatever it lacks.
        read: makes the list of a body that has none, or several; in place of ``at``.
    """

    at: Path = ()
    ref: str = "id"
    total: Total | None = None
    null_is_empty: bool = False
    says: tuple[str, str] | None = None
    parts: tuple[str, ...] = ()
    plain: bool = False
    counts: Callable[[Item], bool] = lambda _: True
    read: Callable[[object], object] | None = None

    def entries(self, found: object) -> list[Item] | None:
        """The entries, each with its ``ref`` where it has one; None where it is no list."""
        if not isinstance(found, list):
            return None
        if self.plain:
            found = [{self.ref: one} if isinstance(one, str) else one for one in found]
        if not all(isinstance(item, dict) for item in found):
            return None
        found = [item for item in found if self.counts(item)]
        return [{**item, self.ref: self._named(item)} for item in found] if self.parts else found

    def _named(self, item: Item) -> str:
        parts = [item.get(part) for part in self.parts]
        return "/".join(map(str, parts)) if all(map(_names, parts)) else ""


class Walk:
    """One walk through one list.

    Args:
        pager: how the vendor pages.
        shape: where the entries stand.
        ask: makes one call with these parameters.
        most: pages that are read at most.

    Attributes:
        flaw: after the walk, why the list is not known to be whole; "" where it is.
        last: the last page's answer.
        shown: entries of the last page.
    """

    def __init__(self, pager: Pager, shape: Shape, ask: Ask, *, most: int = MOST_PAGES) -> None:
        self._pager = pager
        self._shape = shape
        self._ask = ask
        self._most = most
        self._refs: set[str] = set()
        self._total: int | None = None
        self.flaw = ENDLESS
        self.last: Answer | None = None
        self.shown = 0

    @property
    def is_whole(self) -> bool:
        return not self.flaw

    async def pages(self) -> AsyncGenerator[list[Item]]:
        """Each entry once, a page at a time; its ``id`` is text."""
        params, asked, counted = self._pager.first(), set[frozenset[tuple[str, str | int]]](), 0
        for number in range(1, self._most + 1):
            asked.add(frozenset(params.items()))
            answer = self.last = await self._ask(params)
            items = self._read(answer)
            if items is None:
                return
            fresh = [item for item in items if item[self._shape.ref] not in self._refs]
            self._refs.update(item[self._shape.ref] for item in fresh)
            counted += len(items)
            self.shown = len(items)
            if fresh:
                yield list({item[self._shape.ref]: item for item in fresh}.values())
            seen = Seen(number, len(items), counted, len(self._refs), self._total)
            following = self._pager.after(answer, seen)
            if following is None:
                self.flaw = FEWER if seen.distinct < (seen.total or 0) else ""
                return
            if (items and not fresh) or frozenset(following.items()) in asked:
                self.flaw = REPEATED
                return
            params = following

    async def all(self) -> list[Item]:
        """Every entry; look at ``flaw`` before concluding anything from what is not there."""
        return [item async for page in self.pages() for item in page]

    def _read(self, answer: Answer) -> list[Item] | None:
        shape = self._shape
        found = shape.read(answer.data) if shape.read else at(answer.data, shape.at)
        if found is None and shape.null_is_empty and _holds(answer.data, shape.at):
            found = []
        if shape.says is not None and not _holds(answer.data, shape.at):
            name, word = shape.says
            found = [] if at(answer.data, (name,)) == word else None
        items = shape.entries(found)
        if items is None:
            self.flaw = NO_LIST
            return None
        if not shape.ref:
            begun = len(self._refs)
            items = [{**item, "": begun + place} for place, item in enumerate(items)]
        if not all(_names(item.get(shape.ref)) for item in items):
            self.flaw = NO_ID
            return None
        told = shape.total.of(answer) if shape.total else None
        self._total = max(told, self._total or 0) if told is not None else self._total
        return [{**item, shape.ref: str(item[shape.ref])} for item in items]


def is_usual_cut(size: int) -> bool:
    """Whether a page of this size may have been cut: vendors cut at round sizes."""
    return size > 0 and (size % 10 == 0 or size % 25 == 0)


def _names(ref: object) -> bool:
    return isinstance(ref, str | int) and not isinstance(ref, bool) and ref != ""


def _holds(data: object, path: Path) -> bool:
    inner = at(data, path[:-1])
    return isinstance(inner, dict) and bool(path) and path[-1] in inner


def _query(address: object) -> Params | None:
    if not isinstance(address, str) or not address:
        return None
    return dict(parse_qsl(urlsplit(address).query))

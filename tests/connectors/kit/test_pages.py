"""Walking lists: every entry once, the end known for sure, no loop and no cut that goes unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.http import Answer
from connectors.kit import pages as kit
from connectors.kit.pages import (
    Cursor,
    LinkHeader,
    NextLink,
    Offset,
    Pager,
    Params,
    Shape,
    Total,
    Walk,
    Whole,
)
from lockstep.domain.systems.access import Exchange

SHAPE = Shape(at=("items",), total=Total(at=("total",)))


def answer(data: Any, **headers: str) -> Answer:
    """One accepted answer, its body as JSON makes it."""
    exchange = Exchange("things.list", 200, datetime.now(UTC))
    return Answer(200, httpx.Headers(headers), json.loads(json.dumps(data)), exchange)


class Vendor:
    """A vendor that has so many things and pages as its pager says; remembers what it was asked."""

    def __init__(self, count: int, size: int, pager: Pager, *, claims: int | None = None) -> None:
        self.count = count
        self.size = size
        self.pager = pager
        self.claims = count if claims is None else claims
        self.asked: list[Params] = []

    async def __call__(self, params: Params) -> Answer:
        self.asked.append(params)
        start = self._start(params)
        items = [{"id": number} for number in range(start, min(start + self.size, self.count))]
        body: dict[str, Any] = {"items": items, "total": self.claims}
        end = start + len(items)
        if end >= self.count:
            return answer(body)
        match self.pager:
            case Cursor():
                body["next"] = f"c{end}"
            case NextLink():
                body["@odata.nextLink"] = f"https://elsewhere.example.test/x?from={end}&limit=7"
            case LinkHeader():
                link = f'<https://a.example.test/x?from={end}>; rel="next", </y>; rel="self"'
                return answer(body, link=link)
        return answer(body)

    def _start(self, params: Params) -> int:
        match self.pager:
            case Offset(by_page=True) as pager:
                return (int(params[pager.param]) - pager.origin) * self.size
            case Offset() as pager:
                return int(params[pager.param]) - pager.origin
            case Cursor():
                return int(str(params.get("cursor", "c0"))[1:])
            case _:
                return int(params.get("from", 0))


PAGERS: dict[str, Callable[[int], Pager]] = {
    "offset": lambda size: Offset(size=size),
    "start_index": lambda size: Offset("startIndex", size, "count", origin=1),
    "page": lambda size: Offset("page", size, "per_page", origin=1, by_page=True),
    "cursor": lambda _: Cursor("cursor", ("next",)),
    "next_link": lambda _: NextLink(),
    "link_header": lambda _: LinkHeader(),
}
kinds = st.sampled_from(sorted(PAGERS))


def walk(vendor: Vendor, *, most: int = 500) -> Walk:
    return Walk(vendor.pager, SHAPE, vendor, most=most)


@given(kinds, st.integers(0, 130), st.integers(1, 60))
async def test_every_entry_comes_once_and_the_list_is_whole(
    kind: str, count: int, size: int
) -> None:
    """Whatever the length and the size of a page, the walk sees all and says so."""
    walked = walk(Vendor(count, size, PAGERS[kind](size)))
    found = [item["id"] for item in await walked.all()]

    assert found == [str(number) for number in range(count)]
    assert walked.is_whole


@given(kinds, st.integers(1, 60), st.integers(1, 20), st.integers(1, 50))
async def test_a_list_that_is_shorter_than_told_is_not_whole(
    kind: str, count: int, size: int, missing: int
) -> None:
    """A total that was not reached says that something is hidden."""
    walked = walk(Vendor(count, size, PAGERS[kind](size), claims=count + missing))
    found = await walked.all()

    assert len(found) == count
    assert walked.flaw == kit.FEWER


@given(kinds, st.integers(1, 9))
async def test_a_page_that_comes_again_ends_the_walk(kind: str, size: int) -> None:
    """A vendor that ignores the paging is noticed at the second page, and nothing is proved."""
    vendor = Vendor(10**6, size, PAGERS[kind](size))

    async def same(params: Params) -> Answer:
        first = await vendor(vendor.pager.first())
        told = answer({**first.data, "next": f"c{len(vendor.asked)}"})
        told.headers["link"] = f'</x?from={len(vendor.asked)}>; rel="next"'
        told.data["@odata.nextLink"] = f"/x?from={len(vendor.asked)}"
        return told

    walked = Walk(vendor.pager, SHAPE, same)
    found = await walked.all()

    assert len(found) == size
    assert walked.flaw == kit.REPEATED
    assert len(vendor.asked) == 2


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True), st.data())
async def test_a_cursor_that_leads_back_ends_the_walk(ring: list[str], data: st.DataObject) -> None:
    """Cursors in a circle are noticed, even where each page brings something new."""
    back = data.draw(st.sampled_from(ring))
    following = dict(zip(["", *ring], [*ring, back], strict=True))
    calls: list[str] = []

    async def ask(params: Params) -> Answer:
        cursor = str(params.get("cursor", ""))
        calls.append(cursor)
        return answer({"items": [{"id": len(calls)}], "next": following[cursor]})

    walked = Walk(Cursor("cursor", ("next",)), Shape(at=("items",)), ask)
    found = await walked.all()

    assert walked.flaw == kit.REPEATED
    assert len(found) == len(calls) == len(ring) + 1


async def test_an_empty_page_amid_a_list_is_passed_over() -> None:
    """A cursor goes on where all of a page is hidden from us."""
    pages = [
        {"items": [{"id": 1}], "next": "b"},
        {"items": [], "next": "c"},
        {"items": [{"id": 2}]},
    ]
    left = iter(pages)

    async def ask(_: Params) -> Answer:
        return answer(next(left))

    walked = Walk(Cursor("cursor", ("next",)), Shape(at=("items",)), ask)

    assert [item["id"] for item in await walked.all()] == ["1", "2"]
    assert walked.is_whole


async def test_a_list_without_end_is_bounded() -> None:
    """Each page is new and the next follows: the walk ends at its bound, and is not whole."""
    vendor = Vendor(10**9, 5, Cursor("cursor", ("next",)))
    walked = walk(vendor, most=7)
    await walked.all()

    assert len(vendor.asked) == 7
    assert walked.flaw == kit.ENDLESS


async def test_a_total_of_one_page_is_not_believed() -> None:
    """A vendor that cuts at 25 and counts what is left is walked until an empty page."""
    vendor = Vendor(60, 25, Offset(size=100), claims=25)
    walked = walk(vendor)

    assert len(await walked.all()) == 60
    assert walked.is_whole


async def test_no_link_is_followed_elsewhere() -> None:
    """Of the next page's address only the query is used."""
    vendor = Vendor(9, 5, NextLink())
    await walk(vendor).all()

    assert vendor.asked == [{}, {"from": "5", "limit": "7"}]


@pytest.mark.parametrize(
    ("body", "flaw"),
    [
        ({"items": []}, ""),
        ({"items": None}, ""),
        ({"things": []}, kit.NO_LIST),
        ({"items": {}}, kit.NO_LIST),
        ({"items": ["a"]}, kit.NO_LIST),
        ([], kit.NO_LIST),
        (None, kit.NO_LIST),
        ({"items": [{"name": "x"}]}, kit.NO_ID),
        ({"items": [{"id": ""}]}, kit.NO_ID),
        ({"items": [{"id": {}}]}, kit.NO_ID),
        ({"items": [{"id": 0}]}, ""),
    ],
)
async def test_a_missing_list_is_not_an_empty_one(body: object, flaw: str) -> None:
    """Only a list whose entries are named is one."""

    async def ask(_: Params) -> Answer:
        return answer(body)

    walked = Walk(Whole(), Shape(at=("items",), null_is_empty=True), ask)
    await walked.all()

    assert walked.flaw == flaw


async def test_null_is_no_list_unless_the_vendor_writes_it_so() -> None:
    """Only of vendors written in Go null is known to be an empty list."""

    async def ask(_: Params) -> Answer:
        return answer({"items": None})

    walked = Walk(Whole(), Shape(at=("items",)), ask)
    await walked.all()

    assert walked.flaw == kit.NO_LIST


@pytest.mark.parametrize(
    ("range_", "total"), [("0-1/7", 7), ("7", 7), ("0-1/*", None), ("", None), ("0-1/-1", None)]
)
def test_a_total_in_a_header(range_: str, total: int | None) -> None:
    """What is no number is no total."""
    assert Total(header="x-range").of(answer([], **{"x-range": range_})) == total


async def test_a_walk_that_was_not_finished_is_not_whole() -> None:
    """Whoever looks before the end has proved nothing."""
    walked = walk(Vendor(3, 2, Offset(size=2)))

    assert not walked.is_whole


async def test_entries_that_the_vendor_does_not_name_are_all_kept() -> None:
    """Where a list names no entry, two equal ones are two."""
    entry = {"eventTime": "2026-11-30T20:00:00Z"}

    async def ask(_params: Params) -> Answer:
        return answer({"logs": [entry, entry]})

    walk = Walk(Whole(), Shape(at=("logs",), ref=""), ask)

    assert len(await walk.all()) == 2
    assert walk.is_whole

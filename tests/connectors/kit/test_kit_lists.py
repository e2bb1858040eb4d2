"""Lists and refusals as several vendors write them, against the small scripted vendor."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.http import Dialect, VendorHttp
from connectors.kit.calls import Call
from connectors.kit.codecs import Codec
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import NO_ID, NO_LIST, REPEATED, Cursor, Params, Shape, Walk
from connectors.kit.spec import RestSpec
from lockstep.domain.systems.access import Access, AccessKind
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.kit.test_kit_rows import ACCOUNT, KEYS, SPEC, Club, holding, listed, seen
from tests.connectors.kit.test_pages import answer

CARD = Access(AccessKind.SECRET, "card:c1")
KEY = Access(AccessKind.SECRET, "key:k1")


def named(area: str, prefix: str) -> Holding:
    """One of two lists of secrets: what a ref looks like says of which."""
    return replace(
        holding(area, AccessKind.SECRET, again=True),
        close=Close((Call("DELETE", f"/{area}/{{one}}", f"{area}.delete", area),)),
        ref=lambda item: f"{prefix}:{item['id']}",
        named=re.compile(f"{prefix}:(?P<one>.+)"),
    )


TWO_LISTS: RestSpec = replace(SPEC, holdings=(named("cards", "card"), named("keys", "key")))


@pytest.fixture
def club() -> Club:
    made = Club()
    made.lists["cards"] = [{"id": "c1", "owner": "p1"}]
    return made


async def test_refs_tell_lists_of_one_kind_apart(club: Club) -> None:
    """Each thing is closed by the call of its own list, filled in from its ref."""
    connector = club.connector(TWO_LISTS)
    before = await seen(connector)
    actions = await connector.strip(ACCOUNT, before, Transcript())

    assert {CARD, KEY} <= set(before.standing)
    assert {action.access for action in actions} == {CARD, KEY}
    assert sorted(club.changes) == ["DELETE /cards/c1", "DELETE /keys/k1"]


async def test_what_its_ref_names_is_closed_though_its_list_is_lost(club: Club) -> None:
    """The list cannot be looked at again: the thing is closed all the same; one closed is not."""
    connector = club.connector(TWO_LISTS)
    before = await seen(connector)
    club.refused["GET /cards"] = 403
    club.lists["keys"] = []
    actions = await connector.strip(ACCOUNT, before, Transcript())

    assert [action.access for action in actions] == [CARD]


async def test_a_ref_of_no_list_is_not_closed(club: Club) -> None:
    """A thing that no list can hold any more (an option was changed) makes no call."""
    connector = club.connector(TWO_LISTS)
    before = replace(await seen(connector), standing=(KEYS,))

    assert await connector.strip(ACCOUNT, before, Transcript()) == ()


async def test_what_stands_because_nothing_shuts_it_is_seen(club: Club) -> None:
    """A list without the entry that shuts something shows that it stands."""
    row = Holding(
        listed("teams"),
        {AccessKind.GROUP: always},
        Close(),
        mine=lambda item, _: item["id"] != "shut",
        adds=lambda items, _: () if any(one["id"] == "shut" for one in items) else [{"id": "open"}],
    )
    connector = club.connector(replace(SPEC, holdings=(row,)))
    opened = (await seen(connector)).standing
    club.lists["teams"].append({"id": "shut"})

    assert {way.ref for way in opened} - {way.ref for way in (await seen(connector)).standing} == {
        "open"
    }


@pytest.mark.parametrize("is_empty", [False, True])
async def test_a_list_that_is_gone_is_empty_only_where_the_vendor_says_so(
    club: Club, *, is_empty: bool
) -> None:
    """404 to a list is unread; of a row that says what it means, it is an empty list."""
    club.refused["GET /keys"] = 404
    row = holding("keys", AccessKind.SECRET)
    row = replace(row, listed=replace(row.listed, gone_is_empty=is_empty))
    observed = await seen(club.connector(replace(SPEC, holdings=(row,))))

    assert bool(observed.unread) is not is_empty


async def test_a_change_that_was_not_begun_is_not_done(club: Club) -> None:
    """Accepted, and the answer says that nothing was begun: NOT_APPLIED, no action."""
    call = Call("DELETE", "/keys/{ref}", "keys.delete", "keys", begun=bool)
    row = replace(holding("keys", AccessKind.SECRET), close=Close((call,)))
    connector = club.connector(replace(SPEC, holdings=(row,)))
    with pytest.raises(ConnectorFault) as caught:
        await connector.strip(ACCOUNT, await seen(connector), Transcript())

    assert caught.value.category is FaultCategory.NOT_APPLIED
    assert caught.value.actions == ()


async def walked(shape: Shape, *entries: Any) -> tuple[list[Any], str]:
    async def ask(_: Params) -> Any:
        return answer({"items": list(entries)})

    walk = Walk(Cursor("after", ("next",)), shape, ask)
    return [item["id"] for item in await walk.all()], walk.flaw


async def test_entries_that_several_fields_name() -> None:
    """One role in two accounts is two entries; a field that is missing names nothing."""
    shape = Shape(at=("items",), parts=("account", "role"))
    one, other = {"account": "1", "role": "r"}, {"account": "2", "role": "r"}

    assert await walked(shape, one, other) == (["1/r", "2/r"], "")
    assert await walked(shape, one, {"role": "r"}) == ([], NO_ID)


async def test_entries_that_are_plain_texts() -> None:
    """Names alone are entries where the vendor lists so, and no list elsewhere."""
    assert await walked(Shape(at=("items",), plain=True), "a", "b") == (["a", "b"], "")
    assert await walked(Shape(at=("items",)), "a", "b") == ([], NO_LIST)


@pytest.mark.parametrize(("more", "flaw"), [(True, REPEATED), ("true", REPEATED), ("false", "")])
async def test_more_without_a_cursor_is_not_the_end(more: object, flaw: str) -> None:
    """The vendor says that there is more and not how to ask for it: the list is not whole."""

    async def ask(_: Params) -> Any:
        return answer({"items": [{"id": "1"}], "more": more})

    pager = Cursor("after", ("next",), more=("more",))
    walk = Walk(pager, Shape(at=("items",)), ask)
    await walk.all()

    assert walk.flaw == flaw


@pytest.mark.parametrize(
    ("status", "code", "is_gone"),
    [(400, "NoSuchThing", True), (404, "NoSuchThing", True), (404, "", False), (400, "x", False)],
)
async def test_a_code_says_what_is_gone(status: int, code: str, *, is_gone: bool) -> None:
    """Of a vendor that says so by codes neither another status nor a bare 404 is believed."""
    dialect = Dialect("club", gone=frozenset({"NoSuchThing"}))
    wire = httpx.MockTransport(lambda _: httpx.Response(status, json={"error": code}))
    http = VendorHttp(dialect, "https://vendor.example.test", headers={}, transport=wire)
    call = http.call("GET", "/x", operation="x.get", transcript=Transcript(), expect={200, 404})
    if is_gone:
        assert (await call).status == 404
        return
    with pytest.raises(ConnectorFault):
        await call


async def test_bodies_are_written_and_read_as_the_vendor_does() -> None:
    """Another notation than JSON is a row; a page that it cannot read is no answer."""

    def read(raw: bytes) -> Any:
        if b"=" not in raw:
            raise ValueError("no pair")
        return dict([raw.decode().split("=")])

    dialect = Dialect("club", codec=Codec("text/pairs", lambda body: f"a={body}".encode(), read))
    wire = httpx.MockTransport(
        lambda asked: (
            httpx.Response(200, content=asked.content[:-1] + b"2")
            if asked.headers["content-type"] == "text/pairs" and asked.content == b"a=1"
            else httpx.Response(200, content=b"<html>")
        )
    )
    http = VendorHttp(dialect, "https://vendor.example.test", headers={}, transport=wire)
    said = await http.call("POST", "/x", operation="x", transcript=Transcript(), body=1)
    with pytest.raises(ConnectorFault) as caught:
        await http.call("POST", "/x", operation="x", transcript=Transcript(), body=3)

    assert said.data == {"a": "2"}
    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER

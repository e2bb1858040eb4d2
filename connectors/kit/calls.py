"""Calls as data: what is sent, what is "really ok", and which permission a refusal is about."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, Dialect
from connectors.kit.pages import MOST_PAGES, Item, Pager, Params, Shape, Walk, Whole
from connectors.kit.paths import at
from lockstep.domain.systems.access import Access, Action
from lockstep.domain.systems.faults import FaultCategory

Words = Mapping[str, str]
"""What the braces of a call are filled with; ``id`` and ``ref`` are the vendor's own ids."""

Filled = Callable[[Words], str]

NO_ONE: Final = "nobody@lockstep.invalid"
"""Where a filter needs a name and there is none: an empty one would list everybody."""
_GONE: Final = httpx.codes.NOT_FOUND
_IDS: Final = ("id", "ref")


@dataclass(frozen=True, slots=True)
class Call:
    """One call. ``{name}`` is filled in: quoted in a path, as it is in a query or a body.

    Args:
        method: of HTTP.
        path: below the system's address.
        operation: our stable name of the call.
        needs: what the vendor calls the permission, or the area that it covers.
        params: of the query; a function is given the words, where one is written in a way of its
            own, as a quoted name in a filter is.
        body: sent as JSON; a function in it is given the words, where a value is no text.
        when: of the thing that it closes, whether this call is needed.
        begun: of a change's answer, whether it says that the change was made or is under way, where
            the vendor accepts what it does not do.
        paged_in: where in the body a page's parameters stand; in the query where it is empty.
    """

    method: str
    path: str
    operation: str
    needs: str = ""
    params: Mapping[str, str | int | Filled] = field(default_factory=dict, hash=False)
    body: Any = field(default=None, hash=False)
    when: Callable[[Item], bool] | None = None
    begun: Callable[[Any], bool] | None = None
    paged_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """One list: how it is asked for, how it is paged, where its entries stand, and its bound.

    ``gone_is_empty``: whether a 404 says that the account has no such things any more.
    """

    call: Call
    pager: Pager = field(default_factory=Whole)
    shape: Shape = field(default_factory=Shape)
    most_pages: int = MOST_PAGES
    gone_is_empty: bool = False


class Sender(Protocol):
    """Makes a filled-in call: `VendorHttp`, or what stands before several of them."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        transcript: Transcript,
        expect: Collection[int],
        params: Mapping[str, str | int] | None = None,
        body: object | None = None,
    ) -> Answer: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Wire:
    """How one vendor's API answers.

    Args:
        dialect: of its refusals.
        effect_ok: statuses by which it accepts a change; any other is not "really ok".
        missing: what a refused call lacks, by ``{needs}``: a read, and a change.
        ids: what its ids look like, where that is known.
        gone: its own codes of a 404, where it has them: any other 404 is a proxy's or a wrong
            address's, and proves nothing.
        headers: sent with every call, beside the credential's.
        at_once: so many calls are under way at a time; 0 for any number.
    """

    dialect: Dialect
    effect_ok: frozenset[int] = frozenset({200, 201, 202, 204})
    missing: tuple[str, str] = ("{needs}", "{needs}")
    ids: re.Pattern[str] = re.compile(r"(?!\.{1,2}$).+", re.DOTALL)
    gone: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)
    at_once: int = 0


class Api:
    """Makes calls of one system. Every method raises `ConnectorFault` and nothing else."""

    def __init__(self, http: Sender, wire: Wire, words: Words) -> None:
        self._http = http
        self._wire = wire
        self._words = words
        self._turn = asyncio.Semaphore(wire.at_once) if wire.at_once else nullcontext()

    @property
    def kind(self) -> str:
        return self._wire.dialect.connector

    async def aclose(self) -> None:
        await self._http.aclose()

    def is_id(self, text: str) -> bool:
        """Whether the vendor can have issued such an id."""
        return self._wire.ids.fullmatch(text) is not None

    def is_gone(self, code: str) -> bool:
        """Whether a fault's code is a 404 of the vendor's own."""
        status, _, own = code.partition(".")
        return status == str(_GONE.value) and (not self._wire.gone or own in self._wire.gone)

    async def read(self, call: Call, words: Words, transcript: Transcript) -> Answer | None:
        """Read one thing by an id that was resolved before; None when it is gone."""
        answer = await self._call(call, words, transcript, expect={200, _GONE})
        return None if self._is_gone(answer, call) else answer

    async def do(
        self, calls: Iterable[Call], words: Words, transcript: Transcript, *, thing: Item
    ) -> Answer | None:
        """Make the changes that ``thing`` needs; the last one's answer, None when it is gone."""
        answer = None
        for call in calls:
            if call.when is None or call.when(thing):
                expect = self._wire.effect_ok | {_GONE}
                answer = await self._call(call, words, transcript, expect=expect)
                is_gone = self._is_gone(answer, call)
                if not (is_gone or call.begun is None or call.begun(answer.data)):
                    raise self.fault(FaultCategory.NOT_APPLIED, call.operation, "not_begun")
                answer = None if is_gone else answer
        return answer

    async def whole(self, listed: Listed, words: Words, transcript: Transcript) -> list[Item]:
        """A list to its end.

        Raises:
            ConnectorFault: also where it is not known to be whole.
        """
        walk = self.walk(listed, words, transcript)
        found = await walk.all()
        self.require_whole(walk, listed)
        return found

    def walk(
        self, listed: Listed, words: Words, transcript: Transcript, *, most: int | None = None
    ) -> Walk:
        """A list, a page at a time; see `require_whole` before concluding from its end."""
        ask = partial(self._page, listed, words, transcript)
        return Walk(listed.pager, listed.shape, ask, most=most or listed.most_pages)

    def require_whole(self, walk: Walk, listed: Listed) -> None:
        """Let nothing be concluded from a list that is not known to be whole.

        Raises:
            ConnectorFault: with what is wrong with it.
        """
        if walk.flaw:
            raise self.odd(listed.call.operation, walk.flaw, walk.last)

    async def some(self, listed: Listed, words: Words, transcript: Transcript) -> list[Item]:
        """The first page of a list."""
        walk = self.walk(listed, words, transcript, most=1)
        found = await walk.all()
        # One page is all that was wanted: only what is no list at all is a fault.
        if not found and walk.flaw in {"no_list", "no_id"}:
            self.require_whole(walk, listed)
        return found

    async def probe(self, call: Call, words: Words, transcript: Transcript) -> Answer:
        """Try a read, to learn whether we may."""
        return await self._call(call, words, transcript, expect={200})

    def odd(self, operation: str, code: str, answer: Answer | None = None) -> ConnectorFault:
        """An answer that the vendor's documentation does not allow."""
        return self.fault(FaultCategory.UNEXPECTED_ANSWER, operation, code, answer)

    def fault(
        self,
        category: FaultCategory,
        operation: str,
        code: str = "",
        answer: Answer | None = None,
    ) -> ConnectorFault:
        """A fault that the connector itself decided, with the id of the request it is about."""
        request_id = answer.exchange.request_id if answer is not None else None
        return ConnectorFault(
            category, connector=self.kind, operation=operation, code=code, request_id=request_id
        )

    def _is_gone(self, answer: Answer, call: Call) -> bool:
        """Whether the vendor itself says so."""
        if answer.status != _GONE:
            return False
        code = str(at(answer.data, self._wire.dialect.error_code))
        if self._wire.gone and code not in self._wire.gone:
            raise self.odd(call.operation, f"404.not_{self.kind}", answer)
        return True

    async def _page(
        self, listed: Listed, words: Words, transcript: Transcript, params: Params
    ) -> Answer:
        expect = {200, _GONE} if listed.gone_is_empty else {200}
        answer = await self._call(listed.call, words, transcript, expect=expect, params=params)
        if not self._is_gone(answer, listed.call):
            return answer
        nothing: Any = []
        for key in reversed(listed.shape.at):
            nothing = {key: nothing}
        return replace(answer, data=nothing)

    async def _call(
        self,
        call: Call,
        words: Words,
        transcript: Transcript,
        *,
        expect: Iterable[int],
        params: Params | None = None,
    ) -> Answer:
        words = {**self._words, **words}
        query = {name: fill(text, words) for name, text in call.params.items()}
        page, body = params or {}, fill(call.body, words)
        if call.paged_in:
            page, body = {}, _with(body, call.paged_in, page)
        try:
            async with self._turn:
                return await self._http.call(
                    call.method,
                    self._path(call, words),
                    operation=call.operation,
                    transcript=transcript,
                    expect=frozenset(expect),
                    params={**query, **page},
                    body=body,
                )
        except ConnectorFault as fault:
            if fault.category is not FaultCategory.PERMISSION_MISSING or fault.missing:
                raise
            missing = self._wire.missing[call.method != "GET"].format(needs=call.needs)
            raise fault.lacking(missing) from None

    def _path(self, call: Call, words: Words) -> str:
        for name in _IDS:
            # Else one item's path could be made into another's.
            if f"{{{name}}}" in call.path and not self.is_id(words[name]):
                raise self.odd("ref", "not_an_id")
        return call.path.format_map({name: quote(text, safe="") for name, text in words.items()})


def _with(body: Any, path: tuple[str, ...], page: Params) -> Any:
    """The same body, with these parameters at the path."""
    if not path:
        return {**(body or {}), **page}
    inner = (body or {}).get(path[0])
    return {**(body or {}), path[0]: _with(inner, path[1:], page)}


def fill(template: Any, words: Words) -> Any:
    """The same, with words in place of braces; whatever is no text stays as it is."""
    match template:
        case str():
            return template.format_map(words)
        case dict():
            return {key: fill(value, words) for key, value in template.items()}
        case list():
            return [fill(value, words) for value in template]
        case _:
            return template(words) if callable(template) else template


def actions(closed: Iterable[Access], answer: Answer | None) -> tuple[Action, ...]:
    """What an accepted change closed; nothing where the thing was gone already."""
    if answer is None:
        return ()
    made = answer.exchange
    return tuple(
        Action(each, answer.answered_at, made.operation, made.request_id) for each in closed
    )

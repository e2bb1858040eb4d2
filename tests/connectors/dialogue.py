"""A scripted vendor: answers the expected calls in order and fails on any other or missing one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote_plus

import httpx


@dataclass(slots=True)
class Turn:
    """One expected call and its answer.

    ``expects`` is method, path and decoded query, for instance ``GET /Users?count=1``; ``body`` is
    the JSON that must be sent; ``sends`` are headers that must be sent.
    """

    expects: str
    status: int = 200
    answer: object | None = None
    body: object | None = None
    sends: dict[str, str | None] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


class Dialogue:
    """Use as a context: leaving it checks that every turn was taken."""

    def __init__(self, *turns: Turn) -> None:
        self._turns = list(turns)
        self._wrong: list[str] = []
        self.transport = httpx.MockTransport(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None or self._wrong:
            assert self._wrong == []
            assert [turn.expects for turn in self._turns] == []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        said = f"{request.method} {unquote_plus(request.url.raw_path.decode())}"
        turn = self._turns.pop(0) if self._turns else Turn("nothing more")
        if said != turn.expects:
            self._wrong.append(f"expected {turn.expects}, got {said}")
            return httpx.Response(418)
        body: Any = json.loads(request.content) if request.content else None
        if turn.body != body:
            self._wrong.append(f"{said}: expected {turn.body}, got {body}")
        for name, value in turn.sends.items():
            if request.headers.get(name) != value:
                self._wrong.append(f"{said}: {name} is {request.headers.get(name)}, not {value}")
        if turn.answer is None:
            return httpx.Response(turn.status, headers=turn.headers)
        return httpx.Response(turn.status, headers=turn.headers, json=turn.answer)

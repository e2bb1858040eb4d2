"""Checks recorded calls against what a vendor documents: method, path, query and body."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import yaml
from openapi_core import OpenAPI
from openapi_core.templating.paths.exceptions import OperationNotFound, PathNotFound
from openapi_core.testing import MockRequest, MockResponse


@dataclass(frozen=True, slots=True)
class Dialogue:
    """One request and its answer, as they were on the wire."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str] = field(repr=False)
    body: bytes
    status: int
    answer: bytes = field(repr=False)

    @property
    def call(self) -> str:
        return f"{self.method} {self.path}"


class Recorder(httpx.AsyncBaseTransport):
    """Passes calls on and keeps them."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.heard: list[Dialogue] = []
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        answer = await response.aread()
        await response.aclose()
        self.heard.append(
            Dialogue(
                method=request.method,
                path=request.url.path,
                query=tuple(parse_qsl(request.url.query.decode(), keep_blank_values=True)),
                headers=dict(request.headers),
                body=await request.aread(),
                status=response.status_code,
                answer=answer,
            )
        )
        return httpx.Response(
            response.status_code, headers=response.headers, content=answer, request=request
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass(frozen=True, slots=True)
class Operation:
    """What a vendor documents of one operation, as far as we use it.

    Args:
        call: method and path; ``{name}`` stands for one segment.
        query: names that may be sent, each with its values; none means any value.
        together: names that must not be sent one without the other.
        required: names that we must send, because the vendor's default is another.
        body: the JSON that may be sent; None for no body.
    """

    call: str
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)
    together: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    body: Any = None

    def fits(self, dialogue: Dialogue) -> bool:
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(self.call))
        return re.fullmatch(pattern, dialogue.call) is not None


def undocumented(heard: Iterable[Dialogue], operations: Sequence[Operation]) -> list[str]:
    """Every recorded call that the transcription does not allow, with the reason."""
    found = []
    for dialogue in heard:
        operation = next((each for each in operations if each.fits(dialogue)), None)
        reason = "unknown operation" if operation is None else _misuse(dialogue, operation)
        if reason:
            found.append(f"{dialogue.call}: {reason}")
    return found


def _misuse(dialogue: Dialogue, operation: Operation) -> str:
    names = {name for name, _ in dialogue.query}
    for name, value in dialogue.query:
        if name not in operation.query:
            return f"query {name}"
        if operation.query[name] and value not in operation.query[name]:
            return f"query {name}={value}"
    if operation.together & names and not operation.together <= names:
        return f"query {sorted(operation.together)} belong together"
    if not operation.required <= names:
        return f"query lacks {sorted(operation.required - names)}"
    sent = json.loads(dialogue.body) if dialogue.body else None
    return "" if sent == operation.body else "body"


@dataclass(slots=True)
class Verdict:
    """What a specification says of recorded calls."""

    checked: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)
    """Calls whose operation the specification does not have."""
    errors: list[str] = field(default_factory=list)


def judge(
    heard: Iterable[Dialogue],
    spec: Path,
    *,
    host: str,
    answers: Collection[str] = ("GET", "POST", "PUT", "PATCH", "DELETE"),
) -> Verdict:
    """Validate requests and answers against an OpenAPI file.

    Args:
        heard: recorded calls.
        spec: the file.
        host: the server of the specification, without path.
        answers: methods whose answers are validated too.
    """
    openapi, verdict = OpenAPI.from_dict(_readable(yaml.safe_load(spec.read_text()))), Verdict()
    for each in heard:
        request = MockRequest(
            host,
            each.method,
            each.path,
            args=dict(each.query),
            headers=each.headers,
            data=each.body,
        )
        response = MockResponse(each.answer, each.status)
        try:
            openapi.validate_request(request)
            if each.method in answers:
                openapi.validate_response(request, response)
        except (PathNotFound, OperationNotFound):
            verdict.beside.append(each.call)
        except Exception as error:  # noqa: BLE001 - whatever the validator says is the finding
            verdict.errors.append(f"{each.call} -> {each.status}: {error!r} {error.__cause__!r}")
        else:
            verdict.checked.append(f"{each.call} -> {each.status}")
    return verdict


def _readable(node: Any) -> Any:
    """The specification without what the validator cannot read.

    openapi-core 0.23 cannot cast a query parameter of several types (``type: [integer, string]``);
    on the wire every one of them is text.
    """
    if isinstance(node, list):
        return [_readable(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _readable(each) for name, each in node.items()}
    if plain.get("in") == "query" and "string" in plain.get("schema", {}).get("type", ()):
        plain["schema"] = {**plain["schema"], "type": "string"}
    return plain

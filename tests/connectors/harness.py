"""What the conformance suite needs to know about one connector and its peer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import httpx

from connectors.base import Connector
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.owned import OwnedKind
from tests.support.loopback import loopback


class FaultKind(StrEnum):
    """Faults that are put between the connector and its real or simulated peer."""

    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    RATE_LIMITED_WITH_TIME = "rate_limited_with_time"
    RATE_LIMITED_BARE = "rate_limited_bare"
    SERVER_ERROR = "server_error"
    LOST_BEFORE = "lost_before"
    """The connection dies before the peer sees the request."""
    LOST_AFTER = "lost_after"
    """The peer applied the change; its reply never arrives."""
    DONE_NOT = "done_not"
    """Success is answered, the peer never saw the request."""
    ECHO_SECRET = "echo_secret"
    """An error whose body repeats our credential."""
    NOT_JSON = "not_json"


@dataclass(frozen=True, slots=True)
class Injected:
    """One fault, for the next ``times`` calls.

    ``effects_only`` spares reads, ``reads_only`` effects; ``after`` spares that many of the calls
    it could hit.
    """

    kind: FaultKind
    times: int = 1
    effects_only: bool = False
    reads_only: bool = False
    wait_s: int = 7
    after: int = 0


@dataclass(slots=True)
class FaultScript:
    """Faults still to come, and the effect calls that really reached the peer.

    ``clock_off`` is by how much the peer's Date header is wrong from then on.
    """

    pending: list[Injected] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)
    calls: list[bool] = field(default_factory=list)
    """Of every call, whether it was an effect; in the order of the transcript's exchanges."""
    clock_off: timedelta | None = None
    instead: Callable[[httpx.Request], httpx.Response | None] | None = None
    """Answers in the peer's place where it returns something."""

    def inject(self, fault: Injected) -> None:
        self.pending.extend([fault] * fault.times)

    def date(self) -> dict[str, str]:
        """The header of a peer whose clock is wrong; nothing where it is right."""
        if self.clock_off is None:
            return {}
        return {"date": format_datetime(datetime.now(UTC) + self.clock_off, usegmt=True)}

    def next_for(self, *, is_effect: bool) -> Injected | None:
        for index, fault in enumerate(self.pending):
            if not (fault.reads_only if is_effect else fault.effects_only):
                if fault.after:
                    self.pending[index] = replace(fault, after=fault.after - 1)
                    return None
                return self.pending.pop(index)
        return None


class FaultTransport(httpx.AsyncBaseTransport):
    """Forwards to the peer, except where the script says otherwise."""

    def __init__(
        self,
        script: FaultScript,
        *,
        rate_limit_headers: Callable[[int], dict[str, str]],
        is_effect: IsEffect | None = None,
        done_status: int = 200,
        inner: httpx.AsyncBaseTransport | None = None,
        name: Callable[[httpx.Request], str] | None = None,
    ) -> None:
        self._inner = inner or loopback()
        self._script = script
        self._limits = rate_limit_headers
        self._is_effect = is_effect or (lambda request: request.method not in {"GET", "HEAD"})
        self._done_status = done_status
        self._name = name or (lambda request: f"{request.method} {request.url.path}")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        effect = self._is_effect(request)
        self._script.calls.append(effect)
        if self._script.instead is not None and (answer := self._script.instead(request)):
            return answer
        fault = self._script.next_for(is_effect=effect)
        if fault is not None and (answer := self._before(fault, request)) is not None:
            return answer
        response = await self._inner.handle_async_request(request)
        response.headers.update(self._script.date())
        if effect:
            self._script.effects.append(self._name(request))
        if fault is not None and fault.kind is FaultKind.LOST_AFTER:
            await response.aread()
            await response.aclose()
            raise httpx.ReadError("the reply was lost", request=request)
        return response

    def _before(  # noqa: C901, PLR0911 - one line per fault reads best
        self, fault: Injected, request: httpx.Request
    ) -> httpx.Response | None:
        match fault.kind:
            case FaultKind.UNAUTHORIZED:
                return httpx.Response(401, json={"error": "no"}, request=request)
            case FaultKind.FORBIDDEN:
                return httpx.Response(403, json={"error": "no"}, request=request)
            case FaultKind.RATE_LIMITED_WITH_TIME:
                return httpx.Response(
                    429, headers=self._limits(fault.wait_s), json={}, request=request
                )
            case FaultKind.RATE_LIMITED_BARE:
                return httpx.Response(429, json={}, request=request)
            case FaultKind.SERVER_ERROR:
                return httpx.Response(503, text="<html>down</html>", request=request)
            case FaultKind.LOST_BEFORE:
                raise httpx.ReadError("the connection died", request=request)
            case FaultKind.DONE_NOT:
                return httpx.Response(self._done_status, request=request)
            case FaultKind.ECHO_SECRET:
                secret = request.headers.get("authorization", "")
                body = {"error": secret, "errorCode": secret, "code": secret, "detail": secret}
                return httpx.Response(500, json=body, request=request)
            case FaultKind.NOT_JSON:
                return httpx.Response(200, text="<html>a proxy</html>", request=request)
            case FaultKind.LOST_AFTER:
                return None

    async def aclose(self) -> None:
        await self._inner.aclose()


class IsEffect(Protocol):
    def __call__(self, request: httpx.Request) -> bool: ...


class Harness(Protocol):
    """One connector against one peer. A harness file is all that a new connector adds."""

    kind: str
    secret: str
    """The credential in use; the suite checks that it never shows."""
    script: FaultScript

    def connector(self, *, secret: str | None = None) -> Connector:
        """A connector whose calls pass through the script; ``secret`` replaces the credential."""

    async def hire(self, worker: str) -> LeaverKeys:
        """Give a new person every kind of access that the connector closes."""

    async def still_in(self, keys: LeaverKeys) -> bool:
        """The peer's own truth, asked without the connector: can the person still get in?"""

    async def give_back(self, keys: LeaverKeys) -> None:
        """Give access back, as a directory sync would.

        A harness whose vendor searches has ``blind(request) -> httpx.Response | None`` beside
        this: the empty answer to a search, None for everything that is no search.
        """


@runtime_checkable
class LogsUses(Protocol):
    """What a harness adds when its connector tells activity."""

    logs_refusals: bool
    """Whether the vendor logs tries that it turned away."""

    async def use(self, keys: LeaverKeys, *, refused: bool, at: datetime) -> None:
        """Write into the vendor's log that the person got in at this instant, or was refused."""


@runtime_checkable
class HiresOwners(Protocol):
    """What a harness adds when its connector lists what is owned."""

    owned_kinds: Collection[OwnedKind]
    """What `hire_owner` gives: one kind for each list of the connector at least."""

    async def hire_owner(self, worker: str) -> LeaverKeys:
        """A new person who has also made things that stay."""


class HarnessFactory(Protocol):
    """An async context: starts (or reuses) the peer and yields the harness."""

    def __call__(self) -> AbstractAsyncContextManager[Harness]: ...

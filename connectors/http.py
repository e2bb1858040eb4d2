"""One careful HTTP call to a vendor: bounded, classified, recorded, and silent about secrets."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import tenacity

from connectors.base import ConnectorFault, Transcript
from connectors.kit.codecs import JSON, Codec
from connectors.kit.faults import FaultRow, ReallyOk, category_of
from connectors.kit.pacing.limits import RESETS, plain_wait, reset_wait, told_of
from connectors.kit.pacing.pace import OPEN, Pacer
from connectors.kit.pacing.turns import in_turn
from connectors.kit.paths import at
from connectors.transport import vendor_transport
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Told

MAX_ANSWER_BYTES = 4 * 1024 * 1024
TOO_LARGE = "answer_too_large"
_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")
_LONGEST_WAIT = timedelta(hours=1)
_GOOD_BYE_S = 3.0
_NOTHING_SENT = (httpx.ConnectError, httpx.PoolTimeout)
_SENT_AT = "lockstep_sent_at"
_GONE = 404
_NOT_FOUND_AT_ALL = 0
"""A 404 that says nothing of the thing: no call expects it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A vendor's accepted answer. ``data`` is parsed JSON, or None for an empty body."""

    status: int
    headers: httpx.Headers = field(repr=False)
    data: Any = field(repr=False)
    exchange: Exchange

    @property
    def answered_at(self) -> datetime:
        return self.exchange.answered_at

    def objects(self, key: str | None = None) -> list[dict[str, Any]]:
        """The answer's list of objects (under ``key``), or an empty list when it has none."""
        found = self.data.get(key) if key and isinstance(self.data, dict) else self.data
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one vendor says who it is, what went wrong and when to come back.

    Args:
        connector: the connector's kind, first word of every fault.
        request_id_headers: headers that carry the vendor's request id, best first.
        error_code: path of keys to the machine-readable error code in an error body.
        reset_epoch_header: header with the UTC epoch second at which a rate limit ends.
        faults: what its refusals mean beyond what their status says.
        ok: where a body says whether the call succeeded, of a vendor that answers 200 to all.
        gone: codes by which it says that a thing is not there, whatever the status; they count as
            404 then, and a 404 without one is a refusal.
        codec: how bodies are written and read.
    """

    connector: str
    request_id_headers: tuple[str, ...] = ("x-request-id",)
    error_code: tuple[str, ...] = ("error",)
    reset_epoch_header: str | None = None
    faults: tuple[FaultRow, ...] = ()
    ok: ReallyOk | None = None
    gone: frozenset[str] = frozenset()
    codec: Codec = JSON


def require_safe_url(url: str, *, option: str = "base_url") -> str:
    """Return ``url`` without a trailing slash.

    Raises:
        ValueError: unless it is https, or http to loopback (sandbox and tests).
    """
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError(f"{option}: an address names a host")
    loopback = parts.hostname in {"127.0.0.1", "::1", "localhost"}
    if parts.scheme == "https" or (parts.scheme == "http" and loopback):
        if parts.username or parts.password:
            raise ValueError(f"{option}: credentials do not belong in an address")
        return url.rstrip("/")
    raise ValueError(f"{option}: use https:// (plain http only to loopback), not {parts.scheme!r}")


def retry_after(
    headers: Mapping[str, str], dialect: Dialect, now: datetime, *, limited: bool = False
) -> timedelta | None:
    """The vendor's own waiting time, bounded to an hour; None when it gives none.

    ``Retry-After`` in seconds or as an HTTP date: RFC 9110 section 10.2.3. A date is the vendor's,
    so it is held against the vendor's own clock where the answer states it. Where an answer refuses
    for a limit (``limited``), the usual headers that name the end of its window count too.
    """
    now = date_instant(headers.get("date")) or now
    wait = plain_wait(headers.get("retry-after"), now)
    resets = (dialect.reset_epoch_header, *(RESETS if limited else ()))
    for name in resets:
        if wait is None and name:
            wait = reset_wait(headers.get(name), now)
    if wait is None:
        return None
    return min(max(wait, timedelta(0)), _LONGEST_WAIT)


class SessionAuth(httpx.Auth):
    """A way to sign in that holds something of its own: a token, a session."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What it holds by now, and nobody may see."""
        return ()

    def ending(self) -> httpx.Request | None:
        """The request that ends it; None where nothing is to end."""
        return None


class VendorHttp:
    """HTTP for one system: one connection pool, one credential, one dialect.

    Args:
        base_url: checked by `require_safe_url`.
        headers: sent with every call; hold the credential.
        secrets: values that must never appear in a fault.
        transport: replaced in tests by a scripted dialogue.
        auth: signs each request, and may ask for a token or a session between.
        tls: of a client that shows a certificate.
        pace: whose turn it is to call, over all that use the credential.
    """

    def __init__(
        self,
        dialect: Dialect,
        base_url: str,
        *,
        headers: Mapping[str, str],
        secrets: Collection[str] = (),
        timeout: timedelta = timedelta(seconds=20),
        transport: httpx.AsyncBaseTransport | None = None,
        auth: httpx.Auth | None = None,
        tls: ssl.SSLContext | None = None,
        pace: Pacer = OPEN,
    ) -> None:
        self._dialect = dialect
        self._pace = pace
        self._secrets = tuple(secret for secret in secrets if secret)
        self._base = httpx.URL(require_safe_url(base_url))
        self._headers = httpx.Headers(
            {"User-Agent": "lockstep", "Accept-Encoding": "gzip", **headers}
        )
        seconds = timeout.total_seconds()
        self._timeouts = {"connect": 5.0, "read": seconds, "write": seconds, "pool": seconds}
        self._transport = transport or vendor_transport(self._base, tls)
        self._auth = auth
        self._session = auth if isinstance(auth, SessionAuth) else None

    async def call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        transcript: Transcript,
        expect: Collection[int] = (200, 201, 202, 204),
        params: Mapping[str, str | int] | None = None,
        body: object | None = None,
        content_type: str = "",
        headers: Mapping[str, str] | None = None,
        most: int = MAX_ANSWER_BYTES,
    ) -> Answer:
        """Make one call; return an answer whose status is in ``expect``.

        ``most`` bounds the answer in bytes, for lists that may be long.

        Raises:
            ConnectorFault: classified; a lost reply is `FaultCategory.TIMEOUT`.
        """
        codec = self._dialect.codec
        content = None if body is None else codec.write(body)
        sent = self._headers  # a request copies them
        if headers or content is not None:
            sent = sent.copy()
            sent.update(headers)
        if content is not None:
            sent["Content-Type"] = content_type or codec.content_type
        request = httpx.Request(
            method,
            f"{self._base}{path}",
            params=params or None,
            content=content,
            headers=sent,
            extensions={"timeout": self._timeouts},
        )
        response, raw = await self._in_turn(operation, request, most, transcript)
        exchange = self._record(operation, response, raw, transcript)
        if len(raw) > most:
            raise self._fault(FaultCategory.UNEXPECTED_ANSWER, operation, TOO_LARGE)
        data = self._parse(operation, response, raw)
        ok, status = self._dialect.ok, self._status(response, data)
        # What the vendor's own code says is gone is no success, and an answer all the same.
        is_gone = status == _GONE and bool(self._dialect.gone)
        if status in expect and (is_gone or ok is None or ok.holds(data)):
            return Answer(status, response.headers, data, exchange)
        raise self._refusal(operation, response, data, exchange)

    async def aclose(self) -> None:
        """Log out where there is a session, and close the connections."""
        request = self._session.ending() if self._session is not None else None
        try:
            if request is not None:
                request.extensions = {"timeout": dict.fromkeys(self._timeouts, _GOOD_BYE_S)}
                answer = await self._transport.handle_async_request(request)
                await answer.aread()
        except (httpx.HTTPError, OSError):
            pass  # a session that cannot be ended ends by itself: the vendor bounds it
        finally:
            await self._transport.aclose()

    async def _in_turn(
        self, operation: str, request: httpx.Request, most: int, transcript: Transcript
    ) -> tuple[httpx.Response, bytes]:
        """Call when it is this call's turn, and tell the pace what the answer says of limits."""
        if self._pace.passes():  # most vendors: the way that must cost nothing
            response, raw = await self._exchange(operation, request, most)
        else:
            kind = self._dialect.connector
            async with in_turn(self._pace, transcript, connector=kind, operation=operation):
                response, raw = await self._exchange(operation, request, most)
        now = datetime.now(UTC)
        told = told_of(response.status_code, response.headers, response.headers.raw, now)
        if told is not None:
            age = now - response.extensions[_SENT_AT]
            self._pace.heard(told, age_s=age.total_seconds())
        return response, raw

    async def _exchange(
        self, operation: str, request: httpx.Request, most: int
    ) -> tuple[httpx.Response, bytes]:
        """Send and receive; every library error becomes a fault.

        The fault is raised outside the except block: an httpx error kept as its context would
        carry the request, whose address may hold an e-mail.
        """
        category = FaultCategory.TIMEOUT
        try:
            return await self._send(request, most)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            category, code = FaultCategory.UNREACHABLE, type(error).__name__  # nothing was sent
        except (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError) as error:
            # The connection died under way: the change may or may not have been applied.
            code = type(error).__name__
        except httpx.DecodingError as error:
            category, code = FaultCategory.UNEXPECTED_ANSWER, type(error).__name__
        except httpx.TransportError as error:
            category, code = FaultCategory.UNREACHABLE, type(error).__name__
        raise self._fault(category, operation, code)

    async def _send(self, request: httpx.Request, most: int) -> tuple[httpx.Response, bytes]:
        """Send once; only a refused connection is tried again, because nothing was sent.

        Returns one byte more than allowed of an answer that is too large, and reads no further.
        """
        try:
            response = await self._answered(request)
        except _NOTHING_SENT:
            response = await self._answered_again(request)
        raw = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                raw += chunk
                if len(raw) > most:
                    break
        finally:
            await response.aclose()
        return response, bytes(raw[: most + 1])

    async def _answered_again(self, request: httpx.Request) -> httpx.Response:
        """The second try of a call of which nothing was sent, and a third after a moment."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_NOTHING_SENT),
            stop=tenacity.stop_after_attempt(2),
            wait=tenacity.wait_fixed(0.1),
            reraise=True,
        ):
            with attempt:
                response = await self._answered(request)
        return response

    async def _answered(self, request: httpx.Request) -> httpx.Response:
        """One request through the transport, without a client above it.

        A client would keep the vendor's cookies from one leaver's calls to the next, follow
        redirects on request, and cost half as much again as the call itself.
        """
        if self._auth is None:
            return await self._through(request)
        return await self._authorised(request, self._auth)

    async def _through(self, request: httpx.Request) -> httpx.Response:
        sent = datetime.now(UTC)
        response = await self._transport.handle_async_request(request)
        response.request = request
        response.extensions[_SENT_AT] = sent
        return response

    async def _authorised(self, request: httpx.Request, auth: httpx.Auth) -> httpx.Response:
        """Let ``auth`` sign the request and, if it wants to, ask for a new token between."""
        flow = auth.async_auth_flow(request)
        try:
            request = await anext(flow)
            while True:
                response = await self._through(request)
                try:
                    request = await flow.asend(response)
                except StopAsyncIteration:
                    return response
                await response.aread()
        finally:
            await flow.aclose()

    def _record(
        self, operation: str, response: httpx.Response, raw: bytes, transcript: Transcript
    ) -> Exchange:
        date_header = response.headers.get("date")
        time = answer_time(
            date_instant(date_header),
            sent=response.extensions[_SENT_AT],
            answered=datetime.now(UTC),
        )
        exchange = Exchange(
            operation=operation,
            status=response.status_code,
            answered_at=time.at,
            skew=time.skew,
            request_id=self._request_id(response.headers),
            date_header=date_header[:64] if date_header else None,
            digest=hashlib.sha256(raw).hexdigest(),
        )
        transcript.add(exchange)
        return exchange

    def _parse(self, operation: str, response: httpx.Response, raw: bytes) -> Any:
        if not raw.strip():
            return None
        try:
            return self._dialect.codec.read(raw)
        except (ValueError, RecursionError):
            if response.status_code >= httpx.codes.BAD_REQUEST:
                return None  # an error page of a proxy; its status says enough
            raise self._fault(
                FaultCategory.UNEXPECTED_ANSWER, operation, f"{response.status_code}.not_json"
            ) from None

    def _status(self, response: httpx.Response, data: object) -> int:
        """The status; of a vendor that says by codes what is gone, by these and by no 404."""
        status = response.status_code
        if not self._dialect.gone:
            return status
        if self._error_code(data) in self._dialect.gone:
            return _GONE
        return _NOT_FOUND_AT_ALL if status == _GONE else status

    def _refusal(
        self, operation: str, response: httpx.Response, data: object, exchange: Exchange
    ) -> ConnectorFault:
        code = self._error_code(data)
        status = response.status_code
        dialect, now = self._dialect, datetime.now(UTC)
        category = category_of(dialect.faults, status, code, response.headers, now)
        limited = category is FaultCategory.RATE_LIMITED
        if not limited:
            # Some name the end of their window on every answer; only a limit has to wait for it.
            dialect = replace(dialect, reset_epoch_header=None)
        wait = retry_after(response.headers, dialect, now, limited=limited)
        told = told_of(status, response.headers, response.headers.raw, now) if limited else None
        if limited and not (told and told.refused):  # only the vendor's own words say so
            away = wait.total_seconds() if wait else None
            age = now - response.extensions[_SENT_AT]
            self._pace.heard(Told(refused=True, wait_s=away), age_s=age.total_seconds())
        return self._fault(
            category,
            operation,
            f"{status}.{code}" if code else str(status),
            retry=wait if category in _WAITING else None,
            request_id=exchange.request_id,
        )

    def _fault(
        self,
        category: FaultCategory,
        operation: str,
        code: str,
        *,
        retry: timedelta | None = None,
        request_id: str | None = None,
    ) -> ConnectorFault:
        return ConnectorFault(
            category,
            connector=self._dialect.connector,
            operation=operation,
            code=self.clean(code),
            retry_after=retry,
            request_id=request_id,
        )

    def _error_code(self, data: object) -> str:
        data = at(data, self._dialect.error_code)
        return self.clean(str(data)) if isinstance(data, str | int) else ""

    def _request_id(self, headers: httpx.Headers) -> str | None:
        for name in self._dialect.request_id_headers:
            if found := headers.get(name):
                return self.clean(found) or None
        return None

    def clean(self, text: str) -> str:
        """Bound a vendor's text to a code, and drop it whole if it holds a secret."""
        held = self._session.secrets if self._session is not None else ()
        if any(secret in text for secret in (*self._secrets, *held)):
            return "redacted"
        return _CODE.sub("_", text)[:64].strip("_")


def vendor_instant(text: object) -> datetime | None:
    """An instant (UTC) as vendors write it in JSON: RFC 3339; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo is not None else None


_WAITING = frozenset({FaultCategory.RATE_LIMITED, FaultCategory.VENDOR_ERROR})


def date_instant(header: str | None) -> datetime | None:
    """A Date header's instant (UTC); None without one, for nonsense, and without a zone."""
    if header is None:
        return None
    try:
        stated = parsedate_to_datetime(header)
        return stated.astimezone(UTC) if stated.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None

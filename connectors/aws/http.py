"""One careful AWS call: bounded, classified, recorded, and silent about secrets.

botocore signs and parses; Temporal owns the attempts, so botocore makes exactly one. Its imports
take a fifth of a second, so they happen on the first call, in a thread, and only where an AWS
system is configured.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
import os
import threading
from collections.abc import Awaitable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from botocore import exceptions, xform_name

from connectors.aws.faults import Faults, GoneFault, bounded
from connectors.aws.settings import AwsSettings
from connectors.base import ConnectorFault, Transcript
from connectors.http import date_instant
from connectors.kit.pacing.pace import OPEN, Pacer
from connectors.kit.pacing.turns import in_turn
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Told

if TYPE_CHECKING:
    from botocore.awsrequest import AWSPreparedRequest, AWSResponse
    from botocore.client import BaseClient
    from botocore.config import Config
    from botocore.loaders import Loader
    from botocore.session import Session

MAX_PAGES = 50
_SOURCE_STS = "sts:source"
"""STS with the credential itself, also where a role is assumed."""
_THREADS = 10
_CONNECT_S = 5

BRIEF_S = 3

T = TypeVar("T")
Params = Mapping[str, Any]

_HEARD: ContextVar[list[Exchange]] = ContextVar("aws_exchanges")
_SENT_AT: ContextVar[datetime] = ContextVar("aws_sent_at")


class BeforeSend(Protocol):
    """A botocore ``before-send`` handler; an answer replaces the wire. Tests only."""

    def __call__(
        self, request: AWSPreparedRequest, event_name: str, **kwargs: object
    ) -> AWSResponse | None: ...


class _UnreadableError(Exception):
    """An answer that is neither the service's XML nor its JSON."""


@dataclass(frozen=True, slots=True)
class AwsAnswer:
    """An accepted answer: parsed data without botocore's metadata."""

    data: dict[str, Any] = field(repr=False)
    exchange: Exchange

    @property
    def answered_at(self) -> datetime:
        return self.exchange.answered_at

    def need(self, key: str) -> Any:
        """A member that AWS always gives; without it, nothing follows from the answer.

        Raises:
            ConnectorFault: `FaultCategory.UNEXPECTED_ANSWER`.
        """
        if key not in self.data:
            raise unexpected(self.exchange.operation, f"no_{key}", self.exchange.request_id)
        return self.data[key]


class AwsCalls:
    """Calls for one system: one session, one thread-safe client per service, own threads.

    Own threads are a bulkhead: a slow AWS cannot starve the worker's other blocking calls.
    """

    def __init__(
        self,
        settings: AwsSettings,
        *,
        timeout: timedelta,
        before_send: BeforeSend | None = None,
        pace: Pacer = OPEN,
    ) -> None:
        self._settings = settings
        self._pace = pace
        self._timeout_s = timeout.total_seconds()
        self._before_send = before_send
        hidden = (*(settings.static_keys or ()), settings.role_external_id)
        self._faults = Faults(tuple(secret for secret in hidden if secret))
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="aws")
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._source_sts: BaseClient | None = None
        self._own_id: str | None = None
        self._clients: dict[str, BaseClient] = {}

    async def own_user_id(self, transcript: Transcript) -> str:
        """Whose credential we use: the id of an IAM user, or of a role's session.

        `sts:GetCallerIdentity` needs no permission. With a role it is asked with the credential
        that assumes it: that is the one which would be lost.

        Raises:
            ConnectorFault: it could not be asked; it is asked again next time.
        """
        if self._own_id is None:
            answer = await self.call(_SOURCE_STS, "GetCallerIdentity", {}, transcript)
            self._own_id = str(answer.need("UserId"))
        return self._own_id

    async def call(
        self, service: str, operation: str, params: Params, transcript: Transcript
    ) -> AwsAnswer:
        """Make one call, for instance ``("iam", "DeleteLoginProfile", {"UserName": …})``.

        Raises:
            GoneFault: what the call names does not exist.
            ConnectorFault: classified; a lost reply is `FaultCategory.TIMEOUT`.
        """
        plain = service.partition(":")[0]
        name = f"{plain}.{operation}"
        heard: list[Exchange] = []
        context = copy_context()
        context.run(_HEARD.set, heard)
        fault: ConnectorFault | None = None
        data: dict[str, Any] = {}
        try:
            self._pace.passes()  # counts it
            async with in_turn(self._pace, transcript, connector="aws", operation=name):
                data = await asyncio.get_running_loop().run_in_executor(
                    self._threads, context.run, self._invoke, service, operation, params
                )
        except exceptions.ClientError as error:
            fault = self._faults.refusal(plain, error)
        except exceptions.BotoCoreError as error:
            fault = self._faults.silence(name, error)
        except _UnreadableError:
            fault = self._faults.unreadable(name, heard[-1] if heard else None)
        finally:
            for exchange in tuple(heard):
                transcript.add(exchange)
        if fault is not None:
            if fault.category is FaultCategory.RATE_LIMITED:
                self._pace.heard(Told(refused=True), age_s=0.0)
            raise fault  # here, not above: botocore's exception quotes the answer as its context
        data.pop("ResponseMetadata", None)
        if not heard or heard[-1].request_id is None:
            # A proxy's page with status 200 parses as an empty success; AWS signs with an id.
            raise unexpected(name, "no_request_id")
        return AwsAnswer(data, heard[-1])

    async def call_unless_gone(
        self, service: str, operation: str, params: Params, transcript: Transcript
    ) -> AwsAnswer | None:
        """As `call`, but None when what the call names does not exist."""
        try:
            return await self.call(service, operation, params, transcript)
        except GoneFault:
            return None

    async def pages(
        self,
        service: str,
        operation: str,
        params: Params,
        transcript: Transcript,
        *,
        key: str,
        most: int = MAX_PAGES,
    ) -> list[Any]:
        """Every item under ``key`` over all pages.

        Raises:
            ConnectorFault: `FaultCategory.UNEXPECTED_ANSWER` beyond ``most`` pages.
        """
        token_name = "Marker" if service == "iam" else "NextToken"
        items: list[Any] = []
        more: dict[str, str] = {}
        for _ in range(most):
            answer = await self.call(service, operation, {**params, **more}, transcript)
            items.extend(answer.need(key))
            if not answer.data.get("IsTruncated") and token_name not in answer.data:
                return items
            more = {token_name: answer.need(token_name)}
        raise unexpected(f"{service}.{operation}", "too_many_pages")

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            clients = [*self._clients.values(), self._source_sts]
            self._clients = {}
        for client in clients:
            if client is not None:
                client.close()

    def _invoke(self, service: str, operation: str, params: Params) -> dict[str, Any]:
        """Runs in a thread. Import here: see the module's docstring."""
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        method = getattr(self._client(service), xform_name(operation))
        try:
            answer: dict[str, Any] = method(**params)
        except (exceptions.ClientError, exceptions.BotoCoreError):
            raise
        except (ResponseParserError, LookupError, TypeError, ValueError, AttributeError):
            # botocore's parsers fail in all these ways on a page that is not AWS's; the text of
            # some quotes the body.
            raise _UnreadableError from None
        return answer

    def _client(self, service: str) -> BaseClient:
        with self._lock:
            if service not in self._clients:
                if self._session is None:
                    self._session = self._open_session()
                if service == _SOURCE_STS and self._source_sts is not None:
                    return self._source_sts
                plain = service.partition(":")[0]
                self._clients[service] = self._open_client(self._session, plain)
            return self._clients[service]

    def _open_client(self, session: Session, service: str) -> BaseClient:
        # Neither botocore's client names nor its stubs know a service by variable.
        create: Any = session.create_client
        client: BaseClient = create(
            service,
            region_name=self._settings.region,
            endpoint_url=self._settings.endpoint_url,
            config=_config(self._timeout_s),
        )
        return client

    def _open_session(self) -> Session:
        from botocore.credentials import (  # noqa: PLC0415 - see the module's docstring
            Credentials,
            DeferredRefreshableCredentials,
        )

        # botocore's debug log holds whole answers: temporary secrets and personal data.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        keys = self._settings.static_keys
        source = self._bare_session(own_credentials=keys is not None)
        if keys is not None:
            _give(source, Credentials(*keys))
        if self._settings.role_arn is None:
            return source
        self._source_sts = self._open_client(source, "sts")
        session = self._bare_session(own_credentials=True)
        _give(session, DeferredRefreshableCredentials(self._assume_role, "sts-assume-role"))
        return session

    def _bare_session(self, *, own_credentials: bool) -> Session:
        """A session that listens to answers; with our own credentials it reads no profile."""
        from botocore.session import Session  # noqa: PLC0415 - see the module's docstring

        nothing = (None, None, None, None)
        no_file = (None, None, os.devnull, None)
        own: Any = {"profile": nothing, "config_file": no_file, "credentials_file": no_file}
        session = Session(session_vars=own if own_credentials else None)
        session.register_component("data_loader", _models())
        register: Any = session.register  # the stubs want handlers without named arguments
        register("before-send", _note_sending)
        register("before-parse", _hear)
        if self._before_send is not None:
            register("before-send", self._before_send)
        return session

    def _assume_role(self) -> dict[str, Any]:
        sts: Any = self._source_sts
        wanted: dict[str, Any] = {
            "RoleArn": self._settings.role_arn,
            "RoleSessionName": self._settings.session_name,
        }
        if self._settings.role_external_id:
            wanted["ExternalId"] = self._settings.role_external_id
        refusal: ConnectorFault | None = None
        given: dict[str, Any] = {}
        try:
            given = sts.assume_role(**wanted)["Credentials"]
        except exceptions.ClientError as error:
            refusal = self._faults.refusal("sts", error)
        if refusal is not None:
            raise refusal  # botocore logs whatever this raises: our text, not the vendor's
        return {
            "access_key": given["AccessKeyId"],
            "secret_key": given["SecretAccessKey"],
            "token": given["SessionToken"],
            "expiry_time": given["Expiration"].isoformat(),
        }


@functools.cache
def _models() -> Loader:
    """The services' models, read once for a process: each session would read 0.1 s of its own."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - see the module's docstring

    return create_loader()


def need(items: Iterable[Any], operation: str, *members: str) -> list[dict[str, Any]]:
    """The items of a list, each with the members that AWS always gives.

    Raises:
        ConnectorFault: `FaultCategory.UNEXPECTED_ANSWER`.
    """
    found = list(items)
    for item in found:
        if not isinstance(item, dict) or any(not item.get(name) for name in members):
            raise unexpected(operation, "incomplete_item")
    return found


async def brief(operation: str, work: Awaitable[T]) -> T | ConnectorFault:
    """A read that must not hold up the first write: its result or its fault, in good time."""
    try:
        async with asyncio.timeout(BRIEF_S):
            return await work
    except TimeoutError:
        return ConnectorFault(
            FaultCategory.TIMEOUT, connector="aws", operation=operation, code="not_waited_for"
        )
    except ConnectorFault as fault:
        return fault


async def all_of(*calls: Awaitable[Any]) -> list[Any]:
    """Await all, let all end, then raise the first fault in order: no call is left half-heard."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    for result in done:
        if isinstance(result, BaseException):
            raise result
    return done


def unexpected(operation: str, code: str, request_id: str | None = None) -> ConnectorFault:
    return ConnectorFault(
        FaultCategory.UNEXPECTED_ANSWER,
        connector="aws",
        operation=operation,
        code=code,
        request_id=request_id,
    )


def _config(timeout_s: float) -> Config:
    from botocore.config import Config  # noqa: PLC0415 - see the module's docstring

    build: Any = Config  # the stubs lack the newest arguments
    config: Config = build(
        connect_timeout=_CONNECT_S,
        read_timeout=timeout_s,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_THREADS,
        user_agent_extra="lockstep",
        # An AWS_ENDPOINT_URL in the environment must not redirect our credential.
        ignore_configured_endpoint_urls=True,
    )
    return config


def _give(session: Session, credentials: Any) -> None:
    """Make ``credentials`` the session's only source: no environment, no instance metadata."""
    from botocore.credentials import (  # noqa: PLC0415 - see the module's docstring
        CredentialProvider,
        CredentialResolver,
    )

    class Given(CredentialProvider):
        METHOD = "lockstep"

        def load(self) -> Any:
            return credentials

    session.register_component("credential_provider", CredentialResolver([Given()]))


def _note_sending(**_: object) -> None:
    """Hear botocore's ``before-send``: after signing, and after a role was assumed for it."""
    _SENT_AT.set(datetime.now(UTC))


def _hear(response_dict: Mapping[str, Any], operation_model: Any, **_: object) -> None:
    """Hear botocore's ``before-parse``: the raw answer, before anything can go wrong with it."""
    headers = response_dict["headers"]
    date_header = headers.get("date")
    body = response_dict.get("body", b"")
    request_id = headers.get("x-amzn-requestid")
    answered = datetime.now(UTC)
    time = answer_time(date_instant(date_header), sent=_SENT_AT.get(answered), answered=answered)
    _HEARD.get([]).append(
        Exchange(
            operation=f"{operation_model.service_model.service_name}.{operation_model.name}",
            status=response_dict["status_code"],
            answered_at=time.at,
            skew=time.skew,
            request_id=bounded(request_id) if request_id else None,
            date_header=date_header[:64] if date_header else None,
            digest=hashlib.sha256(body if isinstance(body, bytes) else b"").hexdigest(),
        )
    )

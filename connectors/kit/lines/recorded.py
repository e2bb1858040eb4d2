"""One piece of work in time: classified, recorded, and silent about secrets.

What a socket and a file share. The other side's own words are left behind: only a code goes on.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import re
import socket
import ssl
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, TypeVar

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

ACCEPTED: Final = 200
"""What stands for a status where there is none: it was carried out."""
REFUSED: Final = 500

CLOSED: Final = "closed"
OTHER_FORM: Final = "other_form"
TOO_LONG: Final = "too_long"
PASSWORD: Final = "password_rejected"  # noqa: S105 - a code, not a secret

_CODE = re.compile(r"[a-z][a-z_]*|E[A-Z0-9]+")
"""A word of ours, or the name of an error: never something that was heard."""

_FAULTS: Final[Mapping[str, FaultCategory]] = {
    CLOSED: FaultCategory.UNREACHABLE,
    PASSWORD: FaultCategory.CREDENTIALS_REJECTED,
    "name_not_found": FaultCategory.UNREACHABLE,
    "tls": FaultCategory.UNREACHABLE,
    "os_error": FaultCategory.UNREACHABLE,
    "ENOENT": FaultCategory.MISCONFIGURED,
    "ENOTDIR": FaultCategory.MISCONFIGURED,
    "EISDIR": FaultCategory.MISCONFIGURED,
    **dict.fromkeys(("EACCES", "EPERM", "EROFS"), FaultCategory.PERMISSION_MISSING),
    # A mount that asks for a key of ours, and does not take it.
    **dict.fromkeys(
        ("ENOKEY", "EKEYEXPIRED", "EKEYREVOKED", "EKEYREJECTED"), FaultCategory.CREDENTIALS_REJECTED
    ),
    # A Unix socket whose queue is full: it speaks with others.
    **dict.fromkeys(("EAGAIN", "EBUSY"), FaultCategory.RATE_LIMITED),
    "ETIMEDOUT": FaultCategory.TIMEOUT,
    **dict.fromkeys(("EIO", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE"), FaultCategory.VENDOR_ERROR),
    **dict.fromkeys(
        (
            *("ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE", "ESTALE", "ENOTCONN"),
            *("EHOSTUNREACH", "ENETUNREACH", "EHOSTDOWN"),
        ),
        FaultCategory.UNREACHABLE,
    ),
}


class Refusal(Exception):  # noqa: N818 - what the other side says is no error of ours
    """It was refused, or is not as it must be: a code, never the other side's words."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer(Generic[T_co]):
    """What came of the work: its value, what of it is digested, the other side's clock (UTC)."""

    value: T_co = field(repr=False)
    raw: bytes = field(default=b"", repr=False)
    clock: datetime | None = None


class Recorder:
    """Carries work out for one connector.

    Args:
        connector: its kind, the first word of every fault.
        faults: categories of the protocol's own codes.
        secrets: values that must never appear in a fault.
        timeout: bound on each piece of work.
    """

    def __init__(
        self,
        connector: str,
        faults: Mapping[str, FaultCategory],
        *,
        secrets: Collection[str] = (),
        timeout: timedelta = timedelta(seconds=20),
    ) -> None:
        self.connector = connector
        self._faults = {**_FAULTS, **faults}
        self._secrets = tuple(secret for secret in secrets if secret)
        self._timeout_s = timeout.total_seconds()

    async def carry_out(
        self,
        operation: str,
        work: Awaitable[Answer[T]],
        transcript: Transcript,
        *,
        missing: str | None = None,
    ) -> tuple[T, Exchange]:
        """The result in time, and its record; one that failed is recorded too.

        Raises:
            ConnectorFault: for a refusal, or no answer in time.
        """
        sent = datetime.now(UTC)
        try:
            answer = await self.bounded(operation, work, missing=missing)
        except ConnectorFault as fault:
            self._record(transcript, operation, REFUSED, Answer(None, fault.code.encode()), sent)
            raise
        return answer.value, self._record(transcript, operation, ACCEPTED, answer, sent)

    async def bounded(self, operation: str, work: Awaitable[T], *, missing: str | None = None) -> T:
        """The result in time, unrecorded.

        Raises:
            ConnectorFault: for a refusal, or no answer in time.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except Refusal as refusal:
            code = refusal.code
        except TimeoutError as error:
            code = "ETIMEDOUT" if error.errno else "no_answer"
        except OSError as error:
            code = code_of(error)
        # Outside of the handlers: nothing of theirs hangs on the fault.
        raise self.fault(operation, code, missing=missing)

    def fault(self, operation: str, code: str, *, missing: str | None = None) -> ConnectorFault:
        """The fault that a code stands for."""
        category = self._faults.get(code, FaultCategory.UNEXPECTED_ANSWER)
        if code == "no_answer":
            category = FaultCategory.TIMEOUT
        lacks = missing if category is FaultCategory.PERMISSION_MISSING else None
        is_ours = _CODE.fullmatch(code) and not any(secret in code for secret in self._secrets)
        clean = code if is_ours else "redacted"
        return ConnectorFault(
            category, connector=self.connector, operation=operation, code=clean[:64], missing=lacks
        )

    @staticmethod
    def _record(
        transcript: Transcript, operation: str, status: int, answer: Answer[T], sent: datetime
    ) -> Exchange:
        time = answer_time(answer.clock, sent=sent, answered=datetime.now(UTC))
        exchange = Exchange(
            operation=operation,
            status=status,
            answered_at=time.at,
            skew=time.skew,
            digest=hashlib.sha256(answer.raw).hexdigest(),
        )
        transcript.add(exchange)
        return exchange


def code_of(error: OSError) -> str:
    """The name of an error of the operating system; its text names paths and hosts."""
    if isinstance(error, ssl.SSLError):  # its number is of another table
        return "tls"
    if isinstance(error, socket.gaierror):
        return "name_not_found"
    return errno.errorcode.get(error.errno or 0, "os_error")

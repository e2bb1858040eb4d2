"""The channel to one host: strict about its key, bounded, recorded, and silent about secrets.

A host answers by one program, `deploy/ssh-fleet/lockstep-access`: lines of words between tabs, the
first with its version and clock, the last "end".
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncssh

from connectors.base import ConnectorFault, Transcript
from connectors.kit.pacing.pace import Pacer
from connectors.kit.pacing.turns import in_turn
from connectors.kit.sql import ACCEPTED, REFUSED
from connectors.ssh_fleet.options import Address
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

KIND: Final = "ssh_fleet"
PROGRAM: Final = "lockstep-access"
VERSION: Final = "1"
RULE: Final = "the sudo rule for lockstep-access"
_MOST_BYTES: Final = 4_000_000
_CODES: Final = {
    "not_root": FaultCategory.PERMISSION_MISSING,
    "protected": FaultCategory.PROTECTED_ACCOUNT,
    "not_local": FaultCategory.MANAGED_ELSEWHERE,
    "busy": FaultCategory.RATE_LIMITED,
    "no_krl": FaultCategory.MISCONFIGURED,
    "sshd_config": FaultCategory.MISCONFIGURED,
}


class Refusal(Exception):  # noqa: N818 - what a host does is no error of ours
    """What a host refused or left unanswered; its own words stay behind."""

    def __init__(self, category: FaultCategory, code: str) -> None:
        super().__init__(code)
        self.category = category
        self.code = code


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``verb`` and what it is about."""

    verb: str
    name: str = field(default="", repr=False)
    specs: tuple[str, ...] = field(default=(), repr=False)
    effect: bool = False

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in (self.verb, self.name, *self.specs))


Rows = list[tuple[str, ...]]
Ask = Callable[[Request], Awaitable[str]]
"""Sends a request and returns the whole answer; raises `Refusal`."""


@dataclass(frozen=True, slots=True)
class Login:
    """How we log in at the hosts."""

    user: str
    key: asyncssh.SSHKey = field(repr=False)
    known_hosts: str
    timeout_s: float

    def ask(self, address: Address) -> Ask:
        """Requests to one host, each by a connection of its own."""

        async def asked(request: Request) -> str:
            try:
                return await self._asked(address, request)
            except asyncssh.PermissionDenied:
                code, category = "not_let_in", FaultCategory.CREDENTIALS_REJECTED
            except asyncssh.HostKeyNotVerifiable:
                code, category = "host_key", FaultCategory.MISCONFIGURED
            except (asyncssh.Error, OSError, UnicodeDecodeError):
                code, category = "no_connection", FaultCategory.UNREACHABLE
            raise Refusal(category, code)

        return asked

    async def _asked(self, address: Address, request: Request) -> str:
        connecting = asyncssh.connect(
            address.host,
            address.port,
            username=self.user,
            client_keys=[self.key],
            known_hosts=self.known_hosts,
            # Nothing of the machine that we run on has a say.
            config=None,
            agent_path=None,
            gss_host=None,
            preferred_auth=("publickey",),
            connect_timeout=self.timeout_s,
            login_timeout=self.timeout_s,
        )
        async with (
            connecting as connection,
            connection.create_process(PROGRAM, stderr=asyncssh.DEVNULL) as process,
        ):
            process.stdin.write(request.text)
            process.stdin.write_eof()
            answer, size = list[str](), 0
            while size <= _MOST_BYTES and (some := await process.stdout.read(65_536)):
                answer.append(some)
                size += len(some)
            return "".join(answer)


class Host:
    """One host of the fleet.

    Args:
        name: as the inventory writes it.
        ask: sends requests.
        secrets: values that must never appear in a fault.
        timeout: bound on one request, connecting included.
        pace: whose turn it is.
    """

    def __init__(
        self,
        name: str,
        ask: Ask,
        *,
        secrets: Collection[str],
        timeout: timedelta,
        pace: Pacer,
    ) -> None:
        self.name = name
        self._ask = ask
        self._secrets = tuple(secrets)
        self._timeout_s = timeout.total_seconds()
        self._pace = pace

    async def run(
        self, operation: str, request: Request, transcript: Transcript
    ) -> tuple[Rows, Exchange]:
        """Send a request, and check that its answer is whole.

        Raises:
            ConnectorFault: for a refusal, no answer in time, another form.
        """
        sent = datetime.now(UTC)
        try:
            async with in_turn(self._pace, transcript, connector=KIND, operation=operation):
                text = await self._bounded(request)
            rows, clock = read(text)
        except Refusal as refusal:
            category, code = refusal.category, refusal.code
        else:
            exchange = _recorded(operation, ACCEPTED, text, sent=sent, clock=clock)
            transcript.add(exchange)
            return rows, exchange
        transcript.add(_recorded(operation, REFUSED, code, sent=sent, clock=None))
        raise self.fault(category, operation, code)

    async def _bounded(self, request: Request) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._ask(request)
        except TimeoutError:
            pass
        raise Refusal(FaultCategory.TIMEOUT, "no_answer")

    def fault(self, category: FaultCategory, operation: str, code: str) -> ConnectorFault:
        """A fault at this host, which its code names."""
        clean = "redacted" if any(secret in code for secret in self._secrets) else code
        lacks = RULE if category is FaultCategory.PERMISSION_MISSING else None
        return ConnectorFault(
            category,
            connector=KIND,
            operation=operation,
            code=f"{clean[:32]}@{self.name}"[:96],
            missing=lacks,
        )


def _recorded(
    operation: str, status: int, raw: str, *, sent: datetime, clock: datetime | None
) -> Exchange:
    time = answer_time(clock, sent=sent, answered=datetime.now(UTC))
    digest = hashlib.sha256(raw.encode()).hexdigest()
    return Exchange(operation, status, time.at, skew=time.skew, digest=digest)


def read(text: str) -> tuple[Rows, datetime]:
    """The rows of an answer, and the host's clock.

    Raises:
        Refusal: it is an error, is cut, or is none of the program's.
    """
    first, *lines = [tuple(line.split("\t")) for line in text.splitlines()] or [()]
    if not first:
        # sudo refuses, or there is no such program: neither says a word on standard output.
        raise Refusal(FaultCategory.PERMISSION_MISSING, "no_program")
    if first[:2] != (PROGRAM, VERSION) or len(first) != 3 or not first[2].isdigit():  # noqa: PLR2004 - program, version, clock
        raise Refusal(FaultCategory.UNEXPECTED_ANSWER, "other_program")
    if said := next((line[1] for line in lines if line[0] == "error" and len(line) > 1), ""):
        raise Refusal(_CODES.get(said, FaultCategory.VENDOR_ERROR), said)
    if not lines or lines[-1] != ("end",):
        raise Refusal(FaultCategory.UNEXPECTED_ANSWER, "cut_short")
    return lines[:-1], datetime.fromtimestamp(int(first[2]), UTC)

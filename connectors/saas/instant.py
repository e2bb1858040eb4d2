"""Instant: a simulated vendor of the sandbox, for the benchmark and the first try-out.

It does as little as a vendor can, so that a measurement shows Lockstep and not its target: one
call to locate, one to look, one to close. It is not a product, and its manifest says so.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    OptionSpec,
    Transcript,
)
from connectors.http import Answer, Dialect, VendorHttp, vendor_instant
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Problem,
)
from lockstep.domain.faults import FaultCategory, rule_for
from lockstep.domain.leavers import KeyKind, LeaverKeys

KIND = "instant"
_GONE = 404
_SESSIONS = "all"
"""Instant ends all sessions at once and names none of them."""


class InstantConnector:
    """The simulated vendor Instant.

    Args:
        options: ``base_url`` and the secret ``token``.
        transport: replaces the network in tests.

    Raises:
        ValueError: names the option that is wrong.
    """

    def __init__(
        self, options: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        token = options.secrets.get("token", "")
        if not token:
            raise ValueError("token: a bearer token is required")
        self._system = options.system
        self._http = VendorHttp(
            Dialect(KIND),
            str(options.settings.get("base_url", "")),
            headers={"Authorization": f"Bearer {token}"},
            secrets=(token,),
            timeout=options.timeout,
            transport=transport,
        )

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        await self._http.aclose()

    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        """Search by worker id, or look an account id up where one was given.

        Instant opens an account for any key it has never seen, so further keys of the same person
        would find further accounts: one worker id is searched, and nothing else.
        """
        for account_id in keys.account_ids(self._system)[:1]:
            answer = await self._get(account_id, transcript)
            matches = () if answer is None else (_match(answer.data, KeyKind.ACCOUNT_ID),)
            return Location(matches, (KeyKind.ACCOUNT_ID,))
        for worker_id in keys.worker_ids[:1]:
            answer = await self._http.call(
                "GET",
                "/accounts",
                operation="accounts.find",
                transcript=transcript,
                expect=(200,),
                params={"key": worker_id},
            )
            accounts = answer.objects("accounts")
            if not (isinstance(answer.data, dict) and "accounts" in answer.data):
                raise _fault(FaultCategory.UNEXPECTED_ANSWER, "accounts.find", "not_a_list")
            if len(accounts) > 1:
                raise _fault(FaultCategory.AMBIGUOUS_MATCH, "accounts.find", "worker_id")
            found = tuple(_match(account, KeyKind.WORKER_ID) for account in accounts)
            return Location(found, (KeyKind.WORKER_ID,))
        return Location((), ())

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the account by id; ``changed_at`` is Instant's own record of its last change."""
        answer = await self._get(account.id, transcript)
        if answer is None:
            return Observation(account.id, exists=False, standing=())
        return _observation(account.id, answer.data)

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Switch the account off, which ends its sessions too; harmless when repeated."""
        if before.is_closed:
            return ()
        answer = await self._http.call(
            "POST",
            f"/accounts/{quote(account.id, safe='')}/off",
            operation="accounts.off",
            transcript=transcript,
            expect=(200, _GONE),
        )
        if answer.status == _GONE:
            return ()
        _check(answer, account.id)
        exchange = answer.exchange
        return tuple(
            Action(way, answer.answered_at, exchange.operation, exchange.request_id)
            for way in before.standing
        )

    async def health(self, transcript: Transcript) -> Health:
        """Look up an account that nobody has: only the credential decides the answer."""
        try:
            await self._get("health", transcript)
        except ConnectorFault as fault:
            problem = Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)
            lost = {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(reachable=fault.category not in lost, problems=(problem,))
        return Health(reachable=True)

    async def _get(self, account_id: str, transcript: Transcript) -> Answer | None:
        answer = await self._http.call(
            "GET",
            f"/accounts/{quote(account_id, safe='')}",
            operation="accounts.get",
            transcript=transcript,
            expect=(200, _GONE),
        )
        if answer.status == _GONE:
            return None
        _check(answer, account_id)
        return answer


def _check(answer: Answer, account_id: str) -> None:
    """Really ok is the account itself, not a 200."""
    data = answer.data
    if not isinstance(data, dict) or data.get("id") != account_id:
        raise _fault(
            FaultCategory.UNEXPECTED_ANSWER,
            answer.exchange.operation,
            "other_account",
            answer.exchange.request_id,
        )


def _match(account: dict[str, Any], found_by: KeyKind) -> Match:
    account_id = account.get("id")
    if not isinstance(account_id, str) or not account_id:
        raise _fault(FaultCategory.UNEXPECTED_ANSWER, "accounts.find", "no_id")
    return Match(Account(account_id), found_by, _observation(account_id, account))


def _observation(account_id: str, account: dict[str, Any]) -> Observation:
    standing = _standing(account)
    off_since = None if standing else vendor_instant(account.get("changed_at"))
    return Observation(account_id, exists=True, standing=standing, off_since=off_since)


def _standing(account: dict[str, Any]) -> tuple[Access, ...]:
    """What still works; anything but a plain "off" and a plain "none" counts as standing."""
    ways = []
    if account.get("signed_in") is not False:
        ways.append(Access(AccessKind.SIGN_IN, str(account["id"])))
    if account.get("sessions") not in (0, []):
        ways.append(Access(AccessKind.SESSION, _SESSIONS))
    return tuple(ways)


def _fault(
    category: FaultCategory, operation: str, code: str, request_id: str | None = None
) -> ConnectorFault:
    return ConnectorFault(
        category, connector=KIND, operation=operation, code=code, request_id=request_id
    )


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Instant (simulated vendor of the sandbox; not a product)",
    category=Category.SAAS,
    build=InstantConnector,
    options=(
        OptionSpec("base_url", "address of the sandbox's Instant"),
        OptionSpec("token", "bearer token", secret=True),
    ),
    permissions=("none: the simulated vendor's token may do everything",),
    proves="GET /accounts/{id} says signed_in=false and no sessions (simulated)",
)

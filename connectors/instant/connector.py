"""Instant: a simulated vendor of the sandbox, for the benchmark and the first try-out.

It does as little as a vendor can, so that a measurement shows Lockstep and not its target: one
call to locate, one to look, one to close. It is not a product, and its manifest says so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    Transcript,
)
from connectors.http import Answer, Dialect, VendorHttp
from connectors.instant.beyond import ABILITIES, Beyond
from connectors.instant.records import KIND, faulted, matched, observed, require_account
from connectors.kit import options
from connectors.kit.finding.searching import Searching
from connectors.kit.options import read_options
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.access import (
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    Proof,
    Search,
)
from lockstep.domain.systems.faults import FaultCategory, rule_for

_GONE = 404


class InstantConnector(Beyond):
    """The simulated vendor Instant.

    Args:
        given: ``base_url`` and the secret ``token``.
        transport: replaces the network in tests.

    Raises:
        ValueError: names the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        values = read_options(_OPTIONS, given, kind=KIND)
        self._system = given.system
        http = VendorHttp(
            Dialect(KIND),
            values[_BASE_URL],
            headers={"Authorization": f"Bearer {values[_TOKEN]}"},
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            pace=given.pace,
        )
        super().__init__(http)

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        await self._http.aclose()

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Look account ids up that were given, else search by worker id.

        Instant opens an account for any key it has never seen, so a user name or an address of
        the same person would find further accounts: worker ids are searched, and nothing else.
        """
        found: dict[str, Match] = {}
        searches = []
        searching = Searching(not_theirs)
        for account_id in keys.account_ids(self._system):
            answer = await searching.one(partial(self._get, account_id, transcript))
            failed = isinstance(answer, ConnectorFault)
            if isinstance(answer, Answer):
                found[account_id] = matched(answer.data, KeyKind.ACCOUNT_ID)
            proof = Proof.FAILED if failed else Proof.BY_ID
            searches.append(Search(KeyKind.ACCOUNT_ID, account_id, proof))
        for worker_id in () if found else keys.worker_ids:
            accounts = await searching.one(partial(self._find, worker_id, transcript))
            if isinstance(accounts, ConnectorFault):
                searches.append(Search(KeyKind.WORKER_ID, worker_id, Proof.FAILED))
                continue
            key = Key(KeyKind.WORKER_ID, worker_id)
            for account in accounts:
                match = matched(account, KeyKind.WORKER_ID, key)
                found.setdefault(match.account.id, match)
            # An empty answer proves nothing: Instant has an account for everybody.
            proof = Proof.PROVED if accounts else Proof.UNPROVED
            searches.append(Search(KeyKind.WORKER_ID, worker_id, proof))
        return searching.told(Location(tuple(found.values()), tuple(searches)))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's own record says everything."""
        return await self.read_back(account, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the account by id; ``changed_at`` is Instant's own record of its last change."""
        answer = await self._get(account.id, transcript)
        if answer is None:
            return Observation(account.id, exists=False, standing=())
        return observed(account.id, answer.data)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Switch the account off, which ends its sessions too; harmless when repeated."""
        return await self._off(account, before, transcript) if before.signs_in else ()

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End what outlived the sign-in: sessions, a seat."""
        rest = tuple(way for way in before.standing if way.kind is not AccessKind.SIGN_IN)
        return await self._off(account, replace(before, standing=rest), transcript)

    async def _off(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
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
        require_account(answer, account.id)
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

    async def _find(self, worker_id: str, transcript: Transcript) -> list[dict[str, Any]]:
        answer = await self._http.call(
            "GET",
            "/accounts",
            operation="accounts.find",
            transcript=transcript,
            expect=(200,),
            params={"key": worker_id},
        )
        if not (isinstance(answer.data, dict) and "accounts" in answer.data):
            raise faulted(FaultCategory.UNEXPECTED_ANSWER, "accounts.find", "not_a_list")
        return answer.objects("accounts")

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
        require_account(answer, account_id)
        return answer


_BASE_URL = options.address("base_url", "address of the sandbox's Instant")
_TOKEN = options.secret("token", "bearer token", required=True)
_OPTIONS = (_BASE_URL, _TOKEN)

MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Instant (simulated vendor of the sandbox; not a product)",
    category=Category.SAAS,
    build=InstantConnector,
    options=_OPTIONS,
    permissions=("none: the simulated vendor's token may do everything",),
    proves="GET /accounts/{id} says signed_in=false, no sessions and no seat (simulated)",
    abilities=ABILITIES,
    grade=EvidenceGrade.A,
    revives_on_unblock=frozenset(),
    counts_seats=True,
    is_product=False,
)

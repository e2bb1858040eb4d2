"""A `Connector` that runs a vendor's spec over HTTP: the engine that all declared vendors share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import httpx

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.http import VendorHttp
from connectors.kit.abilities.active import ActiveAccounts
from connectors.kit.abilities.activity import ActivityLog
from connectors.kit.abilities.owned import OwnedThings
from connectors.kit.auth.ways import Header, choose
from connectors.kit.calls import NO_ONE, Api, Words, actions
from connectors.kit.finding.locating import Locator
from connectors.kit.finding.searching import Searching
from connectors.kit.holdings import Held, Holdings
from connectors.kit.options import Values, read_options
from connectors.kit.pages import Item
from connectors.kit.paths import at
from connectors.kit.records import Records
from connectors.kit.spec import Examined, RestSpec
from connectors.kit.steps import attempt
from lockstep.domain.cases.leavers import KeyKind, LeaverKeys
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability
from lockstep.domain.systems.access import (
    AccessKind,
    Account,
    Action,
    Health,
    Location,
    Observation,
    Problem,
    ProblemSeverity,
)
from lockstep.domain.systems.active import ActivePage
from lockstep.domain.systems.activity import Activity
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.owned import Belongings

_SILENT = frozenset({FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT})


@dataclass(frozen=True, slots=True)
class Parts:
    """What a vendor's own code works with, where control flow itself is the vendor's."""

    values: Values
    api: Api
    records: Records
    holdings: Holdings


class RestConnector:
    """One system of one vendor. See `connectors.base.Connector`, and `connectors.abilities`.

    Attributes:
        list_active: only where the spec has a row for it; so with the others.

    Raises:
        ValueError: naming the option that is wrong.
    """

    list_active: Callable[[Transcript], AsyncIterator[ActivePage]]
    activity_since: Callable[[Account, datetime, Transcript], Awaitable[Activity]]
    list_owned: Callable[[Account, Transcript], Awaitable[Belongings]]

    def __init__(
        self,
        spec: RestSpec,
        given: ConnectorOptions,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._spec = spec
        self._values = values = read_options(spec.options, given, kind=spec.kind)
        base_url, dialect = values[spec.base_url], spec.wire.dialect
        self._signed_in = choose(spec.auth, values).sign_in(values, base_url, dialect)
        http = VendorHttp(
            dialect,
            base_url,
            headers={**self._signed_in.headers, **spec.wire.headers},
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            auth=self._signed_in.flow,
            tls=self._signed_in.tls,
            pace=given.pace,
        )
        plain = [row.name for row in spec.options if not row.secret]
        words = {name: str(values.named(name)) for name in plain}
        self._api = Api(http, spec.wire, words)
        self._holdings = Holdings(spec.holdings, self._api, values)
        self._records = Records(
            spec, self._api, values, words=words, unasked=self._holdings.unasked_of
        )
        self._parts = Parts(values, self._api, self._records, self._holdings)
        self._locator = Locator(spec.finding, self._api, self._records, system=given.system)
        self._offer()

    def _offer(self) -> None:
        """An ability without a row is no method at all."""
        spec, api = self._spec, self._api
        if spec.active is not None:
            empty = spec.finding.empty
            accounts = ActiveAccounts(spec.active, api, self._records, empty=empty)
            self.list_active = accounts.pages
        if spec.activity is not None:
            self.activity_since = ActivityLog(spec.activity, api).since
        if spec.owned is not None:
            self.list_owned = OwnedThings(spec.owned.lists, api, self._signed_in).of

    @property
    def kind(self) -> str:
        return self._spec.kind

    async def aclose(self) -> None:
        await self._api.aclose()

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search as the spec says; everything found is told, nothing is decided."""
        return await self._locator.locate(keys, transcript, Searching(not_theirs))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's own record."""
        return self._records.seen(account.id, await self._records.one(account.id, transcript))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the doors that stood and still stand: one write."""
        if not before.signs_in:
            return ()
        record = await self._records.one(account.id, transcript)
        now = self._records.seen(account.id, record)
        due = [way for way in now.standing if way in before.standing]
        if record is None or not due:
            return ()
        sign_in = self._spec.sign_in
        calls = sign_in.block.chosen(self._values)
        for guard in sign_in.guards:
            if at(record, guard.at) == guard.value:
                raise self._api.fault(guard.category, calls[-1].operation)
        answer = await self._api.do(calls, self._records.words_of(record), transcript, thing=record)
        word = self._values[sign_in.block.option] if sign_in.block.option else ""
        return actions(before.standing if word in sign_in.takes_all else due, answer)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The record, and every list of what the account holds."""
        if self._spec.things_outlive_it or self._spec.at_once:
            record, held = await self._at_once(account, transcript)
        else:
            record = await self._records.one(account.id, transcript)
            if record is not None:
                words = self._records.words(account, self._records.locator(record))
                held = await self._holdings.read(words, transcript)
        seen = self._records.seen(account.id, record)
        if record is None and not self._spec.things_outlive_it:
            return seen
        if record is not None:
            held = self._holdings.of_record(held, record)
        residuals = self._records.residuals(record, signs_in=seen.signs_in, seen=held.leaves)
        standing = (*seen.standing, *held.standing)
        return replace(seen, standing=standing, residuals=residuals, unread=held.unread)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close everything else that stood, in the order of its kinds."""
        due = [way for way in before.standing if way.kind is not AccessKind.SIGN_IN]
        if not due:
            return ()
        words = self._records.words(account)
        if self._spec.things_outlive_it:
            # What is listed by a name is listed by the name of today.
            record = await self._records.one(account.id, transcript)
            locator = self._records.locator(record) if record else account.locator
            words = self._records.words(account, locator)
        return await self._holdings.close(due, words, transcript)

    async def health(self, transcript: Transcript) -> Health:
        """Try the list of accounts, and every list of what they hold.

        A list that is addressed by an account is read of the first account that there is.
        """
        everybody = self._spec.finding.everybody
        rows = [(everybody, self._spec.probe)]
        rows += [(row.listed, row.probe) for row in self._holdings.rows]
        problems: list[Problem] = []
        lists: dict[str, list[Item]] = {}
        for listed, params in rows:
            known = lists.get(everybody.call.operation, ())
            words = _NO_ONE
            # A filter needs somebody too, unless health asks for the list without one.
            asked = listed.call.path if params else f"{listed.call.path}{listed.call.params}"
            if "{id}" in asked:
                if not known:
                    continue  # nobody is there whose list could be tried
                words = self._records.words(self._records.match(known[0], KeyKind.EMAIL).account)
            try:
                if params is None:
                    lists[listed.call.operation] = await self._api.some(listed, words, transcript)
                else:
                    await self._api.probe(replace(listed.call, params=params), words, transcript)
            except ConnectorFault as fault:
                problems.append(self._problem(fault))
                if fault.category is FaultCategory.PERMISSION_MISSING:
                    continue
                return Health(fault.category not in _SILENT, tuple(problems))
        if self._signed_in.rotates:
            problems.append(_ROTATES)
        problems += self._spec.examine(Examined(self._values, self._signed_in, lists))
        return Health(reachable=True, problems=tuple(dict.fromkeys(problems)))

    async def _at_once(self, account: Account, transcript: Transcript) -> tuple[Item | None, Held]:
        """Record and lists together; the lists again where the account has another name by now.

        Raises:
            ConnectorFault: the record cannot be read.
        """
        words = self._records.words(account)
        record, held = await asyncio.gather(
            attempt(self._records.one(account.id, transcript)),
            self._holdings.read(words, transcript),
        )
        if isinstance(record, ConnectorFault):
            raise record
        if record is None:
            return None, held
        now = self._records.words(account, self._records.locator(record))
        return record, await self._holdings.reread(held, words, now, transcript)

    def _problem(self, fault: ConnectorFault) -> Problem:
        if fault.missing:
            summary, fix = (text.format(missing=fault.missing) for text in self._spec.lacking)
            return Problem(f"permission_missing.{fault.missing}", summary, fix)
        # A passing trouble blocks too: what could not be checked is not ready.
        return Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)


_ROTATES = Problem(
    "refresh_token_rotated",
    "The vendor replaced the refresh token by a newer one, which only this process knows.",
    "Have the vendor keep refresh tokens, or use client credentials: after a restart the one in"
    " the settings may no longer be taken.",
    ProblemSeverity.LIMITS,
)
_NO_ONE: Words = {"id": NO_ONE, "locator": NO_ONE}


def manifest_of(spec: RestSpec) -> ConnectorManifest:
    """What registry, settings, documentation and doctor know of a declared vendor."""
    return ConnectorManifest(
        kind=spec.kind,
        title=spec.title,
        category=spec.category,
        build=partial(RestConnector, spec),
        options=spec.options,
        permissions=spec.permissions,
        proves=spec.proves,
        residual_s={row.what: row.default for row in spec.outlives},
        limit=spec.limit,
        calls=spec.calls,
        abilities=_abilities_of(spec),
        grade=EvidenceGrade.A if spec.sign_in.off_since else EvidenceGrade.B,
        revives_on_unblock=spec.revives_on_unblock,
        enforced_at=spec.enforced_at,
        counts_seats=counts_seats(spec),
        secret_marks=(
            *spec.secret_marks,
            *(way.mark for way in spec.auth if isinstance(way, Header)),
        ),
    )


def counts_seats(spec: RestSpec) -> bool:
    """Whether a door or a list of the vendor is of seats."""
    kinds = {door.kind for door in spec.sign_in.doors}
    kinds.update(kind for row in spec.holdings for kind in row.kinds)
    return AccessKind.SEAT in kinds


def _abilities_of(spec: RestSpec) -> dict[Ability, str]:
    rows = (
        (Ability.LIST_ACTIVE, spec.active),
        (Ability.ACTIVITY_SINCE, spec.activity),
        (Ability.LIST_OWNED, spec.owned),
    )
    return {ability: row.sees for ability, row in rows if row is not None}

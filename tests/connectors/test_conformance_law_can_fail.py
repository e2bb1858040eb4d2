"""The law's half of the conformance suite notices connectors that are wrong in one way each.

The control is the connector of docs/connectors.md, with the lists that it lacks: one vendor in
memory with a search, a record and a list of groups.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import httpx
import pytest

from connectors.base import Connector, ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect, VendorHttp
from connectors.kit.finding.proving import Prover
from connectors.kit.finding.searching import Searching
from connectors.kit.steps import carry_out, fault_of, unread
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Health,
    Location,
    Match,
    Observation,
    Proof,
    Search,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors import test_conformance_law as law
from tests.connectors.conftest import Scene
from tests.connectors.harness import FaultKind, FaultScript, FaultTransport

TOKEN = "club-token-1f40"


class Club:
    """A vendor in memory: people found by address, each with a record and groups."""

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        _, kind, *rest = request.url.path.split("/")
        if kind == "find":
            wanted = request.url.params.get("mail", "")
            found = [one for one in self.people.values() if wanted.lower() in {one["mail"], ""}]
            return httpx.Response(200, json=found)
        person = self.people[rest[0]]
        if request.method == "POST":
            person["off"] = person["off"] or kind == "off"
        elif request.method == "DELETE":
            person["groups"].remove(rest[1])
        if kind == "groups":
            return httpx.Response(200, json=person["groups"])
        return httpx.Response(200, json={key: person[key] for key in ("id", "mail", "off")})


class Right:
    """Wrong in nothing: the control of this experiment."""

    kind = "club"

    def __init__(self, options: ConnectorOptions, *, transport: httpx.AsyncBaseTransport) -> None:
        self.prover = Prover()
        self._http = VendorHttp(
            Dialect(self.kind), "http://127.0.0.1", headers={}, transport=transport
        )

    async def find(self, transcript: Transcript, mail: str = "") -> list[Match]:
        answer = await self.call("GET", "/find", transcript, params={"mail": mail})
        return [self.match(one) for one in answer.data]

    def match(self, person: dict[str, Any]) -> Match:
        account = Account(person["id"], known_keys=(Key(KeyKind.EMAIL, person["mail"]),))
        return Match(account, KeyKind.EMAIL)

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        found: dict[str, Match] = {}
        searches = []
        searching = Searching(not_theirs)
        for account in keys.account_ids("club-test"):
            answer = await self.call("GET", f"/people/{account}", transcript)
            found[account] = replace(self.match(answer.data), found_by=KeyKind.ACCOUNT_ID)
            searches.append(Search(KeyKind.ACCOUNT_ID, account, Proof.BY_ID))
        for mail in keys.emails:
            hits = await searching.one(partial(self.find, transcript, mail))
            if isinstance(hits, ConnectorFault):
                searches.append(Search(KeyKind.EMAIL, mail, Proof.FAILED))
                continue
            for match in hits:
                found.setdefault(match.account.id, match)
            searches.append(Search(KeyKind.EMAIL, mail, Proof.PROVED if hits else Proof.UNPROVED))
        if not searching.faults and not searching.found(found.values()):
            proofs = {one: await self.proof(transcript, one.value) for one in searches}
            searches = [
                replace(one, proof=proofs[one]) if one.proof is Proof.UNPROVED else one
                for one in searches
            ]
        return searching.told(Location(tuple(found.values()), tuple(searches)))

    async def proof(self, transcript: Transcript, wanted: str) -> Proof:
        return await self.prover.proof_of(
            "mail",
            KeyKind.EMAIL,
            wanted=wanted,
            sample=lambda: self.find(transcript),
            ask=lambda value: self.find(transcript, value),
        )

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        answer = await self.call("GET", f"/people/{account.id}", transcript)
        standing = () if answer.data["off"] else (Access(AccessKind.SIGN_IN, account.id),)
        return Observation(account.id, True, standing, unread=(Unread(AccessKind.GROUP),))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        if not before.signs_in or not (await self.look(account, transcript)).signs_in:
            return ()
        answer = await self.call("POST", f"/off/{account.id}", transcript)
        way = Access(AccessKind.SIGN_IN, account.id)
        return (Action(way, answer.answered_at, answer.exchange.operation),)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        seen = await self.look(account, transcript)
        try:
            answer = await self.call("GET", f"/groups/{account.id}", transcript)
        except ConnectorFault as fault:
            return replace(seen, unread=(unread(AccessKind.GROUP, fault),))
        groups = tuple(Access(AccessKind.GROUP, group) for group in answer.data)
        return replace(seen, standing=(*seen.standing, *groups), unread=())

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        def leave(way: Access) -> Callable[[], Awaitable[tuple[Action, ...]]]:
            async def step() -> tuple[Action, ...]:
                answer = await self.call("DELETE", f"/groups/{account.id}/{way.ref}", transcript)
                return (Action(way, answer.answered_at, answer.exchange.operation),)

            return step

        groups = [way for way in before.standing if way.kind is AccessKind.GROUP]
        return await carry_out(*map(leave, groups))

    async def health(self, transcript: Transcript) -> Health:
        return Health(reachable=True)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, transcript: Transcript, **sent: Any) -> Any:
        operation = f"{path.split('/')[1]}.{method.lower()}"
        return await self._http.call(
            method, path, operation=operation, transcript=transcript, **sent
        )


class Decides(Right):
    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        found = await super().locate(keys, transcript, not_theirs=not_theirs)
        if len(found.matches) > 1:
            raise ConnectorFault(
                FaultCategory.AMBIGUOUS_MATCH, connector=self.kind, operation="find.get"
            )
        return found


class DropsTheSecond(Right):
    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        found = await super().locate(keys, transcript, not_theirs=not_theirs)
        return replace(found, matches=found.matches[:1])


class FailsWholly(Right):
    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        found = await super().locate(keys, transcript, not_theirs=not_theirs)
        for row in found.unread:
            raise fault_of(row, connector=self.kind)
        return found


class HidesAFailure(Right):
    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        return replace(await super().locate(keys, transcript, not_theirs=not_theirs), unread=())


class TakesThemForTheLeaver(Right):
    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        return await super().locate(keys, transcript)


class TellsNoKeys(Right):
    def match(self, person: dict[str, Any]) -> Match:
        return Match(Account(person["id"]), KeyKind.EMAIL)


class ProvesByWord(Right):
    async def proof(self, transcript: Transcript, wanted: str) -> Proof:
        return Proof.PROVED


class ProvesNothing(Right):
    async def proof(self, transcript: Transcript, wanted: str) -> Proof:
        return Proof.UNPROVED


class ProvesByPlainLetters(Right):
    async def proof(self, transcript: Transcript, wanted: str) -> Proof:
        return await super().proof(transcript, "plain")


class ListsBeforeContaining(Right):
    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        await self.read_back(account, transcript)
        return await super().contain(account, before, transcript)


class StripsBeforeContaining(Right):
    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        full = await self.read_back(account, transcript)
        return await self.strip(account, full, transcript)


class UnreadIsEmpty(Right):
    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        return replace(await super().read_back(account, transcript), unread=())


class ForgetsWhatItDid(Right):
    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        try:
            return await super().strip(account, before, transcript)
        except ConnectorFault as fault:
            fault.actions = ()
            raise

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        await super().contain(account, before, transcript)
        return ()


class ClubHarness:
    """People of the club, and the connector under test."""

    kind = "club"
    secret = TOKEN

    def __init__(self, made: type[Right]) -> None:
        self.script = FaultScript()
        self._made = made
        self._club = Club()

    def connector(self, *, secret: str | None = None) -> Connector:
        transport = FaultTransport(
            self.script, rate_limit_headers=lambda wait_s: {"Retry-After": str(wait_s)}
        )
        transport._inner = httpx.MockTransport(self._club)
        return self._made(ConnectorOptions("club-test", {}), transport=transport)

    async def hire(self, worker: str) -> LeaverKeys:
        person = {"id": uuid4().hex, "mail": f"{worker}@club.test", "off": False}
        self._club.people[str(person["id"])] = {**person, "groups": ["bar", "pool"]}
        return LeaverKeys((Key(KeyKind.EMAIL, str(person["mail"])),))

    @staticmethod
    def blind(request: httpx.Request) -> httpx.Response | None:
        """A search that finds nobody, although the list shows them."""
        return httpx.Response(200, json=[]) if request.url.params.get("mail") else None


WRONG: tuple[tuple[type[Right], Callable[..., Awaitable[None]], dict[str, object]], ...] = (
    (Decides, law.test_every_account_is_told_and_none_is_decided, {}),
    (DropsTheSecond, law.test_every_account_is_told_and_none_is_decided, {}),
    (DropsTheSecond, law.test_a_named_account_settles_whose_an_address_is, {}),
    (DropsTheSecond, law.test_addresses_of_two_people_ask_a_person, {}),
    (TellsNoKeys, law.test_an_account_is_told_with_the_key_that_found_it, {}),
    (ProvesNothing, law.test_nobody_is_proved, {}),
    (ProvesByWord, law.test_a_blind_search_proves_nothing, {}),
    (
        ProvesByPlainLetters,
        law.test_what_is_written_in_two_ways_is_not_proved_by_plain_letters,
        {},
    ),
    (FailsWholly, law.test_a_search_that_fails_hides_nobody, {}),
    (HidesAFailure, law.test_a_search_that_fails_hides_nobody, {}),
    (TakesThemForTheLeaver, law.test_an_account_that_is_not_theirs_is_nobody, {}),
    (ListsBeforeContaining, law.test_the_first_write_shuts_the_sign_in, {}),
    (StripsBeforeContaining, law.test_the_first_write_shuts_the_sign_in, {}),
    (
        UnreadIsEmpty,
        law.test_a_list_that_cannot_be_read_is_unread,
        {"kind": FaultKind.SERVER_ERROR},
    ),
    (ForgetsWhatItDid, law.test_what_was_done_before_a_fault_is_told, {}),
)


async def run(made: type[Right], check: Callable[..., Awaitable[None]], given: Any) -> None:
    scene = Scene(ClubHarness(made))
    try:
        await check(scene, **given)
    finally:
        for connector in scene.opened:
            await connector.aclose()


@pytest.mark.parametrize(("made", "check", "arguments"), WRONG)
async def test_a_wrong_connector_fails(
    made: type[Right], check: Callable[..., Awaitable[None]], arguments: dict[str, object]
) -> None:
    """Each planted mistake is caught by the check that is there for it."""
    with pytest.raises((AssertionError, ConnectorFault, pytest.fail.Exception)):
        await run(made, check, arguments)


@pytest.mark.parametrize("check", dict.fromkeys(check for _, check, _ in WRONG))
async def test_the_right_connector_passes(check: Callable[..., Awaitable[None]]) -> None:
    """Without the planted mistake the same check passes, so it was the mistake that failed."""
    given = next(arguments for _, one, arguments in WRONG if one is check)
    await run(Right, check, given)


def test_every_row_of_the_law_can_fail() -> None:
    """Each check of the law's half has a mistake that it catches."""
    rows = {name for name in vars(law) if name.startswith("test_")}

    assert rows == {check.__name__ for _, check, _ in WRONG}

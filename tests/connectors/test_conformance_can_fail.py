"""The conformance suite notices connectors that are wrong in one way each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from connectors.base import Connector, ConnectorFault, ConnectorOptions, Transcript
from connectors.instant.connector import InstantConnector
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Account, Action, Health, Location, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors import test_conformance as suite
from tests.connectors.conftest import Scene
from tests.connectors.harness import FaultKind, FaultTransport
from tests.connectors.instant.harness import InstantHarness, harness
from tests.connectors.test_conformance import Step


class Honest(InstantConnector):
    """Wrong in nothing: the control of this experiment."""


class SaysClosed(InstantConnector):
    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        return replace(await super().read_back(account, transcript), standing=())


class BelievesItself(InstantConnector):
    believed = False

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        self.believed = True
        return await super().contain(account, before, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        seen = await super().read_back(account, transcript)
        return replace(seen, standing=()) if self.believed else seen


class DoesNothing(InstantConnector):
    async def _off(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        now = await self._http.call("GET", "/accounts?key=x", operation="x", transcript=transcript)
        return tuple(Action(way, now.answered_at, "x") for way in before.standing)


class BelievesTheClock(InstantConnector):
    async def _off(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        actions = await super()._off(account, before, transcript)
        told = transcript.exchanges[-1].at_by_vendor
        return tuple(replace(action, accepted_at=told) for action in actions)


class RevokesAgain(InstantConnector):
    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        path = f"/accounts/{account.id}/off"
        await self._http.call("POST", path, operation="accounts.off", transcript=transcript)
        return ()


class RevokesWhileLooking(RevokesAgain):
    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        seen = await super().read_back(account, transcript)
        await self.contain(account, seen, transcript)
        return seen


class FindsNobodyInTrouble(InstantConnector):
    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        try:
            return await super().locate(keys, transcript)
        except ConnectorFault:
            return Location((), ())


class ClosedInTrouble(InstantConnector):
    async def _off(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        try:
            return await super()._off(account, before, transcript)
        except ConnectorFault:
            return ()

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        return ()


class TellsSecret(InstantConnector):
    def __init__(self, options: ConnectorOptions, *, transport: FaultTransport) -> None:
        super().__init__(options, transport=transport)
        self._token = options.secrets["token"]

    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        try:
            return await super().locate(keys, transcript)
        except ConnectorFault as fault:
            fault.add_note(f"sent {self._token}")
            raise


class TellsWorker(InstantConnector):
    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        try:
            return await super().locate(keys, transcript)
        except ConnectorFault as fault:
            raise ConnectorFault(
                fault.category,
                connector=self.kind,
                operation="accounts.find",
                code=keys.worker_ids[0],
            ) from None


class NamesNoKeys(InstantConnector):
    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        return replace(await super().locate(keys, transcript), searches=())


class NeverTransient(InstantConnector):
    async def _off(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        try:
            return await super()._off(account, before, transcript)
        except ConnectorFault as fault:
            raise ConnectorFault(
                FaultCategory.UNEXPECTED_ANSWER, connector=self.kind, operation=fault.operation
            ) from None


class AlwaysHealthy(InstantConnector):
    async def health(self, transcript: Transcript) -> Health:
        return Health(reachable=True)


WRONG: tuple[tuple[type[InstantConnector], Callable[..., Any], dict[str, object]], ...] = (
    (SaysClosed, suite.test_snapshot_shows_what_stands, {}),
    (BelievesItself, suite.test_success_that_was_not_done_is_seen, {}),
    (BelievesItself, suite.test_access_given_back_stands_again, {}),
    (DoesNothing, suite.test_revoked_is_closed_for_us_and_for_the_peer, {}),
    (RevokesAgain, suite.test_revoking_twice_changes_nothing_more, {}),
    (RevokesWhileLooking, suite.test_looking_changes_nothing, {}),
    (FindsNobodyInTrouble, suite.test_401_is_our_credential, {"step": Step.LOCATE}),
    (FindsNobodyInTrouble, suite.test_200_that_is_not_json_is_unexpected, {"step": Step.LOCATE}),
    (ClosedInTrouble, suite.test_403_is_a_missing_permission, {"step": Step.REVOKE}),
    (
        ClosedInTrouble,
        suite.test_a_lost_call_settles_on_the_second_try,
        {"kind": FaultKind.LOST_BEFORE, "again": "after a new look"},
    ),
    (
        NeverTransient,
        suite.test_a_lost_call_settles_on_the_second_try,
        {"kind": FaultKind.LOST_AFTER, "again": "with the old snapshot"},
    ),
    (NeverTransient, suite.test_5xx_then_ok, {"step": Step.REVOKE}),
    (TellsSecret, suite.test_an_echoed_secret_goes_nowhere, {"step": Step.LOCATE}),
    (TellsWorker, suite.test_429_without_a_time_invents_none, {"step": Step.LOCATE}),
    (NamesNoKeys, suite.test_finds_the_person_by_each_key, {}),
    (
        BelievesTheClock,
        suite.test_a_clock_that_lies_moves_no_instant_out_of_the_call,
        {"off": timedelta(hours=-2)},
    ),
    (AlwaysHealthy, suite.test_a_wrong_credential_is_rejected, {}),
    (AlwaysHealthy, suite.test_health_reports_and_does_not_raise, {"kind": FaultKind.FORBIDDEN}),
)


class Wrong(InstantHarness):
    """Instant's harness with another connector in it."""

    made: type[InstantConnector] = Honest

    def connector(self, *, secret: str | None = None) -> Connector:
        right = super().connector(secret=secret)
        assert isinstance(right, InstantConnector)
        transport = right._http._transport
        options = ConnectorOptions(
            "instant-test", {"base_url": self._base_url}, {"token": secret or self.secret}
        )
        return self.made(options, transport=transport)


@pytest.fixture(scope="module")
async def wrong() -> AsyncIterator[Wrong]:
    async with harness() as right:
        yield Wrong(right._base_url, right._peer, right.secret)


async def run(
    wrong: Wrong,
    made: type[InstantConnector],
    check: Callable[..., Any],
    arguments: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong.made = made
    scene = Scene(wrong)
    scene.quiet()
    if check is suite.test_an_echoed_secret_goes_nowhere:
        arguments = {**arguments, "caplog": caplog}
    try:
        await check(scene, **arguments)
    finally:
        scene.quiet()
        for connector in scene.opened:
            await connector.aclose()


@pytest.mark.parametrize(("made", "check", "arguments"), WRONG)
async def test_a_wrong_connector_fails(
    wrong: Wrong,
    made: type[InstantConnector],
    check: Callable[..., Any],
    arguments: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each planted mistake is caught by the check that is there for it."""
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run(wrong, made, check, arguments, caplog)


@pytest.mark.parametrize(("made", "check", "arguments"), WRONG)
async def test_the_honest_connector_passes(
    wrong: Wrong,
    made: type[InstantConnector],
    check: Callable[..., Any],
    arguments: dict[str, object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the planted mistake the same check passes, so it was the mistake that failed."""
    await run(wrong, Honest, check, arguments, caplog)

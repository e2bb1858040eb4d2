"""The Okta connector against the simulated organisation: what a revocation does and proves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.okta.harness import OktaHarness, harness
from tests.connectors.revoking import revoke
from tests.support.loopback import loopback


@pytest.fixture(scope="module")
async def peer() -> AsyncIterator[OktaHarness]:
    async with harness() as made:
        yield made


@pytest.fixture
async def okta(peer: OktaHarness) -> AsyncIterator[OktaHarness]:
    peer.opened.clear()
    yield peer
    for connector in peer.opened:
        await connector.aclose()


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """Passes calls on and remembers the effects; dies after ``last`` of them."""

    last: int = 10_000
    effects: list[str] = field(default_factory=list)
    inner: httpx.AsyncHTTPTransport = field(default_factory=loopback)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            if len(self.effects) >= self.last:
                raise httpx.ReadError("the process died", request=request)
            self.effects.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


@dataclass
class Leaver:
    """Somebody who was hired, found and looked at, and the connector that did."""

    keys: LeaverKeys
    wire: Wire
    connector: OktaConnector
    account: Account
    before: Observation

    async def revoke(self) -> set[Access]:
        done = await revoke(self.connector, self.account, self.before, Transcript())
        assert all(action.request_id for action in done)
        return {action.access for action in done}

    async def fault(self) -> ConnectorFault:
        with pytest.raises(ConnectorFault) as caught:
            await self.revoke()
        return caught.value

    async def seen(self) -> Observation:
        return await self.connector.read_back(self.account, Transcript())


async def leaver(
    okta: OktaHarness,
    *,
    secret: str | None = None,
    last: int = 10_000,
    disable: str = "deactivate",
    **shape: object,
) -> Leaver:
    keys, wire = await okta.hire("leaver", **shape), Wire(last)
    connector = okta.connect(wire, secret, disable=disable)
    (match,) = (await connector.locate(keys, Transcript())).matches
    before = await connector.read_back(match.account, Transcript())
    return Leaver(keys, wire, connector, match.account, before)


def kinds(ways: Iterable[Access]) -> set[AccessKind]:
    return {access.kind for access in ways}


async def test_the_block_comes_first_and_deactivation_last(okta: OktaHarness) -> None:
    """Sign-in is blocked before anything else, and factors are reset before deactivation."""
    one = await leaver(okta)
    done = await one.revoke()
    after = await one.seen()

    assert done == set(one.before.standing)
    assert (one.wire.effects[0], one.wire.effects[-1]) == ("POST suspend", "POST deactivate")
    assert "POST reset_factors" in one.wire.effects
    assert after.off_since is not None
    assert {residual.what for residual in after.residuals} == {"access_token", "app_session"}


async def test_what_the_search_says_is_enough_to_begin(okta: OktaHarness) -> None:
    """The search tells the sign-in and names the lists that nobody has read; a look agrees."""
    one, transcript = await leaver(okta), Transcript()
    (match,) = (await one.connector.locate(one.keys, Transcript())).matches
    look = await one.connector.look(match.account, transcript)

    assert match.seen is not None
    assert replace(match.seen, residuals=()) == replace(look, residuals=())
    assert kinds(look.standing) == {AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.ASSIGNMENT}
    lists = [AccessKind.TOKEN, AccessKind.FACTOR, AccessKind.ROLE, AccessKind.GROUP]
    assert [row.kind for row in look.unread] == lists
    assert [exchange.operation for exchange in transcript.exchanges] == ["users.get"]
    await one.revoke()
    look = await one.connector.look(match.account, transcript)
    assert AccessKind.FACTOR not in {row.kind for row in look.unread}


@pytest.mark.parametrize("last", [0, 1, 2, 5, 9])
async def test_a_crash_where_suspending_is_all_is_finished_by_the_next_run(
    okta: OktaHarness, last: int
) -> None:
    """A second run leaves nothing, and suspends nobody twice; the suite does so at every effect."""
    one = await leaver(okta, last=last, disable="suspend")
    fault = await one.fault()
    one.wire.last, one.wire.effects = 10_000, []
    now = await one.seen()
    standing = tuple(dict.fromkeys((*one.before.standing, *now.standing)))
    one.before = replace(now, standing=standing)
    await one.revoke()

    assert fault.is_transient
    assert (await one.seen()).is_closed
    assert not await okta.still_in(one.keys)
    assert one.wire.effects.count("POST suspend") == (last == 0)
    assert [each["status"] for each in await okta.standing(one.keys)] == ["SUSPENDED"]


async def test_a_second_run_repeats_only_what_cannot_be_seen(okta: OktaHarness) -> None:
    """A finished revocation that is run again clears sessions, which Okta does not list, only."""
    one = await leaver(okta)
    await one.revoke()
    one.wire.effects.clear()
    again = await one.revoke()
    one.before = await one.seen()

    assert kinds(again) == {AccessKind.SESSION}
    assert await one.revoke() == set()
    assert one.wire.effects == ["DELETE sessions"]


async def test_a_suspended_user_still_has_apps_to_lose(okta: OktaHarness) -> None:
    """Where policy deactivates, an earlier suspension leaves assignments and factors to close."""
    one = await leaver(okta, status="SUSPENDED")
    await one.revoke()

    assert AccessKind.SIGN_IN not in kinds(one.before.standing)
    assert AccessKind.ASSIGNMENT in kinds(one.before.standing)
    (standing,) = await okta.standing(one.keys)
    assert (standing["status"], standing["factors"]) == ("DEPROVISIONED", 0)


async def test_sessions_left_by_an_earlier_suspension_are_cleared(okta: OktaHarness) -> None:
    """Who was suspended by hand may still hold a session; with other access it is cleared too."""
    one = await leaver(okta, status="SUSPENDED", disable="suspend")
    await one.revoke()

    assert AccessKind.SESSION not in kinds(one.before.standing)
    assert not await okta.still_in(one.keys)


@pytest.mark.parametrize("status", ["PASSWORD_EXPIRED", "LOCKED_OUT", "RECOVERY", "STAGED"])
async def test_a_user_who_cannot_be_suspended_is_deactivated_at_once(
    okta: OktaHarness, status: str
) -> None:
    """Okta suspends ACTIVE users only: for others deactivation is the block and comes first."""
    one = await leaver(okta, status=status)
    await one.revoke()

    assert AccessKind.SIGN_IN in kinds(one.before.standing)
    assert one.wire.effects[0] == "POST deactivate"
    assert not {"POST suspend", "POST reset_factors"} & set(one.wire.effects)
    assert not await okta.still_in(one.keys)


async def test_suspend_policy_never_deactivates(okta: OktaHarness) -> None:
    """Who cannot be suspended goes to a person; the rest closes, but no factor is reset before."""
    one = await leaver(okta, status="LOCKED_OUT", disable="suspend")

    assert (await one.fault()).category is FaultCategory.MISCONFIGURED
    (standing,) = await okta.standing(one.keys)
    left = {name: standing[name] for name in ("status", "sessions", "tokens", "groups", "factors")}
    assert left == {"status": "LOCKED_OUT", "sessions": 0, "tokens": 0, "groups": 0, "factors": 2}


async def test_the_last_super_administrator_is_a_persons_decision(okta: OktaHarness) -> None:
    """The guard of the last super administrator is PROTECTED_ACCOUNT, with sign-in blocked."""
    one = await leaver(okta, roles=["SUPER_ADMIN"])

    assert (await one.fault()).category is FaultCategory.PROTECTED_ACCOUNT
    assert kinds((await one.seen()).standing) == {AccessKind.ROLE, AccessKind.ASSIGNMENT}


async def test_factors_that_cannot_be_reset_block_nothing(okta: OktaHarness) -> None:
    """A refused reset is let go where the user is deactivated in the end, and only there."""
    await okta.limit_key("no-factors", "factors:write")
    one = await leaver(okta, secret="no-factors")
    await one.revoke()
    kept = await leaver(okta, secret="no-factors", disable="suspend")

    assert (await one.seen()).is_closed
    assert (await kept.fault()).category is FaultCategory.PERMISSION_MISSING


async def test_what_is_not_to_be_stripped_is_not_asked_for(okta: OktaHarness) -> None:
    """Switched-off parts are neither read, nor counted, nor changed."""
    one, transcript = await leaver(okta), Transcript()
    off = {"strip_groups": False, "strip_roles": "false", "reset_factors": False}
    one.connector = okta.connect(one.wire, None, **off)
    one.before = await one.connector.read_back(one.account, transcript)
    await one.revoke()

    asked = {exchange.operation for exchange in transcript.exchanges}
    assert asked == {"users.get", "users.clients.list"}
    assert (await one.seen()).is_closed
    (standing,) = await okta.standing(one.keys)
    assert (standing["groups"], standing["factors"]) == (3, 2)

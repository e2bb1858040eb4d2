"""The Okta connector against the simulated organisation: what a revocation does and proves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import httpx
import pytest

import sandbox
from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.okta.connector import OktaConnector
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.okta.harness import SYSTEM, TOKEN, OktaHarness
from tests.connectors.revoking import revoke
from tests.support.loopback import loopback

EFFECTS = 11
"""Effect calls of a whole revocation of the harness's leaver."""


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with sandbox.running() as urls:
        yield urls["okta"]


@pytest.fixture
async def okta(url: str) -> AsyncIterator[OktaHarness]:
    peer = OktaHarness(url)
    yield peer
    await peer.aclose()


@pytest.fixture
async def suspending(url: str) -> AsyncIterator[OktaHarness]:
    peer = OktaHarness(url, {"disable": "suspend"})
    yield peer
    await peer.aclose()


@dataclass
class Wire(httpx.AsyncBaseTransport):
    """Passes calls on and remembers the effects; dies after ``last`` of them."""

    last: int = 10_000
    effects: list[str] = field(default_factory=list)
    inner: httpx.AsyncHTTPTransport = field(default_factory=loopback)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return await self.inner.handle_async_request(request)
        if len(self.effects) >= self.last:
            raise httpx.ReadError("the process died", request=request)
        self.effects.append(f"{request.method} {request.url.path.rpartition('/')[2]}")
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


def connect(url: str, wire: Wire, **settings: object) -> OktaConnector:
    options = ConnectorOptions(SYSTEM, {"base_url": url, **settings}, {"token": TOKEN})
    return OktaConnector(options, transport=wire)


async def locate(connector: OktaConnector, keys: LeaverKeys) -> Account:
    found = await connector.locate(keys, Transcript())
    (match,) = found.matches
    return match.account


def kinds(seen: Observation) -> set[AccessKind]:
    return {access.kind for access in seen.standing}


def union(first: Observation, second: Observation) -> Observation:
    """What the caller hands over on a second attempt."""
    return replace(second, standing=tuple(dict.fromkeys(first.standing + second.standing)))


async def test_everything_that_stands_is_closed_and_proved(okta: OktaHarness) -> None:
    """After a revocation the peer and the read-back agree that nothing stands."""
    keys, connector = await okta.hire("whole"), okta.connector()
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())

    actions = await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())

    assert {action.access for action in actions} == set(before.standing)
    assert all(action.request_id for action in actions)
    assert after.is_closed
    assert after.off_since is not None
    assert {residual.what for residual in after.residuals} == {"access_token", "app_session"}
    assert not await okta.still_in(keys)


async def test_the_block_comes_first_and_deactivation_last(url: str, okta: OktaHarness) -> None:
    """Sign-in is blocked before anything else, and factors are reset before deactivation."""
    keys, wire = await okta.hire("ordered"), Wire()
    connector = connect(url, wire)
    account = await locate(connector, keys)
    transcript = Transcript()

    await revoke(connector, account, await connector.read_back(account, Transcript()), transcript)
    await connector.aclose()

    assert len(wire.effects) == EFFECTS
    assert wire.effects[0] == "POST suspend"
    assert wire.effects[-1] == "POST deactivate"
    assert "POST reset_factors" in wire.effects
    assert len(transcript.exchanges) <= 20


async def test_what_the_search_says_is_enough_to_begin(url: str, okta: OktaHarness) -> None:
    """The search tells the sign-in and names the lists that nobody has read; a look agrees."""
    keys, connector = await okta.hire("seen"), okta.connector()
    (match,) = (await connector.locate(keys, Transcript())).matches
    transcript = Transcript()

    look = await connector.look(match.account, transcript)

    assert match.seen is not None
    assert replace(match.seen, residuals=()) == replace(look, residuals=())
    assert kinds(look) == {AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.ASSIGNMENT}
    assert [row.kind for row in look.unread] == [
        AccessKind.TOKEN,
        AccessKind.FACTOR,
        AccessKind.ROLE,
        AccessKind.GROUP,
    ]
    assert [exchange.operation for exchange in transcript.exchanges] == ["users.get"]


async def test_suspending_keeps_the_user(suspending: OktaHarness) -> None:
    """With the policy "suspend" the user ends SUSPENDED and nothing that can be stripped stands."""
    keys, connector = await suspending.hire("kept"), suspending.connector()
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())

    (state,) = await suspending.accounts(keys)
    assert state["standing"]["status"] == "SUSPENDED"
    assert (await connector.read_back(account, Transcript())).is_closed
    assert not await suspending.still_in(keys)


@pytest.mark.parametrize(
    ("disable", "last"),
    [("deactivate", last) for last in range(EFFECTS)]
    + [("suspend", last) for last in range(EFFECTS - 1)],
)
async def test_a_crash_at_any_effect_is_finished_by_the_next_run(
    url: str, okta: OktaHarness, last: int, disable: str
) -> None:
    """Whichever effect was the last before a crash, a second run leaves nothing standing."""
    keys = await okta.hire(f"crash{last}")
    dying = connect(url, Wire(last), disable=disable)
    account = await locate(dying, keys)
    before = await dying.read_back(account, Transcript())
    with pytest.raises(ConnectorFault) as caught:
        await revoke(dying, account, before, Transcript())
    await dying.aclose()

    second = connect(url, wire := Wire(), disable=disable)
    known = union(before, await second.read_back(account, Transcript()))
    await revoke(second, account, known, Transcript())
    after = await second.read_back(account, Transcript())
    await second.aclose()

    assert caught.value.is_transient
    assert after.is_closed
    assert not await okta.still_in(keys)
    assert wire.effects.count("POST suspend") == (last == 0)


async def test_a_second_run_repeats_only_what_cannot_be_seen(url: str, okta: OktaHarness) -> None:
    """A finished revocation that is run again clears sessions, which Okta does not list, only."""
    keys, wire = await okta.hire("twice"), Wire()
    connector = connect(url, wire)
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())
    wire.effects.clear()

    again = await revoke(connector, account, before, Transcript())
    nothing = await revoke(
        connector, account, await connector.read_back(account, Transcript()), Transcript()
    )
    await connector.aclose()

    assert [action.operation for action in again] == ["users.sessions.clear"]
    assert nothing == ()
    assert wire.effects == ["DELETE sessions"]


async def test_access_that_came_back_is_seen_and_closed_again(okta: OktaHarness) -> None:
    """When a sync gives everything back, the read-back says so and a new run closes it."""
    keys, connector = await okta.hire("returned"), okta.connector()
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())
    await okta.give_back(keys)

    returned = await connector.read_back(account, Transcript())
    await revoke(connector, account, returned, Transcript())

    assert AccessKind.SIGN_IN in kinds(returned)
    assert not await okta.still_in(keys)


async def test_a_suspended_user_still_has_apps_to_lose(okta: OktaHarness) -> None:
    """Where policy deactivates, an earlier suspension leaves assignments and factors to close."""
    keys, connector = await okta.hire("early", status="SUSPENDED"), okta.connector()
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())

    assert AccessKind.SIGN_IN not in kinds(before)
    assert AccessKind.ASSIGNMENT in kinds(before)
    (state,) = await okta.accounts(keys)
    assert state["standing"]["status"] == "DEPROVISIONED"
    assert state["standing"]["factors"] == 0


async def test_sessions_left_by_an_earlier_suspension_are_cleared(suspending: OktaHarness) -> None:
    """Who was suspended by hand may still hold a session; with other access it is cleared too."""
    keys, connector = await suspending.hire("byhand", status="SUSPENDED"), suspending.connector()
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())

    assert AccessKind.SESSION not in kinds(before)
    assert not await suspending.still_in(keys)


@pytest.mark.parametrize("status", ["PASSWORD_EXPIRED", "LOCKED_OUT", "RECOVERY", "STAGED"])
async def test_a_user_who_cannot_be_suspended_is_deactivated_at_once(
    url: str, okta: OktaHarness, status: str
) -> None:
    """Okta suspends ACTIVE users only: for others deactivation is the block and comes first."""
    keys, wire = await okta.hire("inactive", status=status), Wire()
    connector = connect(url, wire)
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())
    await connector.aclose()

    assert AccessKind.SIGN_IN in kinds(before)
    assert wire.effects[0] == "POST deactivate"
    assert "POST suspend" not in wire.effects
    assert "POST reset_factors" not in wire.effects
    assert not await okta.still_in(keys)


async def test_suspend_policy_never_deactivates(suspending: OktaHarness) -> None:
    """Who cannot be suspended goes to a person; the rest closes, but no factor is reset before."""
    keys, connector = await suspending.hire("locked", status="LOCKED_OUT"), suspending.connector()
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())

    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED
    (state,) = await suspending.accounts(keys)
    standing = state["standing"]
    assert standing["status"] == "LOCKED_OUT"
    assert (standing["sessions"], standing["tokens"], standing["groups"]) == (0, 0, 0)
    assert standing["factors"] == 2


async def test_imported_groups_are_left_to_their_app(okta: OktaHarness) -> None:
    """APP_GROUP and Everyone are neither counted nor touched."""
    keys, connector = await okta.hire("imported", groups=0, app_groups=2), okta.connector()
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())

    assert AccessKind.GROUP not in kinds(before)
    assert (await connector.read_back(account, Transcript())).is_closed


async def test_the_last_super_administrator_is_a_persons_decision(okta: OktaHarness) -> None:
    """The guard of the last super administrator is PROTECTED_ACCOUNT, with sign-in blocked."""
    keys, connector = await okta.hire("last", roles=["SUPER_ADMIN"]), okta.connector()
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())

    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, Transcript())

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    after = await connector.read_back(account, Transcript())
    assert kinds(after) == {AccessKind.ROLE, AccessKind.ASSIGNMENT}


async def test_an_unreadable_list_is_neither_empty_nor_in_the_way(okta: OktaHarness) -> None:
    """Without the right to read roles all else is closed, and the roles are unread, with why."""
    await okta.limit_token("no-roles", "roles")
    keys, connector = await okta.hire("unread"), okta.connector(secret="no-roles")
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())

    await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())

    assert (after.standing, after.is_closed) == ((), False)
    assert [row.kind for row in before.unread] == [AccessKind.ROLE]
    (row,) = after.unread
    assert (row.kind, row.category) == (AccessKind.ROLE, FaultCategory.PERMISSION_MISSING)
    assert row.missing == "okta.roles.read"
    (state,) = await okta.accounts(keys)
    assert state["standing"]["status"] == "DEPROVISIONED"
    assert state["standing"]["groups"] == 0


@pytest.mark.parametrize(
    ("area", "missing"),
    [
        ("users:write", "okta.users.manage"),
        ("groups:write", "okta.groups.manage"),
        ("roles:write", "okta.roles.manage"),
    ],
)
async def test_a_refused_change_names_the_permission(
    okta: OktaHarness, area: str, missing: str
) -> None:
    """A refused effect is PERMISSION_MISSING with the permission, after the rest was closed."""
    await okta.limit_token(f"no-{area}", area)
    keys, connector = await okta.hire("refused"), okta.connector(secret=f"no-{area}")
    account = await locate(connector, keys)
    before = await connector.read_back(account, Transcript())

    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, Transcript())

    assert caught.value.category is FaultCategory.PERMISSION_MISSING
    assert caught.value.missing == missing
    (state,) = await okta.accounts(keys)
    assert state["standing"]["sessions"] == 0


async def test_factors_that_cannot_be_reset_block_nothing(okta: OktaHarness) -> None:
    """Where the user is deactivated in the end, a refused factor reset is let go."""
    await okta.limit_token("no-factors", "factors:write")
    keys, connector = await okta.hire("factors"), okta.connector(secret="no-factors")
    account = await locate(connector, keys)

    before = await connector.read_back(account, Transcript())
    await revoke(connector, account, before, Transcript())

    assert (await connector.read_back(account, Transcript())).is_closed
    assert not await okta.still_in(keys)


async def test_what_is_not_to_be_stripped_is_not_asked_for(url: str, okta: OktaHarness) -> None:
    """Switched-off parts are neither read, nor counted, nor changed."""
    keys, wire = await okta.hire("partial"), Wire()
    off = {"strip_groups": False, "strip_roles": "false", "reset_factors": False}
    connector = connect(url, wire, **off)
    account = await locate(connector, keys)
    transcript = Transcript()

    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, Transcript())
    after = await connector.read_back(account, Transcript())
    await connector.aclose()

    asked = {exchange.operation for exchange in transcript.exchanges}
    assert asked == {"users.get", "users.clients.list"}
    assert after.is_closed
    (state,) = await okta.accounts(keys)
    assert (state["standing"]["groups"], state["standing"]["factors"]) == (3, 2)


async def test_an_id_that_okta_does_not_know_is_gone(okta: OktaHarness) -> None:
    """A pinned id that Okta answers with its own 404 does not exist, and there is nothing to do."""
    connector, account = okta.connector(), Account("00uGONE")

    seen = await connector.read_back(account, Transcript())
    actions = await revoke(connector, account, seen, Transcript())

    assert not seen.exists
    assert seen.is_closed
    assert actions == ()

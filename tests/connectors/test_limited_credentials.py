"""A credential that lacks something: what is missing is named, by every vendor that can say it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.kisi import harness as harness_kisi
from tests.connectors.okta import harness as harness_okta
from tests.connectors.revoking import revoke
from tests.connectors.tailscale import harness as harness_tailscale

HARNESSES = {
    "kisi": harness_kisi.harness,
    "okta": harness_okta.harness,
    "tailscale": harness_tailscale.harness,
}
Limited = harness_kisi.KisiHarness | harness_okta.OktaHarness | harness_tailscale.TailscaleHarness


@pytest.fixture(scope="module", params=sorted(HARNESSES))
async def limited(request: pytest.FixtureRequest) -> AsyncIterator[Limited]:
    async with HARNESSES[request.param]() as made:
        yield made


# What the simulator takes away, and what the vendor calls the permission.
CHANGES = {
    "kisi": {"users:write": "users_write", "card_assignments:write": "card_assignments_write"},
    "okta": {
        "users:write": "okta.users.manage",
        "groups:write": "okta.groups.manage",
        "roles:write": "okta.roles.manage",
    },
    "tailscale": {"users:write": "users", "auth_keys": "auth_keys", "devices:core": "devices:core"},
}
# And what the problem is called that health tells.
_MISSING = "permission_missing"
SIGHT = {
    "kisi": {
        "logins": f"{_MISSING}.logins_read",
        "team_memberships": f"{_MISSING}.team_memberships_read",
    },
    "okta": {
        "groups": "groups_forbidden",
        "grants": "clients_forbidden",
        "factors": "factors_forbidden",
        "roles": "roles_forbidden",
    },
    "tailscale": {
        "devices:core": f"{_MISSING}.devices:core",
        "auth_keys": f"{_MISSING}.auth_keys",
    },
}


async def test_a_refused_change_names_the_permission(limited: Limited) -> None:
    """What would allow it, in the vendor's own word; the rest is closed all the same."""
    for lacks, missing in CHANGES[limited.kind].items():
        keys = await limited.hire("denied-" + lacks.replace(":", "-"))
        able = limited.connector()
        (match,) = (await able.locate(keys, Transcript())).matches
        before = await able.read_back(match.account, Transcript())
        await limited.limit_key(f"limited-{lacks}", lacks)
        connector = limited.connect(httpx.AsyncHTTPTransport(), secret=f"limited-{lacks}")
        with pytest.raises(ConnectorFault) as caught:
            await revoke(connector, match.account, before, Transcript())
        await able.aclose()
        await connector.aclose()

        assert caught.value.category is FaultCategory.PERMISSION_MISSING
        assert caught.value.missing == missing
        assert caught.value.actions


async def test_health_names_every_missing_permission(limited: Limited) -> None:
    """One blocking problem for each list that the credential may not read, with a fix."""
    sight = SIGHT[limited.kind]
    await limited.limit_key("blind", *sight)
    connector = limited.connect(httpx.AsyncHTTPTransport(), secret="blind")
    health = await connector.health(Transcript())
    await connector.aclose()

    assert [problem.code for problem in health.problems] == list(sight.values())
    assert all(problem.fix for problem in health.problems)
    assert not health.is_ready

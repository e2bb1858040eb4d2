"""The list of everybody at a SCIM server who can sign in, and what of it was not seen."""

from __future__ import annotations

import pytest

from connectors.base import Transcript
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.active import ActiveList, gathered
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.scim.odd import Answer, Base, OddScim, connected, error, odd, person
from tests.connectors.scim.test_scim_finding import CROWD, PARTS, WHOLE


async def listed(server: OddScim) -> ActiveList:
    async with connected(server) as connector:
        return await gathered(connector.list_active(Transcript()))


@pytest.mark.parametrize("kind", WHOLE)
async def test_everybody_who_can_sign_in_is_listed(kind: str) -> None:
    """However the server pages; who is not said to be inactive is active."""
    unsaid = {"id": "u229", "userName": "unsaid", "meta": {"created": "2020-01-02T03:04:05Z"}}
    people = [person("u0", active="False"), *CROWD[1:229], unsaid]
    found = await listed(WHOLE[kind](people))
    ids = {one.account.id for one in found.accounts}

    assert found.is_complete
    assert ids == {f"u{n}" for n in range(1, 230)}
    assert found.end is not None
    assert found.end.looked_at == len(people)
    by_id = {one.account.id: one for one in found.accounts}
    assert Key(KeyKind.EMAIL, "p7@example.test") in by_id["u7"].account.known_keys
    assert by_id["u229"].created_at is not None


REFUSED = {
    403: FaultCategory.PERMISSION_MISSING,
    503: FaultCategory.VENDOR_ERROR,
    200: FaultCategory.UNEXPECTED_ANSWER,
}


@pytest.mark.parametrize("kind", PARTS)
async def test_a_list_that_hides_somebody_is_not_complete(kind: str) -> None:
    """Nothing may be concluded from who is not in it."""
    found = await listed(PARTS[kind](CROWD))

    assert found.end is not None
    assert [gap.code for gap in found.end.gaps] == ["list_not_whole"]


@pytest.mark.parametrize("status", REFUSED)
async def test_a_list_that_breaks_off_is_a_gap(status: int) -> None:
    """What was seen before is told, and why the rest was not; no exception."""

    def list_users(self: OddScim, wanted: str | None, start: int, count: int) -> Answer:
        if start > 100:
            return error(status)
        return OddScim.list_users(self, wanted, start, count)

    breaking: Base = odd(list_users=list_users)
    found = await listed(breaking(CROWD))

    assert len(found.accounts) == 100
    assert found.end is not None
    assert [(gap.what, gap.category) for gap in found.end.gaps] == [("accounts", REFUSED[status])]

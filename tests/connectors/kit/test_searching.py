"""Several searches of which one fails: what ends them all, and what is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from connectors.base import ConnectorFault
from connectors.kit.finding.searching import Searching
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import Account, Location, Match
from lockstep.domain.systems.faults import FaultCategory

FOUND = (Match(Account("a"), KeyKind.ACCOUNT_ID),)


def failing(category: FaultCategory) -> Callable[[], Awaitable[str]]:
    async def search() -> str:
        raise ConnectorFault(category, connector="club", operation="find")

    return search


async def finds() -> str:
    return "somebody"


@pytest.mark.parametrize(
    ("category", "found", "goes_on"),
    [
        (FaultCategory.VENDOR_ERROR, FOUND, True),
        (FaultCategory.PERMISSION_MISSING, FOUND, True),
        (FaultCategory.RATE_LIMITED, (), False),
        (FaultCategory.CREDENTIALS_REJECTED, (), False),
        (FaultCategory.TIMEOUT, (), True),
        (FaultCategory.TIMEOUT, FOUND, False),
        (FaultCategory.UNREACHABLE, FOUND, False),
    ],
)
async def test_a_search_that_ends_all_is_the_last(
    category: FaultCategory, found: tuple[Match, ...], *, goes_on: bool
) -> None:
    """Nobody who is found waits for more that hang, and a vendor that refuses is not pressed."""
    searching = Searching()
    await searching.one(failing(category), found=found)
    told = await searching.one(finds, found=found)

    assert (told == "somebody") is goes_on
    assert len(searching.faults) == 1


async def test_nobody_found_beside_a_failure_is_the_failure() -> None:
    """Also where all who were found are known to be somebody else."""
    searching = Searching(not_theirs={"a"})
    await searching.one(failing(FaultCategory.VENDOR_ERROR))

    for matches in ((), FOUND):
        with pytest.raises(ConnectorFault, match="vendor_error"):
            searching.told(Location(matches, ()))


async def test_a_rejected_credential_is_no_partial_answer() -> None:
    """Nothing could be closed with it either."""
    searching = Searching()
    await searching.one(failing(FaultCategory.CREDENTIALS_REJECTED))

    with pytest.raises(ConnectorFault, match="credentials_rejected"):
        searching.told(Location(FOUND, ()))

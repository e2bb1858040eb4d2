"""The page Now says whose clock is not the database's."""

from __future__ import annotations

from datetime import timedelta

from lockstep.domain.rights import Role
from lockstep.storage.engine.clocks import Clocks
from tests.web.console.conftest import Site, text_of


async def test_a_clock_that_differs_is_told_and_one_that_agrees_is_not(site: Site):
    """Whose, by how much and which way, and that it begins nothing."""
    olivia = await site.sign_in(Role.OPERATOR)
    clocks = Clocks(site.engine)
    await clocks.keep("host/7", timedelta(seconds=4))
    before = text_of(await olivia.get("/console/"))
    await clocks.keep("host/7", timedelta(minutes=-10))
    after = text_of(await olivia.get("/console/"))

    assert "Clocks differ" not in before
    assert "the clock of worker host/7 is 600.0 s behind the database" in after
    assert "begins nothing" in after

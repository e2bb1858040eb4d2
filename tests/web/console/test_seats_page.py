"""The page of freed seats: what the sum says, and of which systems nothing is known."""

from __future__ import annotations

from sqlalchemy import text

from lockstep.domain.rights import Role
from tests.support.casework import SYSTEM, Casework
from tests.web.console.conftest import Site


async def test_freed_seats_are_shown_with_their_amount(site: Site) -> None:
    """By month and partner; a system without a price has no amount, and is not called free."""
    viewer = await site.sign_in(Role.VIEWER)
    empty = (await viewer.get("/console/seats")).text
    work = Casework(site.engine, site.ring)
    await work.adopt()
    await work.open()
    settled = "state = 'settled', outcome = 'revoked', confirmed_at = now(), seats = 2"
    async with site.engine.begin() as connection:
        query = text(f"update revocations set {settled} where system = :system")
        await connection.execute(query, {"system": SYSTEM})
    page = (await viewer.get("/console/seats")).text

    assert "No seat was read back as freed" in empty
    assert "Nothing is known of seats in" in page
    assert f"<bdi>{SYSTEM}</bdi> 2" in page
    assert "no price" in page

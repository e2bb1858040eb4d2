"""The page `Case`: what it shows to whom, and that nothing of it can be turned against us."""

from __future__ import annotations

import pytest

from lockstep.domain.leavers import Key, KeyKind
from lockstep.domain.rights import Permission, Role
from lockstep.domain.terminations import TerminationKind
from tests.support.board import HOUR, came_back, stuck
from tests.support.casework import EMAIL, NAME, SYSTEM, Casework, termination
from tests.web.console.conftest import Site, text_of

HOSTILE = '"><script>alert(1)</script>\u202e\u05d8\u05e1 \U0001f9e8' + "ab" * 90


@pytest.fixture
async def work(site: Site) -> Casework:
    """Casework on the site's database."""
    made = Casework(site.engine, site.ring)
    await made.adopt()
    return made


def path(case) -> str:
    return f"/console/cases/{case.case_id}"


async def test_an_operator_sees_who_why_and_what_to_do(site, work):
    """Name, clocks, reason, suggestion, the vendor's words, and a form for each act."""
    case = await stuck(work, "W-1", due=-2 * HOUR)
    await came_back(work, case)
    olivia = await site.sign_in(Role.OPERATOR)

    answer = await olivia.get(path(case))

    assert answer.status_code == 200
    text = text_of(answer)
    for part in (
        NAME,
        "W-1",
        "Our credential lacks a permission.",
        "Grant the missing permission, then retry.",
        "okta: users.get: 403",
        "access back",
        "Retry now",
        "Attest",
        "northwind",
        "Asia/Manila",
    ):
        assert part in text, part
    assert "Ask for the waiver" not in text, "the SLA has passed"

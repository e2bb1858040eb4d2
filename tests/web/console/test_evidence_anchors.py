"""The page `Evidence`, where copies of the ledger's heads are kept: each anchor as it stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.rights import Role
from lockstep.storage.ledger.anchorings import Anchorings
from tests.support.scoring import sign_head
from tests.web.console.conftest import text_of

HOSTILE = "<b>it refused</b>"


@pytest.fixture
def site_settings(site_settings, tmp_path) -> str:
    """With anchors of one kind."""
    tables = [
        f'\n[ledger.anchors.{name}]\nkind = "file"\npath = "{tmp_path}/planted-{name}"\n'
        for name in ("first", "second", "third", "fourth")
    ]
    return site_settings + "".join(tables)


async def test_each_anchor_says_how_it_stands(site):
    """Up to date with its last success, behind, failing with why, and in conflict; no address."""
    store, now = Anchorings(site.engine), datetime.now(UTC)
    await sign_head(site.engine, 5)
    await sign_head(site.engine, 9)
    due = await store.due(now, 10, anchors=["third"])
    await store.failed(due[0], error=HOSTILE, now=now)
    await store.done("first", 9, receipt=b"", now=now - timedelta(minutes=3))
    await store.done("second", 5, receipt=b"", now=now)
    await store.conflicted("fourth", 5, error="other_root", now=now)
    who = await site.sign_in(Role.AUDITOR)
    answer = await who.get("/console/evidence")
    page = text_of(answer)

    assert "first file up to date 9" in page
    assert "3 min" in page
    assert "second file on its way 5" in page
    assert "third file failing –" in page
    assert re.search(r"\(1 try, again (in \d|at once)", page)
    assert HOSTILE not in answer.text
    assert "It holds another head of 5 entries" in page
    assert "planted" not in answer.text


async def test_forms_of_pages_carry_their_origin(site):
    """A browser sends the origin of a form as "null" where pages give no referrer."""
    who = await site.sign_in(Role.AUDITOR)
    answer = await who.get("/console/evidence")
    assert answer.headers["referrer-policy"] == "same-origin"

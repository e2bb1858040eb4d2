"""By API too, dates move and cases stop by two where policy says so."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.web.console.conftest import site  # noqa: F401 - a fixture
from tests.web.console.ward import TOKENS, ward_settings, write_tokens
from tests.web.test_api_acts import (  # noqa: F401 - fixtures
    WHY,
    Caller,
    acting,
    approving,
    in_days,
    ward,
)


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    write_tokens(tmp_path)
    settings = ward_settings(temporal.address)
    return f'{settings}\n[console]\nprolong_in_pairs = ["voluntary"]\n'


async def test_two_tokens_prolong_access(ward, acting, approving):  # noqa: F811
    """202 and a request about the whole case, until somebody else's token agrees."""
    case = await ward.open(due=timedelta(hours=2))
    path = f"/api/cases/{case.case_id}"
    looking = Caller(await ward.site.visitor(), TOKENS["see_cases"])
    for act, more in (("reschedule", {"access_ends_at": in_days(3)}), ("rescind", {})):
        asked = await acting.post(f"{path}/{act}", reason=WHY, **more)
        assert asked.status_code == 202, asked.text
        assert (await acting.post(f"{path}/{act}", reason=WHY, **more)).status_code == 409
        [waiting] = (await looking.get("/api/requests")).json()["requests"]
        assert (waiting["kind"], waiting["system"]) == (act, None)
        one = f"/api/requests/{asked.json()['request_id']}"
        assert (await acting.post(f"{one}/approve")).status_code == 403
        assert (await approving.post(f"{one}/approve")).status_code == 200
        while await ward.dispatcher.drain_once():
            pass

    row = await ward.work.case(case.case_id)
    assert (row["status"], row["cutoff_at"] > case.cutoff_at) == ("rescinded", True)

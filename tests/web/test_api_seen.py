"""What acts take as `seen` is to be read, by whoever may act, and keeps them from the unseen."""

from __future__ import annotations

from datetime import timedelta

from lockstep.control.people.api_tokens import ApiTokenDesk, Wish
from lockstep.domain.rights import Role
from tests.support.casework import termination
from tests.web.console.conftest import site  # noqa: F401 - a fixture
from tests.web.console.ward import BADGE, DOOR, TOKENS, VAULT, seen
from tests.web.test_api_acts import (  # noqa: F401 - fixtures
    WHY,
    Caller,
    acting,
    in_days,
    site_settings,
    system,
    ward,
)


async def looked(caller: Caller, case) -> dict[str, str]:
    """By system, what acts on it take as `seen`."""
    told = (await caller.get(f"/api/cases/{case.case_id}")).json()
    return {row["system"]: row["seen"] for row in told["systems"]}


async def operator(ward) -> Caller:  # noqa: F811
    """A token that may see cases and act."""
    admin = (await ward.site.sign_in(*Role)).principal
    wish = Wish("test", frozenset({Role.OPERATOR}), None)
    desk = ApiTokenDesk(ward.site.stores)
    token, _ = await desk.make(wish, by=admin)
    return Caller(await ward.site.visitor(), token)


async def test_the_place_of_a_system_is_what_the_page_has(ward, acting):  # noqa: F811
    """It is taken, and is another one after each decision: then only what is new is taken."""
    case = await ward.stuck()
    reader = await operator(ward)
    first = await looked(reader, case)
    olivia = await ward.site.sign_in(Role.OPERATOR)
    assert first == {DOOR: "1.0", VAULT: "1.0", BADGE: "1.0"}
    assert first[DOOR] == await seen(olivia, case, "retry", DOOR)

    path = system(case, DOOR, "retry")
    assert (await acting.post(path, reason=WHY, seen=first[DOOR])).status_code == 200
    await ward.until(case, DOOR, "revoked")
    second = await looked(reader, case)
    assert second == {**first, DOOR: "1.1"}
    attest = system(case, BADGE, "attest")
    stale = await acting.post(attest, reason=WHY, seen="1.1")
    assert (stale.status_code, stale.json()["error"]) == (409, "somebody_was_faster")
    assert (await acting.post(attest, reason=WHY, seen=second[BADGE])).status_code == 200


async def test_the_dates_and_whose_case_it_is_are_to_be_read_too(ward, acting):  # noqa: F811
    """As long as HR's ids may be; what was read before somebody else's act is refused."""
    said = termination("W-7", event_id="e" * 256)
    case = await ward.work.open(said, due=timedelta(hours=2))
    await ward.starter.start(case)
    ward.opened.append(case.case_id)
    reader = await operator(ward)
    path = f"/api/cases/{case.case_id}"
    before = (await reader.get(path)).json()
    olivia = await ward.site.sign_in(Role.OPERATOR)
    assert before["dates_seen"] == await seen(olivia, case, "reschedule")
    assert before["assignment_seen"] == await seen(olivia, case, "assign")

    user = olivia.principal.user_id
    given = {"user": user, "seen": before["assignment_seen"]}
    moved = {"reason": WHY, "access_ends_at": in_days(3), "seen": before["dates_seen"]}
    assert (await acting.post(f"{path}/assign", **given)).status_code == 200
    assert (await acting.post(f"{path}/reschedule", **moved)).status_code == 200
    while await ward.dispatcher.drain_once():
        pass

    after = (await reader.get(path)).json()
    assert after["dates_seen"] != before["dates_seen"]
    assert after["assignment_seen"] != before["assignment_seen"]
    assert (await acting.post(f"{path}/assign", **given)).status_code == 409
    stop = {"reason": WHY, "seen": before["dates_seen"]}
    assert (await acting.post(f"{path}/rescind", **stop)).status_code == 409
    stop["seen"] = after["dates_seen"]
    assert (await acting.post(f"{path}/rescind", **stop)).status_code == 200


async def test_who_may_not_act_reads_none_of_it_and_lists_have_none(ward):  # noqa: F811
    """Null, in the case and in its systems."""
    case = await ward.stuck()
    path = f"/api/cases/{case.case_id}"
    seeing = Caller(await ward.site.visitor(), TOKENS["see_cases"])
    may_act = await operator(ward)
    [listed] = (await may_act.get("/api/cases")).json()["cases"]
    for told in ((await seeing.get(path)).json(), listed):
        assert (told["dates_seen"], told["assignment_seen"]) == (None, None)
        assert [row["seen"] for row in told["systems"]] == [None] * 3
    unknown = await may_act.get("/api/cases/cabcdefghijkl")
    assert (unknown.status_code, unknown.json()) == (404, {"error": "no_such_case"})

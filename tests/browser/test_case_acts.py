"""Every act of a case's page, and what the page does not show or lose."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Locator, expect

from lockstep.domain.rights import Permission, Role
from sandbox.people import Person
from tests.browser.conftest import OpenWindow
from tests.browser.looks import barriers, too_wide
from tests.browser.stage import Stage
from tests.browser.windows import PHONE, Window
from tests.e2e.leavers import full_name, new_person, termination
from tests.e2e.processes import eventually
from tests.e2e.walk import STUCK

pytestmark = pytest.mark.e2e

SOON = 20_000
"""Milliseconds within which a live page shows what happened."""
PRESSED = """() => {
  const elt = document.querySelector("[data-live-part]");
  const swaps = () => {
    const xhr = {status: 200, getResponseHeader: () => null};
    const detail = {xhr, target: elt, requestConfig: {elt}, shouldSwap: true};
    document.dispatchEvent(new CustomEvent("htmx:beforeSwap", {detail}));
    return detail.shouldSwap;
  };
  const before = swaps();
  dispatchEvent(new Event("pointerdown"));
  const during = swaps();
  dispatchEvent(new Event("pointerup"));
  return [before, during];
}"""
"""Whether a refresh is shown that comes before, and while, somebody presses."""


async def test_a_waiver_needs_a_second_person(window, stage, axe):
    """Asked for with an end, agreed to by somebody else, and shown as what it is: open access."""
    _, case_id = await stage.walk.stuck_case(kind="voluntary")
    asker = await _at(window, stage, case_id, "Olivia Operator", Role.OPERATOR, script=axe)
    form = await _unfold(asker, f"waive-{STUCK}")
    until = datetime.now(UTC) + timedelta(days=7)
    await form.get_by_label("Until (UTC)").fill(until.strftime("%Y-%m-%dT%H:%M"))
    await form.get_by_label("Why").fill("The account runs a migration until then")
    assert await barriers(asker.page) == []
    await form.get_by_role("button", name="Ask for the waiver").click()
    await expect(_said(asker, "waits for a second person")).to_be_visible()

    second = await _at(window, stage, case_id, "Paula Approver", Role.APPROVER)
    asked = second.page.locator(".note.asked").filter(has_text="Waiver of")
    await expect(asked).to_contain_text("The account runs a migration")
    await asked.get_by_text("Approve", exact=True).click()
    await asked.get_by_role("button", name="Approve and carry out").click()
    await expect(_system(second).locator(".badge").first).to_have_text("waived", timeout=SOON)
    await stage.walk.status(case_id, "closed")


async def test_a_coming_case_is_moved_and_called_off(window, stage, axe):
    """The new cutoff stands on the page; called off, nothing is revoked and nothing can be done."""
    person, case_id = await _coming(stage, days=3)
    look = await _at(window, stage, case_id, "Olivia Operator", Role.OPERATOR, script=axe)
    form = await _unfold(look, "reschedule")
    day = (datetime.now(UTC) + timedelta(days=10)).date()
    await form.get_by_label("Last working day").fill(day.isoformat())
    await form.get_by_label("Why").fill("The handover takes longer")
    assert await barriers(look.page) == []
    await form.get_by_role("button", name="Move the cutoff").click()
    await expect(_said(look, "dates are being carried out")).to_be_visible()
    await expect(look.page.locator(".case-facts")).to_contain_text(
        re.compile("in (9|10|11) d"), timeout=SOON
    )

    form = await _unfold(look, "rescind")
    await form.get_by_label("Why").fill("They stay")
    await form.get_by_role("button", name="Call the case off").click()
    await expect(_said(look, "being called off")).to_be_visible()
    await stage.walk.status(case_id, "rescinded")
    await look.open(f"/console/cases/{case_id}")
    await expect(look.page.locator(".case-title .badge").first).to_have_text("rescinded")
    assert await look.page.locator("#act-rescind").count() == 0
    assert full_name(person) in await look.page.locator("h1").inner_text()
    assert await stage.walk.vendors.calls("okta", person.worker_id) == []


async def test_accounts_in_doubt_are_compared_and_picked(window, stage, axe):
    """Side by side, with no barrier and within a phone's width; what is ticked is closed."""
    person = new_person()
    await stage.walk.vendors.seed([person])
    short = person.username.partition("@")[0]  # which is somebody's user name before the @ only
    worker = {"id": f"H-{person.worker_id}", "name": full_name(person), "usernames": [short]}
    event_id = f"evt-{person.worker_id}"
    assert await stage.installation.post(event_id, termination(person, worker=worker)) == 202
    case_id = await stage.walk.case_with(event_id, "needs_person")
    look = await _at(window, stage, case_id, "Olivia Operator", Role.OPERATOR, script=axe)
    doubt = look.page.locator(f"#doubt-{STUCK}")
    await expect(doubt).to_contain_text("1 account is in doubt", timeout=SOON)
    await expect(doubt).to_contain_text("the user name agrees before the @ only")
    assert await barriers(look.page) == []
    await look.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    assert await too_wide(look.page) == []
    await doubt.locator("input[name=account]").check()
    await doubt.get_by_label("Why").fill("HR has confirmed the address")
    await doubt.get_by_role("button", name="These are the leaver's").click()
    await expect(_said(look, "It is recorded whose the accounts are")).to_be_visible()
    await expect(_system(look).locator(".badge").first).to_have_text("revoked", timeout=SOON)


async def test_a_dismissal_is_prolonged_by_two(window, stage, axe):
    """Asked for, it waits in the list and moves nothing; agreed to by somebody else, it moves."""
    _, case_id = await _coming(stage, days=3, kind="involuntary")
    sealed = {"more": (Permission.SEALED,)}
    asker = await _at(
        window, stage, case_id, "Olivia Operator", Role.OPERATOR, script=axe, **sealed
    )
    form = await _unfold(asker, "reschedule")
    day = (datetime.now(UTC) + timedelta(days=10)).date()
    await form.get_by_label("Last working day").fill(day.isoformat())
    await form.get_by_label("Why").fill("They hand over to their successor")
    await form.get_by_role("button", name="Move the cutoff").click()
    await expect(_said(asker, "waits for a second person")).to_be_visible()
    waits = asker.page.locator(".note.asked").filter(has_text="Later cutoff")
    await expect(waits).to_contain_text("Somebody else has to decide this")
    await expect(asker.page.locator(".case-facts").first).to_contain_text("in 2 d")
    assert await barriers(asker.page) == []

    cookie = await stage.member("Paula Approver", Role.APPROVER, **sealed)
    second = await window(cookie=cookie, size=PHONE)
    await second.open("/console/?state=second")
    line = second.page.locator(f"#case-{case_id}")
    await expect(line).to_contain_text("later cutoff")
    await line.locator("[data-open]").click()
    asked = second.page.locator(".note.asked").filter(has_text="Later cutoff")
    await expect(asked).to_contain_text("They hand over")
    assert await too_wide(second.page) == []
    await asked.get_by_text("Approve", exact=True).click()
    await asked.get_by_role("button", name="Approve and carry out").click()
    await expect(second.page.locator(".case-facts").first).to_contain_text(
        re.compile("in (9|10|11) d"), timeout=SOON
    )
    undecided = asker.page.get_by_text("Somebody else has to decide this")
    await expect(undecided).to_have_count(0, timeout=SOON)


async def test_a_refresh_waits_for_whoever_presses(window, stage):
    """Between press and release nothing is taken away; what was held back is asked for again."""
    _, case_id = await stage.walk.stuck_case()
    look = await _at(window, stage, case_id, "Olivia Operator", Role.OPERATOR)
    await look.settled()
    is_refresh = "hx-request"
    async with look.page.expect_request(lambda request: is_refresh in request.headers):
        assert await look.page.evaluate(PRESSED) == [True, False]
    await look.settled()

    assert await look.page.evaluate(PRESSED.replace("pointer", "wheel")) == [True, True]


async def test_a_case_is_given_to_a_colleague(window, stage):
    """Whoever gets it finds it under what is theirs, by itself."""
    _, case_id = await stage.walk.stuck_case()
    name = f"Omar Operator {case_id[:6]}"
    colleague = await window(cookie=await stage.member(name, Role.OPERATOR))
    await colleague.open("/console/?assignee=me")
    await colleague.live()
    await expect(colleague.page.locator("[data-case]")).to_have_count(0)
    look = await _at(window, stage, case_id, "Olivia Operator", Role.OPERATOR)
    form = await _unfold(look, "assign")
    choice = form.get_by_label("To whom").locator("option").filter(has_text=name)
    await form.get_by_label("To whom").select_option(await choice.get_attribute("value"))
    await form.get_by_role("button", name="Give it away").click()

    await expect(_said(look, "handed over")).to_be_visible()
    await expect(look.page.locator(".case-facts")).to_contain_text(name)
    await expect(colleague.page.locator(f"#case-{case_id}")).to_be_visible(timeout=SOON)


async def test_a_view_is_kept_used_and_removed(window, stage):
    """Filters get a name, are there at the next sign-in of the same person, and go again."""
    look = await window(cookie=await stage.member("Vera Operator", Role.OPERATOR))
    await look.open("/console/?state=any&kind=voluntary")
    await look.page.locator("details.views > summary").click()
    await look.page.get_by_label("Name for these filters").fill("Goodbyes <b>")
    await look.page.get_by_role("button", name="Keep this view").click()
    await look.open("/console/")
    view = look.page.get_by_role("link", name="Goodbyes <b>")
    await view.click()
    await expect(look.page).to_have_url(re.compile("kind=voluntary"))
    await expect(look.page.get_by_label("Kind")).to_have_value("voluntary")

    await look.page.get_by_role("button", name="Remove the view Goodbyes <b>").click()
    await expect(view).to_have_count(0)


async def test_a_coming_dismissal_is_there_only_for_who_may_know(window, stage):
    """Absent from list, search and its own address for an operator; there with the right to it."""
    person, case_id = await _coming(stage, days=2, kind="involuntary")
    without = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    without.expected.add(404)
    allowed = await stage.member("Selma Operator", Role.OPERATOR, more=[Permission.SEALED])
    knows = await window(cookie=allowed)

    for look, there in ((without, 0), (knows, 1)):
        await look.open("/console/?state=any&kind=involuntary")
        await expect(look.page.locator(f"#case-{case_id}")).to_have_count(there)
        await look.page.get_by_role("searchbox").fill(person.email)
        async with look.page.expect_event("load"):
            await look.page.get_by_role("button", name="Find", exact=True).click()
        assert (full_name(person) in await look.text()) is bool(there)
    assert await without.open(f"/console/cases/{case_id}") == 404
    assert await knows.open(f"/console/cases/{case_id}") == 200
    await expect(knows.page.locator(".case-title")).to_contain_text("secret until the cutoff")


async def test_what_somebody_types_is_not_lost(window, stage):
    """A colleague settles the system meanwhile: the text stays, and sending it is answered."""
    person, case_id = await stage.walk.stuck_case()
    slow = await _at(window, stage, case_id, "Stella Slow", Role.OPERATOR)
    slow.expected.add(409)
    await slow.live()
    form = await _unfold(slow, f"retry-{STUCK}")
    await form.locator("textarea").fill("Okta has said that it should work now")
    await stage.walk.mend(person)
    fast = await _at(window, stage, case_id, "Fabian Fast", Role.OPERATOR)
    form = await _unfold(fast, f"retry-{STUCK}")
    await form.locator("textarea").fill("Mended")
    await form.get_by_role("button", name="Retry now").click()
    await stage.walk.status(case_id, "closed")

    kept = slow.page.locator("#kept-acts")
    await expect(kept).to_be_visible(timeout=SOON)
    await expect(kept.locator("textarea")).to_have_value("Okta has said that it should work now")
    await kept.get_by_role("button", name="Retry now").click()
    told = slow.page.get_by_role("alert")
    await expect(told).to_contain_text("Fabian Fast")
    await expect(told).to_contain_text("Okta has said that it should work now")


async def _at(
    window: OpenWindow,
    stage: Stage,
    case_id: str,
    name: str,
    *roles: Role,
    script: str = "",
    more: Collection[Permission] = (),
) -> Window:
    """Somebody who looks at a case."""
    look: Window = await window(cookie=await stage.member(name, *roles, more=more), script=script)
    assert await look.open(f"/console/cases/{case_id}") == 200
    return look


async def _coming(stage: Stage, *, days: int, kind: str = "voluntary") -> tuple[Person, str]:
    """A case whose cutoff is still to come."""
    person = new_person()
    await stage.walk.vendors.seed([person])
    ends = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    dates = {"zone": person.time_zone, "access_ends_at": ends}
    event_id = f"evt-{person.worker_id}"
    event = termination(person, kind=kind, dates=dates)
    assert await stage.installation.post(event_id, event) == 202

    async def there() -> str:
        return await stage.installation.books.case_of(event_id)

    return person, await eventually(there, within_s=30, what=f"the case of {event_id}")


async def _unfold(look: Window, act: str) -> Locator:
    """Open the form of an act."""
    details = look.page.locator(f"#act-{act}")
    await details.locator("summary").click()
    return details


def _said(look: Window, words: str) -> Locator:
    return look.page.get_by_role("status").filter(has_text=words)


def _system(look: Window) -> Locator:
    return look.page.locator(f"#system-{STUCK}")

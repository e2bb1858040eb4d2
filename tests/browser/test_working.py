"""A day of operations: people see what is stuck, act, and are told who was faster."""

from __future__ import annotations

import asyncio
import re
import signal

import pytest
from playwright.async_api import Locator, Page, expect

from lockstep.domain.rights import Role
from tests.browser.looks import barriers, too_wide
from tests.browser.scenes import held_import
from tests.browser.stage import HOSTILE, HOSTILE_PLACE, IMPORT, Stage
from tests.browser.windows import PHONE, Window
from tests.e2e.leavers import full_name, new_person
from tests.e2e.processes import eventually
from tests.e2e.walk import STUCK

pytestmark = pytest.mark.e2e

SOON = 60_000
"""Milliseconds within which a live page shows what happened."""
SEND = """async (path) => {
  const token = JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];
  const body = new URLSearchParams({csrf: token, reason: "not mine to decide"});
  return (await fetch(path, {method: "POST", body})).status;
}"""
"""What somebody sends who does not find the button, but knows the address."""


async def test_a_stuck_revocation_is_seen_mended_and_closed(window, stage):
    """It appears by itself; once its cause is mended one retry closes it, and it goes by itself."""
    operator = await stage.member("Olivia Operator", Role.OPERATOR)
    board = await window(cookie=operator)
    await board.open("/console/")
    await board.live()
    await _mark(board.page)

    person, case_id = await stage.walk.stuck_case()
    line = board.page.locator(f"#case-{case_id}")
    await expect(line).to_contain_text(full_name(person), timeout=SOON)
    await expect(line).to_contain_text(STUCK)
    await expect(line.locator(".badge").first).to_be_visible()

    await stage.walk.mend(person)
    case = await window(cookie=operator)
    await case.open(f"/console/cases/{case_id}")
    await case.live()
    await _retry(case, reason="The token has its scope again")
    await expect(case.page.get_by_role("status").filter(has_text="under way")).to_be_visible()
    await _mark(case.page)
    await expect(_status(case.page)).to_have_text("closed", timeout=SOON)
    await expect(line).to_have_count(0, timeout=SOON)

    assert await _same(board.page)
    assert await _same(case.page)
    await stage.walk.status(case_id, "closed")


async def test_a_page_says_so_when_the_server_falls_silent(window, stage):
    """Its connection stands, and nobody answers on it: the page does not go on saying "Live"."""
    board = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    await board.open("/console/")
    await board.live()
    web = stage.installation
    web.kill("web", signal.SIGSTOP)
    try:
        said = board.page.locator("[data-live-state]").first
        await expect(said).to_contain_text("Not live", timeout=SOON)
    finally:
        web.kill("web", signal.SIGCONT)
    await board.live()


async def test_two_act_at_the_same_instant(window, stage):
    """One wins; the other is told who was faster, and nothing is done twice."""
    _, case_id = await stage.walk.stuck_case()
    names = ("Olivia Operator", "Omar Operator")
    both = [await window(cookie=await stage.member(name, Role.OPERATOR)) for name in names]
    for each in both:
        each.expected.add(409)
        await each.open(f"/console/cases/{case_id}")
    # Filled in before either is sent: what settles takes away a form that nobody has begun.
    forms = [await _filled_in(each, reason="It may work now") for each in both]
    await asyncio.gather(*map(_send, both, forms))
    said = [await each.page.locator(".note").first.inner_text() for each in both]

    winners = [place for place, text in enumerate(said) if "under way" in text]
    assert len(winners) == 1, said
    [winner] = winners
    assert names[winner] in said[1 - winner]
    assert len(await _entries(stage, case_id, "decision:retry")) == 1


async def test_an_attestation_needs_a_second_person(window, stage):
    """Whoever asked cannot approve, whatever their role; somebody else can, and the case closes."""
    _, case_id = await stage.walk.stuck_case()
    asker = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR, Role.APPROVER))
    second = await window(cookie=await stage.member("Paula Approver", Role.APPROVER))
    await second.open(f"/console/cases/{case_id}")
    await second.live()
    await _mark(second.page)
    await asker.open(f"/console/cases/{case_id}")
    form = await _unfold(asker, "attest")
    await form.get_by_label("What was done by hand").fill("Suspended in the admin page, see file")
    proof = {"name": "proof.txt", "mimeType": "text/plain", "buffer": b"suspended at 12:00\n"}
    await form.get_by_label("Proof").set_input_files(proof)
    await form.get_by_role("button", name="Attest").click()

    own = asker.page.locator(".note.asked")
    await expect(own).to_contain_text("Somebody else has to decide this")
    await expect(own.get_by_text("Approve")).to_have_count(0)
    asked = second.page.locator(".note.asked")
    await expect(asked).to_contain_text("Olivia Operator", timeout=SOON)
    assert await _same(second.page)
    await asked.get_by_text("Approve", exact=True).click()
    approving = asked.locator('form[action$="/approve"]')
    path = await approving.get_attribute("action")
    asker.expected.update({403, 409, 422})
    assert await asker.page.evaluate(SEND, path) in {403, 409, 422}

    await approving.get_by_role("button").click()
    await expect(_status(second.page)).to_have_text("closed", timeout=SOON)
    await expect(second.page.locator(f"#system-{STUCK}")).to_contain_text("grade C")
    assert len(await _entries(stage, case_id, "decision:attest")) == 1


async def test_who_may_only_look_cannot_act(window, stage):
    """Approver and auditor find no button; what they send all the same is refused and recorded."""
    person, case_id = await stage.walk.stuck_case()
    path = f"/console/cases/{case_id}/systems/{STUCK}/retry"
    for role in (Role.APPROVER, Role.AUDITOR):
        look = await window(cookie=await stage.member("Lars Looker", role))
        look.expected.add(403)
        before = await _denied(stage)
        await look.open(f"/console/cases/{case_id}")
        await look.settled()

        assert await look.page.locator(f"#act-retry-{STUCK}").count() == 0
        assert await look.page.evaluate(SEND, path) == 403
        assert await _denied(stage) == before + 1
        shown = await look.page.content()
        assert (full_name(person) in shown) is (role is Role.APPROVER)


async def test_a_case_of_somebody_elses_partner_is_not_there(window, stage):
    """Neither listed, nor counted, nor found; nor can it be acted on."""
    _, case_id = await stage.walk.stuck_case(partner="Elsewhere")
    cookie = await stage.member("Noor", Role.OPERATOR, partners=["Contoso"])
    look = await window(cookie=cookie)
    look.expected.add(404)
    await look.open("/console/?state=any")
    await expect(look.page.locator(".tile strong").first).to_have_text("0")

    await look.settled()
    assert case_id not in await look.page.content()
    assert await look.open(f"/console/cases/{case_id}") == 404
    await look.open("/console/")
    path = f"/console/cases/{case_id}/systems/{STUCK}/retry"
    assert await look.page.evaluate(SEND, path) == 404


async def test_hostile_words_stay_words(window, stage):
    """What somebody writes into a comment is shown as it was written, and runs nowhere."""
    _, case_id = await stage.walk.stuck_case()
    look = await window(cookie=await stage.member(HOSTILE[:100], Role.OPERATOR))
    await look.open(f"/console/cases/{case_id}")
    await look.page.locator("#act-comment > summary").click()
    await look.page.get_by_label("Comment").fill(HOSTILE)
    await look.page.get_by_role("button", name="Add the comment").click()
    await expect(look.page.get_by_role("status").filter(has_text="added")).to_be_visible()

    shown = look.page.locator("main")
    await expect(shown).to_contain_text("<script>window.hit=1</script>")
    await look.settled()
    assert not await look.page.evaluate("window.hit")


async def test_hr_reports_a_leaver_with_a_hostile_name(window, stage, axe):
    """HR checks, then reports; every page that names the leaver shows a name and runs nothing."""
    person = new_person()
    hr = await window(cookie=await stage.member("Hugo HR", Role.HR), script=axe)
    await hr.open("/console/hr")
    for label, value in (
        ("Worker id", person.worker_id),
        ("Name", HOSTILE),
        ("E-mail addresses", person.email),
        ("Time zone of the dates", person.time_zone),
        ("Partner", HOSTILE_PLACE),
        ("Site", HOSTILE_PLACE),
    ):
        await hr.page.get_by_label(label, exact=True).fill(value)
    await hr.page.get_by_label("How they leave").select_option("involuntary")
    await hr.page.get_by_label("Whose worker").select_option("hr-main")
    await hr.page.get_by_label("Now", exact=True).check()
    await hr.page.get_by_role("button", name="Check", exact=True).click()
    await expect(hr.page.get_by_role("button", name="Report", exact=True)).to_be_visible()
    assert await barriers(hr.page) == []
    await hr.page.get_by_role("button", name="Report", exact=True).click()
    await expect(hr.page.get_by_role("status").filter(has_text="Reported.")).to_be_visible()

    look = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR), size=PHONE)
    await look.open("/console/?state=any")
    line = look.page.locator("[data-case]").filter(has_text=person.worker_id)
    await line.locator("[data-open]").click(timeout=SOON)
    await expect(look.page.get_by_role("heading", level=1)).to_contain_text("<img src=x")
    for each in (hr, look):
        await each.settled()
        assert await too_wide(each.page) == []
        assert not await each.page.evaluate("window.hit")


async def test_the_brake_is_decided(window, stage):
    """An approver lets one go and sends the rest back; a page that is open shows both by itself."""
    held = await held_import(stage)
    look = await window(cookie=await stage.member("Paula Approver", Role.APPROVER))
    board = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    await board.open("/console/")
    await board.live()
    await expect(board.page.locator("#board")).to_contain_text(f"The brake is on for {IMPORT}")
    await look.open("/console/brake")
    first = look.page.locator('input[name="pick"]').first
    event = int(await first.get_attribute("value") or 0)
    await first.check()
    await look.page.get_by_label("Reason").fill("A real leaver, HR was asked")
    await look.page.get_by_role("button", name="Release: open their cases").click()
    await expect(look.page.get_by_role("status").filter(has_text="Released.")).to_be_visible()
    await _in_state(stage, [event], "done")

    await look.page.get_by_label("Reason").fill("An import by mistake")
    await look.page.get_by_role("button", name="Refuse: open no case").click()
    await expect(look.page.get_by_role("status").filter(has_text="Refused.")).to_be_visible()
    await expect(look.page.locator("#brake")).to_contain_text("Nothing is held")
    await expect(board.page.locator("#board")).not_to_contain_text("The brake is on", timeout=SOON)
    states = await stage.installation.books.ask(
        "select state, count(*) as n from inbox where dedupe_key = any(%(e)s) group by state",
        e=held,
    )
    assert {row["state"] for row in states} <= {"refused", "done"}


async def test_a_pack_is_ordered_and_verified_in_place(window, stage, scene, axe):
    """Ordered, made in the background, and checked step by step without leaving the page."""
    look = await window(cookie=await stage.member("Ada Auditor", Role.AUDITOR), script=axe)
    await look.open("/console/evidence")
    await look.page.get_by_role("button", name="Order the pack").click()
    await expect(look.page.get_by_role("button", name="Verify it here")).to_be_visible(
        timeout=120_000
    )
    await look.page.get_by_role("button", name="Verify it here").click()
    verdict = look.page.locator("#verdict")
    await expect(verdict.get_by_role("heading", name="Verified")).to_be_visible(timeout=120_000)
    assert await verdict.locator(".badge.bad").count() == 0
    assert await barriers(look.page) == []


async def test_a_system_is_paused_and_resumed(window, stage):
    """With a reason and an end; the list of cases says so until somebody resumes it."""
    look = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    await look.open("/console/systems/kisi-sandbox")
    await look.page.get_by_label("Reason").fill("Door controllers are replaced")
    await look.page.get_by_role("button", name=re.compile("^Pause")).click()
    await expect(look.page.locator("main")).to_contain_text("Door controllers are replaced")
    await look.open("/console/")
    await expect(look.page.locator("#board")).to_contain_text("kisi-sandbox is paused")
    await look.open("/console/systems/kisi-sandbox")
    await look.page.get_by_role("button", name=re.compile("^Resume")).click()
    await expect(look.page.get_by_role("button", name=re.compile("^Pause"))).to_be_visible()


async def test_many_are_retried_at_once_by_keys_alone(window, stage):
    """Selected with j and x, looked at in a preview, carried out, each with a result of its own."""
    cases = [await stage.walk.stuck_case(partner="Keyboard Inc") for _ in range(2)]
    for person, _ in cases:
        await stage.walk.mend(person)
    look = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    await look.open("/console/?partner=Keyboard+Inc")
    await expect(look.page.locator("[data-case]")).to_have_count(2)
    for key in ("j", "x", "j", "x"):
        await look.page.keyboard.press(key)
    await expect(look.page.locator("[data-picked-count]")).to_have_text("2 systems selected")
    await look.page.get_by_role("button", name="Retry selected").press("Enter")
    await look.page.get_by_label("Why").fill("The token has its scope again")
    await look.page.get_by_role("button", name="Retry 2").press("Enter")

    done = look.page.get_by_role("status").filter(has_text="2 are settled")
    await expect(done).to_be_visible(timeout=SOON)
    await expect(look.page.locator("#results .badge.good")).to_have_count(2)
    for _, case_id in cases:
        await stage.walk.status(case_id, "closed")


async def test_a_refresh_takes_nothing_from_whoever_uses_keys(window, stage):
    """What is ticked stays ticked, and the button that was reached stays reached."""
    _, case_id = await stage.walk.stuck_case(partner="Refresh Inc")
    look = await window(cookie=await stage.member("Olivia Operator", Role.OPERATOR))
    await look.open("/console/?partner=Refresh+Inc")
    await look.live()
    for key in ("j", "x"):
        await look.page.keyboard.press(key)
    button = look.page.get_by_role("button", name="Retry selected")
    await button.focus()
    await stage.walk.stuck_case(partner="Refresh Inc")
    await expect(look.page.locator("[data-case]")).to_have_count(2, timeout=SOON)
    await expect(button).to_be_focused()
    await expect(look.page.locator(f'input[value^="{case_id}"]')).to_be_checked()


async def _unfold(look: Window, act: str) -> Locator:
    """Open the form of an act on the system that is stuck."""
    details = look.page.locator(f"#act-{act}-{STUCK}")
    await details.locator("summary").click()
    return details


async def _retry(look: Window, *, reason: str) -> None:
    await _send(look, await _filled_in(look, reason=reason))


async def _filled_in(look: Window, *, reason: str) -> Locator:
    form = await _unfold(look, "retry")
    await form.locator("textarea").fill(reason)
    return form


async def _send(look: Window, form: Locator) -> None:
    async with look.page.expect_navigation():
        await form.get_by_role("button", name="Retry now").click()


def _status(page: Page) -> Locator:
    return page.locator(".case-title .badge").first


async def _mark(page: Page) -> None:
    """A new page would not have it any more."""
    await page.evaluate("window.stillTheSame = true")


async def _same(page: Page) -> bool:
    return bool(await page.evaluate("window.stillTheSame === true"))


async def _entries(stage: Stage, case_id: str, kind: str) -> list[dict[str, object]]:
    return [e for e in await stage.installation.books.entries(case_id) if e["kind"] == kind]


async def _denied(stage: Stage) -> int:
    query = "select count(*) as n from ledger_entries where kind = 'access:denied'"
    [row] = await stage.installation.books.ask(query)
    return int(row["n"])


async def _in_state(stage: Stage, events: list[int], state: str) -> None:
    async def all_there() -> bool:
        rows = await stage.installation.books.ask(
            "select 1 from inbox where id = any(%(i)s) and state = %(s)s", i=events, s=state
        )
        return len(rows) == len(events)

    await eventually(all_there, within_s=30, what=f"events that are {state}")

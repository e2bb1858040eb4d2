"""HR uploads leavers in a browser: seen line by line, sent as seen, and revoked with proof."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from lockstep.domain.rights import Role
from tests.browser.looks import complaints
from tests.browser.stage import Stage
from tests.browser.windows import Window
from tests.e2e.leavers import full_name, new_person
from tests.e2e.processes import eventually

pytestmark = pytest.mark.e2e

HEAD = "Worker ID;Name;Emails;Employee Number;Kind;Zone;Access ends at;Partner;Site;Source"


async def test_hr_uploads_a_sheet_and_its_leavers_are_revoked(window, stage, axe):
    """Nothing is sent before it was seen; then the leaver's systems are closed, with proof."""
    leaver, coming = new_person(), new_person()
    await stage.walk.vendors.seed([leaver, coming])
    later = (datetime.now(UTC) + timedelta(days=20)).isoformat(timespec="seconds")
    rows = [HEAD, "1.2E+11;;;;voluntary;UTC;now;;;hr-main"]
    for who, ends in ((leaver, "now"), (coming, later)):
        ids = f"{who.worker_id};{full_name(who)};{who.email};{who.employee_number}"
        rows.append(f"{ids};involuntary;{who.time_zone};{ends};Contoso Care;Porto;hr-main")
    hr = await window(cookie=await stage.member("Hugo HR", Role.HR), script=axe)
    before = await _sent(stage)

    await _upload(hr, "\r\n".join(rows).encode("utf-16"))
    page = hr.page.locator("main")
    await expect(page).to_contain_text("Nothing is reported yet. Of 3 leavers")
    for words in (full_name(leaver), "Contoso Care, Porto", "rounded", coming.time_zone):
        await expect(page).to_contain_text(words)
    assert await complaints(hr.page) == []
    hr.expected.add(422)
    await hr.page.get_by_role("button", name="Report 2").click()
    await expect(hr.page.get_by_role("alert").first).to_contain_text("Nothing was sent")
    assert await _sent(stage) == before

    await hr.page.get_by_label(re.compile("Leave out the 1 line")).check()
    await hr.page.get_by_role("button", name="Report 2").click()
    await expect(hr.page.get_by_role("status")).to_have_text("Of 3 leavers: 2 reported, 1 refused.")
    assert await complaints(hr.page) == []
    events = sorted(await _sent(stage) - before)
    case_id = await eventually(lambda: _closed(stage, events), what="the leaver's case closed")
    entries = await stage.installation.books.entries(case_id)
    assert "revoked" in {e["data"].get("outcome") for e in entries}
    await hr.page.get_by_role("button", name="Look again").click()
    await expect(page).to_contain_text("Closed: every system that has to be is settled.")
    assert sorted(await _sent(stage) - before) == events


async def test_a_file_that_is_too_large_is_answered(window, stage):
    """Whoever chose it reads why, and not that the connection broke."""
    hr = await window(cookie=await stage.member("Hugo HR", Role.HR))
    hr.expected.add(413)
    await _upload(hr, b"x" * 3_000_000)
    await expect(hr.page.locator("main")).to_contain_text("may have 1 MiB here")


async def _upload(hr: Window, raw: bytes) -> None:
    await hr.open("/console/hr")
    chosen = {"name": "leavers.csv", "mimeType": "text/csv", "buffer": raw}
    await hr.page.get_by_label("CSV file").set_input_files(chosen)
    await hr.page.get_by_role("button", name="Check the file").click()


async def _sent(stage: Stage) -> set[str]:
    """Keys of all events that people of HR have sent."""
    query = "select dedupe_key from inbox where starts_with(dedupe_key, 'hr-u')"
    return {row["dedupe_key"] for row in await stage.installation.books.ask(query)}


async def _closed(stage: Stage, events: list[str]) -> str:
    """The closed case of one of them; "" while there is none."""
    query = """
        select c.case_id from cases c join inbox i on i.case_id = c.case_id
         where i.dedupe_key = any(%(events)s) and c.status = 'closed'
    """
    rows = await stage.installation.books.try_ask(query, events=events)
    return rows[0]["case_id"] if rows else ""

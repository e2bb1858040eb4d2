"""A sheet of leavers: every line is looked at first, and exactly what was seen is sent, once."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from starlette.formparsers import MultiPartParser

from lockstep.control.hr import own_sheets
from lockstep.control.hr.own_sheets import MOST_BYTES, MOST_LINES
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.rights import Permission, Role
from lockstep.web.bounds import most_bytes
from tests.control.intake.test_brake import Hall
from tests.web.console.conftest import SETTINGS, Browser, text_of
from tests.web.console.hr_office import HOME, SCRIPT, Hr, cases, entries, hr  # noqa: F401 - a fixture

SHEET = f"{HOME}/sheet"
HEAD = "worker_id;name;emails;kind;zone;last_working_day;partner;revision"
DAY = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
LATER = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"
RULE = BrakeRule(per_hour=3, dismissals_per_hour=2)


@pytest.fixture
def site_settings() -> str:
    rule = f"per_hour = {RULE.per_hour}\ndismissals_per_hour = {RULE.dismissals_per_hour}\n"
    return f"{SETTINGS}\n[brake]\n{rule}"


@pytest.fixture(autouse=True)
def _nobody_comes(monkeypatch):
    """No worker runs beside the page: it need not wait for one."""
    monkeypatch.setattr(own_sheets, "STALLED_S", 0.0)


def line(worker: str, **changes: str) -> str:
    cells = {
        "name": f"Ana {worker}",
        "mail": f"{worker.lower()}@example.com",
        "kind": "voluntary",
        "zone": "Asia/Manila",
        "day": DAY,
        "partner": "northwind",
        "revision": "",
        **changes,
    }
    return ";".join([worker, *cells.values()])


def sheet(*lines: str) -> bytes:
    return "\r\n".join([HEAD, *lines]).encode("utf-8-sig")


async def look(browser: Browser, raw: bytes, **given: str) -> httpx.Response:
    """Upload a file, to see what it would do."""
    files = {"file": ("leavers.csv", raw, "text/csv")}
    return await browser.post(f"{SHEET}/preview", given, files=files)


def sealed_in(page: httpx.Response) -> str:
    return re.search(r'name="sheet" value="([^"]+)"', page.text)[1]


async def send(browser: Browser, page: httpx.Response, **given: str) -> httpx.Response:
    """Press the button of the page that was looked at."""
    return await browser.post(f"{SHEET}/report", {"sheet": sealed_in(page), **given})


async def sent(hr: Hr, *lines: str, browser: Browser | None = None) -> str:  # noqa: F811
    """Look, send and carry out; what the page says of it."""
    who = browser or hr.browser
    page = await look(who, sheet(*lines))
    assert page.status_code == 200, text_of(page)
    assert (await send(who, page)).status_code == 200
    await hr.dispatch()
    return text_of(await send(who, page))


async def test_a_sheet_is_looked_at_sent_and_told(hr):  # noqa: F811
    """Each line with name, partner and cutoff here and there; then what became of each."""
    raw = sheet(line("W-1"), line("W-2", kind="contract_end")).decode("utf-8-sig").encode("utf-16")
    page = await look(hr.browser, raw, reason="ticket 7")
    seen = text_of(page)
    for words in ("Ana W-1", "W-2", "northwind", f"{DAY} 10:00:00 UTC", f"{DAY} 18:00 Asia/Manila"):
        assert words in seen
    assert "2 would be reported" in seen
    assert await hr.work.count("inbox") == 0

    done = await send(hr.browser, page)
    assert "2 not carried out yet" in text_of(done)
    await hr.dispatch()
    again = text_of(await send(hr.browser, page))
    assert "Of 2 leavers: 2 reported." in again
    assert "Ana W-2" in again
    assert sorted(row[:3] for row in await cases(hr)) == [
        ("contract_end", "scheduled", "northwind"),
        ("voluntary", "scheduled", "northwind"),
    ]
    acts = [entry["data"]["act"] for entry in await entries(hr.site, "access:acted")]
    assert acts.count("hr.report") == 1
    assert text_of(await hr.browser.get(HOME)).count("Scheduled: access ends at the cutoff.") == 2


async def test_the_same_page_sends_once(hr):  # noqa: F811
    """However often it is sent; a second look at the same file finds that nothing changes."""
    page, tab = [await look(hr.browser, sheet(line("W-1"), line("W-2"))) for _ in range(2)]
    for _ in range(2):
        assert (await send(hr.browser, page)).status_code == 200
    await hr.dispatch()
    late = await send(hr.browser, tab)
    assert late.status_code == 422
    assert "since you looked, something has changed" in text_of(late)
    assert "2 would change nothing" in text_of(late)
    assert await hr.work.count("inbox") == 2


async def test_what_was_called_off_is_reported_by_the_same_file_again(hr):  # noqa: F811
    """The same bytes at another look are another report, which must not be swallowed."""
    await sent(hr, line("W-1"))
    await hr.change(await hr.newest_event(), "rescind", reason="a mistake")
    await hr.dispatch()
    assert "1 reported" in await sent(hr, line("W-1"))
    assert sorted(row[1] for row in await cases(hr)) == ["rescinded", "scheduled"]


async def test_lines_that_cannot_be_taken_stop_the_rest(hr):  # noqa: F811
    """Nothing is sent, unless somebody says that they are to be left out; each is named."""
    rows = [line("W-1"), line("W-2", zone="EST"), ";;;;;;;", line("1.2E+11")]
    page = await look(hr.browser, sheet(*rows))
    seen = text_of(page)
    assert "2 cannot be taken" in seen
    assert "did you mean America/New_York?" in seen
    assert "Line 3 Ana W-2" not in seen  # a table, not a sentence
    assert "1 line is empty" in seen
    refused = await send(hr.browser, page)
    assert (refused.status_code, await hr.work.count("inbox")) == (422, 0)
    assert "tick to leave them out" in text_of(refused)

    done = await send(hr.browser, refused, leave_out="yes")
    assert done.status_code == 200
    await hr.dispatch()
    told = text_of(await send(hr.browser, refused, leave_out="yes"))
    assert "Of 3 leavers: 1 reported, 2 refused." in told
    assert "rounded" in told
    assert len(await cases(hr)) == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no header",
        b"worker_id;kind\r\nW;voluntary",
        b"\xff\xfe",
        b"worker_id\n\xe9",
        b"worker_id;kind;zone",
    ],
)
async def test_a_file_without_a_leaver_sends_nothing(hr, raw):  # noqa: F811
    """It is said what is wrong, and there is no button."""
    page = await look(hr.browser, raw)
    assert 'name="sheet"' not in page.text
    assert "choose a file" in text_of(page) or "This file cannot be taken" in text_of(page)
    assert "leaver in this file" not in text_of(page)


async def test_nothing_is_sent_that_was_not_seen(hr):  # noqa: F811
    """Not what somebody else looked at, nor what was altered; nor does the page give names away."""
    page = await look(hr.browser, sheet(line("W-1")))
    kept = sealed_in(page)
    assert b"Ana" not in base64.urlsafe_b64decode(kept)
    other = await hr.site.sign_in(Role.HR)
    altered = kept[:-8] + ("A" if kept[-8] != "A" else "B") + kept[-7:]
    for browser, text in ((other, kept), (hr.browser, altered), (hr.browser, "x"), (other, "")):
        answer = await browser.post(f"{SHEET}/report", {"sheet": text})
        assert answer.status_code == 422
        assert "choose the file again" in text_of(answer)
    assert await hr.work.count("inbox") == 0


async def test_own_reports_are_corrected_by_a_later_revision(hr):  # noqa: F811
    """Before the cutoff; the same again changes nothing, and another day needs the revision."""
    await sent(hr, line("W-1", revision="3"))
    same = text_of(await look(hr.browser, sheet(line("W-1", revision="3"))))
    assert "1 would change nothing" in same
    unsaid = text_of(await look(hr.browser, sheet(line("W-1", day=LATER))))
    assert "say it here again with revision 2" in unsaid
    told = await sent(hr, line("W-1", day=LATER, revision="4"))
    assert "Of 1 leaver: 1 corrected." in told
    assert "Your earlier report was corrected." in told
    assert f"{(await cases(hr))[0][3]:%Y-%m-%d}" == LATER

    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql("update cases set status = 'revoking', begun_at = now()")
    late = text_of(await look(hr.browser, sheet(line("W-1", revision="5"))))
    assert "too late" in late


@pytest.mark.parametrize(
    "changes", [{}, {"kind": "involuntary"}, {"day": LATER}, {"revision": "9"}, {"partner": "x"}]
)
async def test_a_case_of_somebody_else_does_not_show(hr, changes):  # noqa: F811
    """A coming dismissal looks as if there were none, with the brake on too, and stays as it is."""
    await hr.send(worker_id="W-1", kind="involuntary", last_working_day=DAY)
    await hr.dispatch()
    [before] = await cases(hr)
    other = await hr.site.sign_in(Role.HR)
    rest = [line(f"W-9{n}") for n in range(3)]
    pages = [
        await look(other, sheet(line(worker, **changes), *rest, line(worker + "0", **changes)))
        for worker in ("W-1", "W-7")
    ]
    seen = [
        re.sub(r"[0-9a-f]{64}", "", text_of(page)).replace("W-7", "W-1").replace("w-7", "w-1")
        for page in pages
    ]
    assert seen[0] == seen[1]

    assert (await send(other, pages[0])).status_code == 200
    await hr.dispatch()
    assert (await cases(hr))[0] == before
    assert len(await cases(hr)) == 5
    told = text_of(await send(other, pages[0]))
    assert "corrected" not in told
    assert "dismissal" not in told


async def test_a_report_that_became_a_dismissal_does_not_show(hr):  # noqa: F811
    """Neither in a sheet nor in the form: whoever reported a resignation learns no more."""
    await sent(hr, line("W-1"))
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql(
            "update cases set kind = 'involuntary', cutoff_at = now() + interval '2 days'"
        )
    seen = text_of(await look(hr.browser, sheet(line("W-1", day=LATER, revision="2"))))
    assert "1 would be reported" in seen
    assert "earlier report" not in seen.split("What each line does")[1]


async def test_what_was_hidden_from_a_form_stays_hidden_after_a_report(hr):  # noqa: F811
    """Somebody who has reported in vain is not told by the next look that there is a case."""
    await hr.send(worker_id="W-1", kind="involuntary")
    await hr.dispatch()
    spy = Hr(hr.site, await hr.site.sign_in(Role.HR), hr.work)
    await spy.send(worker_id="W-1")
    await hr.dispatch()
    await spy.send(worker_id="W-1")


async def test_who_may_be_reported_is_decided_as_in_the_form(hr):  # noqa: F811
    """Nobody of another partner, and not oneself, which is on record once."""
    keys = [Key(KeyKind.WORKER_ID, "W-3")]
    browser = await hr.site.sign_in(Role.HR, partners=["northwind"], keys=keys)
    rows = [line("W-1"), line("W-2", partner="contoso"), line("W-3")]
    seen = text_of(await look(browser, sheet(*rows)))
    assert "choose one of yours" in seen
    assert "this is you" in seen
    denied = await entries(hr.site, "access:denied")
    assert [entry["data"]["why"] for entry in denied] == ["about_oneself"]
    refused = await browser.post(f"{SHEET}/report", {"sheet": "x"})
    assert refused.status_code == 422


async def test_the_brake_is_foretold_and_comes(hr):  # noqa: F811
    """To whoever may know everything it is said how many; so many are held, and told as held."""
    hall = Hall(hr.work, RULE)
    knows = await hr.site.sign_in(Role.HR, more=[Permission.SEALED])
    rows = [line(f"W-{n}", kind="involuntary" if n < 3 else "voluntary") for n in range(7)]
    page = await look(knows, sheet(*rows))
    foretold = int(re.search(r"would hold at least (\d+)", text_of(page))[1])
    assert foretold > 0
    assert (await send(knows, page)).status_code == 200
    await hall.dispatch()
    told = text_of(await send(knows, page))
    assert f"Of 7 leavers: {7 - foretold} reported, {foretold} held." in told
    assert await hr.work.count("inbox") == 7


@pytest.mark.parametrize(("lines", "says"), [(MOST_LINES + 1, "split"), (0, "split it")])
async def test_a_file_that_is_too_large_is_refused(hr, lines, says):  # noqa: F811
    """By lines and by bytes; the page says what is possible."""
    raw = sheet(*["x"] * lines) if lines else b"x" * (MOST_BYTES + 1)
    page = await look(hr.browser, raw)
    assert says in text_of(page)
    assert 'name="sheet"' not in page.text


async def test_a_body_that_is_too_large_is_refused_unread(hr):  # noqa: F811
    """No file of it is ever written to disk, where it would lie unencrypted."""
    assert most_bytes(f"{SHEET}/preview") <= MultiPartParser.spool_max_size
    page = await look(hr.browser, b"x" * most_bytes(f"{SHEET}/preview"))
    assert (page.status_code, "may have 1 MiB" in text_of(page)) == (413, True)


async def test_what_stands_in_a_file_stays_a_text(hr):  # noqa: F811
    """Names, partners, ids, problems and the file's own name: nothing of it is markup."""
    raw = sheet(line("W-1", name=SCRIPT, partner=SCRIPT), line("W-2", zone=SCRIPT), SCRIPT)
    files = {"file": (f"{SCRIPT}.csv", raw, "text/csv")}
    page = await hr.browser.post(f"{SHEET}/preview", {"reason": SCRIPT}, files=files)
    done = await send(hr.browser, page, leave_out="yes")
    for each in (page, done):
        assert each.status_code == 200
        assert SCRIPT not in each.text
    assert "alert(1)" in page.text

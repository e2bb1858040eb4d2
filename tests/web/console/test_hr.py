"""`My events`: reporting leavers in the console, and what becomes of one's own reports."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.rights import Permission, Role
from lockstep.storage.intake.inbox import event_context
from tests.support.casework import EMAIL, NAME
from tests.web.console.conftest import text_of
from tests.web.console.hr_office import DAY, HOME, SCRIPT, cases, entries, form, hr  # noqa: F401 - a fixture


async def test_a_leaver_is_checked_reported_and_followed(hr):  # noqa: F811
    """The cutoff is shown before anything is sent; what becomes of it stands in the list."""
    page = await hr.browser.post(f"{HOME}/preview", form())
    assert f"{DAY} 10:00:00 UTC" in text_of(page)  # 18:00 in Manila
    assert await hr.work.count("inbox") == 0

    assert "Waits to be carried out." in await hr.send()
    await hr.dispatch()
    assert [row[:3] for row in await cases(hr)] == [("voluntary", "scheduled", "northwind")]
    seen = text_of(await hr.browser.get(HOME))
    assert "Scheduled: access ends at the cutoff." in seen
    assert NAME in seen
    acts = await entries(hr.site, "access:acted")
    assert acts[-1]["data"] == {"act": "hr.report", "user": hr.browser.principal.user_id}


async def test_a_resignation_that_became_a_dismissal_is_told_no_more(hr):  # noqa: F811
    """Whoever reported it learns neither the new cutoff nor that there is one to change."""
    await hr.send()
    await hr.dispatch()
    event = await hr.newest_event()
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql(
            "update cases set kind = 'involuntary', cutoff_at = now() + interval '2 days'"
        )
    listed, page = await hr.browser.get(HOME), await hr.browser.get(event)
    day = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    for each in (listed, page):
        assert "Taken." in text_of(each)
        assert day not in text_of(each)
    refused = await hr.change(event, "amend", when="last_day", last_working_day=DAY, zone="UTC")
    assert refused.status_code == 422
    assert "ask operations" in text_of(refused)


async def test_changed_dates_leave_what_hr_has_corrected(hr):  # noqa: F811
    """Whoever moves the dates of their own report says nothing of kind or site."""
    await hr.send()
    await hr.dispatch()
    event = await hr.newest_event()
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql("update cases set kind = 'contract_end', site = 'davao'")
    later = f"{datetime.now(UTC) + timedelta(days=40):%Y-%m-%d}"
    given = {"when": "last_day", "last_working_day": later, "zone": "Asia/Manila"}
    assert (await hr.change(event, "amend", **given)).status_code == 303
    await hr.dispatch()
    async with hr.site.engine.connect() as connection:
        row = (await connection.exec_driver_sql("select kind, site, cutoff_at from cases")).one()
    assert (row.kind, row.site, f"{row.cutoff_at:%Y-%m-%d}") == ("contract_end", "davao", later)


async def test_who_reported_is_kept_with_the_case(hr):  # noqa: F811
    """By name and id, encrypted; the ledger holds neither the name nor the reason."""
    await hr.send()
    await hr.dispatch()
    for entry in await entries(hr.site, ""):
        for word in ("Hannah", "ticket 7", NAME, EMAIL):
            assert word not in json.dumps(entry)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"worker_id": ""}, "worker.id"),
        ({"kind": "fired"}, "kind"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"last_working_day": ""}, "last working day"),
        ({"last_working_day": "31.12.2026"}, "YYYY-MM-DD"),
        ({"last_working_day": "2199-01-01"}, "implausibly far"),
        ({"emails": "no-address"}, "@"),
        ({"when": "at", "ends_at": ""}, "give a day and a time"),
        ({"when": "at", "ends_at": "9999-12-31T23:59"}, "2200"),
        ({"name": "a\x00b"}, "worker.name"),
        ({"worker_id": "x" * 201}, "worker.id"),
    ],
)
async def test_what_cannot_be_is_said_before_it_is_sent(hr, changes, says):  # noqa: F811
    """The same rules as everywhere; what was entered stays in the form."""
    page = await hr.browser.post(f"{HOME}/preview", form(**changes))

    assert page.status_code == 422
    assert says.casefold() in text_of(page).casefold()
    assert 'value="northwind"' in page.text
    done = await hr.browser.post(f"{HOME}/report", form(**changes) | {"once": "x" * 20})
    assert done.status_code == 422
    assert await hr.work.count("inbox") == 0


async def test_accounts_are_named_by_system(hr):  # noqa: F811
    """Several of one system too; they are shown before they are sent, and pinned in the event."""
    accounts = "memory-1: 00u1\r\n\r\nmemory-1:arn:aws:2 \r\n memory-2: 3"
    page = await hr.browser.post(f"{HOME}/preview", form(accounts=accounts))
    assert "memory-1: 00u1 memory-1: arn:aws:2 memory-2: 3" in text_of(page)
    await hr.send(accounts=accounts)
    async with hr.site.engine.connect() as connection:
        [row] = (await connection.exec_driver_sql("select dedupe_key, body from inbox")).all()
    said = json.loads(hr.site.ring.decrypt(row.body, context=event_context("cli", row.dedupe_key)))
    expected = {"memory-1": ["00u1", "arn:aws:2"], "memory-2": ["3"]}
    assert said["event"]["worker"]["accounts"] == expected


@pytest.mark.parametrize(
    ("accounts", "says"),
    [
        ("memory-9: 1", "no system has this name; there are memory-1, memory-2"),
        ("memory-1: 1\n00u1", "accounts, line 2"),
        ("memory-1:", "accounts, line 1"),
        ("memory-1: a\u200bb", "worker.accounts.memory-1"),
        ("\n".join(f"memory-1: {n}" for n in range(21)), "worker.accounts.memory-1"),
        ("memory-1: 1\n" * 2000, "20,000 characters"),
    ],
)
async def test_accounts_that_cannot_be_are_told(hr, accounts, says):  # noqa: F811
    """By the rules of the API; nothing is cut off, and what was typed stays."""
    page = await hr.browser.post(f"{HOME}/preview", form(accounts=accounts))
    assert page.status_code == 422
    assert says in text_of(page)
    assert await hr.work.count("inbox") == 0


async def test_a_list_of_addresses_is_never_cut(hr):  # noqa: F811
    """The last of them would be somebody else's."""
    page = await hr.browser.post(f"{HOME}/preview", form(emails="a@example.com," * 200))
    assert (page.status_code, "2,000 characters" in text_of(page)) == (422, True)


async def test_an_exact_time_is_read_in_the_zone(hr):  # noqa: F811
    """A wall clock in Manila, eight hours ahead of UTC."""
    page = await hr.browser.post(f"{HOME}/preview", form(when="at", ends_at=f"{DAY}T09:30"))

    assert f"{DAY} 01:30:00 UTC" in text_of(page)


async def test_a_time_that_no_clock_shows_is_refused(hr):  # noqa: F811
    """London skips an hour in March: half past one is not guessed, and the next time is said."""
    year = datetime.now(UTC).year + 1
    last = datetime(year, 3, 31, tzinfo=UTC)
    day = (last - timedelta(days=(last.weekday() + 1) % 7)).date().isoformat()
    skipped = form(when="at", ends_at=f"{day}T01:30", zone="Europe/London")
    page = await hr.browser.post(f"{HOME}/preview", skipped)

    assert page.status_code == 422
    assert "never show 01:30; the first time after it is 02:00" in text_of(page)


async def test_an_hour_that_comes_twice_is_the_first(hr):  # noqa: F811
    """Earlier is the safe side; the page says which instant that is."""
    year = datetime.now(UTC).year + 1
    last = datetime(year, 10, 31, tzinfo=UTC)
    day = (last - timedelta(days=(last.weekday() + 1) % 7)).date().isoformat()
    page = await hr.browser.post(
        f"{HOME}/preview", form(when="at", ends_at=f"{day}T01:30", zone="Europe/London")
    )

    assert f"{day} 00:30:00 UTC" in text_of(page)


async def test_two_presses_of_the_button_are_one_report(hr):  # noqa: F811
    """And a form without its mark is none."""
    data = {**form(), "once": "k" * 22}
    for _ in range(2):
        assert (await hr.browser.post(f"{HOME}/report", data)).status_code == 303
    assert await hr.work.count("inbox") == 1
    for once in ("", "short", "x" * 65, "%" * 22, "k\x00" * 11):
        assert (await hr.browser.post(f"{HOME}/report", form() | {"once": once})).status_code == 422
    assert await hr.work.count("inbox") == 1


async def test_dates_are_moved_and_a_leaving_is_called_off(hr):  # noqa: F811
    """Of one's own report, before the cutoff, with a reason for calling off."""
    await hr.send()
    await hr.dispatch()
    event = await hr.newest_event()
    later = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    moved = await hr.change(event, "amend", when="last_day", last_working_day=later, zone="UTC")
    assert moved.status_code == 303
    await hr.dispatch()
    assert (await cases(hr))[0][3].isoformat() == f"{later}T18:00:00+00:00"

    assert (await hr.change(event, "rescind", reason=" ")).status_code == 422
    assert (await hr.change(event, "rescind", reason="stays after all")).status_code == 303
    await hr.dispatch()
    assert [row[1] for row in await cases(hr)] == ["rescinded"]
    seen = text_of(await hr.browser.get(HOME))
    assert seen.count("Called off.") == 2
    assert "The dates were moved." in seen
    assert (await hr.change(event, "rescind", reason="again")).status_code == 422


async def test_a_leaver_is_said_to_work_here_again_once_the_case_has_closed(hr):  # noqa: F811
    """Of one's own report, with a reason, once; the case is watched no more."""
    await hr.send()
    await hr.dispatch()
    event = await hr.newest_event()
    assert (await hr.change(event, "rehire", reason="back")).status_code == 422
    async with hr.work.engine.begin() as connection:
        await connection.exec_driver_sql(
            "update cases set status = 'closed', begun_at = now(), closed_at = now()"
        )
    page = text_of(await hr.browser.get(event))
    assert "They work here again" in page
    assert "access is gone" not in page, "a case closes on waivers and on people's word too"
    assert (await hr.change(event, "rehire", reason=" ")).status_code == 422
    assert (await hr.change(event, "rehire", reason="back")).status_code == 303
    await hr.dispatch()
    assert [entry["actor"]["type"] for entry in await entries(hr.site, "case:rehired")] == [
        "person"
    ]
    seen = text_of(await hr.browser.get(HOME))
    assert "They work here again: nothing is taken from them any more." in seen
    again = await hr.change(event, "rehire", reason="back")
    assert "this is known already" in text_of(again).lower()


async def test_whoever_was_called_off_can_be_reported_again(hr):  # noqa: F811
    """What is said anew must not pass for a repetition: nobody would be revoked."""
    await hr.send()
    await hr.dispatch()
    await hr.change(await hr.newest_event(), "rescind", reason="a mistake")
    await hr.dispatch()
    await hr.send()
    await hr.dispatch()

    assert sorted(row[1] for row in await cases(hr)) == ["rescinded", "scheduled"]


async def test_a_repetition_is_said_to_be_one(hr):  # noqa: F811
    """To whoever has reported the leaver before, and to nobody else."""
    await hr.send()
    await hr.dispatch()
    mine = await hr.browser.post(f"{HOME}/preview", form())
    assert "reported this leaver already" in text_of(mine)

    other = await hr.site.sign_in(Role.HR)
    theirs = await other.post(f"{HOME}/preview", form())
    assert "already" not in text_of(theirs)


async def test_what_was_not_carried_out_is_not_called_taken(hr):  # noqa: F811
    """They learn that it did nothing and whom to ask, and nothing of a case of others."""
    await hr.send()
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql(
            "update inbox set state = 'refused', verdict = 'conflict', error = 'of case c123'"
        )
    seen = text_of(await hr.browser.get(HOME))
    assert "Not carried out: it opened and changed nothing." in seen
    assert "ask them" in seen
    assert "Taken" not in seen
    assert "c123" not in seen


async def test_what_was_entered_stays_a_text(hr):  # noqa: F811
    """Script, long names, other directions and emoji, in form, preview and list."""
    name = f'{SCRIPT}"><img src=x onerror=alert(1)> \u202eevil\u202c 🦆'
    given = {"name": name, "site": SCRIPT, "worker_id": SCRIPT, "reason": SCRIPT}
    preview = await hr.browser.post(f"{HOME}/preview", form(**given))
    changed = await hr.browser.post(f"{HOME}/change", form(**given))
    await hr.send(**given)
    listed = await hr.browser.get(HOME)
    one = await hr.browser.get(await hr.newest_event())
    await hr.send(name="n" * 200, worker_id="w" * 200)

    for page in (preview, changed, listed, one, await hr.browser.get(HOME)):
        assert page.status_code == 200
        assert SCRIPT not in page.text
        assert "<img" not in page.text
    assert "🦆" in listed.text


async def test_a_long_list_comes_in_pages(hr):  # noqa: F811
    """Fifty at a time, the newest first, none twice and none left out."""
    for number in range(53):
        data = form(worker_id=f"W-{number:03}") | {"once": f"{number:03}" + "x" * 20}
        assert (await hr.browser.post(f"{HOME}/report", data)).status_code == 303
    first = await hr.browser.get(HOME)
    older = re.search(r'href="(/console/hr\?before=\d+)"', first.text)[1]
    second = await hr.browser.get(older)

    found = [re.findall(r'clip">(W-\d+)', page.text) for page in (first, second)]
    assert found[0] + found[1] == [f"W-{number:03}" for number in range(52, -1, -1)]
    assert len(found[0]) == 50


@pytest.mark.parametrize("event", ["0", "-1", "99999999", "9" * 40, "x", "%00"])
async def test_a_report_that_is_not_there_is_not_found(hr, event):  # noqa: F811
    """Whatever its number is, and nothing breaks."""
    answer = await hr.browser.get(f"{HOME}/{event}")
    assert answer.status_code in {404, 422}


async def test_what_was_erased_is_said_to_be(hr):  # noqa: F811
    """The body goes with the leaver; the line stays."""
    await hr.send()
    await hr.dispatch()
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql("update inbox set body = ''")
    seen = text_of(await hr.browser.get(HOME))

    assert "erased" in seen
    assert NAME not in seen


async def test_without_the_right_there_is_no_way(hr):  # noqa: F811
    """An operator sees cases and reports none."""
    browser = await hr.site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    answer = await browser.post(f"{HOME}/report", form() | {"once": "x" * 22})

    assert answer.status_code == 403
    assert await hr.work.count("inbox") == 0

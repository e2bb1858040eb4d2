"""`My events`: reporting leavers in the console, and what becomes of one's own reports only."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Permission, Role
from lockstep.storage.cases.reads import read_cases
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.intake.inbox import event_context
from lockstep.storage.records import CaseRow
from tests.support.casework import EMAIL, NAME, TENANT, WORKER, Casework, termination
from tests.web.console.conftest import Browser, Site, text_of

SCRIPT = "<script>alert(1)</script>"
HOME = "/console/hr"
DAY = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
"""One day for every form, around midnight too."""


def form(**changes: str) -> dict[str, str]:
    """A leaver as somebody of HR enters them."""
    return {
        "worker_id": WORKER,
        "name": NAME,
        "emails": f"{EMAIL}, second@example.com",
        "kind": "voluntary",
        "zone": "Asia/Manila",
        "when": "last_day",
        "last_working_day": DAY,
        "partner": "northwind",
        "site": "cebu",
        "spell": "1",
        "reason": "ticket 7",
        **changes,
    }


@dataclass
class Starter:
    """Stands for the starting of workflows."""

    woken: list[str] = field(default_factory=list)

    async def start(self, case: CaseRow) -> None:
        """Nothing runs in these tests."""

    async def wake(self, case: CaseRow, event_id: str) -> None:
        self.woken.append(case.case_id)

    async def end_watch(self, case: CaseRow, event_id: str) -> None:
        self.woken.append(case.case_id)


class Hr:
    """Somebody of HR, and the worker behind the inbox."""

    def __init__(self, site: Site, browser: Browser, work: Casework) -> None:
        self.site = site
        self.browser = browser
        self.work = work

    async def send(self, **changes: str) -> str:
        """Check and report; return the page that follows."""
        page = await self.browser.post(f"{HOME}/preview", form(**changes))
        assert page.status_code == 200, text_of(page)
        once = re.search(r'name="once" value="([^"]+)"', page.text)[1]
        done = await self.browser.post(f"{HOME}/report", {**form(**changes), "once": once})
        assert done.status_code == 303, text_of(done)
        return text_of(await self.browser.get(HOME))

    async def dispatch(self) -> None:
        """Carry out what is in the inbox."""
        brakes = Brakes(self.work.engine, self.work.ring, TENANT)
        dispatcher = Dispatcher(
            engine=self.work.engine,
            inbox=self.work.inbox,
            cases=self.work.cases,
            starter=Starter(),
            policy=self.work.policy,
            brake=Brake(brakes, self.work.ring, BrakeRule(per_hour=0, dismissals_per_hour=0)),
        )
        while await dispatcher.drain_once():
            pass

    async def newest_event(self) -> str:
        page = await self.browser.get(HOME)
        return re.search(r'href="(/console/hr/\d+)"', page.text)[1]

    async def change(self, event: str, act: str, **given: str):
        data = {"once": secrets.token_urlsafe(16), **given}
        return await self.browser.post(f"{event}/{act}", data)


@pytest.fixture
async def hr(site, engine, ring):
    work = Casework(engine, ring)
    await work.adopt()
    return Hr(site, await site.sign_in(Role.HR, name="Hannah HR"), work)


async def cases(hr: Hr) -> list[tuple]:
    """Kind, status, partner and cutoff of every case, the oldest first."""
    query = "select kind, status, partner, cutoff_at from cases order by opened_at"
    async with hr.site.engine.connect() as connection:
        return [tuple(row) for row in (await connection.exec_driver_sql(query)).all()]


async def test_a_leaver_is_checked_reported_and_followed(hr):
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


async def test_a_resignation_that_became_a_dismissal_is_told_no_more(hr):
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


async def test_changed_dates_leave_what_hr_has_corrected(hr):
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


async def test_who_reported_is_kept_with_the_case(hr):
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
async def test_what_cannot_be_is_said_before_it_is_sent(hr, changes, says):
    """The same rules as everywhere; what was entered stays in the form."""
    page = await hr.browser.post(f"{HOME}/preview", form(**changes))

    assert page.status_code == 422
    assert says.casefold() in text_of(page).casefold()
    assert 'value="northwind"' in page.text
    done = await hr.browser.post(f"{HOME}/report", form(**changes) | {"once": "x" * 20})
    assert done.status_code == 422
    assert await hr.work.count("inbox") == 0


async def test_accounts_are_named_by_system(hr):
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
async def test_accounts_that_cannot_be_are_told(hr, accounts, says):
    """By the rules of the API; nothing is cut off, and what was typed stays."""
    page = await hr.browser.post(f"{HOME}/preview", form(accounts=accounts))
    assert page.status_code == 422
    assert says in text_of(page)
    assert await hr.work.count("inbox") == 0


async def test_a_list_of_addresses_is_never_cut(hr):
    """The last of them would be somebody else's."""
    page = await hr.browser.post(f"{HOME}/preview", form(emails="a@example.com," * 200))
    assert (page.status_code, "2,000 characters" in text_of(page)) == (422, True)


async def test_an_exact_time_is_read_in_the_zone(hr):
    """A wall clock in Manila, eight hours ahead of UTC."""
    page = await hr.browser.post(f"{HOME}/preview", form(when="at", ends_at=f"{DAY}T09:30"))

    assert f"{DAY} 01:30:00 UTC" in text_of(page)


async def test_a_time_that_no_clock_shows_is_refused(hr):
    """London skips an hour in March: half past one is not guessed, and the next time is said."""
    year = datetime.now(UTC).year + 1
    last = datetime(year, 3, 31, tzinfo=UTC)
    day = (last - timedelta(days=(last.weekday() + 1) % 7)).date().isoformat()
    skipped = form(when="at", ends_at=f"{day}T01:30", zone="Europe/London")
    page = await hr.browser.post(f"{HOME}/preview", skipped)

    assert page.status_code == 422
    assert "never show 01:30; the first time after it is 02:00" in text_of(page)


async def test_an_hour_that_comes_twice_is_the_first(hr):
    """Earlier is the safe side; the page says which instant that is."""
    year = datetime.now(UTC).year + 1
    last = datetime(year, 10, 31, tzinfo=UTC)
    day = (last - timedelta(days=(last.weekday() + 1) % 7)).date().isoformat()
    page = await hr.browser.post(
        f"{HOME}/preview", form(when="at", ends_at=f"{day}T01:30", zone="Europe/London")
    )

    assert f"{day} 00:30:00 UTC" in text_of(page)


async def test_two_presses_of_the_button_are_one_report(hr):
    """And a form without its mark is none."""
    data = {**form(), "once": "k" * 22}
    for _ in range(2):
        assert (await hr.browser.post(f"{HOME}/report", data)).status_code == 303
    assert await hr.work.count("inbox") == 1
    for once in ("", "short", "x" * 65, "%" * 22, "k\x00" * 11):
        assert (await hr.browser.post(f"{HOME}/report", form() | {"once": once})).status_code == 422
    assert await hr.work.count("inbox") == 1


async def test_dates_are_moved_and_a_leaving_is_called_off(hr):
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


async def test_a_leaver_is_said_to_work_here_again_once_the_case_has_closed(hr):
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


async def test_whoever_was_called_off_can_be_reported_again(hr):
    """What is said anew must not pass for a repetition: nobody would be revoked."""
    await hr.send()
    await hr.dispatch()
    await hr.change(await hr.newest_event(), "rescind", reason="a mistake")
    await hr.dispatch()
    await hr.send()
    await hr.dispatch()

    assert sorted(row[1] for row in await cases(hr)) == ["rescinded", "scheduled"]


async def test_a_repetition_is_said_to_be_one(hr):
    """To whoever has reported the leaver before, and to nobody else."""
    await hr.send()
    await hr.dispatch()
    mine = await hr.browser.post(f"{HOME}/preview", form())
    assert "reported this leaver already" in text_of(mine)

    other = await hr.site.sign_in(Role.HR)
    theirs = await other.post(f"{HOME}/preview", form())
    assert "already" not in text_of(theirs)


async def test_what_was_not_carried_out_is_not_called_taken(hr):
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


async def test_somebody_elses_report_is_not_there(hr):
    """Neither listed, nor opened, nor changed; and what it opened does not show by repeating it."""
    await hr.send(kind="involuntary")
    await hr.dispatch()
    event = await hr.newest_event()
    other = await hr.site.sign_in(Role.HR)

    assert WORKER not in (await other.get(HOME)).text
    assert (await other.get(event)).status_code == 404
    for act in ("amend", "rescind"):
        answer = await other.post(f"{event}/{act}", {"once": "x" * 22, "reason": "r"})
        assert answer.status_code == 404
    spy = Hr(hr.site, other, hr.work)
    await spy.send()
    await hr.dispatch()
    seen = text_of(await other.get(HOME))
    assert "Not carried out: it opened and changed nothing." in seen
    assert "Scheduled" not in seen
    assert "involuntary" not in seen.split("What I have sent")[1]
    assert (await spy.change(await spy.newest_event(), "rescind", reason="r")).status_code == 422
    assert [row[:2] for row in await cases(hr)] == [("involuntary", "scheduled")]


@pytest.mark.parametrize("days", [1, 3, 9], ids="{} days".format)
async def test_what_was_not_carried_out_does_not_tell_why(hr, days):
    """A leaver whom another reported as resigning or as dismissed: the same words, page by page.

    That it was not carried out must be told, or somebody keeps access while HR believes it gone.
    """
    kinds = {"W-10001": "voluntary", "W-20002": "involuntary"}
    for worker, kind in kinds.items():
        emails = f"{worker}@example.com"
        await hr.send(worker_id=worker, emails=emails, kind=kind, name="", last_working_day=DAY)
    await hr.dispatch()
    spy = Hr(hr.site, await hr.site.sign_in(Role.HR), hr.work)
    day = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
    seen = []
    for worker in kinds:
        said = {"worker_id": worker, "emails": f"{worker}@example.com", "name": ""}
        said |= {"kind": "contract_end", "last_working_day": day}
        checked = text_of(await spy.browser.post(f"{HOME}/preview", form(**said)))
        await spy.send(**said)
        await hr.dispatch()
        event = await spy.newest_event()
        told = text_of(await spy.browser.get(event))
        changed = await spy.change(event, "rescind", reason="r")
        pages = [checked, told, text_of(changed), str(changed.status_code)]
        masked = [re.sub(r"\d\d:\d\d(:\d\d)?|just now|\d+ s ago", "T", page) for page in pages]
        seen.append([page.replace(worker, "W") for page in masked])

    assert seen[0] == seen[1]
    assert "Not carried out" in seen[0][1]


async def test_somebody_of_a_partner_reports_for_that_partner_only(hr):
    """Nor do they move what another partner's case says, by repeating its worker id."""
    await hr.send(partner="contoso")
    await hr.dispatch()
    before = await cases(hr)
    browser = await hr.site.sign_in(Role.HR, partners=["northwind"])
    refused = await browser.post(f"{HOME}/preview", form(partner="contoso"))
    assert refused.status_code == 422
    assert "choose one of yours" in text_of(refused)

    earlier = (datetime.now(UTC) - timedelta(days=9)).date().isoformat()
    await Hr(hr.site, browser, hr.work).send(partner="northwind", last_working_day=earlier)
    await hr.dispatch()
    assert await cases(hr) == before
    assert "contoso" not in (await browser.get(HOME)).text


async def test_nobody_reports_themselves(hr):
    """Whatever their role; the attempt is on record."""
    browser = await hr.site.sign_in(Role.HR, keys=[Key(KeyKind.EMAIL, EMAIL.upper())])
    answer = await browser.post(f"{HOME}/preview", form())

    assert answer.status_code == 422
    assert "this is you" in text_of(answer)
    denied = await entries(hr.site, "access:denied")
    assert denied[-1]["data"]["why"] == "about_oneself"


async def test_somebody_of_some_sites_reports_leavers_of_no_other(hr):
    """Nor without one, nor of a partner whose cases they only see; a sheet is held to the same."""
    speaks = Remit(frozenset({"northwind"}), frozenset({"cebu"}))
    browser = await hr.site.sign_in(Role.HR, partners=["northwind", "contoso"], speaks=speaks)
    for said, why in (
        ({"site": "davao"}, "site: choose one of yours"),
        ({"site": ""}, "site: choose one of yours"),
        ({"partner": "contoso"}, "partner: choose one of yours"),
    ):
        answer = await browser.post(f"{HOME}/preview", form(**said))
        assert answer.status_code == 422
        assert why in text_of(answer)
        line = {"worker_id": "W-9", "partner": "northwind", "site": "cebu", **said}
        cells = {"kind": "voluntary", "zone": "UTC", "last_working_day": DAY, **line}
        sheet = ",".join(cells) + "\n" + ",".join(cells.values()) + "\n"
        files = {"file": ("leavers.csv", sheet.encode(), "text/csv")}
        looked = await browser.post(f"{HOME}/sheet/preview", files=files)
        assert why in text_of(looked)
    assert (await browser.post(f"{HOME}/preview", form())).status_code == 200


async def test_whom_hr_moved_to_anothers_partner_is_not_ones_own_any_more(hr):
    """Though one sees that partner's cases: neither by the report nor by a sheet's later line."""
    speaks = Remit(frozenset({"northwind"}))
    browser = await hr.site.sign_in(Role.HR, Role.VIEWER, speaks=speaks)
    mine = Hr(hr.site, browser, hr.work)
    await mine.send()
    await hr.dispatch()
    moved = termination(source=LOCAL_SOURCE, revision=2, event_id="evt-2", partner="contoso")
    async with hr.site.engine.connect() as connection:
        case_id = await connection.scalar(text("select case_id from cases"))
        [case] = await read_cases(connection, [case_id])
    await hr.work.cases.amend(case, moved, case.cutoff_at)
    before = await cases(hr)

    event = await mine.newest_event()
    for act, given in (
        ("amend", {"zone": "Asia/Manila", "when": "last_day", "last_working_day": DAY}),
        ("rescind", {"reason": "they stay"}),
    ):
        answer = await mine.change(event, act, **given)
        assert answer.status_code == 422
        assert "of another partner or site by now" in text_of(answer)
    await hr.dispatch()
    assert await cases(hr) == before


OTHER = {"emails": "someone.else@example.com", "worker_id": "W-1"}


@pytest.mark.parametrize(
    "said",
    [
        {**OTHER, "usernames": EMAIL},
        {**OTHER, "worker_id": EMAIL},
        {**OTHER, "worker_id": WORKER},
        {**OTHER, "employee_number": WORKER.lower()},
    ],
)
async def test_nobody_reports_themselves_under_another_key(hr, said):
    """A key of theirs in whatever field, or one that they were known by when they last came."""
    keys = [Key(KeyKind.WORKER_ID, WORKER), Key(KeyKind.EMAIL, EMAIL)]
    await hr.site.sign_in(Role.HR, subject="hannah", keys=keys)
    browser = await hr.site.sign_in(Role.HR, subject="hannah", keys=keys[1:])
    answer = await browser.post(f"{HOME}/preview", form(**said))
    assert answer.status_code == 422
    assert "this is you" in text_of(answer)
    assert (await browser.post(f"{HOME}/preview", form(**OTHER))).status_code == 200


async def test_what_looks_like_a_partner_is_none_in_a_form_too(hr):
    """Nor for somebody of every partner, whose word opens a case of a new one."""
    await hr.send()
    await hr.dispatch()
    for name, why in (("NORTHWIND", "looks like"), ("north\u200bwind", "U+200B")):
        answer = await hr.browser.post(f"{HOME}/preview", form(worker_id="W-2", partner=name))
        assert answer.status_code == 422
        assert why in text_of(answer)


async def test_what_was_entered_stays_a_text(hr):
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


async def test_a_long_list_comes_in_pages(hr):
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
async def test_a_report_that_is_not_there_is_not_found(hr, event):
    """Whatever its number is, and nothing breaks."""
    answer = await hr.browser.get(f"{HOME}/{event}")
    assert answer.status_code in {404, 422}


async def test_what_was_erased_is_said_to_be(hr):
    """The body goes with the leaver; the line stays."""
    await hr.send()
    await hr.dispatch()
    async with hr.site.engine.begin() as connection:
        await connection.exec_driver_sql("update inbox set body = ''")
    seen = text_of(await hr.browser.get(HOME))

    assert "erased" in seen
    assert NAME not in seen


async def test_without_the_right_there_is_no_way(hr):
    """An operator sees cases and reports none."""
    browser = await hr.site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    answer = await browser.post(f"{HOME}/report", form() | {"once": "x" * 22})

    assert answer.status_code == 403
    assert await hr.work.count("inbox") == 0


async def entries(site: Site, kind: str) -> list[dict]:
    """Entries of a kind, or all, the oldest first."""
    async with site.engine.connect() as connection:
        rows = await connection.exec_driver_sql("select body from ledger_entries order by id")
        found = [json.loads(bytes(row.body)) for row in rows]
    return [entry for entry in found if not kind or entry["kind"] == kind]

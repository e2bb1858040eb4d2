"""`My events`: whom somebody of HR may report, and whose reports they may know of."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Role
from lockstep.storage.cases.reads import read_cases
from tests.support.casework import EMAIL, WORKER, termination
from tests.web.console.conftest import text_of
from tests.web.console.hr_office import DAY, HOME, Hr, cases, entries, form, hr  # noqa: F401 - a fixture


async def test_somebody_elses_report_is_not_there(hr):  # noqa: F811
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
async def test_what_was_not_carried_out_does_not_tell_why(hr, days):  # noqa: F811
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


async def test_somebody_of_a_partner_reports_for_that_partner_only(hr):  # noqa: F811
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


async def test_nobody_reports_themselves(hr):  # noqa: F811
    """Whatever their role; the attempt is on record."""
    browser = await hr.site.sign_in(Role.HR, keys=[Key(KeyKind.EMAIL, EMAIL.upper())])
    answer = await browser.post(f"{HOME}/preview", form())

    assert answer.status_code == 422
    assert "this is you" in text_of(answer)
    denied = await entries(hr.site, "access:denied")
    assert denied[-1]["data"]["why"] == "about_oneself"


async def test_somebody_of_some_sites_reports_leavers_of_no_other(hr):  # noqa: F811
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


async def test_whom_hr_moved_to_anothers_partner_is_not_ones_own_any_more(hr):  # noqa: F811
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
async def test_nobody_reports_themselves_under_another_key(hr, said):  # noqa: F811
    """A key of theirs in whatever field, or one that they were known by when they last came."""
    keys = [Key(KeyKind.WORKER_ID, WORKER), Key(KeyKind.EMAIL, EMAIL)]
    await hr.site.sign_in(Role.HR, subject="hannah", keys=keys)
    browser = await hr.site.sign_in(Role.HR, subject="hannah", keys=keys[1:])
    answer = await browser.post(f"{HOME}/preview", form(**said))
    assert answer.status_code == 422
    assert "this is you" in text_of(answer)
    assert (await browser.post(f"{HOME}/preview", form(**OTHER))).status_code == 200


async def test_what_looks_like_a_partner_is_none_in_a_form_too(hr):  # noqa: F811
    """Nor for somebody of every partner, whose word opens a case of a new one."""
    await hr.send()
    await hr.dispatch()
    for name, why in (("NORTHWIND", "looks like"), ("north\u200bwind", "U+200B")):
        answer = await hr.browser.post(f"{HOME}/preview", form(worker_id="W-2", partner=name))
        assert answer.status_code == 422
        assert why in text_of(answer)

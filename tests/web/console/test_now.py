"""The page `Now`: who sees what of it, and what stands in its addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from lockstep.control.board.filters import Filters, Links
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.storage.board.saved_views import MOST_VIEWS
from tests.support.board import HOUR, asks_second, came_back, many, shape, stuck, take
from tests.support.casework import EMAIL, NAME, OTHER, SYSTEM, termination
from tests.support.ledgers import LedgerBook
from tests.web.console.conftest import text_of
from tests.web.console.test_brake import hold

HOSTILE = '"><script>alert(1)</script>\u202e\u05d8\u05e1 \U0001f9e8' + "ab" * 150


def tile(page: str, name: str) -> int:
    """What a tile counts."""
    found = re.search(rf"<strong>(\d+)</strong>{name}<", page)
    assert found is not None, name
    return int(found.group(1))


async def test_a_case_is_told_with_reason_and_what_to_do(site, work):
    """Leaver, partner, site, system, plain words, the vendor's words, the suggestion, the time."""
    case = await stuck(work, "W-1", due=-2 * HOUR)
    await came_back(work, case)
    await asks_second(work, case)
    olivia = await site.sign_in(Role.OPERATOR)
    await take(work, case, olivia.principal.user_id)
    text = text_of(await olivia.get("/console/"))

    for part in (
        NAME,
        case.case_id,
        "W-1",
        "northwind",
        "cebu",
        "Our credential lacks a permission.",
        "Grant the missing permission, then retry.",
        "okta: users.get: 403",
        "late by 2 h ",
        "access found",
        "waits for a second person",
        "taken by you",
        "1 of 2 systems done",
    ):
        assert part in text


async def test_an_operators_picks_name_case_and_system(site, work):
    """What is ticked goes to the bulk page; whoever may not act has nothing to tick."""
    case = await stuck(work, "W-1", due=HOUR)
    operator = await (await site.sign_in(Role.OPERATOR)).get("/console/")
    approver = await (await site.sign_in(Role.APPROVER)).get("/console/")

    assert f'name="pick" value="{case.case_id}/memory-1"' in operator.text
    assert 'action="/console/bulk"' in operator.text
    assert 'name="pick"' not in approver.text
    assert "bulk" not in approver.text


async def test_an_auditor_sees_no_name_and_finds_nobody_by_key(site, work):
    """A pseudonym stays one: neither the list nor a search says whose case it is."""
    case = await stuck(work, "W-1", due=HOUR)
    auditor = await site.sign_in(Role.AUDITOR)
    page = await auditor.get("/console/")

    assert case.case_id in page.text
    assert NAME not in page.text
    assert "W-1" not in page.text
    by_key = await auditor.post("/console/search", {"text": EMAIL}, follow_redirects=True)
    assert case.case_id not in by_key.text
    by_id = await auditor.post("/console/search", {"text": case.case_id}, follow_redirects=True)
    assert case.case_id in by_id.text


async def test_what_was_searched_does_not_stand_in_the_address(site, work):
    """Links end up in histories and in proxies' logs; another person's link opens nothing."""
    case = await stuck(work, "W-1", due=HOUR)
    await stuck(work, "W-2", due=HOUR, keys=termination("W-2", keys=_keys("b@example.com")).keys)
    olivia = await site.sign_in(Role.OPERATOR)
    answer = await olivia.post("/console/search", {"text": EMAIL.upper(), "partner": "northwind"})
    where = answer.headers["location"]

    assert answer.status_code == 303
    assert EMAIL not in where.casefold()
    assert parse_qs(urlsplit(where).query)["partner"] == ["northwind"]
    found = await olivia.get(where)
    assert case.case_id in found.text
    assert tile(found.text, "Revoking") == 1
    stranger = await site.sign_in(Role.OPERATOR)
    assert "cannot be used" in (await stranger.get(where)).text


def _keys(email: str):
    return LeaverKeys((Key(KeyKind.EMAIL, email),))


async def test_hostile_names_are_text(site, work):
    """Script, right-to-left marks, emoji and length in every field that HR fills change nothing."""
    await stuck(
        work, "W-1", due=HOUR, display_name=HOSTILE, partner=HOSTILE[:190], site=HOSTILE[:190]
    )
    case = await stuck(work, "W-2", due=HOUR)
    await shape(work, case, fault_text="<img src=x onerror=alert(1)>")
    page = await (await site.sign_in(Role.OPERATOR)).get("/console/")

    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "<img" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


@pytest.mark.parametrize(
    "query",
    [
        "state=nothing",
        "due=%3Cscript%3E",
        "partner=" + "x" * 201,
        "partner=a%00b",
        "search=AAAA",
        "search=%F0%9F%A7%A8",
        "after=AAAA",
        "after=" + "x" * 5000,
        "after=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwgIiIsIDAsICIiXQ",
        "kind=3&state=late",
    ],
)
async def test_filters_that_cannot_be_are_said_to_be_wrong(site, query):
    """The page says so and shows what needs somebody; it quotes nothing."""
    page = await (await site.sign_in(Role.OPERATOR)).get(f"/console/?{query}")

    assert page.status_code == 200
    assert "These filters cannot be used" in page.text
    assert "<script>" not in page.text


async def test_a_partner_sees_and_counts_its_own_only(site, work):
    """On the page as a whole, its filters included, partner B leaves no trace for partner A."""
    ours = await stuck(work, "W-1", due=HOUR)
    theirs = await stuck(work, "W-2", due=HOUR, partner="contoso", site="davao")
    page = await (await site.sign_in(Role.OPERATOR, partners=["northwind"])).get("/console/")

    assert ours.case_id in page.text
    assert tile(page.text, "Need somebody") == 1
    for trace in (theirs.case_id, "contoso", "davao"):
        assert trace not in page.text


async def test_a_coming_dismissal_is_on_no_page_without_the_right(site, work):
    """Not in the list, the counts, or the suggestions; with the right it is marked as a secret."""
    secret = termination("W-1", kind=TerminationKind.INVOLUNTARY, partner="hushed")
    case = await work.open(secret, due=HOUR)
    for more, seen in (((), False), ((Permission.SEALED,), True)):
        browser = await site.sign_in(Role.OPERATOR, more=more)
        page = await browser.get("/console/?state=any")
        search = await browser.post("/console/search", {"text": EMAIL}, follow_redirects=True)
        assert tile(page.text, "Scheduled") == seen
        for text in (page.text, search.text):
            assert (case.case_id in text) is seen
            assert ("secret until the cutoff" in text) is seen
        assert ("hushed" in page.text) is seen


async def test_nobody_sees_their_own_case(site, work):
    """An operator who is leaving does not find the case by any way."""
    case = await stuck(work, "W-1", due=HOUR)
    leaver = await site.sign_in(Role.OPERATOR, keys=[Key(KeyKind.USERNAME, "somebody.else")])
    assert case.case_id in (await leaver.get("/console/")).text

    await stuck(work, "W-2", due=HOUR)
    mine = termination("W-3", keys=_keys("me@example.com"))
    own = await work.open(mine, due=HOUR)
    me = await site.sign_in(Role.OPERATOR, keys=[Key(KeyKind.EMAIL, "me@example.com")])
    page = await me.get("/console/?state=any")
    assert own.case_id not in page.text
    found = await me.post("/console/search", {"text": "me@example.com"}, follow_redirects=True)
    assert own.case_id not in found.text


async def test_tiles_count_what_their_lists_show(site, work):
    """Each tile's link leads to as many cases as it counts, under the same filters."""
    await stuck(work, "W-1", due=-HOUR)
    await stuck(work, "W-2", due=5 * HOUR)
    await stuck(work, "W-3", due=-HOUR, partner="contoso")
    await work.open(termination("W-4"), due=HOUR)
    browser = await site.sign_in(Role.OPERATOR)
    page = (await browser.get("/console/?partner=northwind")).text
    found = re.findall(r'<a class="tile [^"]*" href="([^"]+)"[^>]*><strong>(\d+)</strong>', page)

    assert len(found) == 9
    for link, count in found:
        shown = (await browser.get(link.replace("&amp;", "&"))).text
        assert shown.count('data-case="') == int(count)
    assert tile(page, "Late") == 1


async def test_who_waits_at_a_brake_past_the_cutoff_is_late(site, work):
    """Counted and told where late cases are, within the scope and under the filters."""
    await hold(site, 3, due=-HOUR)
    await hold(site, 2, due=5 * HOUR, start=3)
    await hold(site, 4, partner="contoso", due=-HOUR)
    await work.open(termination("W-1"))
    olivia = await site.sign_in(Role.OPERATOR)
    page = (await olivia.get("/console/")).text

    assert (tile(page, "Late"), tile(page, "Need somebody")) == (7, 7)
    assert "7 reports past the cutoff wait at a brake" in text_of(await olivia.get("/console/"))
    assert "Nothing needs you." not in page
    assert tile((await olivia.get("/console/?partner=contoso")).text, "Late") == 4
    assert tile((await olivia.get("/console/?kind=contract_end")).text, "Late") == 0
    nora = await site.sign_in(Role.OPERATOR, partners=["northwind"])
    assert tile((await nora.get("/console/?state=late")).text, "Late") == 3
    auditor = await site.sign_in(Role.AUDITOR)
    told = (await auditor.get("/console/?state=late")).text
    assert tile(told, "Late") == 7
    assert "/console/brake" not in told


async def test_a_brake_that_holds_only_secrets_is_no_banner(site, work):
    """Without the right to coming dismissals, nothing says that any wait."""
    await hold(site, 2, kind=TerminationKind.INVOLUNTARY)
    plain = await site.sign_in(Role.OPERATOR)
    trusted = await site.sign_in(Role.OPERATOR, more=[Permission.SEALED])
    assert "The brake is on" not in (await plain.get("/console/")).text
    assert "The brake is on" in (await trusted.get("/console/")).text


async def test_a_ledger_that_is_not_in_order_is_a_banner(site, work, database):
    """Entries that wait for their places, whoever holds the sequencer's lock; not those of now."""
    await stuck(work, "W-1", due=HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    assert "not in order" not in text_of(await olivia.get("/console/"))
    made = LedgerBook(database.app_url, database.superuser_url, site.folder)
    made.tamper("update ledger_entries set recorded_at = '2026-11-01 09:30:00+00'")
    made.close()

    shown = text_of(await olivia.get("/console/"))
    assert "The ledger is not in order since 2026-11-01 09:30" in shown
    assert "Revocations go on" in shown


async def test_next_page_leads_through_all(site, work):
    """By its links the list of a thousand is walked to the end; each page is bounded."""
    await stuck(work, "W-1", due=-HOUR)
    await many(work, 120)
    browser = await site.sign_in(Role.OPERATOR)
    seen: list[str] = []
    path = "/console/"
    while path:
        page = (await browser.get(path)).text
        seen += re.findall(r'data-case="(\w+)"', page)
        link = re.search(r'href="([^"]+)" rel="next"', page)
        path = link.group(1).replace("&amp;", "&") if link else ""

    assert len(seen) == len(set(seen)) == 121


async def test_the_part_is_the_list_alone(site, work):
    """What refreshes itself has no frame, and tells its summary to screen readers."""
    case = await stuck(work, "W-1", due=HOUR)
    part = await (await site.sign_in(Role.OPERATOR)).part("/console/")

    assert case.case_id in part.text
    assert "<html" not in part.text
    assert 'hx-swap-oob="true">1 need somebody' in part.text


async def test_views_are_kept_for_oneself(site, work):
    """A view brings back its filters, search included; nobody else sees or removes it."""
    case = await stuck(work, "W-1", due=HOUR)
    olivia = await site.sign_in(Role.OPERATOR)
    token = Links(site.ring, olivia.principal.user_id).seal(EMAIL)
    kept = await olivia.post(
        "/console/views", {"name": HOSTILE[:28], "state": "late", "search": token}
    )
    assert kept.status_code == 303
    page = (await olivia.get("/console/")).text
    view_id = re.search(r"/console/views/(\w+)/remove", page)
    link = re.search(r'<li><a class="button" href="([^"]+)"><bdi>', page)
    assert view_id is not None
    assert link is not None
    assert "<script>alert" not in page
    assert EMAIL in (await olivia.get(link.group(1).replace("&amp;", "&"))).text

    stranger = await site.sign_in(Role.OPERATOR)
    path = f"/console/views/{view_id.group(1)}/remove"
    assert view_id.group(1) not in (await stranger.get("/console/")).text
    assert (await stranger.post(path)).status_code == 404
    assert (await olivia.post(path)).status_code == 303
    assert (await olivia.post(path)).status_code == 404
    assert case.case_id in (await olivia.get("/console/")).text


async def test_views_are_bounded_and_named(site):
    """No name, too long a name, a filter that cannot be, or too many views: refused with a word."""
    olivia = await site.sign_in(Role.OPERATOR)
    for wrong in ({"name": " "}, {"name": "x" * 61}, {"name": "a", "state": "x"}, {"name": "\x00"}):
        assert (await olivia.post("/console/views", wrong)).status_code == 422
    for number in range(MOST_VIEWS):
        assert (await olivia.post("/console/views", {"name": f"{number}"})).status_code == 303
    assert (await olivia.post("/console/views", {"name": "more"})).status_code == 409


async def test_who_sees_no_cases_goes_on_to_a_page_of_theirs(site):
    """Everybody arrives at the first page after signing in; nobody is refused there for it."""
    for role, place in (
        (Role.HR, "/console/hr"),
        (Role.VIEWER, "/console/people-metric"),
        (Role.ADMIN, "/console/systems"),
    ):
        browser = await site.sign_in(role)
        answer = await browser.get("/console/")
        assert (answer.status_code, answer.headers.get("location")) == (303, place)
        assert (await browser.post("/console/search", {"text": "x"})).status_code == 403
        assert (await browser.post("/console/views", {"name": "x"})).status_code == 403
    nobody = await site.sign_in(more=[Permission.REPORT])
    assert (await nobody.get("/console/")).status_code == 403


async def test_an_empty_list_says_what_it_means(site, work):
    """Nothing yet, nothing to do, nothing that fits, and nothing in a state are told apart."""
    olivia = await site.sign_in(Role.OPERATOR)
    assert "No cases yet" in (await olivia.get("/console/")).text
    await work.open(termination("W-1"))
    page = (await olivia.get("/console/")).text
    assert "Nothing needs you." in page
    assert "No cases yet" not in page
    assert "No case fits." in (await olivia.get("/console/?partner=northwind&due=hour")).text
    assert "There is no case in this state." in (await olivia.get("/console/?state=late")).text


@pytest.mark.parametrize("name", ["partner", "site", "system", "assignee"])
async def test_a_name_that_nobody_has_is_no_filter(site, work, name):
    """It is said to be unknown, with those that there are, and no empty list stands for it."""
    await work.open(termination("W-1", partner="northwind", site="cebu"))
    olivia = await site.sign_in(Role.OPERATOR)
    page = await olivia.get(f"/console/?{name}=nonsense")
    assert "No case fits." not in page.text
    assert "These filters cannot be used" in page.text
    known = {"partner": "northwind", "site": "cebu", "system": "memory-1", "assignee": "nobody"}
    assert known[name] in text_of(page).partition("cannot be used")[2][:200]


async def test_a_partner_elsewhere_is_as_unknown_as_none(site, work):
    """Whoever may know of one partner learns nothing of another's being there."""
    await work.open(termination("W-1", partner="contoso"))
    nora = await site.sign_in(Role.OPERATOR, partners=["northwind"])
    answers = [text_of(await nora.get(f"/console/?partner={p}")) for p in ("contoso", "nonsense")]
    assert all("partner: none has this name; there is northwind" in said for said in answers)


async def test_closed_and_scheduled_cases_have_their_lists(site, work):
    """What a rehearsal found stands with a coming case."""
    coming = await work.open(termination("W-1"), due=HOUR)
    await shape(
        work, coming, OTHER, rehearsal_problems=[{"code": "x", "summary": "No scope", "fix": "Add"}]
    )
    page = await (await site.sign_in(Role.OPERATOR)).get("/console/?state=scheduled")

    assert "cutoff in" in text_of(page)
    assert "No scope Add" in text_of(page)


def test_filters_of_an_address_come_back_as_they_were(ring):
    """What is written into an address is read from it, whatever it holds."""
    links = Links(ring, "u1")
    filters = Filters(state="late", partner="a&b=c", site="ü/…", kind="voluntary", search="x@y.z ?")
    query = links.query(filters, after="z")
    given = {name: values[0] for name, values in parse_qs(query).items()}

    assert given.pop("after") == "z"
    assert links.parse(given) == filters


async def test_accounts_in_doubt_in_a_closed_case_are_a_banner(site, work):
    """They are in no list; of another partner's, and of who works here again, nothing is said."""
    case = await work.open()
    async with site.engine.begin() as connection:
        await connection.exec_driver_sql("update cases set status = 'closed', closed_at = now()")
        await connection.exec_driver_sql(
            "insert into findings (finding_id, case_id, system, kind, raised_at) values"
            f" ('f1', '{case.case_id}', '{SYSTEM}', 'account_in_doubt', now())"
        )
    olivia = await site.sign_in(Role.OPERATOR)
    page = (await olivia.get("/console/")).text
    assert f"/console/cases/{case.case_id}#doubt-{SYSTEM}" in page
    assert "1 system waits for a person to pick accounts." in page
    assert "Nothing needs you" not in page
    theirs = await site.sign_in(Role.OPERATOR, partners=["contoso"])
    assert "to pick accounts" not in (await theirs.get("/console/")).text
    async with site.engine.begin() as connection:
        await connection.exec_driver_sql("update cases set unwatched_at = now()")
    assert "to pick accounts" not in (await olivia.get("/console/")).text


async def test_events_that_were_refused_are_told_with_their_reason(site, work):
    """They are in no case, and so in no list; a partner's people see none, whosever they are."""
    await work.inbox.store(
        tenant="acme",
        source="hr-b",
        dedupe_key="evt_refused",
        received_at=datetime.now(UTC),
        body=b"{}",
        priority=4,
        refused="revision: another statement with this revision is known",
        verdict="conflict",
    )
    await work.open()
    page = text_of(await (await site.sign_in(Role.OPERATOR)).get("/console/"))
    assert "1 event of HR is not carried out, or not in full." in page
    assert "Nothing needs you" not in page
    assert "No open case needs you." in page
    assert "evt_refused" in page
    assert "revision: another statement with this revision is known" in page
    theirs = await site.sign_in(Role.OPERATOR, partners=["northwind"])
    assert "not carried out" not in text_of(await theirs.get("/console/"))

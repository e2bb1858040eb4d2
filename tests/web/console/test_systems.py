"""The page `Systems`: what it shows to whom, and pausing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Role
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.cases.rows import pin
from lockstep.storage.systems.health import SystemHealth, Trouble
from tests.support.casework import SYSTEM, Casework, termination
from tests.web.console.conftest import SETTINGS, Site, text_of

HOSTILE = "<script>alert(1)</script>" + "x" * 300
PAGE = f"/console/systems/{SYSTEM}"


@pytest.fixture
def site_settings() -> str:
    """One system has a connector, the other is worked by hand."""
    first = '[systems.memory-1]\nconnector = "instant"\nbase_url = "http://127.0.0.1:9"\n'
    return SETTINGS.replace(
        '[systems.memory-1]\nconnector = "manual"\n', first + 'token = "file:token"\n'
    )


@pytest.fixture
async def work(site: Site) -> Casework:
    made = Casework(site.engine, site.ring)
    await made.adopt(pin(site.settings.to_policy()))
    return made


async def fault(work: Casework, case_id: str, attempt: int = 1) -> None:
    item = await work.revocations.load(case_id, SYSTEM, 1)
    await work.revocations.fault(
        item,
        round_=1,
        attempt=attempt,
        category=FaultCategory.RATE_LIMITED,
        text="instant users.get: rate_limited",
        retry_at=None,
        exchanges=(),
    )


async def acts(site: Site) -> list[tuple[str, str]]:
    query = text(
        "select kind, convert_from(body, 'UTF8')::jsonb #>> '{data,act}' as act"
        " from ledger_entries where kind like 'system:%' or kind like 'access:%' order by id"
    )
    async with site.engine.connect() as connection:
        return [(row.kind, row.act) for row in (await connection.execute(query)).all()]


async def test_nothing_has_happened_yet(site):
    """Every configured system is there, and says that nobody has looked."""
    me = await site.sign_in(Role.OPERATOR)
    page = await me.get("/console/systems")

    assert page.status_code == 200
    assert "not checked lately" in page.text
    assert "worked by hand" in page.text
    assert (await me.get(PAGE)).status_code == 200
    assert (await me.get("/console/systems/memory-2")).status_code == 200
    assert (await me.get("/console/systems/none")).status_code == 404
    assert (await me.get("/console/systems/" + "x" * 5000)).status_code == 404


async def test_health_is_shown_with_its_fix(site):
    """What a worker found, and what to do; whatever a vendor put into it is text."""
    now = datetime.now(UTC)
    health = SystemHealth(site.engine)
    trouble = Trouble("scope", HOSTILE, "Grant okta.users.manage.", blocks=True)
    await health.write(SYSTEM, [trouble], checked_at=now, latency_ms=123)
    await health.strained(SYSTEM, limited_until=now + timedelta(minutes=3), circuit_open_until=None)
    me = await site.sign_in(Role.OPERATOR)
    for path in ("/console/systems", PAGE):
        page = await me.get(path)
        assert "cannot revoke" in page.text
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text
    assert "Grant okta.users.manage." in page.text
    assert "limited until" in page.text


async def test_figures_are_of_ones_own_partners(site, work):
    """What waits and what failed elsewhere is neither counted nor listed."""
    north = await work.open(termination("W-1", partner="northwind"))
    south = await work.open(termination("W-2", partner="southgate"))
    for case in (north, south):
        await fault(work, case.case_id)
    await fault(work, south.case_id, 2)
    counts = {}
    for partners in (None, ["northwind"], ["southgate"], []):
        me = await site.sign_in(Role.OPERATOR, partners=partners)
        words = text_of(await me.get(PAGE))
        counts[str(partners)] = (
            "Waiting for it: " + words.partition("Waiting for it: ")[2].split()[0],
            words.partition("last 48 hours: ")[2].split()[0],
            [case.case_id in words for case in (north, south)],
        )
    assert counts == {
        "None": ("Waiting for it: 2", "3", [True, True]),
        "['northwind']": ("Waiting for it: 1", "1", [True, False]),
        "['southgate']": ("Waiting for it: 1", "2", [False, True]),
        "[]": ("Waiting for it: 0", "0", [False, False]),
    }


async def test_an_administrator_sees_counts_and_no_cases(site, work):
    """Whoever may not see cases is not shown one here."""
    case = await work.open()
    await fault(work, case.case_id)
    admin = await site.sign_in(Role.ADMIN)
    page = await admin.get(PAGE)

    assert "Waiting for it: 1" in page.text
    assert case.case_id not in page.text


async def test_a_coming_dismissal_shows_nowhere(site, work):
    """Its revocations have not begun, and its rehearsal is nobody's business."""
    case = await work.open(
        termination("W-1", kind=TerminationKind.INVOLUNTARY), due=timedelta(days=1)
    )
    me = await site.sign_in(Role.OPERATOR)
    page = await me.get(PAGE)

    assert "Waiting for it: 0" in page.text
    assert case.case_id not in page.text


async def test_pause_and_resume(site, work):
    """With a reason and an end; both are on record, and everybody sees who and why."""
    me = await site.sign_in(Role.OPERATOR, name="Kim Operator")
    done = await me.post(PAGE + "/pause", {"reason": "vendor <b>upgrade</b>", "hours": "2"})
    assert (done.status_code, done.headers["location"]) == (303, PAGE)
    for path in ("/console/systems", PAGE):
        page = await me.get(path)
        assert "paused" in page.text
        assert "Kim Operator" in page.text
    assert "vendor &lt;b&gt;upgrade&lt;/b&gt;" in page.text
    again = await me.post(PAGE + "/pause", {"reason": "me too", "hours": "1"})
    assert again.status_code == 422
    assert "paused already" in again.text
    assert (await me.post(PAGE + "/resume")).status_code == 303
    assert (await me.post(PAGE + "/resume")).status_code == 422
    assert await acts(site) == [
        ("access:acted", "session.begin"),
        ("system:paused", None),
        ("access:acted", "system.pause"),
        ("system:resumed", None),
        ("access:acted", "system.resume"),
    ]


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"reason": " ", "hours": "1"}, "give a reason"),
        ({"reason": "x" * 501, "hours": "1"}, "too long"),
        ({"reason": "x", "hours": "73"}, "within 72 hours"),
        ({"reason": "x", "hours": "-1"}, "within 72 hours"),
        ({"reason": "x", "hours": "nan"}, "say for how long"),
        ({"reason": "x", "hours": "1e300"}, "say for how long"),
        ({"reason": "x", "until": "tomorrow"}, "say for how long"),
        ({"reason": "x", "until": "2020-01-01T10:00"}, "within 72 hours"),
        ({"reason": "x"}, "say for how long"),
    ],
)
async def test_what_cannot_be_paused_is_said_in_words(site, form, says):
    """A form that makes no sense changes nothing."""
    me = await site.sign_in(Role.OPERATOR)
    answer = await me.post(PAGE + "/pause", form)

    assert answer.status_code == 422
    assert says in answer.text
    assert "paused until" not in text_of(await me.get(PAGE)).lower()


async def test_only_who_may_pauses(site):
    """An approver sees systems, and pauses none; a system by hand cannot be paused."""
    approver = await site.sign_in(Role.APPROVER)
    form = {"reason": "because", "hours": "1"}
    assert "Pause this system" not in (await approver.get(PAGE)).text
    assert (await approver.post(PAGE + "/pause", form)).status_code == 403
    viewer = await site.sign_in(Role.VIEWER)
    assert (await viewer.get(PAGE)).status_code == 403
    me = await site.sign_in(Role.OPERATOR)
    by_hand = await me.post("/console/systems/memory-2/pause", form)
    assert by_hand.status_code == 422
    assert (await me.post("/console/systems/none/pause", form)).status_code == 404


async def test_the_live_part_has_no_second_page(site):
    """What htmx asks for is the part alone."""
    me = await site.sign_in(Role.OPERATOR)
    for path in ("/console/systems", PAGE):
        assert "<html" not in (await me.part(path)).text


async def test_a_thousand_faults_are_drawn_and_listed(site, work):
    """The chart's figures are data, and the table has the same."""
    case = await work.open()
    for attempt in range(40):
        await fault(work, case.case_id, attempt)
    async with site.engine.begin() as connection:
        await connection.execute(text(MANY), {"case": case.case_id})
    me = await site.sign_in(Role.OPERATOR)
    page = await me.get(PAGE)

    assert "last 48 hours: 1040" in text_of(page)
    assert "data-faults=" in page.text
    assert "style=" not in page.text


MANY = """
insert into ledger_entries (key, kind, case_id, system, recorded_at, body, leaf_hash)
select 'many:' || n, 'revocation:fault', :case, 'memory-1', now() - n * interval '2 minutes',
    convert_to('{"data":{"category":"' || (array['timeout', 'unreachable'])[1 + n % 2] || '"}}',
    'UTF8'), sha256(n::text::bytea)
from generate_series(1, 1000) n
"""

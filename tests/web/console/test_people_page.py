"""The page `People metric`: the API's figures, within somebody's partners, on screen and paper."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question
from lockstep.control.score.readings import Readings
from lockstep.control.score.rules import Rules
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.scorecard.numbers import decimal_text
from lockstep.storage.score.scores import Scores
from lockstep.web.console import pages
from tests.support.casework import TENANT, Casework, termination
from tests.support.scoring import HOUR, facts, sign_head, store
from tests.web.console.conftest import text_of

HOME = "/console/people-metric"
HOSTILE = "<script>alert(1)</script>\u202e" + "Ä🙂" * 60


@pytest.fixture
def site_settings(site_settings) -> str:
    """With terms for one partner."""
    return site_settings + '\n[scorecard.penalties.contoso]\ncurrency = "EUR"\nper_case = 50000\n'


async def figures(who, query: str = "") -> str:
    """The page's figures, when they are computed; tries until a deadline."""
    deadline = datetime.now(UTC) + timedelta(seconds=120)
    while datetime.now(UTC) < deadline:
        answer = await who.part(f"{HOME}/figures{query}")
        assert answer.status_code == 200, text_of(answer)
        if (
            "data-score" in answer.text
            or "Not scored" in answer.text
            or "No leavers" in answer.text
        ):
            return answer.text
    raise AssertionError("still computing")


@pytest.fixture
async def year(site) -> None:
    """40 leavers, one of them late: 19.27."""
    await store(site.engine, [facts(f"{n}") for n in range(39)])
    await store(site.engine, [facts("late", took=6 * HOUR, partner="contoso", site="manila")])
    await sign_head(site.engine, 500)


def plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


async def test_the_page_says_what_the_api_says(site, year):
    """Value, counts, bound, percentiles, exposure, and each group's value."""
    who = await site.sign_in(Role.VIEWER, more={Permission.SEALED})
    html = await figures(who)
    page = plain(html)
    document = await ScoreService(Scores(site.engine), Rules(tenant=TENANT)).read(
        Question(in_full=True)
    )
    score = document["score"]

    assert f"<span data-score>{score['value']}</span>" in html
    assert score["value"] == "19.27"
    assert f"n {score['n']}, {score['label']}" in page
    assert f"{score['within_sla']} of {score['n']}" in page
    assert f"{decimal_text(100 * Fraction(score['wilson_lower']), 1)} %" in page
    exposure = score["exposure"]
    assert f"{exposure['account_hours']} account-hours" in page
    assert f"{exposure['leaver_hours']} leaver-hours" in page
    for groups in document["by"].values():
        for group in groups.values():
            assert group["value"] is None or f">{group['value']}<" in html
    for cost in document["explain"]:
        assert cost["text"] in page
    low, high = document["dimension"]["low"], document["dimension"]["high"]
    assert f"{low} to {high}" in page
    assert score["definition"]["sha256"][:12] in page


async def test_somebody_of_one_partner_sees_its_figures_only(site, year):
    """By default theirs; everybody's and another's are not there, in page, part and penalties."""
    who = await site.sign_in(Role.VIEWER, partners={"northwind"})
    first = await who.get(HOME)
    own = await figures(who, "?partner=northwind")
    month = (datetime.now(UTC) - timedelta(days=10)).strftime("%Y-%m")
    owed = await who.part(f"{HOME}/penalties?month={month}")

    assert first.status_code == 200
    assert "contoso" not in first.text + own + owed.text
    assert "northwind" in owed.text
    assert "20.00" in own
    assert "manila" not in own
    assert "Dimension" not in own
    for path in ("/figures", "/figures?partner=contoso", "?partner=contoso", "?partner=CONTOSO"):
        assert (await who.get(f"{HOME}{path}")).status_code == 404
    nobody = await site.sign_in(Role.VIEWER, partners=set())
    assert "No partner is yours" in (await nobody.get(HOME)).text


async def test_cases_that_are_not_ones_own_to_see_are_not_named(site):
    """A leaver who looks at the score does not find their own case among what cost points."""
    work = Casework(site.engine, site.ring)
    await work.adopt()
    own = await work.open(termination("W-1"), due=timedelta(days=1))
    other = await work.open(termination("W-2"), due=timedelta(days=1))
    late = [facts(each.case_id, took=90 * HOUR, case_id=each.case_id) for each in (own, other)]
    await store(site.engine, late)
    await sign_head(site.engine, 500)
    who = await site.sign_in(Role.VIEWER, keys=[Key(KeyKind.WORKER_ID, "W-1")])
    html = await figures(who)

    assert other.case_id in html
    assert own.case_id not in html
    assert "A case that is not yours to see." in html


async def test_a_coming_dismissal_is_in_no_figure(site, year):
    """Neither as a count nor as a group of its own, in a window that reaches ahead."""
    work = Casework(site.engine, site.ring)
    await work.adopt()
    case = await work.open(
        termination("W-3", kind=TerminationKind.INVOLUNTARY, partner="secret-partner"),
        due=timedelta(days=3),
    )
    coming = facts(
        "sealed", ago=-3 * 24 * HOUR, took=None, partner="secret-partner", kind="involuntary"
    )
    await store(site.engine, [coming])
    assert case.partner == "secret-partner"
    today = datetime.now(UTC).date()
    ahead = f"?window={today - timedelta(days=30)}..{today + timedelta(days=30)}"
    who = await site.sign_in(Role.VIEWER)
    chief = await site.sign_in(Role.VIEWER, more={Permission.SEALED})

    hidden = await figures(who, ahead) + (await who.get(f"{HOME}{ahead}")).text
    assert "secret-partner" not in hidden
    assert "involuntary" not in hidden
    assert "future" not in hidden
    assert "secret-partner" in await figures(chief, ahead)


async def test_a_wrong_window_is_explained(site):
    """With the form, so that it can be mended; hostile text stays text."""
    who = await site.sign_in(Role.VIEWER)
    for query, said in (
        ("?window=yesterday", "write `official`"),
        ("?from=2026-09-01&to=2026-01-01", "FROM must lie before TO"),
        (f"?window={HOSTILE[:80]}", "write `official`"),
    ):
        page = await who.get(f"{HOME}{query}")
        assert (page.status_code, said in page.text) == (422, True)
        assert "<script>alert" not in page.text
    assert (await who.get(f"{HOME}/penalties?month=never")).status_code == 422


async def test_no_leavers_is_not_a_perfect_score(site):
    """The page says so, and where to look."""
    who = await site.sign_in(Role.VIEWER)
    page = plain(await figures(who))
    assert "No leavers yet." in page
    assert "No leavers is not a perfect score" in page
    assert "no HR source is expected" in page


async def test_hostile_names_of_partners_and_sites_are_only_shown(site):
    """Whatever HR calls them."""
    await store(site.engine, [facts("x", partner=HOSTILE, site=HOSTILE)])
    await sign_head(site.engine, 500)
    who = await site.sign_in(Role.VIEWER)
    html = await figures(who)
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert") >= 2
    unknown = await who.get(HOME, params={"partner": HOSTILE.replace("\u202e", "")})
    assert unknown.status_code == 422
    assert "<script>alert" not in unknown.text


async def test_figures_say_how_old_they_are(site, year):
    """Beside the score, with a way to new ones; and which caps nothing looks for yet."""
    who = await site.sign_in(Role.VIEWER)
    page = await figures(who)
    assert "As of 20" in plain(page)
    assert "data-age-old hidden" in page
    assert "renew=1" in page
    assert "not looked for yet No cap is raised by a leaver without a case" in plain(page)


async def test_a_partner_that_nothing_names_has_no_figures(site):
    """The page says which partners there are, and shows no empty score."""
    await store(site.engine, [facts("one")])
    who = await site.sign_in(Role.VIEWER)
    page = await who.get(HOME, params={"partner": "fabrikam"})
    assert page.status_code == 422
    assert "partner: none has this name; there are contoso, northwind" in plain(page.text)
    assert "No leavers" not in page.text


async def test_a_thousand_sites_are_bounded(site):
    """The worst hundred stand there, and how many do not."""
    await store(site.engine, [facts(f"{n}", site=f"site-{n:04}") for n in range(1000)])
    await store(site.engine, [facts("late", took=6 * HOUR, site="worst-site")])
    await sign_head(site.engine, 500)
    who = await site.sign_in(Role.VIEWER)
    html = await figures(who)
    assert html.count("site-0") < 101
    assert "worst-site" in html
    assert "901 more with better scores" in html


async def test_penalties_stand_in_the_contracts_currency(site, year):
    """By month and partner; where there are no terms it says so."""
    who = await site.sign_in(Role.VIEWER)
    month = (datetime.now(UTC) - timedelta(days=10)).strftime("%Y-%m")
    page = text_of(await who.part(f"{HOME}/penalties?month={month}"))
    assert "contoso 1 1 500.00 EUR" in page
    assert "northwind 0 39 no terms" in page


async def test_the_trend_is_drawn_and_told(site, year):
    """As a line for paper, as data for the chart, and as a table."""
    service = ScoreService(Scores(site.engine), Rules(tenant=TENANT))
    for ago in (8, 1, 0):
        moment = datetime.now(UTC) - timedelta(days=ago)
        readings = Readings(Scores(site.engine), service, now=lambda moment=moment: moment)
        assert await readings.step()
    who = await site.sign_in(Role.VIEWER)
    html = await figures(who)
    assert "<polyline" in html
    assert "data-trend=" in html
    assert "The last reading of each day" in html
    assert "in 7 days" in html


async def test_it_can_be_printed(site, year):
    """A variant with everything unfolded and no forms, and a sheet for paper."""
    who = await site.sign_in(Role.VIEWER)
    page = (await who.get(f"{HOME}?print=1")).text
    html = await figures(who, "?print=1")
    sheet = (pages.STATIC / "people.css").read_text()
    assert 'id="window"' not in page
    assert "data-print" in page
    assert TENANT in html
    assert "@media print" in sheet


@pytest.mark.parametrize("role", [Role.HR])
async def test_without_the_right_there_is_nothing(site, role):
    """Neither page nor parts."""
    who = await site.sign_in(role)
    for path in ("", "/figures", "/penalties"):
        assert (await who.get(f"{HOME}{path}")).status_code == 403


async def test_while_it_is_computed_the_page_waits_by_itself(site, year, monkeypatch):
    """The page comes at once, says so, and asks again; it needs no patience of its own."""
    monkeypatch.setattr("lockstep.web.console.score.page.AT_ONCE", timedelta(0))
    who = await site.sign_in(Role.VIEWER)
    page = (await who.get(HOME)).text
    assert "The score is being computed" in page
    assert "/figures?window=official" in page
    assert "19.27" in await figures(who)


def test_scripts_hold_no_inline_style() -> None:
    """The policy of pages allows none."""
    for path in (Path(pages.__file__).parent / "templates").glob("*.html"):
        html = path.read_text()
        assert " style=" not in html, path.name
        assert not re.search(r"\son[a-z]+=", html), path.name

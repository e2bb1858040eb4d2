"""Reading the metric by API: the document, the trend, the dimension, penalties, Prometheus."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lockstep.control.score.answers import BusyError
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.readings import SCORECARD, Readings
from lockstep.control.score.rules import Rules
from lockstep.domain.rights import Permission
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.score.scores import Scores
from lockstep.web.api.prometheus import MOST_PARTNERS, MOST_SOURCES, exposition
from tests.support.asking import Api, asking
from tests.support.casework import TENANT
from tests.support.scoring import DAY, HOUR, facts, listen, sign_head, store


@pytest.fixture
async def api(engine, ring) -> AsyncIterator[Api]:
    async with asking(engine, ring) as made:
        yield made


@pytest.fixture
async def year(engine) -> None:
    """40 leavers, one of them late: 19.27."""
    await store(engine, [facts(f"{n}") for n in range(39)])
    await store(engine, [facts("late", took=6 * HOUR, partner="contoso")])
    await sign_head(engine, 500)


def samples(text: str) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, labels sorted; fails where Prometheus could not read."""
    return {
        (sample.name, *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_document_has_everything_to_read_the_score(api, year):
    """In full by default; `detail=score` leaves out what costs most."""
    full = (await api.get("/api/score")).json()
    brief = (await api.get("/api/score?detail=score")).json()

    assert full["score"]["value"] == "19.27"
    assert {"score", "by", "explain", "dimension", "trend", "ledger"} <= set(full)
    assert set(full) - set(brief) == {"by", "explain"}
    assert full["ledger"] == {**full["ledger"], "size": None, "root": None}


async def test_window_and_partner_choose_the_cases(api, year):
    """What was asked stands in the answer."""
    partner = (await api.get("/api/score?partner=contoso")).json()
    nobody = (await api.get("/api/score?partner=fabrikam")).json()
    early = (await api.get("/api/score?window=2020-01-01..2020-06-30")).json()

    assert (partner["partner"], partner["score"]["n"]) == ("contoso", 1)
    assert nobody["score"]["unscored"] == ["no_leavers"]
    assert early["score"]["window"] == {
        "start": "2020-01-01T00:00:00.000Z",
        "end": "2020-07-01T00:00:00.000Z",
        "official": False,
    }


async def test_a_wrong_parameter_is_named(api):
    """In words, and nothing is quoted that could be markup elsewhere."""
    window = await api.get("/api/score?window=yesterday")
    days = await api.get("/api/score/trend?days=0")
    month = await api.get("/api/penalties")

    assert (window.status_code, days.status_code, month.status_code) == (422, 422, 422)
    assert window.json()["problems"][0].startswith("window: write `official`, or FROM..TO")
    assert days.json()["problems"][0].startswith("days: ")
    assert month.json()["problems"] == ["month: Field required"]


async def test_the_trend_has_a_point_a_day(api, engine, year):
    """The last reading of each, with what changed since a week ago."""
    service = ScoreService(Scores(engine), Rules(tenant=TENANT))
    for ago in (8, 0):
        moment = datetime.now(UTC) - timedelta(days=ago)
        readings = Readings(Scores(engine), service, now=lambda moment=moment: moment)
        assert await readings.step() == "daily"
    trend = (await api.get("/api/score/trend?days=30")).json()

    assert [point["value"] for point in trend["points"]] == ["19.27", "19.27"]
    assert trend["changes"][0]["change"] == "0.00"


async def test_the_dimension_is_a_range_until_all_metrics_are_there(api, ring, year):
    """Reported by PUT, rolled up with the others; a share becomes 20 times itself."""
    before = (await api.get("/api/dimension")).json()
    today = datetime.now(UTC).date().isoformat()
    shares = {
        "security_training": (97, 100),
        "background_checks": (1, 1),
        "zero_contractor": (0, 3),
    }
    for metric, (top, bottom) in shares.items():
        body = {"numerator": top, "denominator": bottom, "as_of": today, "source": "hr-audit"}
        answer = await api.ask("PUT", f"/api/metrics/{metric}", right=Permission.REPORT, json=body)
        again = await api.ask("POST", f"/api/metrics/{metric}", right=Permission.REPORT, json=body)
        assert (answer.status_code, again.status_code) == (201, 200)
        assert answer.json() == again.json()
    reports = (await api.get("/api/metrics")).json()["reports"]
    async with asking(api.engine, ring) as fresh:
        after = (await fresh.get("/api/dimension")).json()

    assert (before["value"], before["low"], before["high"]) == (None, "4.82", "19.82")
    assert {row["metric"]: row["value"] for row in reports} == {
        "security_training": "19.40",
        "background_checks": "20.00",
        "zero_contractor": "0.00",
    }
    assert after["value"] == "14.67"
    assert after["missing"] == []


async def test_numbers_of_a_report_are_taken_as_they_are_written(api):
    """19.27 is 19.27, quoted or not: no float comes between."""
    today = datetime.now(UTC).date().isoformat()
    path = "/api/metrics/security_training"
    seen = []
    for written in ('"19.27"', "19.27", "19", "0.1"):
        body = f'{{"value": {written}, "as_of": "{today}", "source": "lms"}}'
        headers = {"content-type": "application/json"}
        answer = await api.ask("PUT", path, right=Permission.REPORT, content=body, headers=headers)
        seen.append((answer.status_code, answer.json()["value"]))

    assert seen == [(201, "19.27"), (200, "19.27"), (201, "19.00"), (201, "0.10")]


async def test_penalties_are_told_per_partner(api, engine):
    """Without terms a late case stands there and costs nothing."""
    month = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m")
    await store(engine, [facts("late", ago=40 * DAY, took=6 * HOUR)])
    document = (await api.get(f"/api/penalties?month={month}")).json()
    [partner] = document["partners"]

    assert (partner["partner"], partner["late"], partner["total"]) == ("northwind", 1, None)


# --- Prometheus -----------------------------------------------------------------------------------


async def test_prometheus_reads_the_figures(api, engine, year):
    """Score, n, overdue, percentiles, exposure, ledger and outbox; no partner's name."""
    await store(engine, [facts("open", took=None, ago=10 * DAY, tier="0")])
    await store(engine, [facts("soon", took=None, ago=-DAY)])
    answer = await api.get("/metrics")
    found = samples(answer.text)

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert found["lockstep_score_available",] == 1
    assert found["lockstep_score",] == 13.5
    assert found["lockstep_score_cap_points", "open_tier0"] == 13.5
    assert found["lockstep_score_cases",] == 41
    assert found["lockstep_score_within_sla_cases",] == 39
    assert found["lockstep_cases_open_overdue",] == 1
    assert found["lockstep_cases_scheduled",] == 1
    assert found["lockstep_time_to_revocation_seconds", "0", "0.5"] == 360
    assert found["lockstep_time_to_revocation_seconds", "1", "1"] > 9 * 86400
    assert found["lockstep_exposure_account_seconds", "0"] > 9 * 86400
    assert found["lockstep_ledger_checkpoint_age_seconds",] < 60
    assert found["lockstep_ledger_unsequenced_seconds",] == 0
    assert found["lockstep_outbox_pending",] == 0
    assert "northwind" not in answer.text


async def test_prometheus_is_told_partners_only_where_settings_allow(engine, ring, year):
    """One series each, for the fifty with the most cases."""
    async with asking(engine, ring, by_partner=True) as api:
        found = samples((await api.get("/metrics")).text)

    assert found["lockstep_partner_score", "northwind"] == 20
    assert found["lockstep_partner_cases", "contoso"] == 1


async def test_the_number_of_series_is_bounded(engine, ring):
    """However many partners there are, and whatever they are called."""
    cases = [facts(f"{n}", partner=f'p"\\{n}\n') for n in range(MOST_PARTNERS + 10)]
    await store(engine, [*cases, facts("twice", partner=cases[-1].partner)])
    async with asking(engine, ring, by_partner=True) as api:
        found = samples((await api.get("/metrics")).text)
    named = {key[1] for key in found if key[0] == "lockstep_partner_score"}

    assert len(named) == MOST_PARTNERS
    assert cases[-1].partner in named


async def test_prometheus_is_told_how_long_each_source_is_silent(api, engine, ring, year):
    """By source, measured as the score does; without a score while one is silent too long."""
    await listen(engine, "hr", heard=timedelta(hours=3))
    heard = samples((await api.get("/metrics")).text)
    await listen(engine, "hr", "payroll", expected=timedelta(days=8))
    async with asking(engine, ring) as fresh:
        silent = samples((await fresh.get("/metrics")).text)

    assert 3 * 3600 <= heard["lockstep_hr_feed_age_seconds", "hr"] < 4 * 3600 + 60
    assert heard["lockstep_score",] == 19.27
    assert 3 * 3600 <= silent["lockstep_hr_feed_age_seconds", "hr"] < 4 * 3600 + 60
    assert 8 * 86400 <= silent["lockstep_hr_feed_age_seconds", "payroll"] < 8 * 86400 + 60
    assert silent["lockstep_score_available",] == 0
    assert ("lockstep_score",) not in silent


async def test_the_number_of_sources_told_is_bounded(api, engine, ring, year):
    """The longest silent first; without any, no series."""
    without = (await api.get("/metrics")).text
    names = [f"hr-{number:02}" for number in range(MOST_SOURCES + 5)]
    await listen(engine, *names[:5], heard=timedelta(0))
    await listen(engine, *names)
    async with asking(engine, ring) as fresh:
        found = samples((await fresh.get("/metrics")).text)
    told = [key[1] for key in found if key[0] == "lockstep_hr_feed_age_seconds"]

    assert "lockstep_hr_feed_age_seconds{" not in without
    assert sorted(told) == names[5:]


async def test_without_leavers_prometheus_has_no_score(api):
    """Absent, and never 0: an alarm on a low score must not ring."""
    found = samples((await api.get("/metrics")).text)

    assert found["lockstep_score_available",] == 0
    assert ("lockstep_score",) not in found
    assert found["lockstep_score_cases",] == 0


async def test_what_has_not_arrived_shows(api, engine, year):
    """A message in the outbox is counted, with the age of the oldest."""
    service = ScoreService(Scores(engine), Rules(tenant=TENANT))
    await Readings(Scores(engine), service, target=SCORECARD).step()
    found = samples((await api.get("/metrics")).text)

    assert found["lockstep_outbox_pending",] == 1
    assert 0 <= found["lockstep_outbox_oldest_pending_seconds",] < 60


async def test_while_the_score_is_long_in_the_making_the_rest_is_there(api, engine, monkeypatch):
    """A scraper gets the ledger's and the outbox's figures; a reader is told to ask again."""

    async def busy(*_: object, **__: object):
        raise BusyError("still being computed")

    monkeypatch.setattr(ScoreService, "current", busy)
    found = samples((await api.get("/metrics")).text)
    refused = await api.get("/api/score")

    assert found["lockstep_score_available",] == 0
    assert found["lockstep_ledger_unsequenced_seconds",] == 0
    assert (refused.status_code, refused.json()) == (503, {"error": "still_computing"})


async def test_figures_without_a_document_are_readable(engine):
    """The text stands alone, whatever is missing."""
    async with Scores(engine).reading() as reading:
        head = await reading.head()
    text = exposition(None, head, await Deliveries(engine).backlog(), now=datetime.now(UTC))

    assert ("lockstep_ledger_checkpoint_age_seconds",) not in samples(text.decode())

"""What may be asked and reported: nonsense is refused in words."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question, QuestionError, parse_month, parse_question
from lockstep.control.score.reports import to_report
from lockstep.control.score.rules import Rules
from lockstep.storage.score.scores import Scores
from tests.support.casework import TENANT
from tests.support.scoring import DAY, HOUR


@pytest.fixture
def scores(engine) -> Scores:
    return Scores(engine)


@pytest.mark.parametrize(
    "window",
    ["", "all", "..", "2026-07-01", "2026-07-01..", "..2026-07-01", "2026-10-01..2026-07-01",
     "2026-07-02..2026-07-01", "2026-07-01T00:00Z..2026-07-01T00:00Z",
     "2026-02-30..2026-07-01", "1970-01-01..2026-01-01",
     "2000-01-02..2099-01-01", "0001-01-01..9999-12-31", "2026-07-01T00:00..2026-08-01",
     "2026-07-01..2026-08-01..2026-09-01", "a" * 100_000, "\x00..\x00",
     "9999-12-31T23:59-23:59..x"],
)  # fmt: skip
def test_nonsense_windows_are_refused_in_words(window):
    """Whatever is written."""
    with pytest.raises(QuestionError, match="window:"):
        parse_question(window, None)


@pytest.mark.parametrize(
    ("window", "length"),
    [
        ("2024-07-01..2024-09-30", 92 * DAY),
        ("2024-07-01..2024-07-01", DAY),
        ("2024-07-01..2024-07-02T00:00Z", DAY),
        ("2024-07-01T00:00+08:00..2024-07-01", DAY + 8 * HOUR),
        ("2024-07-01T12:00:00.001Z..2024-07-01T12:00:01Z", 999),
    ],
)
def test_dates_are_whole_days_and_instants_are_exact(window, length):
    """The last day belongs to the window, as it does to the period of a pack."""
    found = parse_question(window, None).window

    assert found.end - found.start == length


@pytest.mark.parametrize("month", ["", "2026", "2026-13", "2026-00", "1999-12", "2026-11-01", "x"])
def test_nonsense_months_are_refused_in_words(month):
    """A calendar month of this century."""
    with pytest.raises(QuestionError, match="month:"):
        parse_month(month)


def test_a_month_ends_where_the_next_begins():
    """December too, and February of a leap year."""
    months = [parse_month(f"2028-{number:02}") for number in range(1, 13)]

    assert all(one.end == next_.start for one, next_ in pairwise(months))
    assert months[1].end - months[1].start == 29 * DAY
    assert months[11].end == parse_month("2029-01").start


@pytest.mark.parametrize("partner", ["x" * 201, "a\x00b", "line\nbreak"])
def test_nonsense_partners_are_refused(partner):
    """A database would stumble over some of them."""
    with pytest.raises(QuestionError, match="partner:"):
        parse_question("official", partner)


# --- reports of other metrics ---------------------------------------------------------------------


NOW = datetime.now(UTC)
TODAY = NOW.date().isoformat()
LAST_MONTH = (NOW.date() - timedelta(days=30)).isoformat()


def report(value="19.27", metric="security_training", *, as_of=TODAY, **changes):
    fields = {"value": value, "as_of": as_of, "source": "lms", "now": datetime.now(UTC), **changes}
    return to_report(metric, **fields)


@pytest.mark.parametrize(
    ("stated", "value"),
    [
        ({"value": "19.27"}, "19.27"),
        ({"value": "0"}, "0.00"),
        ({"value": "20.000"}, "20.00"),
        ({"value": None, "numerator": 97, "denominator": 100}, "19.40"),
        ({"value": None, "numerator": 1, "denominator": 3}, "6.67"),
        ({"value": None, "numerator": 0, "denominator": 7}, "0.00"),
    ],
)
def test_a_report_becomes_a_value_from_0_to_20(stated, value):
    """A value, or 20 times a share, rounded half to even to two places."""
    assert report(**stated).value == value


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"value": "20.01"}, "value"),
        ({"value": "-1"}, "value"),
        ({"value": "1e1"}, "value"),
        ({"value": "NaN"}, "value"),
        ({"value": ""}, "value"),
        ({"value": None}, "value"),
        ({"numerator": 1, "denominator": 2}, "value"),
        ({"value": None, "numerator": 3, "denominator": 2}, "numerator"),
        ({"value": None, "numerator": -1, "denominator": 2}, "numerator"),
        ({"value": None, "numerator": 0, "denominator": 0}, "numerator"),
        ({"value": None, "numerator": 1}, "value"),
        ({"metric": "access_revocation"}, "metric"),
        ({"metric": "vibes"}, "metric"),
        ({"source": "Maria Dalisay"}, "source"),
        ({"source": ""}, "source"),
        ({"source": "x" * 41}, "source"),
        ({"as_of": "2999-01-01"}, "as_of"),
        ({"as_of": "yesterday"}, "as_of"),
        ({"as_of": "2026-11-01T00:00:00"}, "as_of"),
    ],
)
def test_a_report_that_makes_no_sense_is_refused(changes, names):
    """The first word names what is wrong; our own metric cannot be reported by anybody."""
    with pytest.raises(QuestionError, match=f"^{names}:"):
        report(**changes)


async def test_a_report_goes_on_record_with_its_entry_and_counts(engine, scores):
    """One transaction; the same statement again changes nothing, a correction counts."""
    first, is_new = await scores.report(report("18"), tenant=TENANT)
    again, is_new_again = await scores.report(report("18"), tenant=TENANT)
    await scores.report(report("19.5"), tenant=TENANT)
    await scores.report(report("3", as_of=LAST_MONTH), tenant=TENANT)
    async with engine.connect() as connection:
        bodies = await connection.scalars(text("select body from ledger_entries order by id"))
        entries = [json.loads(bytes(body)) for body in bodies]
    dimension = (await ScoreService(scores, Rules(tenant=TENANT)).read(Question()))["dimension"]

    assert (is_new, is_new_again, again) == (True, False, first)
    assert [entry["kind"] for entry in entries] == ["metric:reported"] * 3
    assert entries[0]["data"] == {
        "metric": "security_training",
        "value": "18.00",
        "as_of": f"{TODAY}T00:00:00.000Z",
        "source": "lms",
    }
    assert set(entries[0]) == {
        "v", "kind", "key", "tenant", "occurred_at", "recorded_at", "actor", "data",
    }  # fmt: skip
    assert [row.value for row in await scores.reported()] == ["3.00", "19.50", "18.00"]
    assert dimension["metrics"]["security_training"]["value"] == "19.50"
    assert dimension["low"] == "4.88"


async def test_the_same_report_from_many_at_once_stands_once(engine, scores):
    """Senders retry; the ledger does not stutter."""
    stated = [report("18") for _ in range(5)]
    outcomes = await asyncio.gather(*(scores.report(one, tenant=TENANT) for one in stated))

    assert sorted(is_new for _, is_new in outcomes) == [False] * 4 + [True]
    assert len(await scores.reported()) == 1


async def test_reports_cannot_be_changed_by_the_application(engine, scores):
    """Append only: the application's role may neither change nor delete one."""
    await scores.report(report(), tenant=TENANT)
    for statement in ("update metric_reports set value = '20'", "delete from metric_reports"):
        with pytest.raises(SQLAlchemyError, match="permission denied"):
            async with engine.begin() as connection:
                await connection.execute(text(statement))

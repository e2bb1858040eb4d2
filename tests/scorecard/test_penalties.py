"""What late revocations cost by contract."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import Window
from lockstep.scorecard.penalties import Terms, penalties
from tests.scorecard.population import DAY, HOUR, NOW, apart, case, item, leavers, open_item

WINDOW = Window(NOW - 90 * DAY, NOW)
NORTH = Terms("EUR", per_case=10_000, per_started_hour=2_500, cap_per_case=50_000)
CUTOFF = NOW - 30 * DAY


def reported(cases, terms=None, window=WINDOW):
    rows = penalties(cases, terms or {"north": NORTH}, DEFAULT, window=window, as_of=NOW)
    return {row.partner: row for row in rows}


def late_by(ms: int, **facts):
    return case(item(off_at=CUTOFF + DAY + ms), **facts)


@pytest.mark.parametrize(
    ("late_ms", "hours", "amount"),
    [
        (1, 1, 12_500),
        (HOUR, 1, 12_500),
        (HOUR + 1, 2, 15_000),
        (16 * HOUR, 16, 50_000),
        (900 * HOUR, 900, 50_000),
    ],
)
def test_each_started_hour_costs_up_to_the_cap(late_ms, hours, amount):
    """Per case once, then per hour begun; whole minor units."""
    [row] = reported([late_by(late_ms)])["north"].cases

    assert (row.started_hours, row.amount, row.late_ms) == (hours, amount, late_ms)


def test_in_time_costs_nothing():
    """The end of the SLA itself is in time; the partner stands in the report."""
    north = reported(apart([late_by(0)], leavers(5)))["north"]

    assert (north.judged, north.cases, north.total) == (6, (), 0)


def test_without_a_cap_it_grows():
    """None is no limit, 0 is a limit of nothing."""
    assert Terms("EUR", per_started_hour=1).amount(900 * HOUR) == 900
    assert Terms("EUR", per_started_hour=1, cap_per_case=0).amount(900 * HOUR) == 0


def test_the_latest_system_sets_the_time_and_all_late_ones_are_named():
    """Optional systems are no part of the promise."""
    one = case(
        item("2", system="okta-prod"),
        item("4", system="vpn"),
        item("0.5", system="erp"),
        item("9", system="wiki", required=False),
    )
    [row] = reported([one])["north"].cases

    assert (row.systems, row.late_ms) == (("okta-prod", "vpn"), 3 * DAY)


def test_open_cases_are_charged_up_to_now_and_marked():
    """They grow until they are closed; a pending one costs nothing."""
    pending = case(open_item(cutoff=NOW - HOUR), cutoff=NOW - HOUR)
    north = reported(apart([case(open_item())], [pending]))["north"]

    assert [(row.is_open, row.late_ms) for row in north.cases] == [(True, 29 * DAY)]
    assert north.judged == 1


def test_a_period_charges_its_own_cutoffs_only():
    """An old open case is of the period of its cutoff: nobody pays twice."""
    cases = [case(open_item())]

    assert reported(cases)["north"].total == 50_000
    assert reported(cases, window=Window(NOW - 10 * DAY, NOW))["north"].total == 0


def test_what_is_not_scored_is_not_charged():
    """Taken back, or without any access."""
    cases = [case(item("9"), rescinded=True), case(item("9", outcome="not_found", accounts=0))]

    assert reported(cases)["north"].judged == 0


def test_a_waiver_that_counts_moves_the_charge_too():
    """The partner's deadline is the one that was agreed."""
    assert reported([late_by(DAY, case_id="w")])["north"].total
    waived = case(item(off_at=CUTOFF + 2 * DAY, waived_until=CUTOFF + 3 * DAY))
    assert reported([waived])["north"].total == 0


def test_a_partner_without_terms_is_listed_without_amounts():
    """Late is late; what it costs is not in any contract that we know."""
    rows = reported([replace(late_by(HOUR), partner="south")])

    assert list(rows) == ["north", "south"]
    assert rows["south"].as_document()["total"] is None
    assert rows["south"].cases[0].amount is None


def test_the_document_lists_cases_by_cutoff():
    """With all that an invoice needs, and no name of a person."""
    later = CUTOFF + DAY
    cases = [
        case(item(cutoff=later, off_at=later + 2 * DAY), cutoff=later, case_id="a"),
        late_by(HOUR, case_id="b"),
    ]
    document = reported(cases)["north"].as_document()

    assert [row["case"] for row in document["cases"]] == ["b", "a"]
    assert document["total"] == 12_500 + 50_000
    assert document["cases"][0] == {
        "case": "b",
        "cutoff": "2026-10-19T11:06:40.000Z",
        "late_ms": HOUR,
        "started_hours": 1,
        "open": False,
        "systems": ["okta-prod"],
        "amount": 12_500,
    }

"""The worked examples of the metric's definition, to the printed digit."""

from __future__ import annotations

import pytest

from tests.scorecard.population import (
    DAY,
    HOUR,
    NOW,
    apart,
    case,
    item,
    leavers,
    open_item,
    scored,
)

OPEN_10_DAYS = case(open_item(cutoff=NOW - 11 * DAY), cutoff=NOW - 11 * DAY)
PRIVILEGED_3_DAYS = case(
    open_item(tier="0", hours=1, cutoff=NOW - 3 * DAY - HOUR), cutoff=NOW - 3 * DAY - HOUR
)
ATTESTED = case(
    item("0.1"), item("0.1", system="erp", tier="manual", outcome="attested", grade="C")
)
TICKED = case(item("0.1"), item("0.1", system="erp", tier="manual", outcome="attested", grade="D"))

EXAMPLES = {
    "A": (apart(leavers(46), leavers(2, "0.8")), 48, 48, "0.9988", "19.94", "0.00", "19.94"),
    "B": (leavers(30, "0.625"), 30, 30, "0.9800", "19.00", "0.00", "19.00"),
    "C": (leavers(30, "0.95"), 30, 30, "0.9627", "18.13", "0.00", "18.13"),
    "D": (apart(leavers(24), leavers(1, "1.5")), 25, 24, "0.9767", "18.83", "0.00", "18.83"),
    "E": (apart(leavers(39), leavers(1, "1.5")), 40, 39, "0.9854", "19.27", "0.00", "19.27"),
    "F": (
        apart(leavers(35, "0.3"), leavers(5, "1.2")),
        *(40, 35, "0.9310", "16.55", "0.00", "16.55"),
    ),
    "G": (
        apart(leavers(48, "0.6"), leavers(9, 2), leavers(2, 5), [OPEN_10_DAYS]),
        *(60, 48, "0.8351", "11.75", "1.00", "10.75"),
    ),
    "H": (
        apart(leavers(99), [PRIVILEGED_3_DAYS]),
        *(100, 99, "0.9900", "19.50", "1.00", "13.50"),
    ),
    "I": (leavers(6), 6, 6, "1.0000", "20.00", "0.00", "20.00"),
    "J": (apart([ATTESTED] * 40), 40, 40, "0.9800", "19.00", "0.00", "19.00"),
    "J with grade D": (apart([TICKED] * 40), 40, 40, "0.9000", "15.00", "0.00", "15.00"),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_worked_example_gives_its_printed_figures(name):
    """n, on time, Q, Base, P and the score are those of the reference's table."""
    cases, n, on_time, quality, base, penalty, value = EXAMPLES[name]
    document = scored(cases).as_document()

    assert (n, on_time) == (document["n"], document["within_sla"])
    assert quality == document["quality"]
    assert (base, penalty, value) == (document["base"], document["penalty"], document["value"])


def test_example_h_is_capped_by_the_privileged_account():
    """Without the cap, 19.50 - 1.00 would have been published."""
    [cap] = scored(EXAMPLES["H"][0]).as_document()["caps"]

    assert cap["code"] == "open_tier0"
    assert cap["limit"] == "13.50"
    assert cap["worst"] == {"case": "c0099", "system": "okta-prod", "since_ms": 3 * DAY}


def test_example_i_is_labelled_as_small():
    """Six perfect leavers prove little."""
    assert scored(EXAMPLES["I"][0]).label == "indicative"


def test_example_g_counts_the_case_still_open_ten_days_past_due():
    """It is scored with today's ratio, and its first full week makes the second half point."""
    document = scored(EXAMPLES["G"][0]).as_document()

    assert document["open_overdue"] == 1
    assert document["pending"] == 0
    assert document["ttr"]["max"] == {"ms": 11 * DAY, "open": True}


def test_floats_would_have_missed_nineteen():
    """Exactly 19 stays exactly 19, and not 18.99999."""
    score = scored(EXAMPLES["B"][0])

    assert score.exact == 19
    assert score.value == 19

"""A window: who belongs to it, what caps it, when there is no score, and its document."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import Window, official_window, score
from tests.scorecard.population import (
    DAY,
    HOUR,
    NOW,
    WEEK,
    apart,
    case,
    feed,
    finding,
    item,
    leavers,
    open_item,
    scored,
    value,
)

START = NOW - 365 * DAY


def at(cutoff: int, *, still_open: bool = False, **facts: object):
    one = open_item(cutoff=cutoff) if still_open else item("0.1", cutoff=cutoff)
    return case(one, cutoff=cutoff, **facts)


def test_the_official_window_is_365_days():
    """Up to the instant of the score."""
    assert official_window(DEFAULT, NOW) == Window(START, NOW)


@pytest.mark.parametrize(
    ("cutoff", "still_open", "n"),
    [
        (START - 1, False, 0),
        (START - 1, True, 1),
        (START, False, 1),
        (NOW - 2 * DAY, False, 1),
        (NOW, False, 0),
    ],
)
def test_a_case_belongs_by_its_cutoff_and_for_as_long_as_it_is_open(cutoff, still_open, n):
    """The start belongs to the window, the end to the next one."""
    assert scored([at(cutoff, still_open=still_open)]).n == n


def test_what_counts_nowhere_is_shown_with_its_reason():
    """The denominator is what was judged; nothing disappears without a trace."""
    period = Window(NOW - 60 * DAY, NOW + 30 * DAY)
    nowhere = case(item(outcome="not_found", accounts=0))
    cases = apart(
        leavers(3),
        [case(item(), rescinded=True), nowhere, nowhere],
        [at(NOW + DAY, still_open=True), at(NOW - HOUR, still_open=True)],
    )

    result = scored(cases, window=period)

    assert (result.n, result.pending) == (3, 1)
    assert result.excluded == {"rescinded": 1, "no_access": 2, "future": 1}


def test_rates_are_of_the_scored_cases():
    """Pending ones are not late yet, and do not dilute."""
    result = scored(apart(leavers(3), leavers(1, 2), [at(NOW - HOUR, still_open=True)] * 5))

    assert (result.within_sla, result.n, result.within_rate) == (3, 4, Fraction(3, 4))


def test_penalties_stop_at_ten_points():
    """A disaster is a disaster; it does not hide behind a larger one."""
    result = scored(apart(leavers(1000), [at(NOW - 60 * DAY, still_open=True)] * 4))

    assert result.penalty == 10
    assert result.open_overdue == 4


def test_a_score_does_not_fall_below_zero():
    """Nor does its base."""
    result = scored(leavers(5, 9))

    assert (result.base, result.value) == (0, 0)


@pytest.mark.parametrize("kind", ["leaver_without_case", "orphan_account"])
def test_an_unreconciled_population_caps_at_17(kind):
    """After a day, until it is resolved."""
    caps = {
        when: value(leavers(30), findings=[finding(kind, **facts)])
        for when, facts in {
            "two days": {},
            "a day": {"raised_at": NOW - DAY},
            "over a day": {"raised_at": NOW - DAY - 1},
            "resolved": {"resolved_at": NOW - 1},
            "resolved later": {"resolved_at": NOW + 1},
            "raised later": {"raised_at": NOW + 1},
        }.items()
    }

    assert caps == {
        "two days": "17.00",
        "a day": "20.00",
        "over a day": "17.00",
        "resolved": "20.00",
        "resolved later": "17.00",
        "raised later": "20.00",
    }


def test_access_used_caps_at_once():
    """There is nothing to wait for, until the incident is closed."""
    used = finding("access_used", raised_at=NOW, case_id="c0001")

    assert value(apart(leavers(30)), findings=[used]) == "13.50"
    assert value(apart(leavers(30)), findings=[replace(used, resolved_at=NOW)]) == "20.00"


def test_a_past_window_is_capped_by_what_was_known_or_is_about_its_cases():
    """Found later about another case, it belongs to a later window."""
    window = Window(NOW - 90 * DAY, NOW - 10 * DAY)
    cases = apart(leavers(30))
    before = finding("access_used", raised_at=NOW - 11 * DAY, case_id="elsewhere")
    ours = finding("access_used", case_id="c0001")
    others = finding("access_used", case_id="elsewhere")

    assert value(cases, window=window, findings=[before]) == "13.50"
    assert value(cases, window=window, findings=[ours]) == "13.50"
    assert value(cases, window=window, findings=[others]) == "20.00"


def test_a_window_that_has_not_ended_knows_no_later_finding():
    """What is raised after the instant of the score is not known at it."""
    window = Window(NOW - 90 * DAY, NOW + 10 * DAY)
    later = finding("access_used", raised_at=NOW + 1, case_id="c0001")

    assert value(apart(leavers(30)), window=window, findings=[later]) == "20.00"


def test_access_that_returned_does_not_cap_by_itself():
    """It reopens its case, and that counts."""
    assert value(leavers(30), findings=[finding("access_returned")]) == "20.00"


@pytest.mark.parametrize(
    ("tier", "hours_late", "capped"),
    [("0", 24, False), ("0", 25, True), ("1", 25, False), ("manual", 2500, False)],
)
def test_an_open_privileged_system_caps_after_a_day(tier, hours_late, capped):
    """More than 24 hours past due, tier 0 only."""
    cutoff = NOW - (24 + hours_late) * HOUR
    cases = apart(leavers(1000), [case(open_item(tier=tier, cutoff=cutoff), cutoff=cutoff)])

    assert (value(cases) == "13.50") is capped


def test_the_worst_cap_wins_and_all_are_told():
    """Lowest first, with how many cause it and the worst of them."""
    cutoff = NOW - 9 * DAY
    cases = apart(
        leavers(1000),
        [case(open_item(tier="0", cutoff=cutoff), cutoff=cutoff)] * 2,
    )
    findings = [
        finding("orphan_account", system="vpn", raised_at=NOW - 3 * DAY),
        finding("leaver_without_case"),
        finding("access_used", case_id="c0001", system="okta-prod"),
    ]

    caps = scored(cases, findings=findings).as_document()["caps"]

    assert [(cap["code"], cap["limit"], cap["count"]) for cap in caps] == [
        ("access_used", "13.50", 1),
        ("open_tier0", "13.50", 2),
        ("population", "17.00", 2),
    ]
    assert caps[1]["worst"] == {"case": "c1000", "system": "okta-prod", "since_ms": 8 * DAY}
    assert caps[2]["worst"] == {"case": "", "system": "vpn", "since_ms": 3 * DAY}


def test_a_cap_does_not_lift_a_lower_score():
    """It is a ceiling."""
    assert value(leavers(30, 3), findings=[finding("access_used")]) == "0.00"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ledger_ok": False}, "ledger_unverified"),
        ({"feeds": [feed(7 * DAY + 1)]}, "hr_feed_stale"),
        ({"feeds": [feed(0), feed(8 * DAY, source="payroll")]}, "hr_feed_stale"),
        ({"feeds": [feed(None, expected=8 * DAY)]}, "hr_feed_stale"),
    ],
)
def test_there_is_no_score_on_sand(options, reason):
    """Everything else is still told."""
    document = scored(leavers(30), **options).as_document()

    assert (document["value"], document["unscored"]) == (None, [reason])
    assert document["reading"] is None
    assert document["audit_proof_allowed"] is False
    assert (document["n"], document["base"]) == (30, "20.00")


def test_a_feed_of_seven_days_is_not_stale():
    """The bound belongs to the good side; where no source is expected there is nothing to judge."""
    assert value(leavers(30), feeds=[feed(7 * DAY)]) == "20.00"
    assert value(leavers(30), feeds=[feed(None, expected=7 * DAY)]) == "20.00"
    assert value(leavers(30), feeds=[]) == "20.00"


def test_every_feed_is_told_and_the_stalest_is_the_age():
    """By name; what was never heard is as old as the wish to hear it; nothing is below 0."""
    feeds = [
        feed(-5, source="workday"),
        feed(None, source="payroll", expected=2 * DAY),
        feed(3 * DAY, source="agency", expected=DAY),
    ]
    document = scored(leavers(30), feeds=feeds).as_document()

    assert document["feed_age_ms"] == 2 * DAY
    assert [(row["source"], row["age_ms"]) for row in document["feeds"]] == [
        ("agency", DAY),
        ("payroll", 2 * DAY),
        ("workday", 0),
    ]
    assert document["feeds"][1]["heard_at"] is None
    assert document["feeds"][1]["expected_since"] == "2026-11-16T11:06:40.000Z"


def test_without_a_feed_the_document_says_that_nobody_can_know():
    """None is not 0."""
    document = scored(leavers(30)).as_document()

    assert (document["feed_age_ms"], document["feeds"]) == (None, [])


def test_no_leavers_is_not_twenty():
    """There is nothing to be perfect at; a pending case changes nothing of that."""
    for cases in ([], [at(NOW - HOUR, still_open=True)]):
        document = scored(cases).as_document()

        assert (document["value"], document["unscored"]) == (None, ["no_leavers"])
        assert document["within_sla_rate"] is None
        assert document["wilson_lower"] is None
        assert document["quality"] is None


@pytest.mark.parametrize(
    ("n", "late", "label"),
    [
        (9, 0, "indicative"),
        (10, 0, "limited"),
        (24, 0, "limited"),
        (25, 0, "assured"),
        (25, 1, "measured"),
        (40, 1, "measured"),
        (43, 1, "assured"),
    ],
)
def test_the_label_says_how_much_a_rate_proves(n, late, label):
    """Assured needs 25 leavers and a bound of 90 %."""
    result = scored(apart(leavers(n - late), leavers(late, "1.5")))

    assert result.label == label
    assert (result.wilson >= Fraction(9, 10)) is (label == "assured") or n < 25


@pytest.mark.parametrize(
    ("cases", "allowed"),
    [
        (leavers(25), True),
        (leavers(24), True),
        (leavers(24, 1), True),
        (apart(leavers(23), leavers(1, "1.1")), False),
        (leavers(24, grade="D"), False),
        (apart(leavers(23), [at(NOW - HOUR, still_open=True)]), False),
        (apart(leavers(24), leavers(1, "1.1")), False),
    ],
)
def test_audit_proof_needs_assurance_or_a_flawless_year(cases, allowed):
    """Under 25 leavers: the full window, no miss, nothing open, evidence that can be packed."""
    assert scored(cases).audit_proof_allowed is allowed


def test_a_short_flawless_window_is_not_a_year():
    """The words are not to be had by choosing a quiet month."""
    assert not scored(leavers(24), window=Window(NOW - 60 * DAY, NOW)).audit_proof_allowed


@pytest.mark.parametrize(
    ("cases", "reading"),
    [
        (leavers(30), "audit_proof"),
        (leavers(30, 1), "audit_proof"),
        (apart(leavers(38), leavers(2, "1.3")), "near_target"),
        (apart(leavers(39), leavers(1, "1.5")), "on_target"),
        (apart(leavers(35, "0.3"), leavers(5, "1.2")), "medium_risk"),
        (apart(leavers(10), leavers(10, 2)), "high_risk"),
    ],
)
def test_the_reading_is_the_scorecards(cases, reading):
    """Below 70 % high risk; from 90 % on audit-proof, where the evidence allows the words."""
    assert scored(cases).reading == reading


def test_exposure_is_summed_over_accounts_and_leavers():
    """Pending cases are exposed too; what ended early is not."""
    cases = apart(
        [case(item(off_at=NOW - 30 * DAY + 2 * HOUR, accounts=3, tier="0"), item(system="vpn"))],
        [at(NOW - HOUR, still_open=True)],
        [case(item(off_at=NOW - 40 * DAY))],
    )

    document = scored(cases).as_document()["exposure"]

    assert document["account_hours"] == "7.00"
    assert document["tier0_account_hours"] == "6.00"
    assert document["leaver_hours"] == "3.00"
    assert document["account_ms"] == str(7 * HOUR)
    assert scored(cases).early == 1


def test_lag_and_operational_time_are_told_apart():
    """HR was three hours late, we took one."""
    cutoff = NOW - 30 * DAY
    result = scored([case(item(off_at=cutoff + 4 * HOUR), recorded_at=cutoff + 3 * HOUR)])

    assert result.hr_lag.max.ms == 3 * HOUR
    assert result.operational.max.ms == HOUR
    assert result.ttr.max.ms == 4 * HOUR


@pytest.mark.parametrize(("waived", "flagged"), [(1, False), (2, True)])
def test_more_than_five_per_cent_of_waivers_are_flagged(waived, flagged):
    """Their share is of all scored and pending cases."""
    cases = apart(
        leavers(20 - waived), leavers(waived, waived_until=NOW), leavers(1, waived_in_vain=True)
    )

    document = scored(cases[:20]).as_document()["waivers"]

    assert (document["cases"], document["flagged"]) == (waived, flagged)
    assert scored(cases).waived_in_vain == 1


def test_the_share_of_waivers_is_of_pending_cases_too():
    """A waived case is mostly a pending one: one in twenty, and not one in ten."""
    pending = [at(NOW - HOUR, still_open=True)] * 10
    cases = apart(leavers(9), leavers(1, waived_until=NOW), pending)

    assert scored(cases).waived_share == Fraction(1, 20)


def test_grades_and_policies_are_listed():
    """The mix of evidence over settled systems, and every SLA version in the window."""
    cases = apart(
        [case(item(), item(system="erp", grade="C"), open_item(system="vpn"), policy="p2")],
        [case(item(grade=""))],
    )

    result = scored(cases)

    assert result.grades == {"A": 1, "C": 1, "none": 1}
    assert result.policies == ("p1", "p2")


def test_the_document_is_plain_deterministic_and_without_floats():
    """It can be signed: any order of the cases gives the same bytes."""
    cases = apart(leavers(30, "0.37"), leavers(3, "1.7"), [at(NOW - 3 * WEEK, still_open=True)])
    refuse = pytest.fail
    first = json.dumps(scored(cases).as_document(), sort_keys=True)

    assert first == json.dumps(scored(cases[::-1]).as_document(), sort_keys=True)
    json.loads(first, parse_float=lambda text: refuse(f"a float: {text}"))


def test_the_document_says_what_a_reader_needs():
    """Score with SLA version, n, window, caps and definition (the Apdex rule)."""
    document = scored(leavers(30)).as_document()

    assert document["definition"] == {"version": "2", "sha256": DEFAULT.digest}
    assert document["window"] == {
        "start": "2025-11-18T11:06:40.000Z",
        "end": "2026-11-18T11:06:40.000Z",
        "official": True,
    }
    assert (document["value"], document["max"], document["target"]) == ("20.00", "20", "19")
    assert (document["wilson_lower"], document["within_sla_rate"]) == ("0.9172", "1.0000")


def test_cases_may_come_as_a_stream():
    """Nothing is read twice."""
    stream = (one for one in leavers(30))

    assert score(stream, DEFAULT, window=official_window(DEFAULT, NOW), as_of=NOW).n == 30

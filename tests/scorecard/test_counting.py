"""Scope, clock and population cannot be chosen afterwards: each attempt, by definition 2."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import DEFAULT, load_definition
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.metric import judge, official_window, score
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

E = NOW - 30 * DAY
FIRST = load_definition("access-revocation-1")


def called_off(at: int, **facts: object) -> CaseFacts:
    """HR took it back then; nothing had begun."""
    return case(open_item(), **{"rescinded": True, "called_off_at": at, **facts})


def counted(one: CaseFacts, *others: CaseFacts, as_of: int = NOW) -> CaseFacts:
    return Counting(DEFAULT, others).of(one, as_of)


def dismissal(cutoff: int, first: int, **facts: object) -> CaseFacts:
    """It was to be at ``first``, and was put off to ``cutoff``."""
    return case(
        item("0.1", cutoff=cutoff, hours=1),
        cutoff=cutoff,
        **{"kind": "involuntary", "first_cutoff_at": first, **facts},
    )


def test_a_case_whose_cutoff_came_stays_late_whatever_hr_says_later():
    """The worker was stopped past the cutoff, and HR called it off: it counts up to that word."""
    late = called_off(E + 36 * HOUR)
    found = scored(apart(leavers(40), [late]))

    assert (found.n, found.within_sla, found.excluded) == (41, 40, {})
    assert judge(counted(late), DEFAULT, NOW).state == "called_off"
    assert judge(counted(late), DEFAULT, NOW).late_ms == 12 * HOUR


def test_called_off_past_the_cutoff_rests_on_nobodys_proof():
    """Also within the time allowed: else whatever is pending could be made to vanish."""
    found = scored([called_off(E)])

    assert (found.n, found.within_sla, found.grades) == (1, 1, {"D": 1})


def test_called_off_before_its_cutoff_is_no_case():
    """It is shown with its reason."""
    found = scored([called_off(E - 1)])

    assert (found.n, found.excluded) == (0, {"rescinded": 1})


def test_by_definition_one_it_vanishes_as_it_did():
    """Scores of old packs are computed by the rules of their day."""
    late = called_off(E + 36 * HOUR)
    old = score([late], FIRST, window=official_window(FIRST, NOW), as_of=NOW)

    assert (old.n, old.excluded) == (0, {"rescinded": 1})


def test_a_dismissal_that_was_put_off_counts_from_its_first_cutoff():
    """Whoever put it off, however early."""
    moved = dismissal(E, E - 3 * DAY)
    found = judge(counted(moved), DEFAULT, NOW)

    assert counted(moved).counts_from == E - 3 * DAY
    assert found.ttr_ms == 3 * DAY + HOUR // 10
    assert found.within_sla is False


def test_other_leavers_may_move_in_time():
    """A resignation's date is the leaver's own."""
    moved = replace(dismissal(E, E - 3 * DAY), kind="voluntary", first_cutoff_at=None)

    assert counted(moved) == moved


def test_a_dismissal_to_come_is_told_by_nothing():
    """Its first cutoff has passed; the one that stands has not: it is a secret still."""
    coming = dismissal(NOW + DAY, E)

    assert counted(coming) == coming
    assert counted(coming, as_of=NOW + DAY).cutoff_at == E


def anew(opened: int, cutoff: int, **facts: object) -> CaseFacts:
    """The same person is reported again."""
    given = {"case_id": "c2", "opened_at": opened, "first_leaf": 9, "earlier": ("c1",), **facts}
    return case(item("0.1", cutoff=cutoff), cutoff=cutoff, **given)


@pytest.mark.parametrize("days", [-3, 0, 30])
def test_reported_anew_within_thirty_days_runs_on_the_old_clock(days):
    """Called off in time, even before the new report was called off: it is one leaving."""
    off = E - HOUR
    again = anew(off + days * DAY, E + 40 * DAY)

    assert counted(again, called_off(off), as_of=NOW + 90 * DAY).cutoff_at == E


def test_reported_anew_later_is_another_leaving():
    """People do stay, and leave a year later."""
    off = E - HOUR
    again = anew(off + 30 * DAY + 1, E + 40 * DAY)

    assert counted(again, called_off(off), as_of=NOW + 90 * DAY) == again


def test_another_persons_case_lends_no_clock():
    """Only what the opening named goes on."""
    stranger = anew(E, E + DAY, earlier=())

    assert counted(stranger, called_off(E - HOUR)) == stranger


def test_calling_off_again_and_again_wins_no_time():
    """The first clock of the chain counts."""
    first = called_off(E - HOUR)
    second = replace(
        called_off(E + 9 * DAY, case_id="c2", opened_at=E, first_leaf=5, earlier=("c1",)),
        cutoff_at=E + 10 * DAY,
        shown_cutoff_at=E + 10 * DAY,
    )
    third = anew(E + 9 * DAY, E + 20 * DAY, case_id="c3", earlier=("c2",))

    assert counted(third, first, second).cutoff_at == E
    assert counted(second, first).items[0].outcome == "called_off"


def test_cases_that_name_each_other_end():
    """Two spells that were reported in one transaction do."""
    one = called_off(E - HOUR, earlier=("c2",))
    two = anew(E, E + DAY, rescinded=True, called_off_at=E + HOUR)

    assert counted(two, one, two).cutoff_at == E
    assert counted(one, one, two).cutoff_at == E


def gone_before(heard: int, **facts: object) -> CaseFacts:
    rows = [
        item("-2", system="okta-prod", outcome="already_absent"),
        item(system="vpn", outcome="not_found", accounts=0),
    ]
    return case(*rows, **{"received_at": heard, **facts})


def test_somebody_who_left_long_ago_does_not_dilute():
    """All access was gone before HR told us: nothing was shown of how we take it."""
    found = scored(apart(leavers(10, 2), [gone_before(E)] * 990))

    assert (found.n, found.excluded) == (10, {"untouched": 990})


def test_access_that_went_after_hr_told_us_counts():
    """The directory was faster than we: it was in time, and is proved."""
    assert scored([gone_before(E - 3 * DAY)]).n == 1


def test_a_word_about_nobody_does_not_dilute():
    """No system that can look knew them, and a person says that the badge is back."""
    rows = [
        item(outcome="not_found", accounts=0),
        item(system="badge", tier="manual", outcome="attested", grade="C", accounts=0),
    ]
    found = scored(apart(leavers(10, 2), [case(*rows)] * 90))

    assert (found.n, found.excluded) == (10, {"untouched": 90})


def test_what_was_late_is_not_set_apart():
    """Else whoever is late would say that there was nothing to take."""
    assert scored([case(item(3, outcome="not_found", accounts=0), item("0.1"))]).n == 1
    rows = [
        item(outcome="not_found", accounts=0),
        item(3, system="badge", outcome="attested", grade="D", accounts=0),
    ]
    assert scored([case(*rows)]).within_sla == 0
    assert scored([case(*rows)]).n == 1


def test_people_who_are_only_attested_count():
    """Where no system can look, nobody could be told from somebody invented: a word is a word."""
    assert scored([case(item(outcome="attested", grade="D", accounts=0))]).n == 1


@pytest.mark.parametrize(
    ("kind", "tier", "sane"),
    [
        ("involuntary", "0", 4),
        ("involuntary", "1", 24),
        ("involuntary", "manual", 72),
        ("voluntary", "0", 24),
        ("contract_end", "1", 72),
        ("voluntary", "manual", 168),
    ],
)
def test_an_sla_beyond_what_is_sane_caps_the_label(kind, tier, sane):
    """One such case is enough; in time means little where everything is."""
    short = [case(item("0.1", tier=tier, hours=sane), kind=kind)] * 40
    long = [*short[1:], case(item("0.1", tier=tier, hours=sane + 1), kind=kind)]

    assert (scored(apart(short)).label, scored(apart(short)).long_sla) == ("assured", 0)
    found = scored(apart(long))
    assert (found.label, found.long_sla, found.audit_proof_allowed) == ("measured", 1, False)
    assert scored(apart([long[-1]])).audit_proof_allowed is False


def test_what_decides_nothing_caps_no_label():
    """Only required systems are judged."""
    rows = item("0.1"), item("0.1", system="wiki", hours=1000, required=False)

    assert scored(apart([case(*rows)] * 40)).label == "assured"

"""Every trick of the reference's table (audit, 5.6), tried; none of them pays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import Window, judge
from tests.scorecard.population import (
    DAY,
    HOUR,
    NOW,
    WEEK,
    apart,
    case,
    finding,
    item,
    leavers,
    open_item,
    scored,
    value,
)

FAST = leavers(40)
HARD = NOW - 30 * DAY


def exact(cases, **options):
    return scored(apart(cases), **options).exact


@pytest.mark.parametrize("tier", ["0", "1"])
def test_leaving_the_hard_system_open_costs_more_every_week(tier):
    """Censored time decays, penalties add up, and a privileged system caps."""
    hard = case(item("0.1"), open_item(system="mainframe", tier=tier))
    by_week = [exact([*FAST, hard], as_of=HARD + DAY + week * WEEK) for week in range(7)]

    assert by_week == sorted(by_week, reverse=True)
    assert by_week[0] < exact([*FAST, case(item("0.1"), item(1, system="mainframe"))])
    assert by_week[-1] < by_week[0]


def test_closing_without_a_check_is_not_closing():
    """No read-back, no end: the case scores as open, whatever anybody calls it."""
    called_closed = case(open_item(outcome="revoked", grade="A"), closed_at=HARD + HOUR)

    assert exact([*FAST, called_closed]) == exact([*FAST, case(open_item())])


def test_ticking_instead_of_checking_costs():
    """A person's word is worth 0.90, with artefact and second person 0.98."""
    ticked, attested = (exact(apart([case(item(grade=grade))] * 40)) for grade in ("D", "C"))

    assert (ticked, attested) == (15, 19)


def test_shrinking_the_scope_is_found_by_the_orphan():
    """Scope is pinned in the case; what was left out and still stands caps the score."""
    orphan = finding("orphan_account", system="mainframe", raised_at=NOW - 2 * DAY)

    assert value(apart(FAST), findings=[orphan]) == "17.00"


def test_an_orphan_found_later_runs_on_the_original_clock():
    """It reopens its case: all the time since the cutoff counts."""
    reopened = case(item("0.1"), item(system="mainframe", off_at=NOW - HOUR, openings=2))

    assert judge(reopened, DEFAULT, NOW).ttr_ms == 30 * DAY - HOUR


def test_many_easy_systems_do_not_dilute_a_hard_one():
    """The worst system decides, never the average."""
    easy = [item("0.01", system=f"easy-{at}") for at in range(50)]
    alone, crowded = case(item(3)), case(item(3), *easy)

    assert exact([*FAST, crowded]) == exact([*FAST, alone])


def test_a_cutoff_moved_later_does_not_count():
    """Both are shown; the score runs from the one that counts."""
    done_at = HARD + 3 * DAY
    honest = case(item(off_at=done_at))
    moved = replace(honest, shown_cutoff_at=done_at)

    assert exact([*FAST, moved]) == exact([*FAST, honest])


def test_a_cutoff_moved_earlier_never_helps():
    """Backdating makes everything later."""
    done_at = HARD + 10 * HOUR
    honest = case(item(off_at=done_at))
    backdated = replace(honest, cutoff_at=HARD - 5 * DAY)

    assert exact([*FAST, backdated]) < exact([*FAST, honest])


def test_a_cutoff_in_the_future_is_not_a_good_case():
    """Until it comes it counts nowhere, and it is shown as what it is."""
    window = Window(NOW - 365 * DAY, NOW + DAY)
    future = case(item(off_at=HARD), cutoff=NOW + 1)
    result = scored(apart(leavers(10, 2), [future] * 90), window=window)

    assert result.n == 10
    assert result.excluded == {"future": 90}


def test_late_notice_does_not_move_the_clock():
    """The headline runs from the cutoff; HR's part is told beside it."""
    in_time = case(item(off_at=HARD + 30 * HOUR))
    late = replace(in_time, recorded_at=HARD + 29 * HOUR)

    assert exact([*FAST, late]) == exact([*FAST, in_time])
    assert scored([late]).hr_lag.max.ms == 29 * HOUR


def test_loosening_the_sla_later_touches_new_cases_only():
    """An old case keeps what was pinned; both versions are named beside the score."""
    old = [case(item(off_at=HARD + 36 * HOUR), policy="strict")]
    new = [case(item(off_at=HARD + 36 * HOUR, hours=72), policy="loose")]
    result = scored(apart(FAST, old, new))

    assert result.within_sla == 41
    assert result.policies == ("loose", "p1", "strict")


def test_a_late_waiver_is_none():
    """It must come before the deadline; one in vain changes no figure but its own count."""
    overdue = case(open_item())
    waived_late = case(open_item(outcome="waived", waived_in_vain=True))
    honest, tried = scored(apart(FAST, [overdue])), scored(apart(FAST, [waived_late]))

    assert tried.exact == honest.exact
    assert (tried.waived, tried.waived_in_vain) == (0, 1)


def test_a_waiver_postpones_and_never_removes():
    """After its end the case is as overdue as any."""
    waived = case(open_item(outcome="waived", waived_until=HARD + 10 * DAY))

    assert scored(apart(FAST, [waived]), as_of=HARD + 9 * DAY).pending == 1
    assert scored(apart(FAST, [waived]), as_of=HARD + 11 * DAY).open_overdue == 1
    assert exact([*FAST, waived], as_of=HARD + 80 * DAY) < exact([*FAST, case(item(1))])


def test_leavers_without_any_account_do_not_dilute():
    """Whoever had no access anywhere is not counted, and the number of them is shown."""
    fake = case(item(outcome="not_found", accounts=0), item(system="vpn", outcome="not_found"))
    real = leavers(10, 2)
    result = scored(apart(real, [fake] * 990))

    assert result.exact == scored(real).exact
    assert (result.n, result.excluded) == (10, {"no_access": 990})


def test_a_chosen_window_is_not_the_official_one():
    """A good month can be looked at; it says that it was chosen."""
    bad_year = apart(leavers(10, 2), leavers(5, "0.1", cutoff=NOW - 30 * DAY))
    window = Window(NOW - 20 * DAY, NOW)

    assert scored(bad_year).is_official
    assert not scored(bad_year, window=window).is_official
    assert not scored(bad_year, window=Window(NOW - 366 * DAY, NOW)).is_official
    assert not scored(bad_year, window=Window(NOW - 366 * DAY, NOW - DAY)).is_official


def test_an_old_case_does_not_age_out_while_it_is_open():
    """A year of waiting does not make it disappear."""
    old = NOW - 500 * DAY
    forgotten = case(open_item(cutoff=old), cutoff=old)

    assert scored(apart(FAST, [forgotten])).open_overdue == 1


def test_splitting_a_person_does_not_hide_the_late_half():
    """Two spells are two cases, each with its own clock."""
    halves = [case(item("0.1")), case(item(3))]

    assert scored(apart(halves)).within_sla == 1


def test_a_rescinded_case_is_kept_with_its_reason():
    """It is not in n, and it is not gone."""
    result = scored(apart(FAST, [case(open_item(), rescinded=True)]))

    assert (result.n, result.excluded) == (40, {"rescinded": 1})

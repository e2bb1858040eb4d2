"""The brake's rule: how many pass, and who is never held."""

from __future__ import annotations

import pytest

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import BrakeCause, BrakeRule, Flow, allowed
from lockstep.domain.rights import Scope

RULE = BrakeRule(per_hour=3, dismissals_per_hour=2)
LEAVES = TerminationKind.VOLUNTARY
ENDS = TerminationKind.CONTRACT_END
DISMISSED = TerminationKind.INVOLUNTARY
TOO_MANY = BrakeCause.TERMINATIONS
TOO_HARD = BrakeCause.DISMISSALS


def test_so_many_pass_and_no_more():
    """The limit is a count of one hour, whatever has passed before this batch."""
    flow = Flow(others=1)

    assert [flow.admit(kind, RULE) for kind in (LEAVES, ENDS, LEAVES, ENDS)] == [
        None,
        None,
        TOO_MANY,
        TOO_MANY,
    ]
    assert flow.observed(TOO_MANY) == allowed(RULE, TOO_MANY) + 1


def test_a_dismissal_passes_while_a_mass_waits():
    """Dismissals have a count of their own, and it ends too."""
    flow = Flow(others=500, brake_id="b1")

    assert [flow.admit(kind, RULE) for kind in (LEAVES, DISMISSED, DISMISSED, DISMISSED)] == [
        TOO_MANY,
        None,
        None,
        TOO_HARD,
    ]
    assert flow.observed(TOO_HARD) == 3


def test_while_a_brake_is_on_nothing_ordinary_passes():
    """A brake is not taken off by the hour passing."""
    assert Flow(brake_id="b1").admit(LEAVES, RULE) is TOO_MANY


@pytest.mark.parametrize(("kind"), list(TerminationKind))
def test_our_own_people_are_not_held_below_the_limit_of_dismissals(kind):
    """Whoever reports one leaver at a time passes, even while their source's brake is on."""
    flow = Flow(dismissals=1, is_local=True, brake_id="b1")

    assert flow.admit(kind, RULE) is None
    assert Flow(dismissals=2, others=4, is_local=True, brake_id="b1").admit(kind, RULE) is not None


def test_no_limit_of_dismissals_holds_none():
    """0 is no limit."""
    rule = BrakeRule(per_hour=1, dismissals_per_hour=0)

    assert Flow(dismissals=10_000, brake_id="b1").admit(DISMISSED, rule) is None
    assert not rule.is_off
    assert BrakeRule(per_hour=0, dismissals_per_hour=5).is_off


def test_there_is_room_while_less_than_half_is_used():
    """Only then may another worker's last second be left out of account."""
    rule = BrakeRule(per_hour=100, dismissals_per_hour=20)

    assert Flow(others=39).has_room(rule, 9)
    assert not Flow(others=41).has_room(rule, 9)
    assert not Flow(dismissals=2).has_room(rule, 9)
    assert not Flow(brake_id="b1").has_room(rule, 1)


@pytest.mark.parametrize(
    ("scope", "cause", "told"),
    [
        (Scope(None, sealed=True), TOO_HARD, (2, 1, "b1")),
        (Scope(None), TOO_HARD, (0, 1, "")),
        (Scope(None), TOO_MANY, (0, 1, "b1")),
        (Scope(frozenset({"northwind"})), TOO_MANY, (0, 0, "")),
        (Scope(frozenset({"northwind"}), sealed=True), TOO_MANY, (0, 0, "")),
    ],
)
def test_a_flow_tells_no_more_than_one_may_know(scope, cause, told):
    """Neither that dismissals come, nor that they have set a brake, nor what is of others."""
    flow = Flow(2, 1, "b1", is_local=True, brake_cause=cause).told_to(scope)

    assert (flow.dismissals, flow.others, flow.brake_id) == told
    assert flow.is_local

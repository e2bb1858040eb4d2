"""The policy as a document: what is pinned is what is read back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import DEFAULT_SLA, Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category

SECONDS = st.integers(1, 10**7).map(lambda seconds: timedelta(seconds=seconds))
SYSTEMS = st.builds(
    SystemPolicy,
    system=st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True),
    connector=st.text(max_size=8),
    category=st.sampled_from(Category),
    tier=st.sampled_from(Tier),
    required=st.booleans(),
    accept_single_key=st.booleans(),
    start_to_close=SECONDS,
)
POLICIES = st.builds(
    Policy,
    version=st.text(min_size=1, max_size=8),
    systems=st.lists(SYSTEMS, max_size=4, unique_by=lambda row: row.system).map(
        lambda rows: tuple(sorted(rows, key=lambda row: row.system))
    ),
    cutoff=st.builds(
        CutoffRule,
        end_of_day=st.times().map(lambda at: at.replace(second=0, microsecond=0)),
        involuntary_at_notice=st.booleans(),
    ),
    sla=st.fixed_dictionaries(dict.fromkeys(DEFAULT_SLA, SECONDS)),
    warn_at=st.integers(1, 100).map(lambda percent: percent / 100),
    watch=st.lists(SECONDS, max_size=4).map(tuple),
    vendor_clock_tolerance=st.integers(1, 60).map(lambda seconds: timedelta(seconds=seconds)),
)


@given(POLICIES)
def test_a_policy_survives_its_document(policy: Policy) -> None:
    """Written, stored as JSON and read back, it decides exactly as before."""
    stored = json.loads(json.dumps(policy.as_document()))
    assert Policy.from_document(stored) == policy
    assert Policy.from_document(stored).as_document() == policy.as_document()


@given(POLICIES, st.randoms())
def test_the_order_of_systems_does_not_change_the_document(policy: Policy, random) -> None:
    """The digest that cases pin depends on what is said, not on the order in the file."""
    rows = list(policy.systems)
    random.shuffle(rows)
    shuffled = replace(policy, systems=tuple(rows))
    assert shuffled.as_document() == policy.as_document()


def test_the_usual_tolerance_of_clocks_leaves_digests_alone() -> None:
    """A policy that was pinned before there was one is the same policy."""
    assert "vendor_clock_tolerance_s" not in Policy("1", ()).as_document()
    other = Policy("1", (), vendor_clock_tolerance=timedelta(seconds=5)).as_document()
    assert other["vendor_clock_tolerance_s"] == 5


@pytest.mark.parametrize("end_of_day", [time(18, 0, 30), time(23, 59, 59)])
def test_the_end_of_day_survives_to_the_second(end_of_day: time) -> None:
    """A pinned policy never moves a cutoff by rounding."""
    policy = Policy("1", (), CutoffRule(end_of_day=end_of_day))
    assert Policy.from_document(policy.as_document()).cutoff.end_of_day == end_of_day


def test_the_default_sla_covers_every_kind_and_tier() -> None:
    """Dismissals first, tier 0 first, and no combination is without a limit."""
    hours = {
        (kind, tier): Policy("1", ()).sla_for(kind, tier) // timedelta(hours=1)
        for kind in TerminationKind
        for tier in Tier
    }
    assert hours[TerminationKind.INVOLUNTARY, Tier.ZERO] == 1
    assert hours[TerminationKind.INVOLUNTARY, Tier.ONE] == 4
    assert hours[TerminationKind.VOLUNTARY, Tier.ZERO] == 4
    assert hours[TerminationKind.CONTRACT_END, Tier.ONE] == 24
    assert {hours[kind, Tier.MANUAL] for kind in TerminationKind} == {24}
    assert set(DEFAULT_SLA) == set(hours)


def test_a_policy_that_names_one_limit_keeps_the_other_defaults() -> None:
    """A partial table of limits does not leave the rest without one."""
    key = (TerminationKind.VOLUNTARY, Tier.ZERO)
    policy = Policy("1", (), sla={key: timedelta(minutes=5)})
    assert policy.sla_for(*key) == timedelta(minutes=5)
    assert policy.sla_for(TerminationKind.VOLUNTARY, Tier.ONE) == timedelta(hours=24)

"""The page about the metric tells the definition's numbers and the code's words."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.dimension import METRICS
from lockstep.scorecard.judging import CaseState
from lockstep.scorecard.numbers import decimal_text, shortest_text

PAGE = (Path(__file__).parents[2] / "docs" / "scorecard.md").read_text()
D = DEFAULT.as_document()

SENTENCES = [
    f"r <= {D['credit']['full_until']} ",
    f"1 - {D['credit']['on_time_loss']} * (r - {D['credit']['full_until']})",
    f"down to {shortest_text(1 - DEFAULT.on_time_loss)}",
    f"= {D['credit']['late_from']} * ({D['credit']['nothing_from']} - r) / 3 ",
    f"r >= {D['credit']['nothing_from']}\n",
    "   ".join(
        f"{grade} {decimal_text(getattr(DEFAULT, f'evidence_{grade.lower()}'), 2)}"
        for grade in "ABCD"
    ),
    f"max(0, {D['max']} - {D['slope']} * (1 - Q))",
    f"P    = min({D['penalty']['limit']}, sum",
    f"m * min({D['penalty']['per_case']}, {D['penalty']['at_once']} + {D['penalty']['per_week']} *",
    f"m = {D['penalty']['tier0_factor']} if",
    f"to {D['rounding']['score_places']} decimals",
    f"| {D['caps']['population']['limit']} | a finding `leaver_without_case` or `orphan_account`",
    f"more than {D['caps']['population']['after_hours']} h: the population",
    f"| {D['caps']['open_tier0']['limit']} | a required tier-0 system is open",
    f"open more than {D['caps']['open_tier0']['after_hours']} h past",
    f"| {D['caps']['access_used']['limit']} | a finding `access_used` stands",
    f"for more than {D['unscored']['feed_age_days']}\ndays",
    f"is the {D['window_days']} days up to",
    f"z = {D['wilson_z']}",
    f"n below {D['labels']['limited_from']} ",
    f"n from {D['labels']['limited_from']} to {D['labels']['assured_from'] - 1} ",
    f"bound of {decimal_text(DEFAULT.assured_bound, 2)} or more",
    f"no p95 under {D['p95_from']} cases",
    f"below {shortest_text(DEFAULT.high_risk_below * 100)} % of the maximum",
    f"from {shortest_text(DEFAULT.audit_proof_from * 100)} % on",
    f"more than {shortest_text(DEFAULT.waiver_flag * 100)} % are flagged",
    f"target {D['target']}",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_page_tells_the_parameters_in_force(sentence):
    """A new default definition changes the page as well."""
    assert sentence in PAGE


@pytest.mark.parametrize("word", [*get_args(CaseState), *METRICS])
def test_the_page_names_every_state_and_metric(word):
    """No state that a document can hold is left unexplained."""
    assert f"`{word}`" in PAGE

"""A changed policy is shown beside the score, with what the score would be under each."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.metric import official_window
from lockstep.scorecard.policies import MOST, PolicyError, PolicyTerms, under_policies
from lockstep.scorecard.scores import UnderPolicy
from tests.scorecard.population import HOUR, NOW, apart, case, item, scored


def document(*systems: str, hours: int = 24, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "systems": [
            {"system": name, "category": "identity", "tier": "1", "required": name not in optional}
            for name in systems
        ],
        "sla_s": {
            f"{kind}.1": hours * HOUR // 1000
            for kind in ("involuntary", "voluntary", "contract_end")
        },
    }


def under(cases: list[CaseFacts], **policies: dict[str, Any]) -> dict[str, UnderPolicy]:
    window = official_window(DEFAULT, NOW)
    terms = [PolicyTerms.of(name, policy) for name, policy in policies.items()]
    rows = under_policies(cases, DEFAULT, terms, window=window, as_of=NOW)
    return {row.policy: row for row in rows}


def test_a_loosened_sla_shows_what_the_old_one_says():
    """36 hours where 24 were allowed: in time by the new policy alone."""
    old = [case(item("0.1"), policy="old")] * 20
    new = [case(item("0.5", hours=72), policy="new")] * 20
    everybody = apart(old, new)
    found = under(everybody, old=document("okta-prod"), new=document("okta-prod", hours=72))

    assert scored(everybody).value > 19
    assert (found["old"].cases, found["new"].cases) == (20, 20)
    assert found["old"].value == Fraction("5.42")  # half of them are worth 0.4167
    assert found["new"].value >= scored(everybody).value


def test_a_system_taken_out_of_the_settings_counts_as_open_under_the_old_policy():
    """What is missing counts against us, and is named."""
    old = [case(item("0.1"), item("0.1", system="mainframe"), policy="old")] * 39
    new = case(item("0.1"), policy="new")
    found = under(
        apart(old, [new]), old=document("okta-prod", "mainframe"), new=document("okta-prod")
    )

    assert found["old"].missing == ("mainframe",)
    assert found["old"].value < found["new"].value
    assert found["new"].missing == ()


def test_a_system_renamed_is_one_taken_out():
    """Nothing says that it is the same; who renames one explains the difference."""
    new = case(item("0.1", system="okta-eu"), policy="new")
    found = under([new], old=document("okta-prod"), new=document("okta-eu"))

    assert found["old"].missing == ("okta-prod",)
    assert found["old"].value == 0


def test_a_system_made_optional_still_decides_under_the_old_policy():
    """It was late there, and the new policy no longer minds."""
    new = case(item("0.1"), item(3, system="wiki", required=False), policy="new")
    found = under(
        [new],
        old=document("okta-prod", "wiki"),
        new=document("okta-prod", "wiki", optional=("wiki",)),
    )

    assert found["new"].value == 20
    assert found["old"].value < 20


def test_cases_under_their_own_policy_are_as_they_are():
    """Waivers, corrected kinds and all: nothing is taken from the document again."""
    own = case(item("0.1", hours=1), policy="old")

    assert under([own], old=document("okta-prod", hours=1000))["old"].value == 20


def test_old_closed_cases_do_not_come_back():
    """Only those that the score counts are judged, whatever another policy would miss in them."""
    old = NOW - 500 * 24 * HOUR
    closed = case(item("0.1", cutoff=old), cutoff=old, policy="new")
    found = under([closed], old=document("okta-prod", "mainframe"))

    assert found["old"] == UnderPolicy("old", 0, None, ())


def test_the_document_says_so():
    """By digest; of cases with one policy there is nothing to say."""
    assert scored([case(item("0.1"))]).as_document()["by_policy"] == []


def test_not_more_than_some():
    """Whoever changes the policy every day does not fill the page."""
    many = {f"p{number:03}": document("okta-prod") for number in range(MOST + 5)}

    assert len(under([case(item("0.1"))], **many)) == MOST


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"systems": 1, "sla_s": {}},
        {"systems": [{}], "sla_s": {}},
        {**document("okta-prod"), "sla_s": {}},
        {**document("okta-prod"), "sla_s": dict.fromkeys(document("x")["sla_s"], "24")},
    ],
)
def test_a_policy_of_another_shape_is_refused(bad):
    """A pack from outside can say anything."""
    with pytest.raises(PolicyError):
        PolicyTerms.of("p", bad)

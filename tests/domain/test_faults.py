"""Every category of fault has its rule, and the rules keep to the design."""

from __future__ import annotations

import pytest

from lockstep.domain.faults import Audience, FaultCategory, rule_for

TRANSIENT = {
    FaultCategory.UNREACHABLE,
    FaultCategory.TIMEOUT,
    FaultCategory.RATE_LIMITED,
    FaultCategory.VENDOR_ERROR,
    FaultCategory.NOT_APPLIED,
    FaultCategory.PAUSED,
    FaultCategory.INTERNAL,
}


@pytest.mark.parametrize("category", FaultCategory)
def test_every_category_has_a_rule(category: FaultCategory) -> None:
    """Whether a machine goes on, who can mend it, and what to do: a sentence each."""
    rule = rule_for(category)
    assert rule.transient is (category in TRANSIENT)
    assert rule.reason.endswith(".")
    assert rule.suggestion.endswith(".")
    if not rule.transient:
        assert rule.audience is not Audience.NOBODY, "somebody must act"


def test_names_of_categories_fit_into_failures() -> None:
    """A category is a failure's type in Temporal: distinct, lower case, no blanks."""
    values = [category.value for category in FaultCategory]
    assert len(set(values)) == len(values)
    assert all(value.replace("_", "").isalpha() and value.islower() for value in values)

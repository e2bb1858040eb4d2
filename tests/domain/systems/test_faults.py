"""Every category of fault has its rule, and each rule says what it must."""

from __future__ import annotations

import pytest

from lockstep.domain.systems.faults import (
    OF_SYSTEM,
    Audience,
    FaultCategory,
    Recovery,
    mended,
    rule_for,
)

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


F, R = FaultCategory, Recovery
ANY = {R.HEALTHY, R.RESUMED, R.WORKED}
MENDED_BY = {
    F.UNREACHABLE: ANY,
    F.TIMEOUT: ANY,
    F.VENDOR_ERROR: ANY,
    F.CREDENTIALS_REJECTED: ANY,
    F.PERMISSION_MISSING: ANY,
    F.MISCONFIGURED: ANY,
    F.RATE_LIMITED: {R.HEALTHY, R.WORKED},
    F.UNEXPECTED_ANSWER: {R.HEALTHY, R.RESUMED},
}


@pytest.mark.parametrize("category", FaultCategory)
def test_what_ends_a_fault_is_told_for_each(category: FaultCategory) -> None:
    """Nothing that a machine sees ends what a person has to decide about one leaver."""
    rule = rule_for(category)
    assert rule.mended_by == MENDED_BY.get(category, set())
    assert all((category in mended(recovery)) is (recovery in rule.mended_by) for recovery in R)
    assert rule.of_system or not rule.mended_by, "only a system's fault holds up others too"
    if rule.audience in {Audience.HR, Audience.NOBODY} and category is not F.RATE_LIMITED:
        assert not rule.of_system


def test_faults_about_one_leaver_are_not_the_systems() -> None:
    """Whose account it is, who they are, who owns it, and what is worked by hand."""
    about_one = {
        F.AMBIGUOUS_MATCH, F.UNKNOWN_WORKER, F.PROTECTED_ACCOUNT, F.MANAGED_ELSEWHERE, F.MANUAL,
    }  # fmt: skip
    assert not OF_SYSTEM & (about_one | {F.PAUSED, F.INTERNAL})

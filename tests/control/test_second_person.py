"""When a person may not decide alone."""

from __future__ import annotations

import pytest

from lockstep.contracts.payloads import DecisionKind
from lockstep.control.casework import Rules
from lockstep.domain.policy import Tier
from lockstep.settings.console import ConsoleTable


@pytest.mark.parametrize(
    ("kind", "tier", "has_artefact", "needed"),
    [
        (DecisionKind.RETRY, Tier.ZERO, False, False),
        (DecisionKind.WAIVE, Tier.ONE, False, True),
        (DecisionKind.WAIVE, Tier.MANUAL, False, True),
        (DecisionKind.ATTEST, Tier.ONE, True, True),
        (DecisionKind.ATTEST, Tier.MANUAL, False, False),
        (DecisionKind.ATTEST, Tier.ONE, False, False),
        (DecisionKind.ATTEST, Tier.ZERO, False, True),
    ],
)
def test_the_default_rules(kind, tier, has_artefact, needed):
    """A waiver and grade C are two people's; so is tier 0."""
    assert Rules().need_second(kind, tier, has_artefact=has_artefact) is needed


def test_the_settings_say_which_tiers_are_attested_in_pairs():
    """None, or all of them."""
    alone = ConsoleTable.model_validate({"attest_in_pairs": []}).rules()
    pairs = ConsoleTable.model_validate({"attest_in_pairs": ["0", "1", "manual"]}).rules()
    for tier in Tier:
        assert not alone.need_second(DecisionKind.ATTEST, tier, has_artefact=False)
        assert pairs.need_second(DecisionKind.ATTEST, tier, has_artefact=False)

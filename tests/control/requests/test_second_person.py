"""When a person may not decide alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.people.pairs import Pairs
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.terminations import TerminationKind
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
    assert Pairs().need_second(kind, tier, has_artefact=has_artefact) is needed


def test_the_settings_say_which_tiers_are_attested_in_pairs():
    """Tier 0 alone, or more: no setting lets one person attest tier 0."""
    none = ConsoleTable.model_validate({"attest_in_pairs": []}).pairs()
    pairs = ConsoleTable.model_validate({"attest_in_pairs": ["0", "1", "manual"]}).pairs()
    for tier in Tier:
        is_zero = tier is Tier.ZERO
        assert none.need_second(DecisionKind.ATTEST, tier, has_artefact=False) is is_zero
        assert pairs.need_second(DecisionKind.ATTEST, tier, has_artefact=False)
    bare = Pairs(attest=frozenset())
    assert bare.need_second(DecisionKind.ATTEST, Tier.ZERO, has_artefact=False)
    assert ConsoleTable.model_validate({"attest_in_pairs": []}).attest_in_pairs == [Tier.ZERO]


def test_the_settings_say_whose_access_is_prolonged_in_pairs():
    """That of the dismissed unless told otherwise; nobody's, or everybody's."""
    alone = ConsoleTable.model_validate({"prolong_in_pairs": []}).pairs()
    pairs = ConsoleTable.model_validate({"prolong_in_pairs": list(TerminationKind)}).pairs()
    for kind in TerminationKind:
        dismissed = kind is TerminationKind.INVOLUNTARY
        assert Pairs().need_second_to_prolong(kind) is dismissed
        assert ConsoleTable().pairs().need_second_to_prolong(kind) is dismissed
        assert not alone.need_second_to_prolong(kind)
        assert pairs.need_second_to_prolong(kind)


def test_only_a_later_cutoff_prolongs():
    """To earlier, or where it is, one person may move it."""
    pairs, now = Pairs(), datetime(2026, 11, 23, tzinfo=UTC)
    for by, needed in ((-1, False), (0, False), (1, True)):
        to = now + timedelta(milliseconds=by)
        assert pairs.need_second_to_move(TerminationKind.INVOLUNTARY, now, to) is needed
        assert not pairs.need_second_to_move(TerminationKind.VOLUNTARY, now, to)

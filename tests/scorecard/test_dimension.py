"""The roll-up to the dimension: weights, ranges, stale reports, readings."""

from __future__ import annotations

from fractions import Fraction

import pytest

from lockstep.scorecard.dimension import (
    METRICS,
    Reported,
    WeightsError,
    check_weights,
    roll_up,
)
from tests.scorecard.population import DAY, NOW


def reported(text: str | None, *, age: int = 0, source: str = "lms") -> Reported:
    return Reported(None if text is None else Fraction(text), NOW - age, source)


def rolled(*, weights=None, proof=True, **values):
    return roll_up(
        {name: reported(text) if isinstance(text, str) else text for name, text in values.items()},
        weights or {},
        as_of=NOW,
        stale_after_ms=30 * DAY,
        audit_proof_allowed=proof,
    )


def all_at(text: str, **options):
    return rolled(**dict.fromkeys(METRICS, text), **options)


def test_one_metric_alone_gives_a_range():
    """The reference's example: 19.27 alone is [4.82, 19.82]."""
    document = rolled(access_revocation="19.27").as_document()

    assert (document["low"], document["high"], document["value"]) == ("4.82", "19.82", None)
    assert document["reading"] == "undetermined"
    assert document["missing"] == ["security_training", "background_checks", "zero_contractor"]


def test_nothing_known_is_everything_possible():
    """And never assumed perfect."""
    document = rolled().as_document()

    assert (document["low"], document["high"]) == ("0.00", "20.00")


def test_all_four_give_one_number():
    """The weighted sum, exactly."""
    dimension = rolled(
        weights={
            "access_revocation": 40,
            "security_training": 30,
            "background_checks": 20,
            "zero_contractor": 10,
        },
        access_revocation="19.27",
        security_training="18",
        background_checks="20",
        zero_contractor="15.5",
    )

    assert dimension.low == dimension.high == Fraction("18.658")
    assert dimension.as_document()["value"] == "18.66"
    assert dimension.is_complete


def test_a_stale_report_counts_as_missing_and_is_named():
    """Older than the bound; the bound itself is fresh."""
    old = rolled(access_revocation="20", security_training=reported("20", age=30 * DAY + 1))
    fresh = rolled(access_revocation="20", security_training=reported("20", age=30 * DAY))

    assert (old.low, old.stale) == (5, ("security_training",))
    assert (fresh.low, fresh.stale) == (10, ())
    part = old.as_document()["metrics"]["security_training"]
    assert (part["state"], part["value"], part["source"]) == ("stale", "20.00", "lms")


def test_a_metric_without_a_score_is_missing():
    """Ours says so itself where the ledger cannot be verified."""
    assert rolled(access_revocation=reported(None)).missing[0] == "access_revocation"


@pytest.mark.parametrize(
    ("text", "proof", "reading"),
    [
        ("13.99", True, "high_risk"),
        ("14", True, "medium_risk"),
        ("17.99", True, "medium_risk"),
        ("18", True, "audit_proof"),
        ("18", False, "near_target"),
        ("19", False, "on_target"),
    ],
)
def test_the_total_is_read_as_the_scorecard_says(text, proof, reading):
    """Below 70 % high risk; from 90 % on audit-proof only where the evidence allows it."""
    assert all_at(text, proof=proof).reading == reading


def test_a_range_within_one_reading_has_it():
    """Where both ends agree, what is missing cannot change it."""
    weights = {"access_revocation": 94, "security_training": 2, "background_checks": 2}
    dimension = rolled(weights={**weights, "zero_contractor": 2}, access_revocation="5")

    assert dimension.reading == "high_risk"


def test_nothing_is_audit_proof_while_a_metric_is_missing():
    """However little it weighs."""
    weights = {"access_revocation": 96, "security_training": 2, "background_checks": 1}
    dimension = rolled(
        weights={**weights, "zero_contractor": 1},
        access_revocation="20",
        security_training="20",
        background_checks="20",
    )

    assert dimension.low > 19
    assert dimension.reading == "on_target"


def test_a_metric_that_weighs_nothing_is_not_waited_for():
    """It is told, and does not hold the total back."""
    weights = {"access_revocation": 50, "security_training": 50, "background_checks": 0}
    dimension = rolled(
        weights={**weights, "zero_contractor": 0}, access_revocation="20", security_training="18"
    )

    assert dimension.is_complete
    assert dimension.as_document()["value"] == "19.00"


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"access_revocation": 100}, "no weight for security_training"),
        ({**dict.fromkeys(METRICS, 25), "attendance": 0}, "no such metric: attendance"),
        ({**dict.fromkeys(METRICS, 25), "zero_contractor": 26}, "sum to 101"),
        ({**dict.fromkeys(METRICS, 25), "zero_contractor": -1}, "between 0 and 100"),
        ({**dict.fromkeys(METRICS, 25), "zero_contractor": 25.0}, "whole number"),
        ({**dict.fromkeys(METRICS, 25), "zero_contractor": True}, "whole number"),
    ],
)
def test_weights_that_do_not_weigh_say_why(weights, told):
    """A typing error in a setting is told, and not guessed at."""
    with pytest.raises(WeightsError, match=told):
        check_weights(weights)


def test_no_weights_are_equal_weights():
    """The brief of the scorecard gives none."""
    assert check_weights({}) == dict.fromkeys(METRICS, 25)


@pytest.mark.parametrize("text", ["20.01", "-0.01"])
def test_a_value_outside_the_scale_is_refused(text):
    """Nobody reports 95 of 20."""
    with pytest.raises(ValueError, match="zero_contractor must lie between 0 and 20"):
        rolled(zero_contractor=text)

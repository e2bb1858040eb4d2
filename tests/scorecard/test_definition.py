"""The definition file: read exactly, refused clearly, and with one digest per meaning."""

from __future__ import annotations

import copy
import hashlib
import json
from fractions import Fraction
from importlib import resources

import pytest
import rfc8785

from lockstep.scorecard.definition import (
    DEFAULT,
    Definition,
    DefinitionError,
    load_definition,
    parse_definition,
)


def document(**changes: object) -> dict:
    """The default definition with values changed by their dotted path; None removes one."""
    changed = copy.deepcopy(DEFAULT.as_document())
    for path, value in changes.items():
        *parents, leaf = path.split("__")
        table = changed
        for parent in parents:
            table = table[parent]
        if value is None:
            del table[leaf]
        else:
            table[leaf] = value
    return changed


def test_the_default_is_the_packaged_file():
    """Every value of the file arrives, as a number and nothing near it."""
    text = (
        resources.files("lockstep.scorecard")
        .joinpath("definitions/access-revocation-2.json")
        .read_text()
    )

    assert parse_definition(text) == DEFAULT
    assert (DEFAULT.metric, DEFAULT.version) == ("access_revocation", "2")
    assert Fraction(1645, 1000) == DEFAULT.wilson_z
    assert Fraction(27, 2) == DEFAULT.open_tier0_limit
    assert DEFAULT.window_days == 365


def test_a_document_is_read_back_as_it_was():
    """What the pack carries is the definition that was used."""
    again = Definition.from_document(json.loads(DEFAULT.canonical()))

    assert again == DEFAULT
    assert again.digest == DEFAULT.digest


def test_the_digest_is_that_of_the_canonical_bytes():
    """An auditor can take it with any tool, from the bytes of the pack's file."""
    assert DEFAULT.digest == hashlib.sha256(DEFAULT.canonical()).hexdigest()
    assert rfc8785.dumps(DEFAULT.as_document()) == DEFAULT.canonical()


@pytest.mark.parametrize(
    ("version", "digest"),
    [
        (1, "c7cf373db51e6805fe043bca0254675a62e5938e2e7c04dd7287e5513edc41d9"),
        (2, "036f4aa931ecb8425b1c9302c6da17749946cdf305b4e30bba5c3303eb27888c"),
    ],
)
def test_a_version_never_changes(version, digest):
    """Parameters change only forward, in a new file; these digests stand in ledgers."""
    assert load_definition(f"access-revocation-{version}").digest == digest


def test_version_one_has_no_rules():
    """An old score is computed as on its day, whatever was learnt since."""
    first = load_definition("access-revocation-1")

    assert not first.has_rules
    assert DEFAULT.has_rules


def test_rules_come_together():
    """Nobody leaves one of them out of a definition and calls it by its version."""
    some = DEFAULT.as_document()
    del some["rules"]["called_off"]

    with pytest.raises(DefinitionError, match=r"lacks rules\.called_off"):
        Definition.from_document(some)


def test_the_same_number_written_otherwise_has_the_same_digest():
    """Zeros at the end mean nothing."""
    padded = Definition.from_document(document(evidence__D="0.9000", slope="50.0"))

    assert padded.digest == DEFAULT.digest


def test_another_parameter_has_another_digest():
    """Nobody loosens a parameter unseen."""
    assert Definition.from_document(document(slope="49")).digest != DEFAULT.digest


def test_no_parameter_is_a_float():
    """Numbers are fractions, whole numbers or text."""
    kinds = {type(value) for value in vars(DEFAULT).values()}

    assert float not in kinds
    assert {Fraction, int, str} <= kinds


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"slope": None}, "lacks slope"),
        ({"credit__full_until": None}, "lacks credit.full_until"),
        ({"colour": "red"}, "unknown colour"),
        ({"credit__bonus": "1"}, "unknown credit.bonus"),
        ({"slope": 50}, "slope must be a decimal in quotes"),
        ({"slope": 50.0}, "slope must be a decimal in quotes"),
        ({"slope": "-50"}, "slope: not a plain decimal"),
        ({"slope": "5e1"}, "slope: not a plain decimal"),
        ({"slope": "1/3"}, "slope: not a plain decimal"),
        ({"slope": "\u0665\u0660"}, "slope: not a plain decimal"),
        ({"slope": "0"}, "slope must be above 0"),
        ({"slope": "1" * 5000}, "slope: not a plain decimal"),
        ({"window_days": "365"}, "window_days must be a whole number"),
        ({"window_days": True}, "window_days must be a whole number"),
        ({"window_days": 365.0}, "window_days must be a whole number"),
        ({"window_days": 10**9}, "window_days must lie between"),
        ({"window_days": 0}, "window_days must be above 0"),
        ({"version": 1}, "version must be a short name"),
        ({"version": "../../etc"}, "version must be a short name"),
        ({"target": "21"}, "target must be above 0 and at most max"),
        ({"credit__full_until": "1"}, "credit.full_until must be below 1"),
        ({"credit__nothing_from": "1"}, "credit.nothing_from must be above 1"),
        ({"credit__late_from": "0.97"}, "credit.late_from must not be above"),
        ({"evidence__C": "0.8"}, "evidence must fall from A to D"),
        ({"evidence__A": "1.1"}, "evidence must fall from A to D"),
        ({"penalty__tier0_factor": "0.5"}, "penalty.tier0_factor must be at least 1"),
        ({"caps__population__limit": "21"}, "caps must be at most max"),
        ({"caps__population": "17"}, "lacks caps.population"),
        ({"labels__assured_bound": "90"}, "shares must be at most 1"),
        ({"labels__limited_from": 30}, "labels.limited_from must be"),
        ({"readings__high_risk_below": "0.95"}, "readings.high_risk_below must not be above"),
        ({"wilson_z": "0"}, "wilson_z must be above 0"),
        ({"rounding__mode": "up"}, "rounding.mode must be half_even"),
        ({"rounding__score_places": 7}, "at most 6 places"),
    ],
)
def test_a_definition_that_cannot_be_used_says_why(changes, told):
    """The error names the value, so that whoever edits the file finds it."""
    with pytest.raises(DefinitionError, match=told.replace(".", r"\.")):
        Definition.from_document(document(**changes))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not usable JSON"),
        ("[]", "must be a JSON object"),
        ('{"slope": "50", "slope": "5"}', "names a key twice"),
        ("[" * 100_000, "not usable JSON"),
        ('{"slope": ' + "9" * 5000 + "}", "not usable JSON"),
    ],
)
def test_a_file_that_is_no_definition_says_why(text, told):
    """Whatever the bytes are, the answer is a DefinitionError."""
    with pytest.raises(DefinitionError, match=told):
        parse_definition(text)


@pytest.mark.parametrize("name", ["access-revocation-0", "../definition", "/etc/passwd", ""])
def test_only_packaged_definitions_are_loaded(name):
    """A name is no path."""
    with pytest.raises(DefinitionError, match="no definition"):
        load_definition(name)


@pytest.mark.parametrize(
    ("ratio", "credit"),
    [
        ("0", "1"),
        ("0.25", "1"),
        ("0.625", "0.98"),
        ("1", "0.96"),
        ("1.000001", "0.4999998333333333333333333333"),
        ("1.5", "0.4166666666666666666666666667"),
        ("2.5", "0.25"),
        ("4", "0"),
        ("400", "0"),
    ],
)
def test_credit_is_the_published_curve(ratio, credit):
    """Whole to a quarter, 0.96 at the end of the SLA, half at once when late, nothing from 4."""
    parts = Fraction(ratio).as_integer_ratio()

    assert abs(Fraction(*DEFAULT.credit(*parts)) - Fraction(credit)) < Fraction(1, 10**20)


def test_late_by_nearly_nothing_is_late():
    """At the end of the SLA a case loses nearly half at once: no rounding mends it."""
    sla = 24 * 3_600_000

    assert Fraction(*DEFAULT.credit(sla, sla)) == Fraction(96, 100)
    assert Fraction(*DEFAULT.credit(sla + 1, sla)) < Fraction(1, 2)

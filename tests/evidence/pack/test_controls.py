"""The control mapping: complete, in our own words, and no cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.standards.controls import CONTROLS, mapping_csv
from lockstep.evidence.pack.standards.oscal_statements import STATEMENTS

REQUIRED = {
    ("SOC 2", ("CC6.2", "CC6.3", "CC6.4")),
    ("ISO/IEC 27001:2022", ("A.5.16", "A.5.18", "A.6.5", "A.7.2", "A.8.2")),
    ("NIST SP 800-53", ("PS-4", "PS-7", "AC-2", "AC-2(3)", "AU-9(3)", "AU-10")),
    ("PCI DSS", ("8.2.5",)),
    ("HIPAA", ("164.308(a)(3)(ii)(C)",)),
    ("CIS", ("6.2",)),
}


def rows():
    return list(csv.reader(io.StringIO(mapping_csv().decode(), newline="")))


@pytest.mark.parametrize(("framework", "ids"), sorted(REQUIRED))
def test_every_requirement_is_mapped(framework, ids):
    """All that the product promises to answer."""
    mapped = [row[1] for row in rows()[1:] if row[0].startswith(framework)]

    assert mapped == list(ids)


def test_no_cell_can_be_taken_for_a_formula():
    """Also none that is empty: every requirement has an answer and a limit."""
    for row in rows():
        for cell in row:
            assert cell.strip() == cell != ""
            assert cell[0] not in "=+-@\t\r"


def test_no_requirement_is_mapped_twice():
    """One row per requirement."""
    ids = [(row.framework, row.id) for row in CONTROLS]

    assert len(set(ids)) == len(ids) == len(rows()) - 1


def test_what_is_named_as_evidence_is_in_the_pack():
    """File names come from the layout, so that they cannot drift from it."""
    names = {value for name, value in vars(layout).items() if name.isupper() and "/" in str(value)}

    for row in CONTROLS:
        told = " ".join(row.answered_by)
        assert any(str(name) in told for name in names), row.id


def test_statements_of_the_assessment_are_mapped_too():
    """The OSCAL document judges no control that the mapping leaves out."""
    mapped = {row.id.lower().replace("(", ".").replace(")", "") for row in CONTROLS}

    assert {statement.control for statement in STATEMENTS} <= mapped


def test_other_frameworks_in_the_assessment_are_mapped_too():
    """Ids that stand beside a finding have a row with their limits."""
    mapped = {row.id for row in CONTROLS}

    assert {control for one in STATEMENTS for _, control in one.also} <= mapped

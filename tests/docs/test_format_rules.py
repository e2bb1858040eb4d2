"""The page of the format and the code that reads packs cannot part: every heading has its checks.

The list of rules is derived from the page's headings and tables. A heading without a check, a row
that the code does not have, or something in the code that no row names, fails here.
"""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from lockstep.evidence.ledger.entries import EntryKind
from lockstep.evidence.ledger.fold import CHANGES, OPENINGS
from lockstep.evidence.ledger.history import CASELESS, MAX_DOCUMENTS
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people import columns as population_columns
from lockstep.evidence.verify import statement
from lockstep.evidence.verify.check import PLAN
from lockstep.evidence.verify.content import ledger
from lockstep.evidence.verify.heads import keys
from lockstep.evidence.verify.zip.archive import Limits
from lockstep.scorecard import definition
from tests.evidence.ledgers import story
from tests.evidence.packs import files_of, make_pack

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "evidence-format.md").read_text()
HEADING = re.compile(r"^##+ (?:\d+\. )?(.+)$", re.MULTILINE)

CHECKED: dict[str, tuple[str, ...]] = {
    "Bytes": ("tests/evidence/test_verify_forms.py",),
    "Instants and durations": ("tests/evidence/format/test_plain.py",),
    "Canonical JSON": (
        "tests/evidence/format/test_canonical.py",
        "tests/evidence/format/test_plain.py",
    ),
    "JSON files": ("test_proofs_of_another_form", "test_hand_overs_of_another_form"),
    "CSV files": ("test_tables_of_another_form", "test_an_empty_cell_in_quotes"),
    "ZIP": ("tests/evidence/test_verify_archive.py",),
    "Files": ("test_a_file_outside_the_format", "test_a_file_left_out_by_the_operator"),
    "The statement": ("test_a_statement_of_another_form", "tests/evidence/format/test_dsse.py"),
    "The ledger": ("tests/evidence/test_verify_cheats.py",),
    "Tree": ("tests/evidence/format/test_merkle.py",),
    "entries.jsonl": ("tests/evidence/pack/test_entries_file.py",),
    "Entries": ("test_an_entry_of_another_form", "test_a_second_person_who_is_nobody"),
    "Heads and keys": (
        "tests/evidence/format/test_notes.py",
        "test_the_ledgers_own_key_is_no_witness",
    ),
    "From entries to facts": (
        "tests/evidence/ledger/test_history.py",
        "test_a_finding_without_its_case",
    ),
    "From facts to figures": ("tests/evidence/test_verify_stranger.py",),
    "What a definition counts": (
        "tests/evidence/test_verify_stranger.py",
        "tests/scorecard/test_counting.py",
    ),
    "Figures": ("tests/evidence/test_verify_stranger.py",),
    "Population": ("tests/evidence/pack/test_population.py",),
    "Scores": ("tests/evidence/test_verify_stranger.py",),
    "The definition": ("tests/scorecard/test_definition.py",),
    "The reckoning": ("tests/evidence/test_verify_stranger.py",),
    "What is withheld": ("tests/evidence/test_verify_withheld.py",),
    "The document": ("test_the_members_of_a_score",),
    "Sample and leavers in detail": (
        "test_a_sample_chosen_by_hand",
        "test_a_case_outside_the_period_is_shown_and_counted_nowhere",
    ),
    "Names": ("test_leavers_without_a_row",),
    "Steps of a verification": ("test_unusable_input", "test_it_refutes"),
}
"""Heading to the tests that hold what stands under it: by name, or whole files."""


def under(heading: str) -> str:
    """The text under a heading, down to the next one of its level or above."""
    found = re.search(rf"^(##+) (?:\d+\. )?{re.escape(heading)}$", PAGE, re.MULTILINE)
    assert found, heading
    rest = PAGE[found.end() :]
    end = re.search(rf"^#{{2,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def first_cells(heading: str, head: str) -> list[str]:
    """The first cells of the table under a heading whose head begins with ``head``."""
    lines = under(heading).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(f"| {head} |"))
    cells = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        cells.append(line.split(" | ")[0].removeprefix("| "))
    return cells


def marked(cells: list[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_heading_has_its_checks() -> None:
    """A rule that nothing checks is a wish, and a check without a rule is a secret."""
    assert HEADING.findall(PAGE) == list(CHECKED)


@pytest.mark.parametrize("change", ["\n## 13. Secrets\n", "\n### Small print\n"])
def test_a_heading_without_a_check_is_noticed(monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    """The guard can fail."""
    monkeypatch.setitem(globals(), "PAGE", PAGE + change)
    with pytest.raises(AssertionError):
        test_every_heading_has_its_checks()


@pytest.mark.parametrize("heading", CHECKED)
def test_the_checks_are_there(heading: str, defined: set[str]) -> None:
    """By the names under which they run."""
    for check in CHECKED[heading]:
        assert check in defined or (ROOT / check).is_file(), check


@pytest.fixture(scope="module")
def defined() -> set[str]:
    folders = ("evidence", "control", "docs", "connectors/anchors")
    trees = [
        ast.parse(path.read_text())
        for folder in folders
        for path in (ROOT / "tests" / folder).rglob("test_*.py")
    ]
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for tree in trees for node in tree.body if isinstance(node, kinds)}


def test_the_attacks_on_packs_are_tests(defined: set[str]) -> None:
    """What the page on security says of a lying operator, somebody tries."""
    page = (ROOT / "docs" / "security.md").read_text()
    section = page.partition("## Packs from an operator who lies")[2].partition("\n## ")[0]
    named = re.findall(r"`(test_[a-z_]+)`", section)
    assert len(named) > len(CHECKED) // 2
    assert set(named) <= defined


def test_members_of_the_statement() -> None:
    """Exactly those, and exactly the counts."""
    rows = first_cells("The statement", "member")
    assert sorted(marked(rows)) == sorted(statement._PREDICATE)
    [counts] = [
        line for line in under("The statement").splitlines() if line.startswith("| `counts`")
    ]
    assert set(marked([counts])) - {"counts", "leavers/"} == statement._COUNTS


def test_members_of_an_entry() -> None:
    """Exactly those, and exactly the actors."""
    rows = first_cells("Entries", "member")
    own = {*ledger._MEMBERS, *ledger._OPTIONAL}
    assert set(marked(rows)) == own
    [actor] = [line for line in under("Entries").splitlines() if line.startswith("| `actor`")]
    assert set(re.findall(r'"([a-z]+)"', actor)) - {"type", "ref"} == ledger._ACTORS


def test_kinds_of_entries() -> None:
    """Those that are written, each once, and no other."""
    assert sorted(marked(first_cells("Entries", "kind"))) == sorted(
        kind.value for kind in EntryKind
    )


def test_what_changes_facts() -> None:
    """Every kind that the fold takes has a row, and every row is one that the fold takes."""
    rows = set(marked(first_cells("From entries to facts", "entry")))
    notes = {"policy:adopted", "metric:adopted", "feed:expected", "feed:heard"}
    assert rows - {"access_returned"} == {*CHANGES, *OPENINGS, *notes}
    for kind in CASELESS:
        assert f"`{kind}`" in under("From entries to facts")


def test_files() -> None:
    """What every pack has, and what it may have, by name or pattern."""
    text = under("Files")
    rows = set(marked(first_cells("Files", "file")))
    whole, _, _ = text.partition("Every pack has")
    obliged = text[len(whole) :]
    for name in layout.REQUIRED - {layout.README}:
        folder, _, file = name.rpartition("/")
        said = f"`{name}`" in obliged or f"`{file}`" in obliged or folder == "ledger"
        assert said, name
        assert name in rows or f"{folder}/*.csv" in rows, name
    samples = {
        "anchors/<name>.tsr": "anchors/a.tsr",
        "anchors/<name>.txt": "anchors/a.txt",
        "policy/<digest>.json": layout.policy_name("a" * 64),
        "policy/metric-<digest>.json": layout.metric_name("b" * 64),
        "population/*.csv": layout.LEAVERS,
        "leavers/<case>/case.json": layout.case_name("c1"),
        "timeline.pdf": layout.timeline_name("c1"),
        "statement.dsse.json": layout.README,  # the one that names the others
    }
    names = [samples.get(row, row) for row in rows]
    own = {"policies": ["a" * 64], "metric": "b" * 64}
    assert list(layout.foreign(names, **own, identified=True)) == []


def test_columns_and_reasons_are_all_there() -> None:
    """Every table of the format is one that the page describes."""
    for name, columns in vars(population_columns).items():
        if name.endswith("_COLUMNS") and name != "MAPPING_COLUMNS":
            for column in columns:
                assert f"`{column}`" in PAGE, (name, column)
    rows = marked(first_cells("Population", "reason"))
    assert set(rows) == set(population_columns.EXCLUSIONS)


def test_parameters_of_the_definition() -> None:
    """Every one, and no other: with its place in the document."""
    rows = marked(first_cells("The definition", "member"))
    assert sorted(rows) == sorted({**definition._PATHS, **definition._RULES}.values())


def test_members_of_a_score_and_no_others() -> None:
    """The list under its heading is the document's, in whatever order."""
    text = under("The document").partition("Members of the document:")[2]
    told = set(re.findall(r"`([a-z0-9_]+)`", text.partition("`official` says")[0]))
    document = json.loads(files_of(make_pack(story()))[layout.SCORE])
    inner = {name for part in document.values() if isinstance(part, dict) for name in part}
    assert set(document) <= told
    assert told - set(document) - inner <= {
        *("ms", "open", "code", "limit", "count", "worst", "case", "system", "since_ms"),
        *("source", "expected_since", "heard_at", "age_ms"),
        *("policy", "cases", "missing"),
    }


def test_steps_and_exit_codes() -> None:
    """The table is the plan, row for row; the codes are those of the commands."""
    rows = first_cells("Steps of a verification", "step")
    assert rows == [f"{plan.number}. {plan.title}" for plan in PLAN]
    assert "ends with 0 if no step failed, 1 if one did, and 2" in under("Steps of a verification")


def test_bounds() -> None:
    """What a second verifier must know to accept and refuse the same."""
    assert f"{Limits().wide:,} or more" in under("ZIP")
    facts = under("From entries to facts")
    assert f"at most {MAX_DOCUMENTS}\npolicies" in facts
    assert f"at most {keys._MAX_HAND_OVERS} hand-overs" in facts
    assert f"n from 1 to {layout.MAX_SAMPLE}" in under("The statement")
    assert f"| `format` | {layout.FORMAT};" in under("The statement")

"""The page that a stranger writes a second verifier from says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lockstep.evidence.ledger.entries import EntryKind
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people import columns as population_columns
from lockstep.evidence.verify.check import PLAN
from lockstep.evidence.verify.zip.archive import Limits
from tests.evidence.ledgers import story
from tests.evidence.packs import files_of, make_pack

PAGE = (Path(__file__).parents[2] / "docs" / "evidence-format.md").read_text()
SECTIONS = dict(re.findall(r"^## \d+\. (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def listed(text: str) -> list[str]:
    """Names in code marks, those in parentheses left out."""
    return re.findall(r"`([a-z0-9_]+)`", re.sub(r"\([^()]*(\([^()]*\)[^()]*)*\)", "", text))


@pytest.mark.parametrize(
    ("file", "columns"),
    [
        ("population/leavers.csv", population_columns.LEAVER_COLUMNS),
        ("population/leaver_systems.csv", population_columns.SYSTEM_COLUMNS),
        ("population/exceptions.csv", population_columns.EXCEPTION_COLUMNS),
        ("population/not_in_population.csv", population_columns.EXCLUDED_COLUMNS),
        ("population/systems.csv", population_columns.POLICY_SYSTEM_COLUMNS),
        ("population/sample.csv", population_columns.SAMPLE_COLUMNS),
        ("identified/actors.csv", population_columns.ACTOR_COLUMNS),
        ("identified/commitments.csv", population_columns.COMMITMENT_COLUMNS),
        ("identified/people.csv", population_columns.PEOPLE_COLUMNS),
    ],
)
def test_the_columns_of_every_file(file: str, columns: tuple[str, ...]) -> None:
    """All of them, in order, in a paragraph that begins with the first."""
    about = PAGE.rindex(f"`{file}`")
    paragraph = PAGE[
        PAGE.index("`case_id`" if columns[0] == "case_id" else f"`{columns[0]}`", about) :
    ]
    assert tuple(listed(paragraph.partition("\n\n")[0])) == columns


def test_every_kind_of_entry() -> None:
    """Also those that change nothing."""
    for kind in EntryKind:
        assert f"`{kind.value}`" in SECTIONS["The ledger"], kind


def test_every_step() -> None:
    """With the titles that reports show."""
    for plan in PLAN:
        assert f"| {plan.number}. {plan.title} |" in SECTIONS["Steps of a verification"]


def test_every_reason() -> None:
    """With the sentence that the files show."""
    for code, sentence in {**population_columns.REASONS, **population_columns.EXCLUSIONS}.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{code}` |"))
        assert row.endswith(f"| {sentence} |")


def test_every_file_of_a_pack() -> None:
    """By name or by pattern."""
    names = SECTIONS["Files"]
    for name in files_of(make_pack(story())):
        generic = re.sub(r"[0-9a-f]{64}", "<digest>", name)
        generic = re.sub(r"leavers/[^/]+/", "leavers/<case>/", generic)
        folder, _, file = generic.rpartition("/")
        assert f"`{generic}`" in names or f"`{file}`" in names or f"`{folder}/*.csv`" in names


def test_the_members_of_a_score() -> None:
    """All of them."""
    document = json.loads(files_of(make_pack(story()))[layout.SCORE])
    section = SECTIONS["Scores"]
    for member in document:
        assert f"`{member}`" in section, member
    for member in document["exposure"]:
        assert f"`{member}`" in section, member


def test_the_bounds() -> None:
    """A second verifier that bounds less refuses nothing that ours accepts."""
    limits = Limits()
    text = SECTIONS["Bytes"]
    assert f"{limits.files:,} files" in text
    assert f"{limits.total // 1024**3} GiB" in text
    assert f"{limits.ratio} times" in text
    assert f"{limits.small // 1024**2} MiB for a file" in text
    assert f"{limits.line // 1024**2} MiB for a line" in text

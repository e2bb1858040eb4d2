"""OCSF lines of a pack: every event up to a bound, one finding per leaver beyond it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import PackSummary
from lockstep.evidence.verify.check import verify_pack
from tests.evidence.ledgers import HOUR, MINUTE, START, Book
from tests.evidence.packs import scope_of
from tests.evidence.writing import write_pack

BOUND = layout.MAX_EVENT_LEAVERS


def crowd(leavers: int) -> Book:
    """So many leavers of one system each, all of them in time."""
    book = Book().begin()
    for number in range(leavers):
        cutoff = START + HOUR + number * MINUTE
        book.open(f"c{number:05}", cutoff, systems=("okta",))
        book.outcome(f"c{number:05}", "okta", cutoff + MINUTE)
    return book


@pytest.fixture(scope="module")
def larger(tmp_path_factory) -> tuple[Book, Path, PackSummary]:
    """A pack of one leaver more than OCSF tells event by event, three of them in detail."""
    book = crowd(BOUND + 1)
    path = tmp_path_factory.mktemp("larger") / "pack.zip"
    return book, path, write_pack(book, scope_of(), path)


def lines_of(path: Path) -> list[dict[str, object]]:
    with ZipFile(path) as archive:
        return [json.loads(line) for line in archive.read(layout.OCSF).splitlines()]


def read(path: Path, name: str) -> str:
    with ZipFile(path) as archive:
        return archive.read(name).decode()


def shown(path: Path) -> set[str]:
    with ZipFile(path) as archive:
        return {name.split("/")[1] for name in archive.namelist() if name.startswith("leavers/")}


def told(path: Path) -> tuple[Counter[str], set[str]]:
    """Findings by case, and the cases of which there are events."""
    findings: Counter[str] = Counter()
    events = set()
    for line in lines_of(path):
        case_id = line["metadata"]["correlation_uid"]
        if line["class_uid"] == 2003:
            findings[case_id] += 1
        else:
            events.add(case_id)
    return findings, events


def test_up_to_the_bound_every_event_is_told(tmp_path):
    """Of every leaver, and the page does not speak of anything left out."""
    summary = write_pack(crowd(BOUND), scope_of(), tmp_path / "pack.zip")
    findings, events = told(tmp_path / "pack.zip")

    assert len(findings) == len(events) == BOUND == summary.counts["leavers_with_events"]
    assert "every event, and one finding per leaver" in read(tmp_path / "pack.zip", layout.README)


def test_beyond_the_bound_there_is_one_finding_per_leaver(larger):
    """In the order of the population; events only of those in detail."""
    _, path, summary = larger
    findings, events = told(path)
    rows = read(path, layout.LEAVERS).splitlines()[1:]

    assert list(findings) == [row.split(",")[0] for row in rows]
    assert set(findings.values()) == {1}
    assert events == shown(path)
    assert len(events) == summary.counts["leavers_with_events"] == 3


def test_beyond_the_bound_the_page_says_so(larger):
    """In bold, with both numbers, and where all events stand."""
    _, path, _ = larger
    page = read(path, layout.README)
    line = next(line for line in page.splitlines() if layout.OCSF in line)

    assert "**one finding per leaver, and events only of the 3 shown in detail**" in line
    assert f"more than {BOUND:,} leavers" in line
    assert layout.ENTRIES in line


def test_a_large_pack_verifies(larger):
    """A verifier does not trip over the statement's count of leavers told event by event."""
    book, path, _ = larger
    assert verify_pack(path, keys=[book.signer.verifier]).is_verified


def test_a_large_pack_is_the_same_twice(larger, tmp_path):
    """Byte for byte."""
    book, path, _ = larger
    write_pack(book, scope_of(), tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_without_a_sample_there_are_findings_alone(tmp_path):
    """And the page says so."""
    path = tmp_path / "pack.zip"
    summary = write_pack(crowd(BOUND + 1), scope_of(sample_n=0, seed=""), path)
    findings, events = told(path)

    assert (len(findings), events) == (BOUND + 1, set())
    assert summary.counts["leavers_with_events"] == 0
    assert "**one finding per leaver, and no events**" in read(path, layout.README)

"""`ledger/entries.jsonl`: what is shown, what is withheld, and that a broken ledger stays here."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format.canonical import canonical_bytes, leaf_hash
from lockstep.evidence.format.merkle import Frontier, is_consistent, root_of
from lockstep.evidence.pack.entries_file import Disclosure, EntriesFile, ExportError
from lockstep.evidence.pack.model import PackScope


@dataclass(frozen=True)
class Row:
    """A leaf as storage gives it."""

    index: int
    body: bytes
    leaf_hash: bytes
    case_id: str | None
    kind: str


def row(index: int, kind: str = "watch:look", case: str | None = None, **data: object) -> Row:
    entry = {"kind": kind, "key": str(index), **({"case": case} if case else {}), "data": data}
    body = canonical_bytes(entry)
    return Row(index, body, leaf_hash(body), case, kind)


def scope(**changes: object) -> PackScope:
    return replace(PackScope("acme", "acme/ledger", 0, 0, 1), **changes)


def written(
    rows: Sequence[Row],
    asked: PackScope,
    *,
    heads: Sequence[int] = (),
    proofs: Sequence[int] = (),
    **changes: object,
) -> tuple[EntriesFile, list[str]]:
    """Write ``rows``; heads are honest unless ``changes`` replaces ``roots`` or ``size``."""
    hashes = [each.leaf_hash for each in rows]
    options = {
        "size": len(rows),
        "roots": {size: root_of(hashes[:size]) for size in (*heads, len(rows))},
        **changes,
    }
    out = io.BytesIO()
    file = EntriesFile(out, Disclosure(asked), proofs=proofs, **options)
    for each in rows:
        file.add(each)
    file.finish()
    return file, out.getvalue().decode().splitlines()


def frontier_of(lines: Sequence[str]) -> Frontier:
    """The tree as a reader rebuilds it from the lines alone."""
    tree = Frontier()
    for line in lines:
        if line.startswith("#"):
            level, digest = line[1:].split(" ")
            tree.push(int(level), bytes.fromhex(digest))
        else:
            tree.append(leaf_hash(line.encode()))
    return tree


PARTNERS = ("north", "south", "")


@st.composite
def ledgers(draw) -> list[Row]:
    """Cases of several partners, opened before anything is said of them, and common entries."""
    rows: list[Row] = []
    opened: list[str] = []
    for index in range(draw(st.integers(1, 70))):
        choice = draw(st.integers(0, 9))
        if choice < 2 or not opened:
            case = f"c{index}"
            opened.append(case)
            kind = draw(st.sampled_from(["case:opened", "case:rescinded"]))
            partner = draw(st.sampled_from(PARTNERS))
            rows.append(row(index, kind, case, partner=partner, site=""))
        elif choice == 9:
            kinds = ["policy:adopted", "metric:adopted", "ledger:heartbeat", "metric:reported"]
            rows.append(row(index, draw(st.sampled_from(kinds))))
        else:
            rows.append(row(index, "watch:look", draw(st.sampled_from(opened))))
    return rows


def belongs(rows: Sequence[Row], partner: str) -> set[int]:
    """Indexes that a partner's pack must show, reckoned in another way than the product does."""
    mine = set()
    for each in rows:
        data = json.loads(each.body)["data"]
        if data.get("partner") == partner:
            mine.add(each.case_id)
    always = ("policy:adopted", "metric:adopted", "ledger:")
    return {
        each.index
        for each in rows
        if each.kind.startswith(always) or (each.case_id is not None and each.case_id in mine)
    }


@given(ledgers())
def test_a_full_pack_shows_every_entry_as_it_is(rows):
    """Byte for byte, in order."""
    file, lines = written(rows, scope())
    assert lines == [each.body.decode() for each in rows]
    assert file.disclosed == len(rows)


@given(ledgers())
def test_a_partners_pack_shows_its_cases_and_hashes_for_the_rest(rows):
    """Nothing of another partner, nothing of its own missing, and the root is the signed one."""
    file, lines = written(rows, scope(partner="north"))
    shown = [json.loads(line)["key"] for line in lines if line.startswith("{")]

    assert shown == [str(index) for index in sorted(belongs(rows, "north"))]
    assert file.disclosed == len(shown)
    tree = frontier_of(lines)
    assert (tree.size, tree.root()) == (len(rows), root_of(each.leaf_hash for each in rows))


def test_a_case_is_shown_to_the_partner_that_hr_named_last():
    """From its first entry on, and no more to the partner that it was taken for at first."""
    rows = [
        row(0, "case:opened", "c0", partner="south"),
        row(1, "watch:look", "c0"),
        row(2, "case:opened", "c1", partner="north"),
        row(3, "case:amended", "c0", partner="north"),
        row(4, "case:amended", "c1", partner="south"),
    ]
    disclosure = Disclosure(scope(partner="north"), moved={"c0": "north", "c1": "south"})
    assert [each.index for each in rows if disclosure.shows(each)] == [0, 1, 3]


@given(ledgers(), st.data())
def test_heads_inside_a_withheld_part_get_a_proof(rows, data):
    """Every earlier head is either at the end of a line or proved, and every proof is right."""
    heads = data.draw(st.sets(st.integers(1, len(rows)), max_size=8))
    file, lines = written(rows, scope(case_id="c0"), heads=sorted(heads), proofs=sorted(heads))
    hashes = [each.leaf_hash for each in rows]
    tree = Frontier()
    ends = set()
    for line in lines:
        tree = frontier_of([*lines[: lines.index(line) + 1]])
        ends.add(tree.size)

    assert heads - ends == set(file.hidden_heads) & heads
    for old in heads:
        proof = [bytes.fromhex(node) for node in file.consistency(old)]
        assert is_consistent(old, root_of(hashes[:old]), len(rows), root_of(hashes), proof)


def test_a_withheld_run_is_given_by_few_hashes():
    """A thousand withheld entries are a handful of lines, not a thousand."""
    rows = [row(0, "policy:adopted"), *(row(n, "watch:look", "c1") for n in range(1, 1001))]
    _, lines = written(rows, scope(case_id="c0"))
    assert len(lines) < 25


ROWS = [row(0, "ledger:key_adopted"), *(row(n, "watch:look", "c1") for n in range(1, 30))]
HASHES = [each.leaf_hash for each in ROWS]


def test_a_missing_leaf_is_named():
    """A gap in the order is no ledger."""
    with pytest.raises(ExportError, match="leaf 7 is missing"):
        written([*ROWS[:7], *ROWS[8:]], scope())


def test_an_entry_that_is_not_what_was_hashed_is_named():
    """The bytes were changed under their hash."""
    changed = replace(ROWS[9], body=ROWS[9].body.replace(b"c1", b"c2"))
    with pytest.raises(ExportError, match="entry 9 is not what was hashed"):
        written([*ROWS[:9], changed, *ROWS[10:]], scope())


def test_an_entry_replaced_with_its_hash_shows_in_the_root():
    """Between which heads it lies is said, so that somebody can look."""
    other = row(12, "watch:look", "c9")
    roots = {size: root_of(HASHES[:size]) for size in (10, 20, 30)}
    with pytest.raises(ExportError, match=r"entries 10 to 19 do not give the root .* at 20"):
        written([*ROWS[:12], other, *ROWS[13:]], scope(), roots=roots)


def test_a_cut_tail_is_refused():
    """The signed head says how many there were."""
    with pytest.raises(ExportError, match="has 29 leaves, its signed head says 30"):
        written(ROWS[:29], scope(), size=30, roots={30: root_of(HASHES)})


def test_a_row_that_lies_about_its_entry_is_refused():
    """Else one partner's entry could be shown to another."""
    lying = replace(ROWS[5], case_id="c0")
    with pytest.raises(ExportError, match="entry 5 is not what its row says"):
        written([*ROWS[:5], lying, *ROWS[6:]], scope(case_id="c0"))


def test_a_foreign_previous_head_is_told_from_a_damaged_ledger():
    """The reader must learn that what they kept does not fit, not that we have a fault."""
    roots = {8: b"\1" * 32, 30: root_of(HASHES)}
    with pytest.raises(ExportError, match="not a head of this ledger"):
        written(ROWS, scope(), roots=roots, claimed=8)

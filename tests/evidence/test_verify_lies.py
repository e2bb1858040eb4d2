"""Lies that an operator signs with the true key: about figures, documents, names, entries, claims.

The statement is whole and the tree is whole; only recomputing finds them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.report import Verdict
from tests.evidence.ledgers import (
    DAY,
    HOUR,
    ORIGIN,
    START,
    Book,
    digest_of,
    handover,
    place_of,
    story,
)
from tests.evidence.packs import files_of, make_pack, scope_of
from tests.evidence.verdicts import (
    all_of,
    check,
    drop,
    edit,
    failed,
    put,
    recount,
    rewrite,
    told,
    verdict,
)


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


# --- score, policy, sample, names -----------------------------------------------------------------


@pytest.mark.parametrize("name", [layout.SCORE, layout.PERIOD_SCORE])
def test_a_score_edited(book: Book, tmp_path: Path, name: str) -> None:
    """The operator signs a better score: only recomputation finds it."""
    forge = edit(name, b'"value": "0.00"', b'"value": "19.50"')
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {11}
    assert f'{name}: value is "19.50", the entries give "0.00"' in told(report, 11)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"null", b"[" * 10_000, b"\xff"])
def test_a_score_that_is_none(book: Book, tmp_path: Path, raw: bytes) -> None:
    """Whatever stands there, it is refuted and not stumbled over."""
    report = check(tmp_path, make_pack(book, forge=put(layout.SCORE, raw)), book)
    assert failed(report) == {11}


def looser(book: Book) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads(plain_bytes(book.policy))
    policy["sla_s"] = dict.fromkeys(policy["sla_s"], 30 * 24 * 3600)
    return policy


def test_a_policy_swapped_under_its_name(book: Book, tmp_path: Path) -> None:
    """The name of a policy is its digest."""
    forge = put(layout.policy_name(book.policy_digest), plain_bytes(looser(book)))
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {8}
    assert "swapped" in told(report, 8)


def test_a_policy_swapped_with_its_name(book: Book, tmp_path: Path) -> None:
    """A policy that the ledger never adopted judges nobody."""
    policy = looser(book)
    forge = all_of(
        drop(layout.policy_name(book.policy_digest)),
        put(layout.policy_name(digest_of(policy)), plain_bytes(policy)),
    )
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {8}
    assert "never adopted" in told(report, 8)


def test_a_policy_left_out(book: Book, tmp_path: Path) -> None:
    """Every case's policy is in the pack."""
    forge = drop(layout.policy_name(book.policy_digest))
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {8}


def test_a_metric_swapped(book: Book, tmp_path: Path) -> None:
    """Likewise the definition of the metric."""
    document = book.definition.as_document() | {"slope": "5"}
    own = layout.metric_name(book.definition.digest)
    swapped = make_pack(book, forge=put(own, plain_bytes(document)))
    assert failed(check(tmp_path, swapped, book)) == {8}

    renamed = all_of(drop(own), put(layout.metric_name(digest_of(document)), plain_bytes(document)))
    assert failed(check(tmp_path, make_pack(book, forge=renamed), book)) == {8}


def test_a_sample_chosen_by_hand(book: Book, tmp_path: Path) -> None:
    """Somebody quick in the place of somebody late."""
    raw = make_pack(book)
    drawn = [row.split(b",")[1] for row in files_of(raw)[layout.SAMPLE].splitlines()[1:]]
    other = next(f"cquick{n}".encode() for n in range(6) if f"cquick{n}".encode() not in drawn)
    report = check(tmp_path, make_pack(book, forge=edit(layout.SAMPLE, drawn[0], other)), book)
    assert failed(report) == {12}
    assert drawn[0].decode() in told(report, 12)


def test_another_seed(book: Book, tmp_path: Path) -> None:
    """The seed that was asked for stands in the statement."""

    def claim(predicate: dict[str, Any]) -> None:
        predicate["sample"]["seed"] = "other dice"

    assert failed(check(tmp_path, make_pack(book, claim=claim), book)) == {12}


def detail_of(book: Book, ending: str) -> str:
    return next(name for name in files_of(make_pack(book)) if name.endswith(ending))


def test_a_leaver_in_detail_edited(book: Book, tmp_path: Path) -> None:
    """What is shown of a sampled leaver follows from the entries too."""
    name = detail_of(book, "case.json")
    forge = edit(name, b'"leaf":', b'"leaf" :')
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {12}
    assert name in told(report, 12)


@pytest.mark.parametrize("ending", ["case.json", "timeline.pdf"])
def test_a_leaver_in_detail_left_out(book: Book, tmp_path: Path, ending: str) -> None:
    """Everybody who was drawn is shown."""
    report = check(tmp_path, make_pack(book, forge=drop(detail_of(book, ending))), book)
    assert failed(report) == {12}


def test_a_leaver_in_detail_who_was_not_drawn(book: Book, tmp_path: Path) -> None:
    """And nobody else."""
    forge = put("leavers/cother/case.json", b"{}\n")
    assert failed(check(tmp_path, make_pack(book, forge=forge), book)) == {12}


def misname(files: dict[str, bytes], lie: str) -> None:
    """Forge one of the two files that say who people are."""
    proofs, told = layout.COMMITMENTS, layout.PEOPLE
    match lie:
        case "twice":
            files[proofs] += files[proofs].splitlines(keepends=True)[-1]
        case "state":
            files[proofs] = files[proofs].replace(b"disclosed", b"erased")
        case "read":  # the file that people read says somebody else
            files[told] = files[told].replace(b"Ada", b"Eva")
        case "more":
            files[told] += files[told].splitlines(keepends=True)[-1]
        case "apart":  # nothing to hold the names against
            del files[proofs]
        case "columns":
            files[told] = files[proofs].replace(b"Ada", b"Eva")
        case _:
            pass


@pytest.mark.parametrize(
    "lie", ["name", "opening", "case", "twice", "state", "read", "more", "apart", "columns"]
)
def test_a_wrong_name(tmp_path: Path, lie: str) -> None:
    """The ledger was committed to somebody else."""
    identity, opening = '{"display_name":"Ada Muster"}', "ab" * 32
    answer = hmac.new(bytes.fromhex(opening), identity.encode(), hashlib.sha256).hexdigest()
    book = Book().begin()
    book.run("c1", START + DAY, identity=answer)
    book.run("c2", START + 2 * DAY)
    people = {"c1": (identity, opening)}
    match lie:
        case "name":
            people["c1"] = (identity.replace("Ada", "Eva"), opening)
        case "opening":
            people["c1"] = (identity, "no hex")
        case "case":
            people = {"c2": (identity, opening)}

    raw = make_pack(
        book,
        scope=scope_of(identified=True),
        older=(),
        people=people,
        forge=lambda files: misname(files, lie),
    )
    assert failed(check(tmp_path, raw, book)) == {13}


def test_names_that_the_statement_does_not_mention(book: Book, tmp_path: Path) -> None:
    """A pack that names people says so."""

    def claim(predicate: dict[str, Any]) -> None:
        predicate["identified"] = True

    assert failed(check(tmp_path, make_pack(book, claim=claim), book)) == {13}


# --- what the entries say -------------------------------------------------------------------------


def told_wrongly(book: Book, change: str) -> list[bytes]:
    lines = list(book.entries)
    last = json.loads(lines[-1])
    match change:
        case "another tenant":
            lines[-1] = plain_bytes(last | {"tenant": "other"})
        case "same key":
            lines[-1] = plain_bytes(last | {"key": json.loads(lines[0])["key"]})
        case "blanks":
            lines[-1] = json.dumps(last).encode()
        case "another version":
            lines[-1] = plain_bytes(last | {"v": 2})
        case "no instant":
            lines[-1] = plain_bytes(last | {"recorded_at": "yesterday"})
        case "no actor":
            lines[-1] = plain_bytes(last | {"actor": "lockstep"})
        case "no opening":
            del lines[place_of(book, "clate", "case:opened")]
        case "opened twice":
            opened = json.loads(lines[place_of(book, "clate", "case:opened")])
            lines.append(plain_bytes(opened | {"key": "again"}))
        case "no JSON":
            lines[-1] = b"{"
    return lines


@pytest.mark.parametrize(
    "change",
    [
        "another tenant",
        "same key",
        "blanks",
        "another version",
        "no instant",
        "no actor",
        "no opening",
        "opened twice",
        "no JSON",
    ],
)
def test_entries_that_do_not_fit_together(book: Book, tmp_path: Path, change: str) -> None:
    """An operator who writes another ledger must still write a whole one."""
    lines = told_wrongly(book, change)
    raw = make_pack(
        book,
        forge=rewrite(book, lines),
        claim=recount(leaves=len(lines), entries_disclosed=len(lines)),
    )
    assert failed(check(tmp_path, raw, book)) == {9}


def test_an_entry_withheld_from_a_full_pack(book: Book, tmp_path: Path) -> None:
    """A hash in its place keeps the tree, but not the promise to show all."""
    place = place_of(book, "clate", "revocation:outcome")
    lines = list(book.entries)
    lines[place] = b"#0 " + hashlib.sha256(b"\x00" + lines[place]).hexdigest().encode()
    forge = put(layout.ENTRIES, b"".join(line + b"\n" for line in lines))
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {9}

    claim = recount(entries_disclosed=len(lines) - 1)
    report = check(tmp_path, make_pack(book, forge=forge, claim=claim), book)
    assert failed(report) == {9}
    assert "withheld" in told(report, 9)


def test_a_pack_dated_back(book: Book, tmp_path: Path) -> None:
    """Open work would be younger than it is."""
    raw = make_pack(book, scope=scope_of(as_of=START + 65 * DAY))
    report = check(tmp_path, raw, book)
    assert failed(report) == {9}
    assert "shorter than it is" in told(report, 9)


@pytest.mark.parametrize("claim", [{"leaves": 1}, {"entries_disclosed": 1}])
def test_other_entries_counted(book: Book, tmp_path: Path, claim: dict[str, int]) -> None:
    """What the statement counts is counted again."""
    assert failed(check(tmp_path, make_pack(book, claim=recount(**claim)), book)) == {9}


@pytest.mark.parametrize("line", [b"", b"#", b"#0 00", b"#63 " + b"0" * 64, b"# 0 " + b"0" * 64])
def test_lines_that_are_none(book: Book, tmp_path: Path, line: bytes) -> None:
    """An entry, or a level and a hash; nothing else."""
    raw = b"".join(entry + b"\n" for entry in [*book.entries, line])
    assert failed(check(tmp_path, make_pack(book, forge=put(layout.ENTRIES, raw)), book)) == {5}


def test_a_subtree_where_none_can_begin(book: Book, tmp_path: Path) -> None:
    """The tree's shape is fixed by its size."""
    raw = book.entries[0] + b"\n#3 " + b"0" * 64 + b"\n"
    report = check(tmp_path, make_pack(book, forge=put(layout.ENTRIES, raw)), book)
    assert failed(report) == {5}
    assert "cannot begin" in told(report, 5)


def test_an_entry_cut_in_the_middle(book: Book, tmp_path: Path) -> None:
    """A last line without its end is no line."""
    raw = b"\n".join(book.entries)
    report = check(tmp_path, make_pack(book, forge=put(layout.ENTRIES, raw)), book)
    assert failed(report) == {5}


# --- keys and statement ---------------------------------------------------------------------------


def test_a_hand_over_that_nobody_signed(book: Book, tmp_path: Path) -> None:
    """A thief names himself the successor."""
    thief = FileSigner.generate(ORIGIN)
    step = handover(thief, thief) | {"from": book.signer.verifier.to_text()}
    report = check(tmp_path, make_pack(book, signer=thief, keys=[step]), book)
    assert failed(report) == {2, 4}
    assert "did not sign" in told(report, 2)


def test_a_hand_over_to_another_name(book: Book, tmp_path: Path) -> None:
    """A ledger keeps its name."""
    other = FileSigner.generate("acme/other-ledger")
    step = handover(book.signer, other)
    report = check(tmp_path, make_pack(book, signer=other, keys=[step]), book)
    assert 2 in failed(report)


@pytest.mark.parametrize("raw", [b"", b"{}", b"[1]", b'[{"from":1,"to":2,"signature":3}]', b"null"])
def test_keys_that_cannot_be_read(book: Book, tmp_path: Path, raw: bytes) -> None:
    """Refuted, not stumbled over; an object without rows hands nothing over."""
    report = check(tmp_path, make_pack(book, forge=put(layout.KEYS, raw)), book)
    assert failed(report) <= {2}


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("format", layout.FORMAT + 1),
        ("format", None),
        ("tenant", 1),
        ("origin", "other/ledger"),
        ("as_of", "now"),
        ("period", {}),
        ("scope", None),
        ("sample", {"n": -1, "seed": ""}),
        ("sample", {"n": 10**9, "seed": ""}),
        ("identified", "no"),
        ("counts", []),
        ("counts", {"leaves": "1"}),
        ("policies", ["x"]),
        ("metric", "../../etc/passwd"),
        ("ocsf", "9.9"),
        ("tool", "lockstep"),
    ],
)
def test_a_statement_that_claims_what_none_can(
    book: Book, tmp_path: Path, member: str, value: object
) -> None:
    """Every member has its form."""
    raw = make_pack(book, claim=lambda predicate: predicate.update({member: value}))
    assert 2 in failed(check(tmp_path, raw, book))


def test_a_statement_about_somebody_else(book: Book, tmp_path: Path) -> None:
    """Signed for another purpose, it vouches for no pack."""
    raw = make_pack(book, tamper=edit(layout.STATEMENT, b'"payloadType":"', b'"payloadType":"x'))
    assert 2 in failed(check(tmp_path, raw, book))


def test_a_statement_of_another_tenant(book: Book, tmp_path: Path) -> None:
    """Entries and statement speak of the same organisation."""
    raw = make_pack(book, claim=lambda predicate: predicate.update(tenant="other"))
    report = check(tmp_path, raw, book)
    assert failed(report) == {9}
    assert verdict(report, 8) is Verdict.NOT_CHECKED


def test_a_case_of_another_partner(book: Book, tmp_path: Path) -> None:
    """More is shown than the pack is about: said, because somebody's data are in wrong hands."""
    raw = make_pack(book, claim=lambda predicate: predicate["scope"].update(partner="west"))
    report = check(tmp_path, raw, book)
    assert verdict(report, 9) is Verdict.WARN
    assert 10 in failed(report)


@pytest.mark.parametrize("hours", [0, 30])
def test_clocks_that_are_a_little_apart_are_no_fraud(tmp_path: Path, hours: int) -> None:
    """Five minutes are allowed between machines, a day is not."""
    book = story()
    book.say("ledger:heartbeat", at=scope_of().as_of + 4 * 60_000 + hours * HOUR)
    report = check(tmp_path, make_pack(book), book)
    assert failed(report) == ({9} if hours else set())

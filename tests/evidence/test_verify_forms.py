"""One spelling for everything: what another reader could read differently is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.text_files import json_bytes
from lockstep.evidence.verify.report import Verdict, shown, shown_name
from tests.evidence.ledgers import DAY, START, Book, place_of, story
from tests.evidence.packs import Files, make_pack, scope_of
from tests.evidence.verdicts import check, edit, failed, put, rewrite, told, verdict

Claim = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


# --- the statement --------------------------------------------------------------------------------


CLAIMS: dict[str, Claim] = {
    "a member more": lambda it: it.update(remark="all is well"),
    "a member less": lambda it: it.pop("tool"),
    "true for a number": lambda it: it.update(format=True),
    "a number for yes": lambda it: it.update(identified=0),
    "a count of true": lambda it: it["counts"].update(samples=True),
    "a count below zero": lambda it: it["counts"].update(hr_events=-1),
    "a count by another name": lambda it: it["counts"].update(all_is_well=1),
    "counts in a list": lambda it: it.update(counts=[]),
    "a sample of nothing": lambda it: it.update(sample={}),
    "no sample as no": lambda it: it.update(sample=False),
    "no sample as text": lambda it: it.update(sample=""),
    "a sample of none": lambda it: it.update(sample={"n": 0, "seed": "dice"}),
    "a sample too large": lambda it: it.update(sample={"n": 1001, "seed": "dice"}),
    "a sample with a remark": lambda it: it["sample"].update(remark="x"),
    "a partner without a name": lambda it: it["scope"].update(partner=""),
    "a case without an id": lambda it: it["scope"].update(case=""),
    "coming as null": lambda it: it["scope"].update(coming=None),
    "a scope with a remark": lambda it: it["scope"].update(remark="x"),
    "a case and its draw": lambda it: it["scope"].update(case="clate"),
    "a tool with a remark": lambda it: it["tool"].update(remark="x"),
    "a period with a remark": lambda it: it["period"].update(remark="x"),
    "a period that ends before": lambda it: it["period"].update(to=it["period"]["from"]),
    "policies as text": lambda it: it.update(policies=""),
    "a policy twice": lambda it: it.update(policies=it["policies"] * 2),
    "a digest in capitals": lambda it: it.update(metric=it["metric"].upper()),
}


@pytest.mark.parametrize("change", CLAIMS)
def test_a_statement_of_another_form(book: Book, tmp_path: Path, change: str) -> None:
    """Members, types and bounds are those of the format, and no other."""
    claim = CLAIMS[change]
    report = check(tmp_path, make_pack(book, claim=lambda it: claim(it) and None), book)
    assert failed(report) == {2}
    assert "in another form" in told(report, 2)


# --- JSON and CSV ---------------------------------------------------------------------------------


JSON_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "a blank more": lambda raw: raw.replace(b":", b" :", 1),
    "no line feed": lambda raw: raw[:-1],
    "a mark before": lambda raw: b"\xef\xbb\xbf" + raw,
    "UTF-16": lambda raw: raw.decode().encode("utf-16"),
    "a member twice": lambda raw: raw.replace(b"{", b'{\n "4": [],', 1),
    "capitals": lambda raw: json_bytes({"4": [it.upper() for it in json.loads(raw)["4"]]}),
    "blanks in hex": lambda raw: json_bytes({"4": [f"{it} " for it in json.loads(raw)["4"]]}),
    "a size with a zero": lambda raw: raw.replace(b'"4"', b'"04"'),
    "a size with a sign": lambda raw: raw.replace(b'"4"', b'"+4"'),
    "text for a list": lambda raw: json_bytes({"4": ""}),
}


@pytest.mark.parametrize("form", JSON_FORMS)
def test_proofs_of_another_form(book: Book, tmp_path: Path, form: str) -> None:
    """`ledger/consistency.json` is read by the letter."""

    def forge(files: Files) -> None:
        loose = JSON_FORMS[form](files[layout.CONSISTENCY])
        assert loose != files[layout.CONSISTENCY]
        files[layout.CONSISTENCY] = loose

    assert failed(check(tmp_path, make_pack(book, forge=forge), book)) == {6}


@pytest.mark.parametrize("raw", [b"[ ]\n", b"[]", b"{}\n", b"null\n", b'[{"from":1}]\n'])
def test_hand_overs_of_another_form(book: Book, tmp_path: Path, raw: bytes) -> None:
    """So is `ledger/keys.json`, before anything is believed by it."""
    report = check(tmp_path, make_pack(book, forge=put(layout.KEYS, raw)), book)
    assert 2 in failed(report)


CSV_FORMS: dict[str, Callable[[bytes], bytes]] = {
    "LF": lambda raw: raw.replace(b"\r\n", b"\n"),
    "one LF": lambda raw: raw.replace(b"\r\n", b"\n", 1),
    "needless quotes": lambda raw: b'"' + raw.replace(b",", b'",', 1),
    "a line more": lambda raw: raw + b"\r\n",
    "no end": lambda raw: raw[:-2],
    "a mark before": lambda raw: b"\xef\xbb\xbf" + raw,
}


@pytest.mark.parametrize("form", CSV_FORMS)
@pytest.mark.parametrize(
    ("name", "step"),
    [(layout.LEAVERS, 10), (layout.EXCEPTIONS, 10), (layout.SYSTEMS, 10), (layout.SAMPLE, 12)],
)
def test_tables_of_another_form(
    book: Book, tmp_path: Path, name: str, step: int, form: str
) -> None:
    """The same cells in other bytes: two spreadsheets could show two tables."""

    def forge(files: Files) -> None:
        files[name] = CSV_FORMS[form](files[name])

    assert step in failed(check(tmp_path, make_pack(book, forge=forge), book))


def test_an_empty_cell_in_quotes(book: Book, tmp_path: Path) -> None:
    """Empty is written with nothing, so that nobody can tell two kinds of it apart."""
    forge = edit(layout.EXCEPTIONS, b",,", b',"",')
    report = check(tmp_path, make_pack(book, forge=forge), book)
    assert failed(report) == {10}
    assert "not in the form that such a file has" in told(report, 10)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        (layout.MAPPING, b"framework,control\r\n"),
        (layout.OSCAL, b'{"a":1}\n'),
        (layout.OSCAL, b'{\n "a": 1,\n "a": 2\n}\n'),
        (layout.OCSF, b'{"a":1,"a":2}\n'),
        (layout.OCSF, b'{"b":1,"a":2}\n'),
        (layout.OCSF, b"all is well\n"),
    ],
)
def test_files_for_other_tools_of_another_form(
    book: Book, tmp_path: Path, name: str, raw: bytes
) -> None:
    """No step compares what they say; they are at least one thing to every reader."""
    assert failed(check(tmp_path, make_pack(book, forge=put(name, raw)), book)) == {3}


# --- entries --------------------------------------------------------------------------------------


Entry = dict[str, Any]
ENTRIES: dict[str, Callable[[Entry], object]] = {
    "a version of true": lambda it: it.update(v=True),
    "a member more": lambda it: it.update(remark="all is well"),
    "an actor of another kind": lambda it: it["actor"].update(type="auditor"),
    "an actor with a remark": lambda it: it["actor"].update(name="Jane"),
    "an actor without a reference": lambda it: it["actor"].update(ref=""),
    "an empty system": lambda it: it.update(system=""),
    "an empty object": lambda it: it.update(data={}),
    "no instant": lambda it: it.pop("occurred_at"),
    "an empty key": lambda it: it.update(key=""),
}


@pytest.mark.parametrize("change", ENTRIES)
def test_an_entry_of_another_form(book: Book, tmp_path: Path, change: str) -> None:
    """Members that are empty are left out, and there are no others than the page names."""
    place = place_of(book, "clate", "case:begun")
    entry = json.loads(book.entries[place])
    ENTRIES[change](entry)
    lines = list(book.entries)
    lines[place] = plain_bytes(entry)
    report = check(tmp_path, make_pack(book, forge=rewrite(book, lines)), book)
    assert 9 in failed(report)
    assert f"Entry {place}: it is not in the form of an entry" in told(report, 9)


@pytest.mark.parametrize("who", [True, 1, "", [], {}, None])
@pytest.mark.parametrize("kind", ["decision:attest", "decision:waive", "case:amended"])
def test_a_second_person_who_is_nobody(tmp_path: Path, kind: str, who: object) -> None:
    """`true` is not a person: what needs two is refuted, not counted."""
    book = Book().begin()
    book.open("clate", START + DAY)
    again = Book(signer=book.signer, entries=list(book.entries))
    data = {"second_person": who, "cutoff_at": "2026-07-30T00:00:00.000Z", "revision": 2}
    data |= {"grade": "C", "artefact_sha256": "f" * 64, "until": "2026-08-30T00:00:00.000Z"}
    system = "" if kind == "case:amended" else "okta"
    again.say(kind, case="clate", system=system, at=START, person="p" * 32, data=data)
    report = check(tmp_path, make_pack(book, older=(), forge=rewrite(book, again.entries)), book)
    assert 9 in failed(report)
    assert "does not say what its kind must say" in told(report, 9)


@pytest.mark.parametrize("kind", ["access_returned", "access_used", "account_in_doubt", "other"])
def test_a_finding_without_its_case(book: Book, tmp_path: Path, kind: str) -> None:
    """What was found of a leaver is about a case; without one it would change nobody's figures."""
    again = Book(signer=book.signer, entries=list(book.entries))
    data = {"finding": kind, "look": 1, "standing": []}
    again.say("finding:raised", system="okta", at=START + 51 * DAY, data=data)
    report = check(tmp_path, make_pack(book, forge=rewrite(book, again.entries)), book)
    assert 9 in failed(report)
    assert "finds something about a case and names none" in told(report, 9)


# --- files that nobody knows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "note.txt",
        "population/leavers2.csv",
        "score/final.json",
        "policy/metric-" + "0" * 64 + ".json",
        "policy/" + "0" * 64 + ".json",
        "policy/readme.txt",
        "identified/people.csv.txt",
        "identified/people.csv",
        "anchors/receipt.pdf",
        "anchors/deep/receipt.txt",
        "leavers/clate/note.txt",
        "ledger/entries2.jsonl",
        "oscal/profile.json",
    ],
)
def test_a_file_outside_the_format(book: Book, tmp_path: Path, name: str) -> None:
    """Signed, and known to no step: anything could be said under that signature."""

    def claim(predicate: dict[str, Any]) -> None:
        predicate["identified"] = False
        predicate["policies"] = [book.policy_digest]
        predicate["metric"] = book.definition.digest

    raw = make_pack(book, forge=put(name, b"all is well"), claim=claim)
    report = check(tmp_path, raw, book)
    assert 3 in failed(report)
    assert f"{name} is no file of the format" in told(report, 3)


# --- names that look alike ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "n\N{CYRILLIC SMALL LETTER O}rd",
        "nord\N{ZERO WIDTH SPACE}",
        "nord ",
        " nord",
        "no\N{SOFT HYPHEN}rd",
        "\N{RIGHT-TO-LEFT OVERRIDE}dron",
        "no\N{COMBINING GRAVE ACCENT}rd",
        "n\N{LATIN SMALL LETTER O WITH DIAERESIS}rd",
        "no  rd",
        "no\N{NO-BREAK SPACE}rd",
        "\N{FULLWIDTH LATIN SMALL LETTER N}ord",
    ],
)
def test_a_partner_that_looks_like_another(book: Book, tmp_path: Path, name: str) -> None:
    """The report prints every letter that is another's: the reader sees whose pack it is."""
    scope = scope_of(partner=name)
    report = check(tmp_path, make_pack(book, scope=scope), book)
    said = report.facts["about"]

    assert said != "partner nord"
    assert f'spelled "{shown(name)}"' in said
    assert said.isprintable()


def test_a_plain_name_is_printed_plainly(book: Book, tmp_path: Path) -> None:
    """Only where there is something to show."""
    report = check(tmp_path, make_pack(book, scope=scope_of(partner="nord")), book)
    assert report.facts["about"] == "partner nord"
    assert shown_name("O'Brien & Sons, Ltd. (Cebu)") == "O'Brien & Sons, Ltd. (Cebu)"


def test_details_spell_what_is_not_ascii() -> None:
    """Two cells that look alike are two in a list of differences too."""
    assert shown("n\N{CYRILLIC SMALL LETTER O}rd") == "n\\u043erd"
    assert shown('say "it\'s" s\N{LATIN SMALL LETTER U WITH DIAERESIS}d') == 'say "it\'s" s\\xfcd'


# --- people ---------------------------------------------------------------------------------------


def test_leavers_without_a_row(book: Book, tmp_path: Path) -> None:
    """Whoever is left out of the names is said to be left out, by case."""
    report = check(tmp_path, make_pack(book, people={}), book)
    assert report.is_verified
    assert verdict(report, 13) is Verdict.WARN
    assert "11 leavers have no row" in told(report, 13)
    assert "case cquick0, case cquick1" in told(report, 13)


def test_an_edit_is_an_edit(book: Book, tmp_path: Path) -> None:
    """The control: what is written as the format says passes."""
    assert check(tmp_path, make_pack(book), book).is_verified
    forge = edit(layout.LEAVERS, b"clate", b"clate")
    assert check(tmp_path, make_pack(book, forge=forge), book).is_verified

"""Packs made by hand, without the product's writer: a second opinion on the format.

`make_pack` turns a ledger into a pack. ``forge`` changes files before the operator signs the
statement, ``tamper`` afterwards.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from lockstep.evidence.format.dsse import seal_envelope
from lockstep.evidence.format.merkle import Frontier, Pruned, consistency_proof, root_of
from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.format.plain import instant_text, plain_bytes
from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.cases.document import case_document
from lockstep.evidence.pack.model import CaseLine, PackScope
from lockstep.evidence.pack.people.columns import (
    COMMITMENT_COLUMNS,
    EXCEPTION_COLUMNS,
    EXCLUDED_COLUMNS,
    LEAVER_COLUMNS,
    PEOPLE_COLUMNS,
    POLICY_SYSTEM_COLUMNS,
    SAMPLE_COLUMNS,
    SYSTEM_COLUMNS,
)
from lockstep.evidence.pack.people.draw import draw_sample, sample_rows
from lockstep.evidence.pack.people.population import (
    case_rows,
    counting_of,
    in_scope,
    policy_system_rows,
)
from lockstep.evidence.pack.people.rows import person_row
from lockstep.evidence.pack.scores import pack_scores
from lockstep.evidence.pack.text_files import csv_head, csv_row, json_bytes
from lockstep.scorecard.metric import judge
from tests.evidence.ledgers import AS_OF, END, ORIGIN, START, TENANT, Book

Files = dict[str, bytes]


def scope_of(**changes: Any) -> PackScope:
    values: dict[str, Any] = {
        "tenant": TENANT,
        "origin": ORIGIN,
        "as_of": AS_OF,
        "start": START,
        "end": END,
        "sample_n": 3,
        "seed": "dice",
    }
    return PackScope(**{**values, **changes})


def make_pack(
    book: Book,
    *,
    scope: PackScope | None = None,
    size: int | None = None,
    older: Iterable[int] = (4,),
    previous: int | None = None,
    signer: FileSigner | None = None,
    keys: Sequence[Mapping[str, str]] = (),
    anchors: Mapping[str, bytes] | None = None,
    checkpoint: str | None = None,
    people: Mapping[str, tuple[str, str]] | None = None,
    forge: Callable[[Files], None] | None = None,
    tamper: Callable[[Files], None] | None = None,
    claim: Callable[[dict[str, Any]], None] | None = None,
    hide: Collection[str] = (),
) -> bytes:
    """A whole pack at ``size`` entries as the bytes of a ZIP.

    ``hide`` are cases whose entries are withheld, whatever reason is given. ``claim`` changes what
    the statement says before it is signed. ``people`` are identity and opening by case; the pack
    is an identified one then.
    """
    scope = scope or scope_of()
    signer = signer or book.signer
    size = len(book.entries) if size is None else size
    note = checkpoint or book.checkpoint(size, signer)
    files, counts = content(book, scope, size, hide)
    notes = [book.checkpoint(at, signer) for at in older]
    proofs = sorted({*older, *([previous] if previous else [])})
    files |= {
        layout.README: b"What this is.\n",
        layout.CHECKPOINT: note.encode(),
        layout.CHECKPOINTS: layout.NOTE_SEPARATOR.join(notes).encode(),
        layout.CONSISTENCY: json_bytes({str(at): _proof(book, at, size) for at in proofs}),
        layout.KEYS: json_bytes(list(keys)),
    }
    files |= {f"anchors/{name}": raw for name, raw in (anchors or {}).items()}
    if people is not None:
        files |= _people(people)
    if forge is not None:
        forge(files)
    files[layout.STATEMENT] = statement(files, scope, counts, signer, claim)
    if tamper is not None:
        tamper(files)
    return zip_of(files)


def content(
    book: Book, scope: PackScope, size: int, hide: Collection[str] = ()
) -> tuple[Files, dict[str, int]]:
    """The files that follow from the entries, and the counts for the statement."""
    lines, history, openings, raw = disclose(book, scope, size, hide)
    definition = book.definition
    tables = {
        layout.LEAVERS: [csv_head(LEAVER_COLUMNS)],
        layout.LEAVER_SYSTEMS: [csv_head(SYSTEM_COLUMNS)],
        layout.EXCEPTIONS: [csv_head(EXCEPTION_COLUMNS)],
        layout.NOT_IN_POPULATION: [csv_head(EXCLUDED_COLUMNS)],
    }
    details: Files = {}
    leavers: list[str] = []
    cases: dict[str, CaseLine] = {}
    counting = counting_of(history, definition, scope)
    for case_id, facts in history.cases.items():
        if not in_scope(facts, scope):
            continue
        told = counting.of(facts, scope.as_of)
        line = CaseLine(told, judge(told, definition, scope.as_of), openings[case_id].hex())
        cases[case_id] = line
        rows = case_rows(line, scope)
        if rows.leaver is not None:
            leavers.append(case_id)
            tables[layout.LEAVERS].append(csv_row(LEAVER_COLUMNS, rows.leaver))
        tables[layout.LEAVER_SYSTEMS] += [csv_row(SYSTEM_COLUMNS, row) for row in rows.systems]
        tables[layout.EXCEPTIONS] += [csv_row(EXCEPTION_COLUMNS, row) for row in rows.exceptions]
        if rows.excluded is not None:
            tables[layout.NOT_IN_POPULATION].append(csv_row(EXCLUDED_COLUMNS, rows.excluded))
    drawn = draw_sample(leavers, scope.sample_n, scope.seed) if scope.case_id is None else []
    shown = drawn if scope.case_id is None else [scope.case_id]
    for case_id in shown:
        document = case_document(cases[case_id], scope, raw[case_id])
        details[layout.case_name(case_id)] = json_bytes(document)
        details[layout.timeline_name(case_id)] = b"%PDF-1.4\n"
    policies = {facts.policy: history.policies[facts.policy] for facts in history.cases.values()}
    systems = [row for at in sorted(policies) for row in policy_system_rows(at, policies[at])]
    disclosed = sum(not line.startswith(b"#") for line in lines)
    official, period, _ = pack_scores(history, definition, scope, withheld=size - disclosed)
    files = {
        **{name: b"".join(parts) for name, parts in tables.items()},
        **details,
        **{layout.policy_name(at): plain_bytes(doc) for at, doc in policies.items()},
        layout.metric_name(definition.digest): definition.canonical(),
        layout.ENTRIES: b"".join(line + b"\n" for line in lines),
        layout.SYSTEMS: _table(POLICY_SYSTEM_COLUMNS, systems),
        layout.SAMPLE: _table(SAMPLE_COLUMNS, sample_rows(drawn, scope.sample_n, scope.seed)),
        layout.SCORE: json_bytes(official),
        layout.PERIOD_SCORE: json_bytes(period),
    }
    counts = {
        "leaves": size,
        "entries_disclosed": disclosed,
        "leavers": len(leavers),
        "leaver_systems": len(tables[layout.LEAVER_SYSTEMS]) - 1,
        "not_in_population": len(tables[layout.NOT_IN_POPULATION]) - 1,
        "samples": len(shown),
    }
    return files, counts


def disclose(
    book: Book, scope: PackScope, size: int, hide: Collection[str] = ()
) -> tuple[list[bytes], History, dict[str, bytes], dict[str, list[tuple[int, bytes]]]]:
    """Lines of the entries' file, what they say, and per case its first hash and its entries."""
    lines: list[bytes] = []
    history = History()
    openings: dict[str, bytes] = {}
    raw: dict[str, list[tuple[int, bytes]]] = {}
    run = Pruned(0)

    def flush() -> None:
        lines.extend(f"#{level} {node.hex()}".encode() for level, node in run.nodes)

    partners = {
        entry["case"]: entry["data"]["partner"]
        for entry in map(json.loads, book.entries[:size])
        if "case" in entry and "partner" in entry.get("data", {})
    }
    about = {
        case_id
        for case_id, partner in partners.items()
        if scope.case_id in (None, case_id) and scope.partner in (None, partner)
    }
    for leaf, (body, digest) in enumerate(zip(book.entries[:size], book.leaves(), strict=False)):
        entry = json.loads(body)
        case_id = entry.get("case")
        is_full = scope.partner is None and scope.case_id is None
        shows = is_full or case_id in about or entry["kind"].startswith(layout.ALWAYS_SHOWN)
        if case_id in hide or not shows:
            if not run.size:
                run = Pruned(leaf)
            run.append(digest)
            continue
        flush()
        run = Pruned(leaf + 1)
        lines.append(body)
        history.add(leaf, entry)
        if case_id is not None:
            openings.setdefault(case_id, digest)
            raw.setdefault(case_id, []).append((leaf, body))
    flush()
    return lines, history, openings, raw


def statement(
    files: Files,
    scope: PackScope,
    counts: Mapping[str, int],
    signer: FileSigner,
    claim: Callable[[dict[str, Any]], None] | None = None,
) -> bytes:
    names = sorted(files)
    policies = [name[7:-5] for name in names if name.startswith("policy/") and "metric" not in name]
    metric = next(name[14:-5] for name in names if name.startswith("policy/metric-"))
    predicate: dict[str, Any] = {
        "format": scope.format,
        "tenant": scope.tenant,
        "origin": scope.origin,
        "as_of": instant_text(scope.as_of),
        "period": {"from": instant_text(scope.start), "to": instant_text(scope.end)},
        "scope": {
            "partner": scope.partner,
            "case": scope.case_id,
            **({} if scope.coming else {"coming": "withheld"}),
        },
        "sample": {"n": scope.sample_n, "seed": scope.seed} if scope.sample_n else None,
        "identified": layout.PEOPLE in files,
        "tool": {"name": "by hand", "version": "1"},
        "counts": dict(counts),
        "policies": policies,
        "metric": metric,
        "ocsf": scope.ocsf,
    }
    if claim is not None:
        claim(predicate)
    document = {
        "_type": layout.STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": hashlib.sha256(files[name]).hexdigest()}}
            for name in names
        ],
        "predicateType": layout.PREDICATE_TYPE,
        "predicate": predicate,
    }
    return seal_envelope(plain_bytes(document), signer)


def zip_of(files: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> bytes:
    """A ZIP of these files, in the order given."""
    rows = files.items() if isinstance(files, Mapping) else files
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in rows:
            archive.writestr(zipfile.ZipInfo(name), raw, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def files_of(raw: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _proof(book: Book, old: int, size: int) -> list[str]:
    leaves = book.leaves()
    proof = consistency_proof(old, size, lambda first, count: root_of(leaves[first:][:count]))
    return [node.hex() for node in proof]


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    return csv_head(columns) + b"".join(csv_row(columns, dict(row)) for row in rows)


def _people(people: Mapping[str, tuple[str, str]]) -> dict[str, bytes]:
    rows = [
        {
            "case_id": case_id,
            "subject": f"subject-of-{case_id}",
            "identity": identity,
            "opening": opening,
            "state": "disclosed",
        }
        for case_id, (identity, opening) in people.items()
    ]
    said = [
        person_row(row["case_id"], row["subject"], row["identity"], row["state"]) for row in rows
    ]
    return {
        layout.COMMITMENTS: _table(COMMITMENT_COLUMNS, rows),
        layout.PEOPLE: _table(PEOPLE_COLUMNS, said),
    }


def tree_of(lines: Iterable[bytes]) -> Frontier:
    """The tree over plain entries."""
    tree = Frontier()
    for line in lines:
        tree.append(hashlib.sha256(b"\x00" + line).digest())
    return tree

"""Packs with one figure changed and signed again: the verifier must not trust the operator."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

from lockstep.control.packs.export import Pack
from lockstep.evidence.format.dsse import seal_envelope
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.text_files import json_bytes
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Verdict
from tests.agreement.checks import same
from tests.agreement.stage import Stage


def lies_are_refuted(pack: Pack, stage: Stage) -> list[str]:
    """One figure changed, and the statement signed again by the operator: the right step fails.

    The files that could be lied in are returned.
    """
    told = []
    path = stage.packing.folder / "lie.zip"
    for name, (step, change) in LIES.items():
        with zipfile.ZipFile(pack.path) as archive:
            files = {each: archive.read(each) for each in archive.namelist()}
        if name not in files or change(files[name]) is None:
            continue
        lies = {each: change(files[each]) or files[each] for each in (name, *FOLLOWS.get(name, ()))}
        _pack_again(path, {**files, **lies}, stage)
        report = verify_pack(path, keys=stage.book.trusted())
        failed = [each.number for each in report.steps if each.verdict is Verdict.FAIL]
        same(f"verifier: a lie in {name}", failed, [step])
        told.append(name)
    return told


def _pack_again(path: Path, files: dict[str, bytes], stage: Stage) -> None:
    envelope = json.loads(files[layout.STATEMENT])
    claimed = json.loads(base64.b64decode(envelope["payload"]))
    for subject in claimed["subject"]:
        subject["digest"]["sha256"] = hashlib.sha256(files[subject["name"]]).hexdigest()
    files[layout.STATEMENT] = seal_envelope(plain_bytes(claimed), stage.book.signer)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files.items():
            archive.writestr(name, raw)


def _one_more_leaver(raw: bytes) -> bytes:
    score = json.loads(raw)
    return json_bytes({**score, "n": score["n"] + 1})


def _one_more(raw: bytes) -> bytes | None:
    """The last row's first number is one more; None without such a row."""
    rows = list(csv.reader(io.StringIO(raw.decode(), newline="")))
    numbers = [place for place, cell in enumerate(rows[-1]) if cell.isdecimal()]
    if not numbers:
        return None
    assert _written(rows) == raw, "it would be refuted for its form alone"
    rows[-1][numbers[0]] = str(int(rows[-1][numbers[0]]) + 1)
    return _written(rows)


def _written(rows: list[list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()


def _another_name(raw: bytes) -> bytes | None:
    changed = raw.replace(b"example.com", b"example.org")
    return changed if changed != raw else None


LIES: dict[str, tuple[int, Callable[[bytes], bytes | None]]] = {
    layout.SCORE: (11, _one_more_leaver),
    layout.PERIOD_SCORE: (11, _one_more_leaver),
    layout.LEAVERS: (10, _one_more),
    layout.LEAVER_SYSTEMS: (10, _one_more),
    layout.EXCEPTIONS: (10, _one_more),
    layout.NOT_IN_POPULATION: (10, _one_more),
    layout.SAMPLE: (12, _one_more),
    layout.PEOPLE: (13, _another_name),
    layout.COMMITMENTS: (13, _another_name),
}
"""File to the step that must refute it, and a change of one of its figures."""

FOLLOWS = {layout.COMMITMENTS: (layout.PEOPLE,)}
"""File to those that follow from it: a liar who can write changes them alike."""

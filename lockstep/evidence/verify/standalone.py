"""Builds the single-file verifier: ``python -m lockstep.evidence.verify.standalone OUT``.

The file is a zipapp of the very modules that `lockstep evidence verify` runs, so there is one
verifier and not two. It needs Python 3.11 and `cryptography`. Same sources, same bytes.
"""

from __future__ import annotations

import io
import sys
import zipfile
from pathlib import Path

import lockstep

MODULES = (
    "lockstep/__init__.py",
    "lockstep/domain/__init__.py",
    "lockstep/domain/counting.py",
    "lockstep/domain/visible.py",
    "lockstep/evidence/__init__.py",
    "lockstep/evidence/format/__init__.py",
    "lockstep/evidence/format/dsse.py",
    "lockstep/evidence/format/merkle.py",
    "lockstep/evidence/format/notes.py",
    "lockstep/evidence/format/plain.py",
    "lockstep/evidence/ledger/__init__.py",
    "lockstep/evidence/ledger/amendments.py",
    "lockstep/evidence/ledger/case_book.py",
    "lockstep/evidence/ledger/feeds.py",
    "lockstep/evidence/ledger/fold.py",
    "lockstep/evidence/ledger/history.py",
    "lockstep/evidence/pack/__init__.py",
    "lockstep/evidence/pack/cases/__init__.py",
    "lockstep/evidence/pack/cases/document.py",
    "lockstep/evidence/pack/layout.py",
    "lockstep/evidence/pack/model.py",
    "lockstep/evidence/pack/people/__init__.py",
    "lockstep/evidence/pack/people/columns.py",
    "lockstep/evidence/pack/people/draw.py",
    "lockstep/evidence/pack/people/population.py",
    "lockstep/evidence/pack/people/rows.py",
    "lockstep/evidence/pack/scores.py",
    "lockstep/evidence/pack/text_files.py",
    "lockstep/evidence/pack/withheld.py",
    "lockstep/evidence/verify/**/*.py",
    "lockstep/scorecard/__init__.py",
    "lockstep/scorecard/counting.py",
    "lockstep/scorecard/definition.py",
    "lockstep/scorecard/definitions/*.json",
    "lockstep/scorecard/facts.py",
    "lockstep/scorecard/judging.py",
    "lockstep/scorecard/measures.py",
    "lockstep/scorecard/metric.py",
    "lockstep/scorecard/numbers.py",
    "lockstep/scorecard/policies.py",
    "lockstep/scorecard/scores.py",
    "lockstep/scorecard/tally.py",
)
"""What the verifier is made of. A module that is missing here is noticed by its test."""

_SHEBANG = b"#!/usr/bin/env python3\n"
_MAIN = b"import sys\n\nfrom lockstep.evidence.verify.__main__ import main\n\nsys.exit(main())\n"
_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_PLAIN_FILE = 0o100644 << 16


def build() -> bytes:
    """The file's bytes."""
    home = Path(lockstep.__file__).parent.parent
    files = {
        path.relative_to(home).as_posix(): path.read_bytes()
        for pattern in MODULES
        for path in home.glob(pattern)
    }
    files["__main__.py"] = _MAIN
    out = io.BytesIO(_SHEBANG)
    out.seek(0, io.SEEK_END)
    with zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system = _UNIX
            info.external_attr = _PLAIN_FILE
            archive.writestr(info, files[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def main(arguments: list[str]) -> int:
    """Write the file."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m lockstep.evidence.verify.standalone OUT\n")
        return 2
    path = Path(arguments[0])
    path.write_bytes(build())
    path.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

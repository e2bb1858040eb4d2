"""Checks one pack in a process of its own: ``python -m lockstep.control.packs.check_child``.

A pack may come from somebody who wishes us harm. This process has no settings, no database and no
environment; memory, processor time and files are bounded before the first byte is read.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.inputs import read_key
from lockstep.evidence.verify.report import UnusableError
from lockstep.evidence.verify.zip.archive import Limits

MEMORY = 1024**3
MOST_UNPACKED = 1024**3
_OPEN_FILES = 64


def main(arguments: Sequence[str]) -> int:
    """Check the pack at a path against keys, within seconds of processor time; prints JSON."""
    seconds, path, *keys = arguments
    for what, most in (
        (resource.RLIMIT_CPU, int(seconds)),
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(what, (most, most))
    try:
        report = verify_pack(
            Path(path),
            keys=[read_key(key) for key in keys],
            limits=Limits(total=MOST_UNPACKED),
        )
        found: dict[str, object] = report.as_document()
    except UnusableError as error:
        found = {"unusable": str(error)}
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``leavers/<case>/case.json``: one leaver's figures, and every entry that they follow from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from lockstep.evidence.pack.model import CaseLine, PackScope
from lockstep.evidence.pack.people.population import (
    exception_rows,
    exclusion,
    leaver_row,
    system_rows,
)

RawEntries = Sequence[tuple[int, bytes]]
"""(index in the ledger, exact bytes) of a case's entries, in order."""

_LEAF = b"\x00"


def case_document(line: CaseLine, scope: PackScope, raw: RawEntries) -> dict[str, Any]:
    """What the file says; `population.json_bytes` writes it."""
    return {
        "leaver": leaver_row(line),
        "systems": list(system_rows(line)),
        "exceptions": list(exception_rows(line)),
        "not_in_population": exclusion(line, scope),
        "entries": [
            {
                "leaf": leaf,
                "leaf_hash": hashlib.sha256(_LEAF + body).hexdigest(),
                "entry": json.loads(body),
            }
            for leaf, body in raw
        ],
    }

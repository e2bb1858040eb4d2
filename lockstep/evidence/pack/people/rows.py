"""Who a leaver is, as a row that people read. Only the standard library: the verifier reads it too.

What the ledger was committed to is one canonical text, which stands in a file of its own; a row
follows from it, so that the verifier can tell whether it is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from lockstep.evidence.pack.text_files import Row

_COLUMNS = {
    "employee_number": "employee_numbers",
    "email": "emails",
    "username": "usernames",
}
_BETWEEN = "; "


class IdentityError(ValueError):
    """A text that is no identity."""


def person_row(case_id: str, subject: str, identity: str, state: str) -> Row:
    """A row of ``identified/people.csv``; of who is not disclosed, the state alone.

    Raises:
        IdentityError: for a text that cannot have been committed to.
    """
    row: Row = {"case_id": case_id, "subject": subject, "state": state}
    said = _read(identity) if identity else {}
    keys = [(str(kind), str(value), str(system)) for kind, value, system in said.get("keys", ())]
    for kind, column in _COLUMNS.items():
        row[column] = _BETWEEN.join(value for found, value, _ in keys if found == kind)
    return {
        **row,
        "name": str(said.get("display_name", "")),
        "worker_id": str(said.get("worker_id", "")),
        "spell": str(said.get("spell", "")),
        "other_keys": _BETWEEN.join(_others(keys)),
    }


def _others(keys: list[tuple[str, str, str]]) -> Iterator[str]:
    for kind, value, system in keys:
        if kind not in _COLUMNS and kind != "worker_id":
            yield f"{kind} {system}={value}" if system else f"{kind}={value}"


def _read(identity: str) -> Mapping[str, Any]:
    try:
        said = json.loads(identity)
        if type(said) is not dict or any(len(key) != 3 for key in said.get("keys", ())):  # noqa: PLR2004
            raise IdentityError
    except (ValueError, TypeError, RecursionError):
        raise IdentityError("this is no identity") from None
    return said

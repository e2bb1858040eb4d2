"""The form of what stands in a pack: exactly the members, the types and the bytes of the format.

Whatever else a reader of the same file could be shown is not covered by what is recomputed.
"""

from __future__ import annotations

import json
import re
from typing import Any

from lockstep.evidence.pack.text_files import json_bytes
from lockstep.evidence.verify.report import RefutedError

_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_json(name: str, raw: bytes) -> Any:
    """What a JSON file of a pack says, if it is spelled as the format spells it.

    Raises:
        RefutedError: if it is no JSON, or another spelling of it: a member twice, a blank more.
    """
    try:
        document = json.loads(raw.decode())
        is_own_form = json_bytes(document) == raw
    except (ValueError, TypeError, RecursionError):
        raise RefutedError(f"{name} cannot be read") from None
    if not is_own_form:
        raise RefutedError(f"{name} is not in the form that such a file has")
    return document


# Each of the next raises TypeError or ValueError for a value of another form.


def exact(value: Any, *members: str, optional: tuple[str, ...] = ()) -> None:
    """An object with these members and no other."""
    if type(value) is not dict:
        raise TypeError
    if not set(members) <= value.keys() <= {*members, *optional}:
        raise ValueError


def sequence(value: object) -> list[Any]:
    """A list."""
    if type(value) is not list:
        raise TypeError
    return value


def text(value: object) -> str:
    """Text."""
    if type(value) is not str:
        raise TypeError
    return value


def count(value: object) -> int:
    """A whole number from 0 on; `true` is none."""
    if type(value) is not int or value < 0:
        raise TypeError
    return value


def digest(value: object) -> str:
    """SHA-256, or another 32 bytes, in hex with small letters."""
    if not _DIGEST.fullmatch(text(value)):
        raise ValueError
    return str(value)

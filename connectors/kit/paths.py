"""What stands at a path of a vendor's answer."""

from __future__ import annotations

from typing import Any

Path = tuple[str, ...]


def at(data: object, path: Path) -> Any:
    """The value at this path of a body; None where nothing stands. A digit is a list's place."""
    for key in path:
        if isinstance(data, list) and key.isdecimal():
            data = dict(enumerate(data)).get(int(key))
        else:
            data = data.get(key) if isinstance(data, dict) else None
    return data

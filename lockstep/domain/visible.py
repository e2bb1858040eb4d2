"""Text for a terminal: characters that steer it are shown and not sent.

The one place that decides which they are: for commands, for the verifier, for logs and for JSON.
"""

from __future__ import annotations

import re

# What moves a terminal's cursor, renames its window, ends a line or turns its direction.
_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)


def visible(text: str) -> str:
    """The same text, with ``<U+001B>`` where it had an escape."""
    return _STEERING.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def escaped_json(text: str) -> str:
    r"""The same JSON, with ``\u009b`` where a string had that character."""
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

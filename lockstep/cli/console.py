"""The console that commands print on: our styles are styles, everything else is what it says.

Rich takes every word in square brackets for a style, so that "pip install 'lockstep[embedded]'"
lost its end, a name with brackets its middle, and a stray "[/]" ended the command. Here, and
nowhere else, it is decided what is a style: the words of `STYLES`. Whoever prints what people wrote
still escapes it (`rich.markup.escape`), for a name could be one of those words.
"""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.text import Text

STYLES = frozenset(
    {"bold", "dim", "white", "green", "yellow", "cyan", "red"}
    | {"bold red", "bold green", "bold yellow"}
)
_TAG = re.compile(r"(\\*)\[([a-z#/@][^\[]*?)\]")  # what rich takes for one
# What moves a terminal's cursor, or renames its window: nobody's name does that.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class PlainConsole(Console):
    """Prints text as it stands, but for our own styles."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into text; called by rich for lines and for cells alike."""
        options["emoji"] = False  # ":100:" is what somebody wrote
        text = visible(text)
        if options.get("markup") is not False:
            text = only_our_styles(text)
        return super().render_str(text, **options)


def visible(text: str) -> str:
    """The same text, where characters that steer a terminal are shown and not sent."""
    return _CONTROL.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def only_our_styles(text: str) -> str:
    """Escape what looks like markup and is none of our styles, or ends one that never began."""
    depth = 0

    def kept(found: re.Match[str]) -> str:
        nonlocal depth
        slashes, word = found.groups()
        if len(slashes) % 2:  # escaped already
            return found[0]
        if word in STYLES:
            depth += 1
            return found[0]
        if word == "/" and depth:
            depth -= 1
            return found[0]
        return f"{slashes}{slashes}\\[{word}]"

    return _TAG.sub(kept, text)

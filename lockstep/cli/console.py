"""The console that commands print on: our styles are styles, everything else is what it says.

Rich takes every word in square brackets for a style, so that "pip install 'lockstep[embedded]'"
lost its end, a name with brackets its middle, and a stray "[/]" ended the command. Here, and
nowhere else, it is decided what is a style: the words of `STYLES`. Whoever prints what people wrote
still escapes it (`rich.markup.escape`), for a name could be one of those words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lockstep.domain.visible import visible

STYLES = frozenset(
    {"bold", "dim", "white", "green", "yellow", "cyan", "red"}
    | {"bold red", "bold green", "bold yellow"}
)
_TAG = re.compile(r"(\\*)\[([a-z#/@][^\[]*?)\]")  # what rich takes for one


class PlainConsole(Console):
    """Prints text as it stands, but for our own styles."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Everything that is printed comes by here: strings, `Text`, tables and their cells."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """Turn a string into text; called by rich for lines and for cells alike."""
        options["emoji"] = False  # ":100:" is what somebody wrote
        text = visible(text)
        if options.get("markup") is not False:
            text = only_our_styles(text)
        return super().render_str(text, **options)


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

"""How bodies are written and read: JSON for most vendors, and what else one speaks as a row."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Codec:
    """One way to write a request's body and to read an answer's.

    Args:
        content_type: of what is sent.
        write: makes a body's bytes.
        read: parses an answer; raises ``ValueError`` for a page that is not the vendor's.
    """

    content_type: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


JSON: Final = Codec("application/json", lambda body: json.dumps(body).encode(), json.loads)

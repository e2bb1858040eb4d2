"""How long something outlives a revocation: as somebody has stated it, else unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from lockstep.domain.access import Residual

UNKNOWN: Final = "unknown"
"""What an option says, and is by default, where the vendor states no bound."""


def stated(settings: Mapping[str, object], name: str) -> int | None:
    """The bound in seconds that the settings state; None where nobody has stated one.

    Raises:
        ValueError: naming the option.
    """
    value = settings.get(name)
    if value is None or value in {"", UNKNOWN}:
        return None
    text = str(value).strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{name}: whole seconds, 0 or more, or {UNKNOWN}")
    return int(text)


def residual(what: str, bound_s: int | None) -> tuple[Residual, ...]:
    """What outlives a revocation; nothing does where the bound is 0."""
    return () if bound_s == 0 else (Residual(what, bound_s),)

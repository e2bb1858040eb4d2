"""How long something outlives a revocation: as somebody has stated it, else unknown."""

from __future__ import annotations

from lockstep.domain.access import Residual


def residual(what: str, bound_s: int | None) -> tuple[Residual, ...]:
    """What outlives a revocation; nothing does where the bound is 0."""
    return () if bound_s == 0 else (Residual(what, bound_s),)

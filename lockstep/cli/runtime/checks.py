"""What one look of `lockstep doctor` found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``level`` is ok, warning or problem."""

    part: str
    level: str
    says: str
    fix: str = ""

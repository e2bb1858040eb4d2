"""What every page needs; a subject's room adds what its own pages show."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.web.console.gate import ConsoleGate
from lockstep.web.console.pages import Pages


@dataclass(frozen=True, slots=True)
class Front:
    """Who asks, and how a page is drawn."""

    gate: ConsoleGate
    pages: Pages

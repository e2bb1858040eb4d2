"""What of the settings the score depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from lockstep.scorecard.definition import DEFAULT, Definition
from lockstep.scorecard.dimension import DEFAULT_WEIGHTS
from lockstep.scorecard.penalties import Terms


@dataclass(frozen=True, slots=True)
class Rules:
    """Chosen by the installation; the definition is the package's.

    Args:
        weights: of the four metrics of the dimension, in per cent.
        terms: of partners' contracts, by partner.
        heartbeat: how often the ledger is signed at least.
        report_validity: how long a report of another metric counts.
    """

    tenant: str
    definition: Definition = DEFAULT
    weights: Mapping[str, int] = field(default_factory=lambda: dict(DEFAULT_WEIGHTS))
    terms: Mapping[str, Terms] = field(default_factory=dict)
    heartbeat: timedelta = timedelta(hours=24)
    report_validity: timedelta = timedelta(days=100)

"""What the files of a pack are written from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lockstep.evidence.pack.layout import FORMAT
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.metric import CaseResult


@dataclass(frozen=True, slots=True)
class PackScope:
    """What was asked for. Instants in milliseconds since the epoch; ``end`` is not included.

    ``coming``: whether cases are shown whose cutoff was still to come when the pack was made.
    ``run_by``: who asked for a pack that names people; "" in every other.
    ``format``: by whose rules its files are written.
    """

    tenant: str
    origin: str
    as_of: int
    start: int
    end: int
    partner: str | None = None
    case_id: str | None = None
    sample_n: int = 0
    seed: str = ""
    identified: bool = False
    ocsf: str = "1.9.0"
    coming: bool = True
    run_by: str = ""
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One leaver of the population. ``leaf_hash`` (hex) is of the entry that opened the case."""

    facts: CaseFacts
    result: CaseResult
    leaf_hash: str


@dataclass(frozen=True, slots=True)
class PackSummary:
    """The whole pack in a few figures; ``root`` in hex."""

    scope: PackScope
    tool_version: str
    size: int
    root: str
    counts: Mapping[str, int]
    policies: Sequence[str]
    metric: str
    score: Mapping[str, Any]
    period_score: Mapping[str, Any]

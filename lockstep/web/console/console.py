"""What the pages are built from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.control.board.now import Board
from lockstep.control.cases.casework import CaseDesk
from lockstep.control.cases.desk import Desk
from lockstep.control.hr.own_reports import OwnReports
from lockstep.control.hr.own_sheets import OwnSheets
from lockstep.control.intake.brake import BrakeDesk
from lockstep.control.people.api_tokens import ApiTokenDesk
from lockstep.control.people.bars import Bars
from lockstep.control.people.oidc import OidcSignIn
from lockstep.control.runtime.temporal import TemporalAddress
from lockstep.control.score.metric import ScoreService
from lockstep.control.systems.overview import SystemsDesk
from lockstep.control.systems.pauses import PauseDesk
from lockstep.domain.policy import Policy
from lockstep.storage.stores import Stores
from lockstep.web.api.evidence import Packs
from lockstep.web.console.gate import ConsoleGate
from lockstep.web.console.listening import Live
from lockstep.web.console.pages import Pages


@dataclass(frozen=True, slots=True)
class Console:
    """Everything that a page may use; dependencies arrive here and nowhere else."""

    stores: Stores = field(repr=False)
    gate: ConsoleGate
    pages: Pages
    desk: Desk
    policy: Policy
    score: ScoreService
    packs: Packs
    log: str
    """The ledger's name in its heads."""
    anchors: Mapping[str, str]
    """Kinds of the ledger's anchors by name."""
    shown: Mapping[str, Any] = field(repr=False)
    """The settings as people may see them."""
    board: Board
    cases: CaseDesk
    live: Live
    systems: SystemsDesk
    pauses: PauseDesk
    brake: BrakeDesk
    temporal: TemporalAddress
    tokens: ApiTokenDesk
    bars: Bars
    reports: OwnReports
    sheets: OwnSheets
    oidc: OidcSignIn | None
    """Signing in at the identity provider; None where there is none."""
    links: bool
    """Whether one-time links sign in."""
    provider: str
    """How the identity provider is called; "" where there is none."""

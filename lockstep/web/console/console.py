"""What the pages are built from, and all of their routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter
from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.control.api_tokens import ApiTokenDesk
from lockstep.control.bars import Bars
from lockstep.control.board import Board
from lockstep.control.brake import BrakeDesk
from lockstep.control.casework import CaseDesk
from lockstep.control.desk import Desk
from lockstep.control.oidc import OidcSignIn
from lockstep.control.own_reports import OwnReports
from lockstep.control.pauses import PauseDesk
from lockstep.control.score import ScoreService
from lockstep.control.systems import SystemsDesk
from lockstep.control.temporal import TemporalAddress
from lockstep.domain.policy import Policy
from lockstep.storage.keyring import Keyring
from lockstep.storage.saved_views import SavedViews
from lockstep.storage.views import CaseViews
from lockstep.web.api.evidence import Packs
from lockstep.web.console import (
    access,
    acts,
    brake,
    bulk,
    case,
    evidence,
    hr,
    live,
    now,
    oidc,
    people,
    settings_page,
    sign_in,
    systems,
)
from lockstep.web.console.gate import ConsoleGate
from lockstep.web.console.live import Live
from lockstep.web.console.pages import Pages


@dataclass(frozen=True, slots=True)
class Console:
    """Everything that a page may use; dependencies arrive here and nowhere else."""

    tenant: str
    engine: AsyncEngine = field(repr=False)
    ring: Keyring = field(repr=False)
    gate: ConsoleGate
    pages: Pages
    desk: Desk
    views: CaseViews
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
    saved: SavedViews
    live: Live
    systems: SystemsDesk
    pauses: PauseDesk
    brake: BrakeDesk
    temporal: TemporalAddress
    tokens: ApiTokenDesk
    bars: Bars
    reports: OwnReports
    oidc: OidcSignIn | None
    """Signing in at the identity provider; None where there is none."""
    links: bool
    """Whether one-time links sign in."""
    provider: str
    """How the identity provider is called; "" where there is none."""


def routers(console: Console) -> list[APIRouter]:
    """Every route of the console."""
    return [
        sign_in.public_router(
            console.gate, console.pages, links=console.links, provider=console.provider
        ),
        sign_in.session_router(console.gate, provider=console.provider),
        *_provider_routers(console),
        access.router(console),
        hr.router(console),
        now.router(console),
        now.case_router(console),
        live.router(console),
        *_case_routers(console),
        systems.router(console),
        systems.pause_router(console),
        brake.router(console),
        brake.decision_router(console),
        evidence.router(console),
        people.router(console),
        settings_page.router(console),
    ]


def _case_routers(console: Console) -> list[APIRouter]:
    room = case.CaseRoom.of(console)
    return [
        case.router(room),
        case.identified_router(room),
        acts.act_router(room),
        acts.approve_router(room),
        bulk.router(room),
    ]


def _provider_routers(console: Console) -> list[APIRouter]:
    if console.oidc is None:
        return []
    return [
        oidc.public_router(console.gate, console.pages, console.oidc),
        oidc.back_channel_router(console.oidc),
    ]

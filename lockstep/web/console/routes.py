"""All routes of the console, in one list."""

from __future__ import annotations

from fastapi import APIRouter

from lockstep.web.console import live
from lockstep.web.console.cases import acts, bulk, now
from lockstep.web.console.cases import page as case
from lockstep.web.console.console import Console
from lockstep.web.console.intake import brake, hr
from lockstep.web.console.intake import sheet as hr_sheet
from lockstep.web.console.packs import page as evidence
from lockstep.web.console.people import access, oidc, sign_in
from lockstep.web.console.score import page as people
from lockstep.web.console.systems import page as systems
from lockstep.web.console.systems import settings as settings_page


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
        hr_sheet.router(console),
        now.router(console),
        now.case_router(console),
        live.router(console),
        *_case_routers(console),
        systems.router(console),
        systems.pause_router(console),
        systems.agree_router(console),
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

"""All routes of the console, in one list."""

from __future__ import annotations

from fastapi import APIRouter

from lockstep.web.console import live
from lockstep.web.console.cases import acts, bulk, now
from lockstep.web.console.cases import page as case
from lockstep.web.console.console import Console
from lockstep.web.console.front import Front
from lockstep.web.console.intake import brake, hr
from lockstep.web.console.intake import sheet as hr_sheet
from lockstep.web.console.packs import page as evidence
from lockstep.web.console.people import access, oidc, sign_in
from lockstep.web.console.score import page as people
from lockstep.web.console.systems import page as systems
from lockstep.web.console.systems import seats
from lockstep.web.console.systems import settings as settings_page


def routers(console: Console) -> list[APIRouter]:
    """Every route of the console."""
    front, cases = console.front, console.cases
    return [
        sign_in.public_router(front, console.sign_in),
        sign_in.session_router(front.gate, provider=console.sign_in.provider),
        *_provider_routers(front, console.sign_in),
        access.router(console.access),
        hr.router(console.hr),
        hr_sheet.router(console.hr),
        now.router(console.now),
        now.case_router(console.now),
        live.router(console.live),
        case.router(cases),
        case.identified_router(cases),
        acts.act_router(cases),
        acts.approve_router(cases),
        bulk.router(cases),
        systems.router(console.systems),
        systems.pause_router(console.systems),
        systems.agree_router(console.systems),
        brake.router(console.brake),
        brake.decision_router(console.brake),
        evidence.router(console.packs),
        people.router(console.score),
        seats.router(console.seats),
        settings_page.router(console.settings),
    ]


def _provider_routers(front: Front, signing: sign_in.SignIn) -> list[APIRouter]:
    if signing.oidc is None:
        return []
    return [
        oidc.public_router(front.gate, front.pages, signing.oidc),
        oidc.back_channel_router(signing.oidc),
    ]

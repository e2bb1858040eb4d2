"""All routes of the console, in one list."""

from __future__ import annotations

from fastapi import APIRouter

from lockstep.web.console import (
    access,
    acts,
    brake,
    bulk,
    case,
    evidence,
    hr,
    hr_sheet,
    live,
    now,
    oidc,
    people,
    settings_page,
    sign_in,
    systems,
)
from lockstep.web.console.console import Console


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

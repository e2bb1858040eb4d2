"""`Settings`: what this installation is set to, read-only, and how its policy has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lockstep.control.runtime.settings_sight import shown_to
from lockstep.control.score.policy_changes import changes
from lockstep.domain.rights import Permission
from lockstep.storage.score.policy_history import AdoptedPolicy, PolicyHistory
from lockstep.web.console.front import Front
from lockstep.web.console.gate import NOT_THERE, signed_of

HOME = "/console/settings"


@dataclass(frozen=True, slots=True)
class SettingsRoom(Front):
    """``shown``: the settings as people may see them."""

    shown: Mapping[str, Any] = field(repr=False)
    history: PolicyHistory


def router(room: SettingsRoom) -> APIRouter:
    """Everything that the right to see settings opens."""
    routes = room.gate.router(Permission.SEE_SETTINGS)

    @routes.get(HOME)
    async def show_settings(request: Request) -> Response:
        policies = await room.history.newest()
        adopted = {policy.digest for policy in policies}
        return room.pages.page(
            request,
            "settings.html",
            shown=shown_to(room.shown, signed_of(request).principal.partners),
            is_bound=signed_of(request).principal.partners is not None,
            policies=policies,
            is_adopted=room.shown["versions"]["policy_sha256"] in adopted,
        )

    @routes.get(f"{HOME}/policies")
    async def compare(request: Request, old: str = "", new: str = "") -> Response:
        policies = await room.history.newest()
        before, after = _by_digest(policies, old), _by_digest(policies, new)
        return room.pages.page(
            request,
            "settings_policies.html",
            policies=policies,
            before=before,
            after=after,
            changes=changes(before.document, after.document),
        )

    return routes


def _by_digest(policies: list[AdoptedPolicy], digest: str) -> AdoptedPolicy:
    for policy in policies:
        if policy.digest == digest:
            return policy
    raise NOT_THERE

"""`Settings`: what this installation is set to, read-only, and how its policy has changed."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from lockstep.control.runtime.settings_sight import shown_to
from lockstep.control.score.policy_changes import changes
from lockstep.domain.rights import Permission
from lockstep.storage.score.policy_history import AdoptedPolicy
from lockstep.web.console.console import Console
from lockstep.web.console.gate import NOT_THERE, signed_of

HOME = "/console/settings"


def router(console: Console) -> APIRouter:
    """Everything that the right to see settings opens."""
    routes = console.gate.router(Permission.SEE_SETTINGS)
    history = console.stores.policy_history

    @routes.get(HOME)
    async def show_settings(request: Request) -> Response:
        policies = await history.newest()
        adopted = {policy.digest for policy in policies}
        return console.pages.page(
            request,
            "settings.html",
            shown=shown_to(console.shown, signed_of(request).principal.partners),
            is_bound=signed_of(request).principal.partners is not None,
            policies=policies,
            is_adopted=console.shown["versions"]["policy_sha256"] in adopted,
        )

    @routes.get(f"{HOME}/policies")
    async def compare(request: Request, old: str = "", new: str = "") -> Response:
        policies = await history.newest()
        before, after = _by_digest(policies, old), _by_digest(policies, new)
        return console.pages.page(
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

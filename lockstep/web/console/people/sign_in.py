"""Signing in and out. Here: the one-time link of a local evaluation; see `oidc` for the rest."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from lockstep.control.people.oidc import OidcSignIn
from lockstep.control.people.sessions import SignInError
from lockstep.web.console.front import Front
from lockstep.web.console.gate import ConsoleGate, safe_next


@dataclass(frozen=True, slots=True)
class SignIn:
    """Which ways in there are.

    Args:
        oidc: signing in at the identity provider; None where there is none.
        links: whether one-time links sign in.
        provider: how the identity provider is called; "" where there is none.
    """

    oidc: OidcSignIn | None
    links: bool
    provider: str


def public_router(front: Front, ways: SignIn) -> APIRouter:
    """What anybody may open: the page that leads in."""
    gate, pages = front.gate, front.pages
    routes = APIRouter(tags=["console"], include_in_schema=False)

    # Whoever types the bare address into a browser looks for the console.
    @routes.get("/")
    @routes.get("/console")
    async def to_first_page() -> Response:
        return RedirectResponse("/console/", HTTPStatus.SEE_OTHER)

    @routes.get("/console/sign-in")
    async def sign_in(request: Request, next: str = "") -> Response:  # noqa: A002 - as it is called
        if await gate.signed(request) is not None:
            return RedirectResponse(safe_next(next), HTTPStatus.SEE_OTHER)
        return pages.page(
            request, "sign_in.html", provider=ways.provider, links=ways.links, next=next
        )

    if not ways.links:
        return routes

    @routes.get("/console/sign-in/link")
    async def show_link(request: Request, key: str = "") -> Response:
        """A page with a button: whoever only looks at the link must not use it up."""
        return pages.page(request, "sign_in_link.html", key=key)

    @routes.post("/console/sign-in/link")
    async def use_link(request: Request, key: Annotated[str, Form(max_length=200)]) -> Response:
        try:
            cookie = await gate.sessions.use_link(key)
        except SignInError as error:
            return pages.page(
                request, "refusal.html", status=403, title="Not signed in", text=str(error)
            )
        answer = RedirectResponse("/console/", HTTPStatus.SEE_OTHER)
        set_cookie(answer, gate, cookie)
        return answer

    return routes


def session_router(gate: ConsoleGate, *, provider: str = "") -> APIRouter:
    """What everybody who is signed in may do about that."""
    routes = gate.router(None)

    @routes.post("/console/sign-out")
    async def sign_out(request: Request) -> Response:
        signed = await gate.signed(request)
        if signed is not None:
            await gate.sessions.end(signed)
        # Not to the provider at once: the content policy lets a form lead to pages of ours only.
        leads_to = "/console/signed-out" if provider else "/console/sign-in"
        answer = RedirectResponse(leads_to, HTTPStatus.SEE_OTHER)
        answer.delete_cookie(gate.cookie, path="/", secure=gate.secure, httponly=True)
        return answer

    return routes


def set_cookie(answer: Response, gate: ConsoleGate, cookie: str) -> None:
    """Hand a session to the browser: not to scripts, not to other sites."""
    answer.set_cookie(
        gate.cookie, cookie, path="/", secure=gate.secure, httponly=True, samesite="lax"
    )

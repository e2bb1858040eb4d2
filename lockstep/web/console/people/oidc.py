"""Signing in at the identity provider: there, back again, and out from there."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from connectors.openid.errors import OpenIdError, ProviderAwayError
from lockstep.control.people.oidc import (
    CALLBACK,
    UNDER_WAY,
    Answer,
    OidcSignIn,
    ProviderDownError,
    ProviderError,
)
from lockstep.control.people.sessions import SignInError
from lockstep.domain.rights import Permission
from lockstep.web.console.gate import ConsoleGate, safe_next
from lockstep.web.console.pages import Pages
from lockstep.web.console.people.sign_in import set_cookie

log = structlog.get_logger("lockstep.web")

MAX_TOKEN_BYTES = 64 * 1024
_Text = Annotated[str, Query(max_length=4096)]


def public_router(gate: ConsoleGate, pages: Pages, oidc: OidcSignIn) -> APIRouter:
    """What anybody may open."""
    routes = APIRouter(tags=["console"], include_in_schema=False)

    async def failed(request: Request, error: SignInError) -> Response:
        status, headers = HTTPStatus.FORBIDDEN, {}
        signed = await gate.signed(request)
        is_admin = signed is not None and signed.principal.may(Permission.MANAGE_ACCESS)
        why = error if isinstance(error, ProviderError) else None
        if isinstance(error, ProviderDownError):
            status, headers = HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "60"}
        return pages.page(
            request,
            "sign_in_failed.html",
            status=status,
            headers=headers,
            text=str(error),
            incident=why.incident if why else "",
            detail=why.detail if why and is_admin else "",
        )

    @routes.get("/console/oidc/start")
    async def start(request: Request, next: _Text = "") -> Response:  # noqa: A002 - as it is called
        gate.admit_sign_in(request)
        browser = _browser(request, gate) or secrets.token_urlsafe(32)
        try:
            location = await oidc.begin(browser, next_path=safe_next(next))
        except SignInError as error:
            return await failed(request, error)
        answer = RedirectResponse(location, HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            _cookie(gate),
            browser,
            max_age=int(UNDER_WAY.total_seconds()),
            path="/",
            secure=gate.secure,
            httponly=True,
            samesite="lax",  # the provider sends the browser back from another site
        )
        return answer

    @routes.get(CALLBACK)
    async def callback(request: Request, answer: Annotated[Answer, Depends(_answer)]) -> Response:
        before = await gate.signed(request)
        try:
            cookie, where = await oidc.complete(answer, browser=_browser(request, gate))
        except SignInError as refused:
            return await failed(request, refused)
        if before is not None:  # whoever it was has left this browser
            await gate.sessions.end(before)
        arrived = RedirectResponse(safe_next(where), HTTPStatus.SEE_OTHER)
        set_cookie(arrived, gate, cookie)
        arrived.delete_cookie(_cookie(gate), path="/", secure=gate.secure, httponly=True)
        return arrived

    @routes.get("/console/signed-out")
    async def signed_out(request: Request) -> Response:
        return pages.page(request, "signed_out.html", sign_out=await oidc.sign_out_url())

    return routes


def back_channel_router(oidc: OidcSignIn) -> APIRouter:
    """What the provider itself calls: a signed token is all of its proof."""
    routes = APIRouter(tags=["console"], include_in_schema=False)

    @routes.post("/console/oidc/back-channel-logout")
    async def log_out(request: Request) -> Response:
        """OpenID Connect Back-Channel Logout 1.0: the provider itself ends sessions here."""
        token = await _logout_token(request)
        try:
            ended = await oidc.log_out(token)
        except ProviderAwayError:
            return JSONResponse({"error": "temporarily_unavailable"}, 503)
        except OpenIdError as error:
            log.warning("logout_refused", error=str(error))
            return JSONResponse({"error": "invalid_request"}, 400)
        log.info("logged_out_by_provider", count=ended)
        return JSONResponse({})

    return routes


def _answer(
    state: _Text = "",
    code: _Text = "",
    error: _Text = "",
    error_description: _Text = "",
    iss: _Text = "",
) -> Answer:
    """What the provider sent the browser back with (RFC 6749, 4.1.2)."""
    return Answer(state, code, error, error_description, iss)


def _cookie(gate: ConsoleGate) -> str:
    return f"{gate.cookie}-sign-in"


def _browser(request: Request, gate: ConsoleGate) -> str:
    """The secret of a browser that is signing in; "" where it has none."""
    found = request.cookies.get(_cookie(gate), "")
    return found if len(found) == len(secrets.token_urlsafe(32)) and found.isascii() else ""


async def _logout_token(request: Request) -> str:
    """The token of the provider's form; "" where it is none, or too large."""
    length = request.headers.get("content-length", "")
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_form = media == "application/x-www-form-urlencoded"
    if not is_form or not length.isdecimal() or int(length) > MAX_TOKEN_BYTES:
        return ""
    try:
        form = await request.form(max_files=0, max_fields=10)
    except HTTPException:  # not to be answered by a page: a program asks
        return ""
    token = form.get("logout_token", "")
    return token if isinstance(token, str) else ""

"""Okta's Management API: the calls that a revocation needs, each with what "really ok" means.

Source of the rules: https://github.com/okta/okta-management-openapi-spec (2026.06) and
https://developer.okta.com/docs/reference/error-codes/ unless a comment names another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, Dialect, VendorHttp
from connectors.identity.okta_faults import KIND, fault_of, unexpected
from connectors.identity.okta_user import OktaUser, read_user
from lockstep.domain.access import AccessKind
from lockstep.domain.faults import FaultCategory

DIALECT = Dialect(
    connector=KIND,
    request_id_headers=("x-okta-request-id",),
    error_code=("errorCode",),
    reset_epoch_header="x-rate-limit-reset",
    permission_codes=frozenset({"E0000006"}),
)
READ_USERS = "okta.users.read"
MANAGE_USERS = "okta.users.manage"
READ_GROUPS = "okta.groups.read"
MANAGE_GROUPS = "okta.groups.manage"
READ_ROLES = "okta.roles.read"
MANAGE_ROLES = "okta.roles.manage"

MAX_PAGES = 50
# Okta bounds concurrent requests per organisation, apart from its rates (about 75, and as low as
# 15 on small plans): https://developer.okta.com/docs/reference/rl-best-practices/
MAX_PARALLEL = 10
_OK = 200
_NOT_FOUND = 404
_NOT_FOUND_CODES = frozenset({"E0000007", "E0000008"})
_FORBIDDEN = {
    # "Not allowed in the user's current status".
    "E0000038": FaultCategory.UNEXPECTED_ANSWER,
    # "A precondition of the endpoint is violated", 400 elsewhere: with 403 we read it as the guard
    # of the last super administrator. Okta's own wording of that guard is not public.
    "E0000001": FaultCategory.PROTECTED_ACCOUNT,
}
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


@dataclass(frozen=True, slots=True)
class _Listing:
    """Where Okta lists one kind of access of a user, and which items count."""

    path: str
    operation: str
    needs: str
    ref: str
    counts: Callable[[Mapping[str, Any]], bool]


_LISTINGS: Mapping[AccessKind, _Listing] = {
    # Clients "for which the user has grants or tokens": one entry stands for both.
    AccessKind.TOKEN: _Listing(
        "clients", "users.clients.list", READ_USERS, "client_id", lambda _: True
    ),
    # E-mail enrols itself for as long as the user has an address, so it can never be reset:
    # https://github.com/okta/okta-developer-docs/pull/2632
    AccessKind.FACTOR: _Listing(
        "factors",
        "users.factors.list",
        READ_USERS,
        "id",
        lambda item: item.get("factorType") != "email" and item.get("status") != "NOT_SETUP",
    ),
    # A role that comes from a group ends with the membership; it has no call of its own.
    AccessKind.ROLE: _Listing(
        "roles",
        "users.roles.list",
        READ_ROLES,
        "id",
        lambda item: item.get("assignmentType") != "GROUP",
    ),
    # APP_GROUP belongs to the app that imports it, BUILT_IN is Everyone: neither can be left
    # through the API, and neither lets anybody in once sign-in is blocked.
    AccessKind.GROUP: _Listing(
        "groups",
        "users.groups.list",
        READ_USERS,
        "id",
        lambda item: item.get("type") not in {"APP_GROUP", "BUILT_IN"},
    ),
}


class OktaApi:
    """Typed calls over `VendorHttp`; every method raises `ConnectorFault` only."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http
        self._turn = asyncio.Semaphore(MAX_PARALLEL)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def user(self, user_id: str, transcript: Transcript) -> OktaUser | None:
        """The user with this immutable id; None when Okta says that there is none.

        The endpoint also takes logins and the word "me", so the answer's own id decides.
        """
        found = await self._one_user(user_id, "users.get", transcript)
        if found is not None and found.id != user_id:
            raise fault_of(FaultCategory.UNEXPECTED_ANSWER, "users.get", "other_id")
        return found

    async def find(self, name: str, transcript: Transcript) -> OktaUser | None:
        """The user with this id, login or unambiguous short name; the caller checks which."""
        return await self._one_user(name, "users.find", transcript)

    async def token_owner(self, transcript: Transcript) -> OktaUser | None:
        """The administrator who made our token."""
        return await self._one_user("me", "users.get_me", transcript)

    async def search(
        self, attribute: str, value: str, transcript: Transcript
    ) -> tuple[OktaUser, ...]:
        """Users whose attribute equals ``value``; the index lags, so read each one by id.

        ``search`` also returns DEPROVISIONED users, which the plain list leaves out.
        """
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        params: dict[str, str | int] = {"search": f'{attribute} eq "{escaped}"', "limit": 50}
        operation = "users.search"
        items = await self._pages("/api/v1/users", operation, READ_USERS, transcript, params)
        return tuple(read_user(item, answer, operation) for item, answer in items or ())

    async def refs(
        self, kind: AccessKind, user_id: str, transcript: Transcript
    ) -> tuple[str, ...] | None:
        """Vendor ids of every access of one kind; None when Okta knows no such list (404)."""
        listing = _LISTINGS[kind]
        path = f"{_user_path(user_id)}/{listing.path}"
        items = await self._pages(path, listing.operation, listing.needs, transcript)
        if items is None:
            return None
        refs: dict[str, None] = {}
        for item, answer in items:
            if not listing.counts(item):
                continue
            ref = item.get(listing.ref)
            if not isinstance(ref, str) or not ref:
                raise unexpected(listing.operation, f"no_{listing.ref}", answer)
            refs.setdefault(ref)
        return tuple(refs)

    async def sample_user(self, transcript: Transcript) -> OktaUser | None:
        """Any user, to learn whether we may read users; None in an empty organisation."""
        answer = await self._sample("/api/v1/users", "users.list", READ_USERS, transcript)
        found = answer.objects()
        return read_user(found[0], answer, "users.list") if found else None

    async def sample_group(self, transcript: Transcript) -> None:
        """Any group, to learn whether we may read groups."""
        await self._sample("/api/v1/groups", "groups.list", READ_GROUPS, transcript)

    async def role_types(self, user_id: str, transcript: Transcript) -> frozenset[str]:
        """The kinds of admin role that a user holds."""
        items = await self._pages(
            f"{_user_path(user_id)}/roles", "users.roles.list", READ_ROLES, transcript
        )
        return frozenset(str(item.get("type")) for item, _ in items or ())

    async def suspend(self, user_id: str, transcript: Transcript) -> Answer | None:
        """Only an ACTIVE user can be suspended; for any other Okta answers 400 E0000001."""
        path = f"{_user_path(user_id)}/lifecycle/suspend"
        return await self._effect("POST", path, operation="users.suspend", transcript=transcript)

    async def deactivate(self, user_id: str, transcript: Transcript) -> Answer | None:
        """Never sent as DELETE: a second DELETE erases the user."""
        return await self._effect(
            "POST",
            f"{_user_path(user_id)}/lifecycle/deactivate",
            operation="users.deactivate",
            transcript=transcript,
            params={"sendEmail": "false"},
        )

    async def reset_factors(self, user_id: str, transcript: Transcript) -> Answer | None:
        return await self._effect(
            "POST",
            f"{_user_path(user_id)}/lifecycle/reset_factors",
            operation="users.reset_factors",
            transcript=transcript,
        )

    async def clear_sessions(self, user_id: str, transcript: Transcript) -> Answer | None:
        """Ends Okta's sessions and OAuth tokens; 204 also when there are none."""
        return await self._effect(
            "DELETE",
            f"{_user_path(user_id)}/sessions",
            operation="users.sessions.clear",
            transcript=transcript,
            params={"oauthTokens": "true", "forgetDevices": "true"},
        )

    async def revoke_grants(self, user_id: str, transcript: Transcript) -> Answer | None:
        path = f"{_user_path(user_id)}/grants"
        operation = "users.grants.revoke"
        return await self._effect("DELETE", path, operation=operation, transcript=transcript)

    async def revoke_tokens(
        self, user_id: str, client_id: str, transcript: Transcript
    ) -> Answer | None:
        path = f"{_user_path(user_id)}/clients/{quote(client_id, safe='')}/tokens"
        operation = "users.clients.tokens.revoke"
        return await self._effect("DELETE", path, operation=operation, transcript=transcript)

    async def unassign_role(
        self, user_id: str, assignment_id: str, transcript: Transcript
    ) -> Answer | None:
        return await self._effect(
            "DELETE",
            f"{_user_path(user_id)}/roles/{quote(assignment_id, safe='')}",
            operation="users.roles.unassign",
            transcript=transcript,
            needs=MANAGE_ROLES,
        )

    async def leave_group(
        self, user_id: str, group_id: str, transcript: Transcript
    ) -> Answer | None:
        return await self._effect(
            "DELETE",
            f"/api/v1/groups/{quote(group_id, safe='')}/users/{quote(user_id, safe='')}",
            operation="groups.members.remove",
            transcript=transcript,
            needs=MANAGE_GROUPS,
        )

    async def _sample(
        self, path: str, operation: str, needs: str, transcript: Transcript
    ) -> Answer:
        return await self._call(
            "GET",
            path,
            operation=operation,
            needs=needs,
            transcript=transcript,
            expect=(_OK,),
            params={"limit": 1},
        )

    async def _one_user(self, name: str, operation: str, transcript: Transcript) -> OktaUser | None:
        answer = await self._call(
            "GET",
            _user_path(name),
            operation=operation,
            needs=READ_USERS,
            transcript=transcript,
            expect=(_OK, _NOT_FOUND),
        )
        if _says_not_found(answer, operation):
            return None
        return read_user(answer.data, answer, operation)

    async def _effect(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        transcript: Transcript,
        needs: str = MANAGE_USERS,
        params: Mapping[str, str | int] | None = None,
    ) -> Answer | None:
        """Ask for a change; None when what should be closed is not there any more."""
        answer = await self._call(
            method,
            path,
            operation=operation,
            needs=needs,
            transcript=transcript,
            expect=(_OK, 204, _NOT_FOUND),
            params=params,
        )
        return None if _says_not_found(answer, operation) else answer

    async def _pages(
        self,
        path: str,
        operation: str,
        needs: str,
        transcript: Transcript,
        params: Mapping[str, str | int] | None = None,
    ) -> list[tuple[dict[str, Any], Answer]] | None:
        items: list[tuple[dict[str, Any], Answer]] = []
        for _ in range(MAX_PAGES):
            answer = await self._call(
                "GET",
                path,
                operation=operation,
                needs=needs,
                transcript=transcript,
                expect=(_OK, _NOT_FOUND),
                params=params,
            )
            if _says_not_found(answer, operation):
                return None
            if not isinstance(answer.data, list):
                raise unexpected(operation, "no_list", answer)
            for item in answer.data:
                if not isinstance(item, dict):
                    raise unexpected(operation, "no_object", answer)
                items.append((item, answer))
            params = _next_page(answer.headers)
            if params is None:
                return items
        raise unexpected(operation, "too_many_pages", answer)

    async def _call(
        self,
        method: str,
        path: str,
        *,
        operation: str,
        needs: str,
        transcript: Transcript,
        expect: Collection[int],
        params: Mapping[str, str | int] | None = None,
    ) -> Answer:
        try:
            async with self._turn:
                return await self._http.call(
                    method,
                    path,
                    operation=operation,
                    transcript=transcript,
                    expect=expect,
                    params=params,
                )
        except ConnectorFault as fault:
            if fault.category is not FaultCategory.PERMISSION_MISSING:
                raise
            raise _explained(fault, needs) from fault


def _explained(fault: ConnectorFault, needs: str) -> ConnectorFault:
    """Say what a 403 means: not every one of Okta's is about permissions."""
    code = fault.code.rpartition(".")[2]
    category = _FORBIDDEN.get(code, fault.category)
    return ConnectorFault(
        category,
        connector=KIND,
        operation=fault.operation,
        code=fault.code,
        missing=needs if category is FaultCategory.PERMISSION_MISSING else None,
        request_id=fault.request_id,
    )


def _says_not_found(answer: Answer, operation: str) -> bool:
    """Whether Okta itself says so: a 404 of a proxy or a wrong address proves nothing."""
    if answer.status != _NOT_FOUND:
        return False
    code = answer.data.get("errorCode") if isinstance(answer.data, dict) else None
    if code not in _NOT_FOUND_CODES:
        raise unexpected(operation, "404.not_okta", answer)
    return True


def _next_page(headers: httpx.Headers) -> dict[str, str | int] | None:
    """The query of the next page. Only the query: our credential follows no link elsewhere."""
    link = _NEXT.search(", ".join(headers.get_list("link")))
    return dict(parse_qsl(urlsplit(link.group(1)).query)) if link else None


def _user_path(user_id: str) -> str:
    return f"/api/v1/users/{quote(user_id, safe='')}"


def known_refs(kind: AccessKind, refs: tuple[str, ...] | None, user: OktaUser) -> tuple[str, ...]:
    """What a list says of this user.

    Okta answers 404 for lists of a deactivated user (seen with factors:
    https://github.com/okta/okta-sdk-java/issues/646); for any other user 404 says nothing.

    Raises:
        ConnectorFault: unexpected answer.
    """
    if refs is not None:
        return refs
    if user.is_deactivated:
        return ()
    raise fault_of(FaultCategory.UNEXPECTED_ANSWER, _LISTINGS[kind].operation, "404")

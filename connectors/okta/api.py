"""Okta's Management API: the calls that a revocation needs, each with what "really ok" means.

Source of the rules: https://github.com/okta/okta-management-openapi-spec (2026.06) and
https://developer.okta.com/docs/reference/error-codes/ unless a comment names another.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, Dialect, VendorHttp
from connectors.kit.faults import FaultRow
from connectors.okta.faults import KIND, fault_of, unexpected
from connectors.okta.lists import (
    LISTINGS,
    MANAGE_GROUPS,
    MANAGE_ROLES,
    MANAGE_USERS,
    READ_GROUPS,
    READ_ROLES,
    READ_USERS,
)
from connectors.okta.user import OktaUser, read_user
from lockstep.domain.systems.access import AccessKind
from lockstep.domain.systems.faults import FaultCategory

_ODD, _PROTECTED = FaultCategory.UNEXPECTED_ANSWER, FaultCategory.PROTECTED_ACCOUNT
DIALECT = Dialect(
    connector=KIND,
    request_id_headers=("x-okta-request-id",),
    error_code=("errorCode",),
    reset_epoch_header="x-rate-limit-reset",
    faults=(
        FaultRow(FaultCategory.PERMISSION_MISSING, codes=frozenset({"E0000006"})),
        # "Not allowed in the user's current status".
        FaultRow(_ODD, codes=frozenset({"E0000038"}), statuses=frozenset({403})),
        # "A precondition of the endpoint is violated", 400 elsewhere: with 403 we read it as the
        # guard of the last super administrator. Okta's own wording of that guard is not public.
        FaultRow(_PROTECTED, codes=frozenset({"E0000001"}), statuses=frozenset({403})),
    ),
)

SEARCH = "users.search"
_NO_SUCH_SEARCH = "E0000031"
"""Invalid search criteria: also what Okta says of an attribute that it does not know."""

MAX_PAGES = 50
LIST_LIMIT = 200
"""Okta's largest page of users."""
MOST_LISTED = 200_000
"""Users that are listed to compare them, where no search is to be trusted."""
# Okta bounds concurrent requests per organisation, apart from its rates (about 75, and as low as
# 15 on small plans): https://developer.okta.com/docs/reference/rl-best-practices/
MAX_PARALLEL = 10
_Item = tuple[dict[str, Any], Answer]
_OK = 200
_NOT_FOUND = 404
_NOT_FOUND_CODES = frozenset({"E0000007", "E0000008"})
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


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
        self, attribute: str, operator: str, value: str, transcript: Transcript
    ) -> AsyncGenerator[list[OktaUser], None]:
        """Pages of users whose attribute compares so; the index lags, so read each one by id.

        ``search`` also returns DEPROVISIONED users, which the plain list leaves out.
        """
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        params: dict[str, str | int] = {
            "search": f'{attribute} {operator} "{escaped}"',
            "limit": 50,
        }
        pages = self._each_page("/api/v1/users", SEARCH, READ_USERS, transcript, params=params)
        async with aclosing(pages):
            async for items in pages:
                yield [read_user(item, answer, SEARCH) for item, answer in items or ()]

    async def everybody(self, transcript: Transcript) -> AsyncGenerator[list[OktaUser], None]:
        """Pages of all users but those that are DEPROVISIONED; no filter, and no index."""
        operation = "users.list"
        pages = self._each_page(
            "/api/v1/users",
            operation,
            READ_USERS,
            transcript,
            params={"limit": LIST_LIMIT},
            most=MOST_LISTED // LIST_LIMIT,
        )
        async with aclosing(pages):
            async for items in pages:
                yield [read_user(item, answer, operation) for item, answer in items or ()]

    async def refs(
        self, kind: AccessKind, user_id: str, transcript: Transcript
    ) -> tuple[str, ...] | None:
        """Vendor ids of every access of one kind; None when Okta knows no such list (404)."""
        listing = LISTINGS[kind]
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

    async def some_users(self, transcript: Transcript) -> list[OktaUser]:
        """The first page of all users."""
        async with aclosing(self.everybody(transcript)) as pages:
            async for users in pages:
                return users
        return []

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
        self, path: str, operation: str, needs: str, transcript: Transcript
    ) -> list[_Item] | None:
        items: list[_Item] = []
        pages = self._each_page(path, operation, needs, transcript)
        async with aclosing(pages):
            async for found in pages:
                if found is None:
                    return None
                items += found
        return items

    async def _each_page(
        self,
        path: str,
        operation: str,
        needs: str,
        transcript: Transcript,
        *,
        params: Mapping[str, str | int] | None = None,
        most: int = MAX_PAGES,
    ) -> AsyncGenerator[list[_Item] | None, None]:
        """Page after page to the end; None when Okta knows no such list (404)."""
        for _ in range(most):
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
                yield None
                return
            if not isinstance(answer.data, list):
                raise unexpected(operation, "no_list", answer)
            for item in answer.data:
                if not isinstance(item, dict):
                    raise unexpected(operation, "no_object", answer)
            yield [(item, answer) for item in answer.data]
            following = _next_page(answer.headers)
            if following is None:
                return
            if following == params:  # a page that says that it follows itself
                break
            params = following
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
    """Name the permission that a refusal is about."""
    return ConnectorFault(
        fault.category,
        connector=KIND,
        operation=fault.operation,
        code=fault.code,
        missing=needs,
        request_id=fault.request_id,
    )


def is_no_search(fault: ConnectorFault) -> bool:
    """Whether Okta refused the search itself: the attribute is not one of this organisation."""
    return fault.operation == SEARCH and fault.code.rpartition(".")[2] == _NO_SUCH_SEARCH


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

"""Kisi's API: calls in turn, whole collections, and whose things they are.

Vendor rules: https://api.kisi.io/docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, Dialect, VendorHttp
from lockstep.domain.access import AccessKind
from lockstep.domain.faults import FaultCategory

KIND: Final = "kisi"
DIALECT: Final = Dialect(connector=KIND, error_code=("code",))
MAX_PAGES: Final = 50

Item = dict[str, Any]
Params = Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class Holding:
    """One list of things that a user holds, and how one of them is taken away."""

    path: str
    owner: str
    """Field that names the user."""
    filters: Mapping[str, str] = field(hash=False)
    """Query parameters; ``{id}`` stands for the user."""
    permission: str
    undo: tuple[str, str, str]
    """Method, suffix of the item's path, operation."""


LOGINS: Final = Holding(
    "/logins", "user_id", {"user_id": "{id}"}, "logins", ("DELETE", "", "logins.delete")
)
CARDS: Final = Holding(
    "/card_assignments",
    "assignee_id",
    {"assignee_type": "User", "assignee_id": "{id}", "status": "activated"},
    "card_assignments",
    ("POST", "/deactivate", "card_assignments.deactivate"),
)
ROLES: Final = Holding(
    "/role_assignments",
    "assignee_id",
    {"assignee_type": "User", "assignee_id": "{id}"},
    "role_assignments",
    ("DELETE", "", "role_assignments.delete"),
)
TEAMS: Final = Holding(
    "/team_memberships",
    "member_id",
    {"member_type": "User", "member_id": "{id}"},
    "team_memberships",
    ("DELETE", "", "team_memberships.delete"),
)
HOLDINGS: Final = (LOGINS, CARDS, ROLES, TEAMS)

# In the order in which they are closed.
HOLDING_OF: Final[Mapping[AccessKind, Holding]] = {
    AccessKind.SESSION: LOGINS,
    AccessKind.SECRET: LOGINS,
    AccessKind.CREDENTIAL: CARDS,
    AccessKind.ROLE: ROLES,
    AccessKind.GROUP: TEAMS,
}


class KisiApi:
    """The operations of Kisi that off-boarding needs."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    async def aclose(self) -> None:
        await self._http.aclose()

    async def user(self, account_id: str, transcript: Transcript) -> Item | None:
        """The user by id; None when there is none."""
        path = f"/users/{checked_id(account_id)}"
        answer = await self.call("GET", path, "users.get", "users", transcript)
        if answer.status == httpx.codes.NOT_FOUND:
            return None
        if not isinstance(answer.data, dict) or str(answer.data.get("id")) != account_id:
            raise fault_of(FaultCategory.UNEXPECTED_ANSWER, "users.get", "other_user")
        return answer.data

    async def held(self, holding: Holding, account_id: str, transcript: Transcript) -> list[Item]:
        """What one user holds of one kind, every item checked for its owner."""
        filters = {name: text.format(id=account_id) for name, text in holding.filters.items()}
        items = await self.collection(holding.path, filters, holding.permission, transcript)
        if any(str(item.get(holding.owner)) != account_id for item in items):
            operation = f"{holding.permission}.list"
            raise fault_of(FaultCategory.UNEXPECTED_ANSWER, operation, "other_owner")
        return [item for item in items if item.get("status", "activated") == "activated"]

    async def collection(
        self, path: str, filters: Mapping[str, str], permission: str, transcript: Transcript
    ) -> list[Item]:
        """A whole collection, by ``X-Collection-Range: first-last/total``."""
        operation = f"{permission}.list"
        limit = 100 if path == "/users" else 250  # the vendor's maxima
        found: dict[str, Item] = {}
        seen = 0
        for _ in range(MAX_PAGES):
            params: Params = {**filters, "limit": limit, "offset": seen}
            answer = await self.call("GET", path, operation, permission, transcript, params=params)
            items = answer.objects()
            if not isinstance(answer.data, list) or any("id" not in item for item in items):
                raise fault_of(FaultCategory.UNEXPECTED_ANSWER, operation, "no_list")
            known = len(found)
            found.update({str(item["id"]): item for item in items})
            seen += len(items)
            told = answer.headers.get("x-collection-range", "").rpartition("/")[2]
            total = int(told) if told.isdigit() else None
            # A total may count the page only: a full page, or one of the size of a usual cut, is
            # the last one when the next is empty.
            is_short = len(items) < limit and (len(items) % 10 > 0 and len(items) % 25 > 0)
            if not items or (total is not None and is_short and len(found) >= total):
                if total is not None and len(found) < total:
                    raise fault_of(FaultCategory.UNEXPECTED_ANSWER, operation, "fewer_than_told")
                return list(found.values())
            if len(found) == known:
                raise fault_of(FaultCategory.UNEXPECTED_ANSWER, operation, "page_repeated")
        raise fault_of(FaultCategory.UNEXPECTED_ANSWER, operation, "too_many_pages")

    async def some_users(self, transcript: Transcript) -> list[Item]:
        """The first users of the organisation, in whatever order."""
        params: Params = {"limit": 100}
        answer = await self.call("GET", "/users", "users.list", "users", transcript, params=params)
        if not isinstance(answer.data, list):
            raise fault_of(FaultCategory.UNEXPECTED_ANSWER, "users.list", "no_list")
        return [item for item in answer.objects() if "id" in item]

    async def call(
        self,
        method: str,
        path: str,
        operation: str,
        permission: str,
        transcript: Transcript,
        *,
        params: Params | None = None,
        body: object | None = None,
    ) -> Answer:
        """Call; a 404 is an answer, because every id in a path was resolved before."""
        # Effects answer 204, reads 200; anything else is not "really ok".
        expect = (200,) if params is not None else (200, 404) if method == "GET" else (204, 404)
        try:
            return await self._http.call(
                method,
                path,
                operation=operation,
                transcript=transcript,
                expect=expect,
                params=params,
                body=body,
            )
        except ConnectorFault as fault:
            if fault.category is not FaultCategory.PERMISSION_MISSING:
                raise
            raise ConnectorFault(
                fault.category,
                connector=KIND,
                operation=operation,
                code=fault.code,
                missing=f"{permission}_{'read' if method == 'GET' else 'write'}",
                request_id=fault.request_id,
            ) from None


def fault_of(category: FaultCategory, operation: str, code: str) -> ConnectorFault:
    return ConnectorFault(category, connector=KIND, operation=operation, code=code)


def is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()


def checked_id(ref: str) -> str:
    """Refuse what would turn one item's path into another."""
    if not is_id(ref):
        raise ConnectorFault(
            FaultCategory.UNEXPECTED_ANSWER, connector=KIND, operation="ref", code="not_an_id"
        )
    return ref

"""Words of a scripted SCIM server, for the SCIM dialogues."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from connectors.base import ConnectorOptions
from connectors.scim.connector import ScimConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation
from tests.connectors.dialogue import Dialogue, Turn

PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"]}
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
EMPLOYEE = f"{ENTERPRISE}:employeeNumber"
FIRST_PAGE = "startIndex=1&count=100"
CONFIG = Turn("GET /v2/ServiceProviderConfig", 404)
ACCOUNT = Account("u1")
SIGN_IN = Access(AccessKind.SIGN_IN, "u1")
GROUP = Access(AccessKind.GROUP, "g1")


@asynccontextmanager
async def talking(*turns: Turn, **settings: object) -> AsyncIterator[ScimConnector]:
    """A connector whose whole dialogue is scripted; groups are off unless asked for."""
    with Dialogue(*turns) as dialogue:
        options = ConnectorOptions(
            "scim-test",
            {"base_url": "http://127.0.0.1/v2", "strip_groups": False, **settings},
            {"token": "word"},
        )
        connector = ScimConnector(options, transport=dialogue.transport)
        yield connector
        await connector.aclose()


def user(**more: Any) -> dict[str, Any]:
    return {"id": "u1", "userName": "ann", "active": True, **more}


def listed(*resources: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    return {"totalResults": len(resources) if total is None else total, "Resources": resources}


def search(filter_: str, status: int = 200, answer: object | None = None) -> Turn:
    return Turn(f"GET /v2/Users?{FIRST_PAGE}&filter={filter_}", status, answer)


def reads(status: int = 200, **more: Any) -> Turn:
    return Turn("GET /v2/Users/u1", status, user(**more) if status == 200 else ERROR)


def keys(**values: str) -> LeaverKeys:
    return LeaverKeys(tuple(Key(KeyKind(kind), value) for kind, value in values.items()))


def standing(*ways: Access) -> Observation:
    return Observation("u1", exists=True, standing=ways)


def patched(**operation: object) -> dict[str, object]:
    return {"schemas": [PATCH], "Operations": [operation]}


def members(attribute: str, status: int = 200, answer: object | None = None) -> Turn:
    query = f'{FIRST_PAGE}&filter={attribute} eq "u1"&attributes=id'
    return Turn(f"GET /v2/Groups?{query}", status, answer)

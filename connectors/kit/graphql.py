"""GraphQL as rows: a call is a query with variables, a page's cursor is one, and 200 may say no.

The specification (https://spec.graphql.org, section 7.1) has ``errors`` beside what could be read
of ``data``, under status 200. An answer with errors is a refusal here, whatever else it shows: half
a list is no list. Lists page as Relay's connections do (https://relay.dev/graphql/connections.htm).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from connectors.http import Dialect
from connectors.kit.calls import Call, Listed
from connectors.kit.codecs import Codec
from connectors.kit.faults import FaultRow, ReallyOk
from connectors.kit.pages import Relay, Shape
from connectors.kit.paths import Path, at
from lockstep.domain.systems.faults import FaultCategory

_CODE: Final = "lockstep_error_code"
_VARIABLES: Final = ("variables",)

FAULTS: Final = (
    FaultRow(
        FaultCategory.CREDENTIALS_REJECTED,
        frozenset({"UNAUTHENTICATED", "AUTHENTICATION_ERROR", "UNAUTHORIZED"}),
    ),
    FaultRow(
        FaultCategory.PERMISSION_MISSING,
        frozenset({"FORBIDDEN", "ACCESS_DENIED", "INSUFFICIENT_SCOPES"}),
    ),
    FaultRow(
        FaultCategory.RATE_LIMITED,
        frozenset({"RATE_LIMITED", "RATELIMITED", "THROTTLED", "RATE_LIMIT"}),
    ),
    FaultRow(FaultCategory.VENDOR_ERROR, frozenset({"INTERNAL_SERVER_ERROR", "TIMEOUT"})),
)
"""Codes that servers have in common; a vendor's own rows stand before them."""


def dialect(
    connector: str,
    *,
    faults: Iterable[FaultRow] = (),
    gone: Iterable[str] = ("NOT_FOUND",),
    request_id_headers: tuple[str, ...] = ("x-request-id",),
) -> Dialect:
    """How a vendor of GraphQL answers: by the code of its first error that has one."""
    return Dialect(
        connector,
        request_id_headers=request_id_headers,
        error_code=(_CODE,),
        faults=(*faults, *FAULTS),
        ok=ReallyOk(("errors",), None),
        gone=frozenset(gone),
        codec=GRAPHQL,
    )


def call(
    query: str,
    operation: str,
    needs: str = "",
    *,
    path: str = "/graphql",
    **variables: object,
) -> Call:
    """A query or mutation; ``{id}`` and its like stand in variables, never in the query."""
    body = {"query": lambda _: query, "variables": variables}
    return Call("POST", path, operation, needs, body=body, paged_in=_VARIABLES)


def connection(query: Call, where: Path, *, size: int = 100, ref: str = "id") -> Listed:
    """A Relay connection at ``where`` below ``data``; its query takes ``first`` and ``after``."""
    found = ("data", *where)
    pager = Relay((*found, "pageInfo"), {"first": size})
    return Listed(query, pager, Shape(at=(*found, "nodes"), ref=ref))


def _read(raw: bytes) -> Any:
    """The answer, with the code of its errors where `Dialect` looks for one."""
    data = json.loads(raw)
    errors = data.get("errors") if isinstance(data, dict) else None
    if not isinstance(errors, list):
        return data
    return {**data, _CODE: next(filter(None, map(_code, errors)), "error")}


def _code(error: object) -> str:
    """``extensions.code`` as most have it, or ``type``; a message may hold anything."""
    if not isinstance(error, Mapping):
        return ""
    told = at(error, ("extensions", "code")) or error.get("type")
    return told if isinstance(told, str) else ""


GRAPHQL: Final = Codec("application/json", lambda body: json.dumps(body).encode(), _read)

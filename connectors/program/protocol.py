"""What Lockstep and an operator's program say to each other: JSON lines, version 1.

docs/own-systems.md tells it for people; docs/program-protocol.schema.json is made from here.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import AccessKind, ProblemSeverity, Proof
from lockstep.domain.systems.faults import FaultCategory

VERSION: Final = 1


class Do(StrEnum):
    """What is asked of a program; each request is a process of its own."""

    LOCATE = "locate"
    LOOK = "look"
    CONTAIN = "contain"
    STRIP = "strip"
    READ_BACK = "read_back"
    HEALTH = "health"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _bounded(value: object) -> object:
    """A vendor's own code may be any text; it is cleaned by whoever reads it."""
    return value[:200] if isinstance(value, str) else value


Id = Annotated[str, Field(min_length=1, max_length=500)]
Name = Annotated[str, Field(max_length=500)]
Operation = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,59}$")]
Code = Annotated[str, BeforeValidator(_bounded)]
Instant = Annotated[str, Field(max_length=64)]


class KeyRow(_Row):
    kind: KeyKind
    value: Annotated[str, Field(min_length=1, max_length=500)]


class WayRow(_Row):
    """One way in: ``ref`` is the system's own id of it."""

    kind: AccessKind
    ref: Id


class AccountRow(_Row):
    id: Id
    locator: Name = ""
    keys: tuple[KeyRow, ...] = ()


class Request(_Row):
    """One line to the program. Members stand in this order, without spaces, in plain ASCII."""

    lockstep: Literal[1] = VERSION
    request: Id
    do: Do
    system: Id
    account: AccountRow | None = None
    keys: tuple[KeyRow, ...] = ()
    not_theirs: tuple[Id, ...] = ()
    standing: tuple[WayRow, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    secrets: dict[str, str] = Field(default_factory=dict)


class UnreadRow(_Row):
    """A list that could not be read: neither empty nor known."""

    kind: AccessKind
    category: FaultCategory
    operation: Operation
    code: Code = ""
    missing: Code = ""
    request_id: Code = ""
    retry_after_s: Annotated[float, Field(ge=0, le=86_400)] | None = None


class Seen(_Row):
    """One account as it stands. What is not said is not empty: every list must be there."""

    exists: bool
    standing: tuple[WayRow, ...]
    unread: tuple[UnreadRow, ...]
    residuals: tuple[Name, ...] = ()
    off_since: Instant = ""


class MatchRow(_Row):
    account: AccountRow
    found_by: KeyKind
    name: Name = ""
    created: Instant = ""
    used: Instant = ""


class SearchRow(_Row):
    kind: KeyKind
    value: Name
    proof: Proof


class Located(_Row):
    accounts: tuple[MatchRow, ...]
    searches: tuple[SearchRow, ...]
    unread: tuple[UnreadRow, ...]
    listed: Annotated[int, Field(ge=0)] | None = None


class ProblemRow(_Row):
    code: Operation
    summary: Name
    fix: Name
    severity: ProblemSeverity = ProblemSeverity.BLOCKS


class Healthy(_Row):
    reachable: bool
    problems: tuple[ProblemRow, ...]


class Done(_Row):
    """The end of ``contain`` and ``strip``: what was done stands in lines of its own."""


class ExchangeRow(_Row):
    """One call to the system, for the evidence."""

    operation: Operation
    status: Annotated[int, Field(ge=100, le=599)]
    date: Instant = ""
    request_id: Code = ""
    digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""


class ActionRow(_Row):
    """One way in that the system accepted to close, by the call of the last exchange."""

    kind: AccessKind
    ref: Id


class FaultTold(_Row):
    category: FaultCategory
    operation: Operation
    code: Code = ""
    missing: Code = ""
    request_id: Code = ""
    retry_after_s: Annotated[float, Field(ge=0, le=86_400)] | None = None


class _Line(_Row):
    lockstep: Literal[1]
    request: Id


class ExchangeLine(_Line):
    exchange: ExchangeRow


class ActionLine(_Line):
    action: ActionRow


class FaultLine(_Line):
    fault: FaultTold


class LocatedLine(_Line):
    located: Located


class SeenLine(_Line):
    seen: Seen


class DoneLine(_Line):
    done: Done


class HealthLine(_Line):
    health: Healthy


Line = ExchangeLine | ActionLine | FaultLine | LocatedLine | SeenLine | DoneLine | HealthLine
LINES: Final[dict[str, type[_Line]]] = {
    "exchange": ExchangeLine,
    "action": ActionLine,
    "fault": FaultLine,
    "located": LocatedLine,
    "seen": SeenLine,
    "done": DoneLine,
    "health": HealthLine,
}
ANSWERS: Final[dict[Do, str]] = {
    Do.LOCATE: "located",
    Do.LOOK: "seen",
    Do.READ_BACK: "seen",
    Do.CONTAIN: "done",
    Do.STRIP: "done",
    Do.HEALTH: "health",
}
"""With which line each request ends; any may end with a fault."""


def schema() -> dict[str, Any]:
    """The JSON Schema of both directions."""
    made: TypeAdapter[Any] = TypeAdapter(Line)
    answer = made.json_schema()
    asked = Request.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lockstep and an operator's program, version 1: one line each",
        "anyOf": [{"$ref": "#/$defs/Request"}, *answer["anyOf"]],
        "$defs": {
            **answer["$defs"],
            **asked.pop("$defs"),
            "Request": asked,
        },
    }


def instant(text: str) -> datetime | None:
    """An instant with its zone, or none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None

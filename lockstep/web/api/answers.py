"""The vocabulary of answers in the OpenAPI description: instants, ids, closed sets, problems.

A route returns an instance of the model that it declares (`Told`, or the model itself), so that
there is no second spelling of an answer; the metric's own documents alone are sent as they are
(`DocumentResponse`). tests/web/test_openapi_answers.py asks every operation, and holds what it
returned and what was sent against the description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic_core import to_json

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import Tier

MOST_PROBLEMS = 20

_MOMENT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}"
_TO_THE_MILLISECOND = "RFC 3339 in UTC, to the millisecond."


class Answer(BaseModel):
    """An object of an answer: these fields, and no others."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def written(self) -> str:
        """As JSON, under the names that are described."""
        return self.model_dump_json(by_alias=True)


class _Problem(Answer):
    """Leaves out what it has nothing to say of."""

    def written(self) -> str:
        return self.model_dump_json(by_alias=True, exclude_defaults=True)


def text(*, most: int | None = None, pattern: str = "", **more: Any) -> WithJsonSchema:
    """A text of at most ``most`` characters, or one that fits a pattern."""
    bounds: dict[str, Any] = {"maxLength": most} if most is not None else {}
    if pattern:
        bounds["pattern"] = pattern
    return WithJsonSchema({"type": "string", **bounds, **more})


def one_of(words: Iterable[str]) -> WithJsonSchema:
    """One of a closed set of words; a `StrEnum` will do."""
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


Instant = Annotated[
    str, text(pattern=f"{_MOMENT}Z$", format="date-time", description=_TO_THE_MILLISECOND)
]
"""As the metric and the cases tell it, ending in ``Z``."""
ZonedInstant = Annotated[
    str,
    text(pattern=rf"{_MOMENT}\+00:00$", format="date-time", description=_TO_THE_MILLISECOND),
]
"""As requests and exports tell it, ending in ``+00:00``: programs depend on it."""


def zoned(moment: datetime) -> str:
    """A `ZonedInstant`."""
    return moment.isoformat(timespec="milliseconds")


Day = Annotated[str, text(format="date", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]

CaseId = Annotated[str, text(pattern="^c[a-z2-7]{12}$")]
RequestId = Annotated[str, text(pattern="^r[0-9a-f]{12,16}$")]
ActId = Annotated[
    str,
    text(pattern="^a[0-9a-f]{16}$", description="The ledger's entry about the act names it."),
]
Slug = Annotated[str, text(pattern="^[a-z0-9][a-z0-9-]{0,39}$")]
"""Name of a system, a source or a token, as the settings have it."""
UserId = Annotated[
    str,
    text(
        pattern="^[a-z0-9][a-z0-9-]{0,39}$",
        description="The id of a user or of a token made in the console; of a token of the "
        "settings its name; `cli` on the command line, where nobody has proved who they are.",
    ),
]
Name = Annotated[str, text(most=200)]
"""What HR or the policy calls something; may be empty."""
Prose = Annotated[str, text(most=2000)]
"""A few sentences for people, in English."""

Kind = Annotated[str, one_of(TerminationKind)]
TierName = Annotated[str, one_of(Tier)]

Count = Annotated[int, Field(ge=0)]
Milliseconds = Annotated[int, Field(ge=0, description="In milliseconds.")]
Score = Annotated[
    str,
    text(
        pattern=r"^[0-9]{1,2}(\.[0-9]{1,6})?$",
        description="Points, from 0 to 20, as a decimal: no float was between it and the ledger.",
        examples=["19.27"],
    ),
]
Points = Annotated[
    str,
    text(
        pattern=r"^-?[0-9]{1,9}(\.[0-9]{1,6})?$",
        description="Points, as a signed decimal.",
        examples=["0.7300"],
    ),
]
Rate = Annotated[
    str,
    text(pattern=r"^[01](\.[0-9]{1,6})?$", description="From 0 to 1.", examples=["0.9750"]),
]
Sha256 = Annotated[str, text(pattern="^[0-9a-f]{64}$")]


ProblemWord = Annotated[
    str,
    text(
        pattern="^[a-z][a-z0-9_]{1,59}$",
        description="A stable word for programs.",
        examples=["not_valid"],
    ),
]


class ProblemDocument(_Problem):
    """Why the wanted answer did not come."""

    error: ProblemWord
    problems: list[str] = Field(
        default_factory=list,
        max_length=MOST_PROBLEMS,
        description="What to mend, for people; left out where there is nothing to add. Quotes "
        "nothing of what was sent.",
    )


class UnansweredDocument(Answer):
    """An act is on record, and whether it was carried out is not known."""

    error: Literal["no_answer"]
    problems: list[str] = Field(max_length=MOST_PROBLEMS, description="For people.")
    act_id: ActId = Field(
        description="Send it again by `/api/cases/{case_id}/acts/{act_id}/send`: it is decided "
        "once, however often it is sent."
    )


class HookDocument(Answer):
    """What became of a delivery."""

    status: Literal["accepted", "duplicate", "superseded", "too_late"] = Field(
        description="`superseded`: a later revision was received before, and stands; `too_late`: "
        "it was called off after its cutoff: recorded, and nothing is given back."
    )


class HookProblem(_Problem):
    """Why a delivery was not taken."""

    error: ProblemWord
    problems: list[str] = Field(
        default_factory=list, max_length=50, description="Of an event: by field; quotes no value."
    )


class Health(StrEnum):
    """What the two health addresses say."""

    OK = "ok"
    READY = "ready"
    UNREACHABLE = "database_unreachable"


class AliveDocument(Answer):
    """The process answers."""

    status: Literal[Health.OK]


class ReadyDocument(Answer):
    """The database can be reached."""

    status: Literal[Health.READY]


class UnreadyDocument(Answer):
    """The database cannot be reached."""

    status: Literal[Health.UNREACHABLE]


class Told(Response):
    """An answer that is what its route declares, with the status that it declares it for."""

    media_type = "application/json"

    def __init__(
        self, document: Answer, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.document = document
        super().__init__(document.written(), status, headers)


class DocumentResponse(JSONResponse):
    """The metric's own document as it is, written three times as fast as the library does.

    Only for what the scorecard writes, alike for pushes, packs and here. It is not made a model
    first: that took fifteen times as long over a large one (50 ms for 450 KB).
    """

    def render(self, content: Any) -> bytes:
        self.document = content
        return to_json(content)


def told(model: Any, description: str, **more: Any) -> dict[str, Any]:
    """One answer of a route, for the OpenAPI description.

    Args:
        model: its body: a model, or a union of models.
        description: when it is given.
        more: as OpenAPI's Response Object has it, as in ``headers``.
    """
    return {"model": model, "description": description, **more}


def header(description: str, **schema: Any) -> dict[str, Any]:
    """A header that an answer always has."""
    return {"required": True, "description": description, "schema": {"type": "string", **schema}}

"""Answers about ordered packs, as OpenAPI describes them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Self

from pydantic import Field

from lockstep.evidence.pack.layout import MAX_SAMPLE, OCSF_VERSIONS
from lockstep.storage.packs.orders import ExportRow, ExportState
from lockstep.web.api.answers import (
    Answer,
    Count,
    Day,
    Name,
    Sha256,
    ZonedInstant,
    one_of,
    text,
)

MOST_LISTED = 200
EXPORTS = "/api/evidence/exports"


class ProgressDocument(Answer):
    """How far an export is, in entries of the ledger."""

    done: Count
    all: Count = Field(description="0 until somebody has begun.")


class ExportDocument(Answer):
    """An export; nothing of who is in it, or of why it names them."""

    export_id: Annotated[str, text(pattern="^e[a-z2-7]{12}$")]
    state: Annotated[str, one_of(ExportState)]
    first: Day = Field(alias="from", description="First day of the period (UTC).")
    last: Day = Field(alias="to", description="Last day of the period (UTC); it belongs to it.")
    partner: Name = Field(description="Only this partner's leavers; empty is every partner.")
    case: Annotated[str, text(pattern="^[A-Za-z0-9-]{0,40}$")] = Field(
        description="Only this case; empty is every case."
    )
    sample: Annotated[int, Field(ge=0, le=MAX_SAMPLE)] = Field(
        description="How many leavers are drawn to be shown in detail."
    )
    seed: Annotated[str, text(most=128)] = Field(description="Decides who is drawn.")
    identified: bool = Field(description="Whether the pack says who the leavers are.")
    ocsf: Annotated[str, one_of(sorted(OCSF_VERSIONS))]
    checkpoint: Annotated[int, Field(ge=1)] = Field(
        description="Size of the signed head that the pack is made at."
    )
    requested_at: ZonedInstant
    requested_by: Annotated[
        str, text(pattern="^(token:[a-z0-9][a-z0-9-]{0,39}|person:[0-9a-f]{32})$")
    ] = Field(description="A token's name, or a commitment to a person's.")
    progress: ProgressDocument
    finished_at: ZonedInstant | None
    sha256: Sha256 | None = Field(description="Of the pack.")
    size_bytes: Annotated[int, Field(ge=1)] | None = Field(description="Of the pack, in bytes.")
    file: Annotated[str, text(pattern="^/api/evidence/exports/e[a-z2-7]{12}/file$")] | None = Field(
        description="Where to fetch it; null until it is done, and once it is deleted."
    )
    error: Annotated[str, text(most=500)] | None = Field(description="Why it failed.")

    @classmethod
    def of(cls, row: ExportRow) -> Self:
        asked = row.parameters
        return cls.model_validate(
            {
                "export_id": row.export_id,
                "state": state_of(row),
                "from": asked["first"],
                "to": asked["last"],
                "partner": asked["partner"],
                "case": asked["case_id"],
                "sample": asked["sample"],
                "seed": asked["seed"],
                "identified": asked["identified"],
                "ocsf": asked["ocsf"],
                "checkpoint": asked["checkpoint"],
                "requested_at": _text(row.requested_at),
                "requested_by": row.requested_by,
                "progress": {"done": row.done_entries, "all": row.all_entries},
                "finished_at": _text(row.finished_at),
                "sha256": row.sha256,
                "size_bytes": row.size_bytes,
                "file": f"{EXPORTS}/{row.export_id}/file" if row.file_name else None,
                "error": row.error,
            }
        )


class ExportsDocument(Answer):
    """The newest orders first."""

    exports: list[ExportDocument] = Field(max_length=MOST_LISTED)


def state_of(row: ExportRow) -> str:
    """As people see it: a pending export that somebody works on is running."""
    is_taken = row.claimed_until is not None and row.claimed_until > datetime.now(UTC)
    taken = row.state == ExportState.PENDING and is_taken
    return ExportState.RUNNING.value if taken else row.state


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat(timespec="milliseconds")

"""Proofs of work by hand: encrypted under the leaver's key, and gone with it."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from sqlalchemy import Insert, RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from lockstep.storage.keys.keyring import seal, unseal
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.tables.casework import artefacts

MOST_ROWS = 100
_META = [
    artefacts.c[name]
    for name in (
        "artefact_id",
        "case_id",
        "system",
        "uploaded_by",
        "uploaded_at",
        "sha256",
        "size_bytes",
        "media_type",
        "private",
    )
]


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that somebody hands in; name and content are personal."""

    name: str = field(repr=False)
    media_type: str
    content: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """SHA-256 in hex, as the ledger holds it."""
        return sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """What is known of an artefact without opening it. ``name`` is personal."""

    artefact_id: str
    case_id: str
    system: str
    uploaded_by: str
    uploaded_at: datetime
    sha256: str
    size_bytes: int
    media_type: str
    name: str = field(repr=False)


class Artefacts:
    """Opens artefacts. Whoever calls has found the case in somebody's scope."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def content(
        self, case_id: str, artefact_id: str, subject: Subject
    ) -> tuple[ArtefactRow, bytes] | None:
        """One artefact of a case with its bytes; None if the case has none of this id."""
        query = select(*_META, artefacts.c.content).where(
            artefacts.c.case_id == case_id, artefacts.c.artefact_id == artefact_id
        )
        async with self._engine.connect() as connection:
            row = (await connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        plain = unseal(subject.key, row["content"], _context(artefact_id))
        return _row(row, subject), plain


def new_artefact(
    upload: Upload, subject: Subject, *, case_id: str, system: str, user_id: str, now: datetime
) -> tuple[str, Insert]:
    """A new id, and the statement that stores the upload under it, encrypted."""
    artefact_id = "f" + secrets.token_hex(8)
    statement = insert(artefacts).values(
        artefact_id=artefact_id,
        case_id=case_id,
        system=system,
        uploaded_by=user_id,
        uploaded_at=now,
        sha256=upload.digest,
        size_bytes=len(upload.content),
        media_type=upload.media_type,
        private=subject.encrypt({"name": upload.name}, context=artefact_id),
        content=seal(subject.key, upload.content, _context(artefact_id)),
    )
    return artefact_id, statement


async def artefacts_of(
    connection: AsyncConnection, case_id: str, subject: Subject | None
) -> list[ArtefactRow]:
    """What was handed in for a case, the newest first; without names once they are erased."""
    query = (
        select(*_META)
        .where(artefacts.c.case_id == case_id)
        .order_by(artefacts.c.uploaded_at.desc())
        .limit(MOST_ROWS)
    )
    return [_row(row, subject) for row in (await connection.execute(query)).mappings()]


def _row(row: RowMapping, subject: Subject | None) -> ArtefactRow:
    name = ""
    if subject is not None:
        name = str(subject.decrypt(row["private"], context=row["artefact_id"])["name"])
    values = {key: row[key] for key in ArtefactRow.__slots__ if key != "name"}
    return ArtefactRow(**values, name=name)


def _context(artefact_id: str) -> bytes:
    return f"artefact/{artefact_id}".encode()

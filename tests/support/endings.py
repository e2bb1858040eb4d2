"""Cases that are over, with everything stored that a case can store about its leaver."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.contracts.policies import WATCH_PATIENCE
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.policy import DEFAULT_WATCH
from lockstep.storage.cases.spells import Spell
from lockstep.storage.intake.inbox import Disposition
from lockstep.storage.packs.orders import Exports
from lockstep.storage.privacy.erasure import Cause, Erased, Ground
from lockstep.storage.records import CaseRow
from tests.support.casework import EMAIL, NAME, OTHER, SYSTEM, WORKER, Casework, termination

ACTOR = "olivia.operations@example.com"
REASON = "Maria handed in her badge to Olivia"
LONG_AGO = timedelta(days=60)
"""Longer than the default watch of a month and a vendor's patience."""
WATCH = max(DEFAULT_WATCH) + WATCH_PATIENCE
"""When the last look of a closed case is over for certain."""

KEEP = timedelta(days=730)
LONG_DUE = KEEP + WATCH + timedelta(days=1)
"""So long ago that retention erases."""

ASKED = Cause(Ground.REQUEST, ACTOR, "DSR-7")


def body_of(worker_id: str = WORKER, email: str = EMAIL) -> bytes:
    """What HR sent about a worker."""
    return json.dumps({"worker": {"id": worker_id, "name": NAME, "emails": [email]}}).encode()


async def receive(
    work: Casework,
    key: str,
    *,
    case_id: str | None = None,
    body: bytes | None = None,
    refused: str | None = None,
) -> None:
    """Store an event; with ``case_id`` as one that has become a case."""
    await work.inbox.store(
        tenant="acme",
        source="hr",
        dedupe_key=key,
        received_at=datetime.now(UTC),
        body=body_of() if body is None else body,
        priority=4,
        refused=refused,
    )
    if case_id is not None:
        async with work.engine.connect() as connection:
            query = text("select id from inbox where dedupe_key = :key")
            number = await connection.scalar(query, {"key": key})
        await work.inbox.finish([Disposition(number, "done", case_id, "open")])


async def settle(work: Casework, case_id: str, *systems: str) -> None:
    """Attest systems, with an actor and a reason that are personal data."""
    for system in systems or (SYSTEM, OTHER):
        decision = Decision(
            f"d-{case_id}-{system}", DecisionKind.ATTEST, system, ACTOR, REASON, "second"
        )
        await work.cases.decide(DecisionInput(case_id, 1, decision))


async def closed(work: Casework, worker_id: str = WORKER, **changes: object) -> CaseRow:
    """A case of ``worker_id`` that has closed just now."""
    case = await work.open(termination(worker_id, **changes))
    await receive(work, f"evt-{case.case_id}", case_id=case.case_id, body=body_of(worker_id))
    await settle(work, case.case_id)
    await work.close(case.case_id, 1)
    return case


async def ended(
    work: Casework, worker_id: str = WORKER, *, ago: timedelta = LONG_AGO, **changes: object
) -> CaseRow:
    """A case that closed ``ago``."""
    case = await closed(work, worker_id, **changes)
    await set_back(work, case.case_id, ago)
    return case


async def set_back(work: Casework, case_id: str, ago: timedelta) -> None:
    statement = text(
        "update cases set closed_at = now() - cast(:ago as interval) where case_id = :c"
    )
    async with work.engine.begin() as connection:
        await connection.execute(statement, {"ago": ago, "c": case_id})


async def spells(work: Casework, case: CaseRow) -> list[Spell]:
    """The spell of one case, as erasure sees it."""
    found = await work.stores.erasure.spells_of(subject_id=case.subject_id)
    return [spell for spell in found if spell.case_id == case.case_id]


async def erase(work: Casework, *which: CaseRow) -> Erased:
    """Erase the leavers of these cases on request."""
    wanted = [spell for case in which for spell in await spells(work, case)]
    return await work.stores.erasure.erase(wanted, ASKED)


def reasons(done: Erased) -> list[str]:
    """What kept people from being erased."""
    return [row.obstacle.value for row in done.kept]


async def person_of(work: Casework, case: CaseRow) -> tuple[object, ...]:
    """A subject's key, personal data and end, as stored."""
    query = text("select wrapped_key, private, erased_at from subjects where subject_id = :s")
    async with work.engine.connect() as connection:
        return tuple((await connection.execute(query, {"s": case.subject_id})).one())


async def bodies(work: Casework) -> dict[str, int]:
    """The size of each event's stored body, by the sender's id."""
    async with work.engine.connect() as connection:
        rows = await connection.execute(text("select dedupe_key, length(body) from inbox"))
        return {row[0]: row[1] for row in rows}


async def is_erased(work: Casework, case: CaseRow) -> bool:
    return (await person_of(work, case))[0] is None


async def exported(
    work: Casework, packs: Path, export_id: str, *, file_name: str | None = ""
) -> None:
    """An identified pack of all leavers; with its file, unless ``file_name`` says otherwise."""
    exports = Exports(work.engine)
    now = datetime.now(UTC)
    parameters = {"identified": True, "case_id": "", "partner": ""}
    await exports.order(export_id, parameters, requested_by="token:auditor", at=now)
    name = f"{export_id}.zip" if file_name == "" else file_name
    await exports.finish(export_id, file_name=name, sha256="ab" * 32, size_bytes=7, entries=1)
    if file_name == "":
        (packs / f"{export_id}.zip").write_bytes(b"names")

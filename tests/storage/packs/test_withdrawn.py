"""Packs that may name an erased person are withdrawn with them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from lockstep.storage.packs.orders import Exports, ExportState
from tests.support.endings import (
    ended,
    erase,
)

TODAY = datetime.now(UTC).date()


async def order(
    work, export_id: str, state: ExportState, *, day: date = TODAY, **changes: object
) -> None:
    """An export as ordered, of the days around ``day``."""
    exports = Exports(work.engine)
    parameters = {
        "first": (day - timedelta(days=1)).isoformat(),
        "last": (day + timedelta(days=1)).isoformat(),
        "partner": "",
        "case_id": "",
        "identified": True,
        "private": "who and why, encrypted",
        **changes,
    }
    await exports.order(export_id, parameters, requested_by="token:auditor", at=datetime.now(UTC))
    if state is ExportState.DONE:
        await exports.finish(
            export_id, file_name=f"{export_id}.zip", sha256="ab" * 32, size_bytes=7, entries=1
        )


async def test_identified_packs_that_may_name_the_person_are_withdrawn(work, erasure):
    """Those of others, and pseudonymous ones, stay; one under way is cancelled."""
    case = await ended(work)
    done = ExportState.DONE
    await order(work, "all", done)
    await order(work, "theirs", done, partner="northwind")
    await order(work, "alone", done, case_id=case.case_id)
    await order(work, "another", done, case_id="c" + "2" * 12)
    await order(work, "other", done, partner="southwind")
    await order(work, "earlier", done, day=TODAY - timedelta(days=90))
    await order(work, "pseudonymous", done, identified=False)
    await order(work, "under-way", ExportState.PENDING)
    erased = await erase(work, case)
    exports = Exports(work.engine)
    states = {row.export_id: row.state for row in await exports.newest()}

    assert {pack.export_id for pack in erased.packs} == {"all", "theirs", "alone"}
    assert sorted(await erasure.condemned()) == [
        *(("all", "all.zip"), ("alone", "alone.zip"), ("theirs", "theirs.zip"))
    ]
    assert {name for name, state in states.items() if state == "expired"} == {
        *("all", "alone", "theirs")
    }
    assert {name for name, state in states.items() if state == "done"} == {
        *("another", "other", "earlier", "pseudonymous")
    }
    assert states["under-way"] == "cancelled"
    await exports.finish("under-way", file_name="u.zip", sha256="ab" * 32, size_bytes=7, entries=1)
    assert (await exports.get("under-way")).file_name is None


async def test_a_deleted_pack_is_no_longer_condemned(work, erasure):
    """Once its file is gone nothing is left to delete."""
    case = await ended(work)
    await order(work, "all", ExportState.DONE)
    await erase(work, case)
    await erasure.deleted(["all"])

    assert await erasure.condemned() == []


async def test_why_a_pack_of_one_person_was_made_is_forgotten_with_them(work):
    """That reason is free text, and may name the person; a wider pack's reason stays."""
    case = await ended(work)
    await order(work, "alone", ExportState.DONE, case_id=case.case_id, identified=False)
    await order(work, "all", ExportState.DONE)
    await erase(work, case)
    kept = {
        row.export_id: "private" in row.parameters for row in await Exports(work.engine).newest()
    }

    assert kept == {"alone": False, "all": True}

"""An installation whose disk becomes full, and gets room again: `small_disk.py HOME MODE`.

MODE `real`: HOME lies on a small file system, which is filled to the last byte. MODE `pretended`,
for machines that let nobody mount one: a trigger raises PostgreSQL's own SQLSTATE of a full disk,
and the logs of worker and web lie on /dev/full. Prints as JSON what was answered, and what stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from sqlalchemy.engine import make_url

from tests.e2e.installation import Installation, settings_text
from tests.e2e.processes import eventually

_BEFORE, _MOST, _ENOUGH = 3, 60, 5
_MANUAL = '\n[systems.badge]\nconnector = "manual"\n'
_REFUSE = (
    "create or replace function refuse() returns trigger language plpgsql as"
    " $$ begin raise exception 'no room' using errcode = '53100'; end $$"
)


def leaver(number: int) -> dict[str, object]:
    return {
        "revision": 1,
        "recorded_at": datetime.now(UTC).isoformat(),
        "kind": "involuntary",
        "worker": {"id": f"W-{number}", "name": "A. Example", "emails": [f"w{number}@example.com"]},
        "dates": {"zone": "Asia/Manila", "last_working_day": "2026-11-01"},
    }


class RealDisk:
    """Fills the file system that an installation lies on."""

    def __init__(self, up: Installation) -> None:
        self._file = up.home / "filler"

    def fill(self) -> None:
        """Down to single bytes: what others freed meanwhile as well."""
        with contextlib.suppress(OSError), self._file.open("ab", buffering=0) as file:
            for size in (2**20, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size):
                        pass

    def make_room(self) -> None:
        self._file.unlink()


class PretendedDisk:
    """Lets the database refuse what is written, as on a full disk."""

    def __init__(self, up: Installation) -> None:
        self._url = make_url(up.superuser_url).set(drivername="postgresql")
        self._is_full = False

    def fill(self) -> None:
        """First what is carried out cannot be written, then what HR says neither."""
        tables = ("inbox",) if self._is_full else ("cases", "ledger_entries")
        with self._admin() as connection:
            connection.execute(_REFUSE)
            for table in tables:
                connection.execute(
                    f"create or replace trigger refuse before insert on {table}"
                    " execute function refuse()".encode()
                )
        self._is_full = True

    def make_room(self) -> None:
        with self._admin() as connection:
            connection.execute("drop function refuse cascade")

    def _admin(self) -> psycopg.Connection:
        url = self._url.render_as_string(hide_password=False)
        return psycopg.connect(url, autocommit=True)


async def play(home: Path, mode: str) -> dict[str, object]:
    up = Installation(home, settings_text({}, systems=(), more=_MANUAL))
    if mode == "pretended":
        logs = up.data / "logs"
        logs.mkdir(parents=True)
        for name in ("worker", "web"):
            (logs / f"{name}.log").symlink_to("/dev/full")
    try:
        await up.up()
        return await _played(up, RealDisk(up) if mode == "real" else PretendedDisk(up))
    finally:
        await up.down()


async def _played(up: Installation, disk: RealDisk | PretendedDisk) -> dict[str, object]:
    answers: list[tuple[str, int, str]] = []
    for number in range(_MOST):
        if number >= _BEFORE and number % _BEFORE == 0:
            disk.fill()
        answers.append(await _post(up, f"evt_{number}", leaver(number)))
        if Counter(status for _, status, _ in answers)[503] >= _ENOUGH:
            break
        await asyncio.sleep(0.2)
    safe = [event_id for event_id, status, _ in answers if status in {200, 202}]
    waiting = await _pending(up)
    disk.make_room()

    async def nothing_waits() -> bool:
        return await _pending(up) == 0

    await eventually(nothing_waits, what="what was acknowledged is dispatched")
    rows = await up.books.ask("select dedupe_key, state, case_id from inbox")
    done = sorted(row["dedupe_key"] for row in rows if row["state"] == "done" and row["case_id"])
    after = await _post(up, "evt_after", leaver(_MOST))
    statuses = sorted({status for _, status, _ in answers})
    retry = sorted({wait for _, status, wait in answers if status == 503})
    return {
        "safe": sorted(safe),
        "done": done,
        "waited": waiting,
        "statuses": statuses,
        "retry_after": retry,
        "after": after[1],
        "restarts": {name: up.restarts(name) for name in ("worker", "web")},
    }


async def _pending(up: Installation) -> int:
    """How many wait; -1 while the database itself is away."""
    try:
        rows = await up.books.ask("select count(*) as count from inbox where state = 'pending'")
    except psycopg.Error:
        return -1
    return int(rows[0]["count"])


async def _post(up: Installation, event_id: str, event: dict[str, object]) -> tuple[str, int, str]:
    try:
        answer = await up.send(event_id, event)
    except httpx.HTTPError:
        return event_id, 0, ""
    return event_id, answer.status_code, answer.headers.get("retry-after", "")


if __name__ == "__main__":
    found = asyncio.run(play(Path(sys.argv[1]), sys.argv[2]))
    sys.stdout.write(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)

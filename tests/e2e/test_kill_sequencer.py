"""Workers killed while cases close: one order, a tree for each size, facts that fit the ledger."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.cli.ledger.commands import head_file
from lockstep.evidence.ledger.history import History, facts_document
from lockstep.storage.engine.direct import connect
from lockstep.storage.ledger.check import verify
from lockstep.storage.ledger.sequencer import APPLICATION
from tests.e2e.installation import COMMAND, Installation, settings_text
from tests.e2e.leavers import new_people, termination
from tests.e2e.processes import PATIENCE_S, eventually, put_down, spawn
from tests.e2e.test_load import NO_BRAKE
from tests.e2e.vendors import WITHOUT_BADGES, Vendors

pytestmark = pytest.mark.e2e

ROUNDS = 4
LEAVERS = 6


@pytest.fixture(scope="module")
async def vendors(home: Path) -> AsyncIterator[Vendors]:
    made = Vendors(home, latency_ms=50)
    await made.start()
    await made.seed(new_people(1))  # where badges list nobody at all, nobody is proved absent
    yield made
    await made.stop()


@pytest.fixture(scope="module")
async def up(home: Path, vendors: Vendors) -> AsyncIterator[Installation]:
    made = Installation(home, settings_text(vendors.ports, more=NO_BRAKE))
    await made.up()
    yield made
    await made.down()


async def reported(up: Installation, vendors: Vendors) -> list[str]:
    """New leavers, their events acknowledged. Without badges: that vendor takes few at once."""
    people = [replace(p, shape=WITHOUT_BADGES) for p in new_people(LEAVERS)]
    await vendors.seed(people)
    ids = [f"evt-{person.worker_id}" for person in people]
    answers = await asyncio.gather(
        *(up.deliver(i, termination(p)) for i, p in zip(ids, people, strict=True))
    )
    assert set(answers) == {202}
    return ids


async def leader(up: Installation) -> int:
    """The process that is the sequencer now, or 0: its end of the session's socket."""
    rows = await up.books.try_ask(
        "select a.pid from pg_locks l join pg_stat_activity a using (pid)"
        " where l.locktype = 'advisory' and a.application_name = %(name)s",
        name=APPLICATION,
    )
    return rows[0]["pid"] if rows else 0


async def another(up: Installation, before: int) -> int:
    async def there() -> int:
        now = await leader(up)
        return now if now != before else 0

    return await eventually(there, what="another sequencer")


async def assert_whole(up: Installation, event_ids: list[str]) -> None:
    cases = await up.books.closed(event_ids, within_s=PATIENCE_S)

    async def under_a_head() -> bool:
        rows = await up.books.ask(
            "select e.key from ledger_entries e left join ledger_leaves l on l.entry_id = e.id"
            " where e.kind = 'case:closed' and (l.leaf_index is null"
            "   or l.leaf_index >= (select coalesce(max(size), 0) from checkpoints))"
        )
        return not rows

    await eventually(under_a_head, what="a head over every closing")
    with connect(up.books.conninfo, application="test") as link:
        found = verify(link, up.settings.ledger_origin, file=head_file(up.settings))
    assert found.problems == []
    assert found.heads > 1
    await assert_facts_fit(up, {case["case_id"] for case in cases})


async def assert_facts_fit(up: Installation, closed: set[str]) -> None:
    """The projection is what a fresh fold over the same leaves gives."""
    rows = await up.books.ask(
        "select l.leaf_index, e.body from ledger_leaves l join ledger_entries e"
        " on e.id = l.entry_id order by leaf_index"
    )
    history = History()
    for row in rows:
        history.add(row["leaf_index"], json.loads(row["body"]))
    stored = {row["case_id"]: row for row in await up.books.ask("select * from case_facts")}
    assert closed <= stored.keys()
    for case_id in closed:
        facts = history.cases[case_id]
        assert stored[case_id]["document"] == json.loads(json.dumps(facts_document(facts)))
        assert stored[case_id]["is_open"] is False


async def test_the_worker_is_killed_again_and_again_while_cases_close(
    up: Installation, vendors: Vendors
) -> None:
    """Whatever it was doing: every entry is placed once, every head fits, the facts are right."""
    ids: list[str] = []
    for number in range(ROUNDS):
        ids += await reported(up, vendors)
        before = await another(up, 0)
        await asyncio.sleep(0.2 + 0.3 * number)  # another moment each time
        up.kill("worker")
        await another(up, before)  # which only a worker that was started again can be

    await assert_whole(up, ids)


async def test_another_worker_goes_on(up: Installation, vendors: Vendors) -> None:
    """Two workers, one sequencer; when it is killed the other one is, and the order goes on."""
    await another(up, 0)
    log = up.home / "second.log"
    second = spawn([*COMMAND, "worker", "--config", str(up.file)], log)
    try:

        async def ready() -> bool:
            return b"worker_ready" in log.read_bytes()

        await eventually(ready, what=f"the second worker (see {log})")
        before = await leader(up)
        ids = await reported(up, vendors)
        os.kill(up.child("worker"), signal.SIGKILL)
        await another(up, before)
        await assert_whole(up, ids)
        assert b"ledger_refused" not in log.read_bytes()
    finally:
        await put_down(second)


async def test_nothing_was_ever_refused(up: Installation) -> None:
    """After all that, the installation's own log shows no refusal."""
    text = (up.data / "logs" / "worker.log").read_bytes()

    assert b"ledger_sealed" in text
    assert b"ledger_refused" not in text

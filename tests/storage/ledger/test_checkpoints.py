"""Reading signed heads, and leaves as a stream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.storage.ledger.checkpoints import BrokenOrderError, Checkpoints, leaves
from tests.support.casework import termination
from tests.support.ledgers import settle


async def test_checkpoints_are_read_as_stored(work, book):
    """The latest, one by its size, and those of a time."""
    began = datetime.now(UTC) - timedelta(seconds=1)
    for closing in (1, 2):
        case = await work.open(termination(f"W-{closing}"))
        await work.close(case.case_id, 1)
        sequencer = book.sequencer()
        settle(sequencer)
        sequencer.close()
    heads = book.heads()
    stored = Checkpoints(work.engine)
    latest = await stored.latest()

    assert (latest.size, latest.root, latest.reason) == heads[-1]
    assert await stored.at(latest.size) == latest
    assert await stored.at(latest.size - 1) is None
    assert [one.size for one in await stored.between(began, latest.signed_at)] == [heads[0][0]]
    assert latest.note.startswith("acme/lockstep-ledger\n")


async def test_leaves_are_streamed_in_order(work, book, monkeypatch):
    """All pages in order, any part of them, and a hole is an error and not a shorter list."""
    monkeypatch.setattr("lockstep.storage.ledger.checkpoints.PAGE", 7)
    for number in range(20):
        await work.open(termination(f"W-{number}"))
    settle(book.sequencer())
    size = len(book.order())
    bodies = [leaf.body async for leaf in leaves(work.engine, 0, size)]

    assert bodies == book.bodies()
    assert [leaf.index async for leaf in leaves(work.engine, 3, 18)] == list(range(3, 18))
    book.tamper("delete from ledger_entries where key like '%case:opened' and id % 5 = 0")
    with pytest.raises(BrokenOrderError, match=r"leaf \d+ of the ledger is missing"):
        [leaf async for leaf in leaves(work.engine, 0, size)]

"""A keyring of another installation is refused before it can write anything."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime

import pytest

from lockstep.storage.engine.database import StorageError
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.keys.check import check_keyring
from lockstep.storage.keys.keyring import Keyring


async def test_a_strange_keyring_is_refused(work):
    """What the database holds is opened by the keyring that wrote it, and by no other."""
    await work.open()

    await check_keyring(work.engine, work.ring)
    with pytest.raises(StorageError, match="restore the one that wrote them"):
        await check_keyring(work.engine, Keyring.generate())


async def test_an_empty_database_takes_any_keyring(work):
    """Nothing was written yet that only another keyring could read."""
    await check_keyring(work.engine, Keyring.generate())


async def test_two_that_come_to_an_empty_database_do_not_both_write(work):
    """The first keyring leaves its mark; the other is refused before the first event, and after."""
    first, other = Keyring.generate(), Keyring.generate()
    took = await asyncio.gather(
        check_keyring(work.engine, first), check_keyring(work.engine, other), return_exceptions=True
    )

    [refused] = [answer for answer in took if answer is not None]
    assert isinstance(refused, StorageError)
    with pytest.raises(StorageError):
        await check_keyring(work.engine, first if took[0] is refused else other)


async def test_an_index_key_of_elsewhere_is_refused(work):
    """It would open rows, and find none of them."""
    ring = Keyring.generate()
    await check_keyring(work.engine, ring)

    with pytest.raises(StorageError):
        await check_keyring(work.engine, dataclasses.replace(ring, index=bytes(32)))


async def test_a_rotated_keyring_fits(work):
    """Old keys stay, so the mark opens."""
    ring = Keyring.generate("k1")
    await check_keyring(work.engine, ring)
    newer = dataclasses.replace(ring, current="k2", keys={**ring.keys, "k2": b"2" * 32})

    await check_keyring(work.engine, newer)


async def test_an_inbox_acknowledges_nothing_under_another_keyring(work):
    """Also where the database was away when the process started."""
    await check_keyring(work.engine, work.ring)
    inbox = Inbox(work.engine, Keyring.generate())

    with pytest.raises(StorageError):
        await inbox.store(
            tenant="acme",
            source="hr",
            dedupe_key="e1",
            received_at=datetime.now(UTC),
            body=b"{}",
            priority=1,
        )

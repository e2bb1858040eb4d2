"""A keyring of another installation is refused before it can write anything."""

from __future__ import annotations

import pytest

from lockstep.storage.engine import StorageError
from lockstep.storage.keyring import Keyring
from lockstep.storage.keyring_check import check_keyring


async def test_a_strange_keyring_is_refused(work):
    """What the database holds is opened by the keyring that wrote it, and by no other."""
    await work.open()

    await check_keyring(work.engine, work.ring)
    with pytest.raises(StorageError, match="restore the one that wrote them"):
        await check_keyring(work.engine, Keyring.generate())


async def test_an_empty_database_takes_any_keyring(work):
    """Nothing was written yet that only another keyring could read."""
    await check_keyring(work.engine, Keyring.generate())

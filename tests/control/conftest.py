"""Installations that export packs."""

from __future__ import annotations

import pytest

from tests.support.exporting import Packing
from tests.support.ledgers import LedgerBook


@pytest.fixture
async def packing(engine, ring, database, tmp_path):
    """An installation, its policy adopted."""
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    made = Packing(engine, ring, book, tmp_path)
    await made.work.adopt()
    yield made
    book.close()


@pytest.fixture
async def some(packing):
    """Three leavers of two partners, one of them open, under a signed head."""
    await packing.revoked("W-1")
    await packing.revoked("W-2", partner="contoso")
    await packing.opened("W-3")
    await packing.seal()
    return packing

"""Storage on a fresh database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lockstep.storage.privacy.erasure import Erasure
from tests.support.casework import Casework
from tests.support.ledgers import LedgerBook


@pytest.fixture
def erasure(work: Casework) -> Erasure:
    return work.stores.erasure


@pytest.fixture
def book(database, tmp_path) -> Iterator[LedgerBook]:
    """A ledger with a signing key and a head file of its own."""
    made = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    yield made
    made.close()

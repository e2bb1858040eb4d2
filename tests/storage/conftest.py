"""Storage on a fresh database."""

from __future__ import annotations

import pytest

from tests.support.casework import Casework


@pytest.fixture
async def work(engine, ring) -> Casework:
    """Repositories on one engine, with a policy adopted."""
    made = Casework(engine, ring)
    await made.adopt()
    return made

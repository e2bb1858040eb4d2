"""Cases that really run, for what people do to them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.web.console.conftest import Site
from tests.web.console.ward import (
    Ward,
    ward_settings,
    warding,
    write_tokens,
)


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    write_tokens(tmp_path)
    return ward_settings(temporal.address)


@pytest.fixture
async def ward(site: Site, client) -> AsyncIterator[Ward]:
    async with warding(site, client) as made:
        yield made

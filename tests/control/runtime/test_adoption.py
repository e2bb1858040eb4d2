"""What a worker puts on record when it starts: the policy, and whom it expects to hear."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import text

from lockstep.settings import load_settings
from lockstep.worker import adopt, build_parts

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"
[policy]
version = "{version}"
[systems.portal]
connector = "manual"
"""
SOURCE = """
[sources.{name}]
secrets = ["env:NOT_READ_BY_A_WORKER"]
"""


@pytest.fixture
def start(database, ring, tmp_path: Path):
    """Start as a worker does, with these sources in the settings; entries by kind, in order."""

    async def work(*sources: str, version: str = "1") -> list[tuple[str, object]]:
        file = tmp_path / "lockstep.toml"
        tables = "".join(SOURCE.format(name=name) for name in sources)
        file.write_text(SETTINGS.format(version=version) + tables)
        parts = build_parts(load_settings(file), database.app_url, ring)
        try:
            await adopt(load_settings(file), parts)
            async with parts.stores.engine.connect() as connection:
                query = text("select body from ledger_entries order by id")
                rows = list(await connection.scalars(query))
        finally:
            await parts.stores.engine.dispose()
        return [(row["kind"], row["data"].get("sources")) for row in map(json.loads, rows)]

    return work


async def test_a_first_start_says_policy_and_sources(start):
    """Once; a restart with the same settings says nothing, whatever order they stand in."""
    expected = [("policy:adopted", None), ("feed:expected", ["hr", "payroll"])]

    assert await start("payroll", "hr") == expected
    assert await start("hr", "payroll") == expected


async def test_a_source_cannot_be_dropped_silently(start):
    """Each change is an entry of its own, also the last one's end and the way back."""
    await start("hr", "payroll")
    await start("hr")
    await start()
    rows = await start("hr", version="2")

    assert [sources for kind, sources in rows if kind == "feed:expected"] == [
        ["hr", "payroll"],
        ["hr"],
        [],
        ["hr"],
    ]


async def test_an_installation_without_sources_says_nothing_of_them(start):
    """There is nobody to expect."""
    assert await start() == [("policy:adopted", None)]

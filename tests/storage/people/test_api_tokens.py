"""Tokens of the API: which of them stands is asked of the table each time one is used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, update

from lockstep.storage.people.api_tokens import ApiTokenRow, ApiTokens
from lockstep.storage.tables.sign_in import barred_keys

KEY = b"\x01" * 32


def row(**changes: object) -> ApiTokenRow:
    now = datetime.now(UTC)
    values: dict[str, object] = {
        "token_id": "taaaabbbbcccc",
        "label": "reports",
        "roles": ["viewer"],
        "permissions": [],
        "partners": None,
        "key_indexes": frozenset({KEY}),
        "created_at": now,
        "created_by": "uaaaabbbbcccc",
        "expires_at": now + timedelta(days=1),
    }
    return ApiTokenRow(**values | changes)


@pytest.fixture
async def tokens(engine) -> ApiTokens:
    return ApiTokens(engine)


async def test_a_key_that_is_barred_later_ends_the_use_of_a_token(tokens, engine):
    """Also where it was not known to be the leaver's when their cutoff came, until it is lifted."""
    assert await tokens.add(row(), b"digest")
    assert await tokens.find("taaaabbbbcccc") is not None
    now = datetime.now(UTC)
    async with engine.begin() as connection:
        await connection.execute(
            insert(barred_keys).values(key_index=KEY, case_id="cdeuverr5jgi4", barred_at=now)
        )
    assert await tokens.find("taaaabbbbcccc") is None

    async with engine.begin() as connection:
        await connection.execute(update(barred_keys).values(lifted_at=now))
    assert await tokens.find("taaaabbbbcccc") is not None


@pytest.mark.parametrize(
    "changes",
    [{"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, {"ended_at": datetime.now(UTC)}],
    ids=["expired", "ended"],
)
async def test_what_is_over_is_not_found(tokens, changes):
    """By its end or by somebody."""
    assert await tokens.add(row(**changes), b"digest")
    assert await tokens.find("taaaabbbbcccc") is None

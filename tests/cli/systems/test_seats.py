"""`lockstep seats` as a person runs it, on a real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from tests.support.casework import OTHER, SYSTEM, Casework

SETTINGS = f"""
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "file:db"

[seats]
currency = "EUR"

[seats.prices]
{SYSTEM} = 1250

[systems.{SYSTEM}]
connector = "manual"

[systems.{OTHER}]
connector = "manual"
"""


@pytest.fixture
def home(tmp_path: Path, database, ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> Path:
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    monkeypatch.chdir(tmp_path)

    async def free() -> None:
        engine = create_engine(database.app_url, application="lockstep-test")
        work = Casework(engine, ring)
        await work.adopt()
        await work.open()
        settled = "state = 'settled', outcome = 'revoked', confirmed_at = now(), seats = 2"
        async with engine.begin() as connection:
            await connection.execute(text(f"update revocations set {settled}"))
        await engine.dispose()

    asyncio.run(free())
    return tmp_path


def said(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["seats", *words])
    return done.exit_code, done.output


def test_seats_are_summed_and_what_is_not_known_is_named(home: Path) -> None:
    """The amount of what has a price; systems without one, or that show no seats, are named."""
    code, shown = said()

    assert code == 0
    assert "25.00 EUR" in shown
    assert "no price" in shown
    assert f"Nothing is known of seats in: {SYSTEM}, {OTHER}." in shown
    assert "2 seats without a price" in shown


def test_a_script_reads_what_the_api_answers(home: Path) -> None:
    """With --json, of one month; one that is none is told as an option's mistake."""
    month = f"{datetime.now(UTC):%Y-%m}"
    document = json.loads(said("--month", month, "--json")[1])
    [row] = document["partners"]

    assert (document["since"], document["currency"], document["silent"]) == (
        month,
        "EUR",
        [SYSTEM, OTHER],
    )
    assert (row["seats"], row["monthly"], row["unpriced"]) == (4, 2500, 2)
    assert said("--month", "soon")[0] == 2
    assert json.loads(said("--month", "2020-01", "--json")[1])["partners"] == []


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        (f"{SYSTEM} = 1250", "nowhere = 1250", "seats.prices: no such system: nowhere"),
        ('currency = "EUR"', "", "currency is needed with prices"),
    ],
)
def test_a_price_that_cannot_count_is_refused(home: Path, was: str, becomes: str, why: str) -> None:
    """A price of no system, and one without a currency, before anything is read."""
    (home / "lockstep.toml").write_text(SETTINGS.replace(was, becomes))
    code, shown = said()

    assert code == 2
    assert why in " ".join(shown.split())

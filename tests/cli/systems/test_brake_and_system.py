"""`lockstep brake` and `lockstep system`, and that coming dismissals are not listed by accident."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.runtime.sweeping import Sweeps
from tests.control.intake.test_brake import Hall
from tests.storage.systems.test_revocations import said_two_hours_ago
from tests.support.casework import EMAIL, Casework, termination

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "file:db"

[systems.memory-1]
connector = "instant"
base_url = "http://127.0.0.1:9"
token = "file:token"

[systems.by-hand]
connector = "manual"
"""


@pytest.fixture
def home(tmp_path, database, ring: Keyring) -> Path:
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
async def hall(home, database, ring):
    engine: AsyncEngine = create_engine(database.app_url)
    work = Casework(engine, ring)
    await work.adopt()
    await StalledCases(engine).looked({}, at=datetime.now(UTC), total=0)  # a worker has
    await Sweeps(engine).looked(datetime.now(UTC), total=0)
    yield Hall(work, BrakeRule(per_hour=3, dismissals_per_hour=2))
    await engine.dispose()


async def run(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and what was printed."""
    given = [*arguments, "--config", str(home / "lockstep.toml")]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    return result.exit_code, result.output + result.stderr


async def test_held_events_are_listed_and_decided(home, hall):
    """Release one, refuse the rest; whoever reads the list sees the clock."""
    await hall.mass(6)
    await hall.dispatch()
    code, said = await run(home, "brake", "list")
    assert code == 0
    assert "3 wait since" in said
    assert "Leaver W-00005" in said
    assert "3 reports wait at a brake, without a case" in (await run(home, "stuck"))[1]
    code, raw = await run(home, "brake", "list", "--json")
    [brake] = json.loads(raw)
    event = str(brake["events"][0]["inbox_id"])
    code, said = await run(
        home, "brake", "release", brake["brake"], "--event", event, "-r", "this is true"
    )
    assert (code, said.strip()) == (0, "1 released.")
    code, said = await run(home, "brake", "refuse", brake["brake"], "-r", "this not", "--json")
    assert (code, json.loads(said)["events"]) == (0, 2)
    code, said = await run(home, "brake", "refuse", brake["brake"], "-r", "again")
    assert code == 1
    assert "somebody else was faster" in said
    assert await hall.states() == {"done": 3, "pending": 1, "refused": 2}


async def test_coming_dismissals_are_held_and_not_listed(home, hall):
    """Unless whoever asks says so; without that they are not decided about either."""
    await hall.mass(5, kind="involuntary")
    await hall.dispatch()
    said = (await run(home, "brake", "list"))[1].strip()
    assert said == "3 coming dismissals held and not listed: --sealed lists them."
    assert "3 coming dismissals" in (await run(home, "brake", "list", "--json"))[1]
    _, raw = await run(home, "brake", "list", "--sealed", "--json")
    [brake] = json.loads(raw)
    assert brake["count"] == 3
    code, said = await run(home, "brake", "release", brake["brake"], "-r", "guess")
    assert code == 1
    assert "only with --sealed" in said
    assert "faster" not in said
    code, _ = await run(home, "brake", "release", brake["brake"], "-r", "true", "--sealed")
    assert code == 0


async def test_what_was_never_there_is_not_called_decided(home, hall):
    """A brake, or an event at one, that does not exist is said not to exist."""
    assert (await run(home, "brake", "list"))[1].strip() == "Nothing is held."
    assert (await run(home, "stuck"))[1].strip() == "Nothing is stuck."
    await hall.mass(6)
    await hall.dispatch()
    code, said = await run(home, "brake", "release", "nonsense", "-r", "true")
    assert code == 1
    assert "there is no brake 'nonsense'" in said
    assert "faster" not in said
    [brake] = json.loads((await run(home, "brake", "list", "--json"))[1])
    given = ("--event", "999999", "-r", "true")
    code, said = await run(home, "brake", "release", brake["brake"], *given)
    assert code == 1
    assert "event 999999 does not wait at brake" in said
    assert "faster" not in said


async def test_a_coming_dismissal_is_not_among_the_cases(home, hall):
    """Not in the list, not by its id, not by its worker; with --sealed it is."""
    due = timedelta(days=1)
    kind = TerminationKind.INVOLUNTARY
    secret = await hall.work.open(termination("W-1", kind=kind), due=due)
    plain = await hall.work.open(termination("W-2"), due=due)
    _, said = await run(home, "cases")
    assert (plain.case_id in said, secret.case_id in said) == (True, False)
    assert secret.case_id not in (await run(home, "cases", "--worker", "W-1"))[1]
    code, said = await run(home, "case", "show", secret.case_id)
    assert code == 1
    assert "this is a coming dismissal: --sealed shows it" in said
    said = (await run(home, "cases", "--worker", "W-1"))[1]
    assert said.strip() == "Only coming dismissals: --sealed lists them."
    assert secret.case_id not in (await run(home, "stuck"))[1]
    assert secret.case_id in (await run(home, "cases", "--sealed"))[1]
    assert (await run(home, "case", "show", secret.case_id, "--sealed"))[0] == 0


async def test_a_request_about_a_coming_dismissal_is_not_listed(home, hall):
    """It would tell of the case; how many there are is said, and --sealed lists them."""
    kind = TerminationKind.INVOLUNTARY
    secret = await hall.work.open(termination("W-1", kind=kind), due=timedelta(days=1))
    assert (await run(home, "requests"))[1].strip() == "Nothing waits for a second person."
    code, said = await run(home, "rescind", secret.case_id, "-r", "they stay", "--as", "ana")
    assert (code, "asked" in said) == (0, True), said
    left_out = "1 request about coming dismissals not listed: --sealed lists them."
    assert (await run(home, "requests"))[1].strip() == left_out
    said = (await run(home, "requests", "--json"))[1]
    assert (secret.case_id in said, left_out in said) == (False, True)
    said = (await run(home, "requests", "--sealed"))[1]
    assert (secret.case_id in said, "not listed" in said) == (True, False)


async def test_what_changed_nothing_is_not_called_amended(home, hall):
    """An address that is known, or the date that stands; a new one is a change."""
    case = await hall.work.open(termination("W-1"), due=timedelta(days=1))

    async def say(*words: str) -> str:
        typing = asyncio.create_task(run(home, *words, "-r", "to be sure"))
        while not typing.done():
            await hall.dispatch()
            await asyncio.sleep(0.05)
        code, said = await typing
        assert code == 0, said
        return said

    mail = ("case", "correct", case.case_id, "--email", "w1@example.com")
    assert "The case was amended." in await say(*mail)
    assert "Nothing changed" in await say(*mail)
    assert '"changed": false' in await say(*mail, "--json")
    end = f"{datetime.now(UTC) + timedelta(hours=5):%Y-%m-%dT%H:%M:%SZ}"
    moved = ("amend", case.case_id, "--access-ends-at", end)
    assert "The case was amended." in await say(*moved)
    assert "Nothing changed" in await say(*moved)


async def test_a_list_that_is_cut_says_how_many_more_there_are(home, hall):
    """Below the table; for a script on standard error. One that is whole says nothing."""
    for number in range(3):
        await hall.work.open(termination(f"W-{number}"))
    assert "and 1 more case: --limit lists" in (await run(home, "cases", "--limit", "2"))[1]
    assert "more case" not in (await run(home, "cases", "--limit", "3"))[1]
    given = ["cases", "--limit", "1", "--json", "--config", str(home / "lockstep.toml")]
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    assert len(json.loads(result.stdout)) == 1
    assert "and 2 more cases" in result.stderr


async def test_an_empty_list_says_why(home, hall):
    """Nothing yet, nothing that fits, and a name that nobody has are told apart."""
    assert (await run(home, "cases"))[1].startswith("No cases. Report a leaver")
    await hall.work.open(termination("W-1", partner="northwind"))
    assert (await run(home, "cases", "--worker", "W-9"))[1].strip() == "No case of this worker id."
    assert (await run(home, "cases", "--status", "closed"))[1].strip() == "No case fits."
    code, said = await run(home, "cases", "--partner", "nonsense")
    assert code == 2
    assert "--partner: none has this name; there is northwind" in said
    code, said = await run(home, "cases", "--partner", "nonsense", "--json")
    assert (code, "there is northwind" in said) == (2, True)
    code, said = await run(home, "case", "show", "cnonsense")
    assert (code, "there is no case" in said) == (1, True)


@pytest.mark.parametrize("given", ["", "%", "_", "c%", "c", "cabcd"])
async def test_too_little_of_an_id_is_no_case(home, hall, given):
    """Nor is a wildcard: else a slip shows, or acts on, whichever case there is."""
    await hall.work.open(termination("W-1"))
    shown = ("case", "show", given), ("amend", given, "-r", "x", "--access-ends-at", "now")
    for command in (*shown, ("subject", "show", given)):
        code, said = await run(home, *command)
        assert code == 1, said
        assert "W-1" not in said
    assert await hall.states() == {}


async def test_a_system_is_paused_listed_and_resumed(home, hall):
    """With a reason and an end; what cannot be paused is said."""
    code, said = await run(home, "system", "pause", "memory-1", "-r", "upgrade", "--for", "90m")
    assert code == 0
    assert "memory-1 is paused until" in said
    code, said = await run(home, "system", "list", "--json")
    states = {row["system"]: (row["state"], row["pause"]) for row in json.loads(said)}
    assert states["by-hand"] == ("manual", None)
    assert states["memory-1"][0] == "paused"
    assert states["memory-1"][1]["reason"] == "upgrade"
    assert "paused" in (await run(home, "system", "list"))[1]
    for given, code, says in (
        (("pause", "memory-1", "-r", "x"), 1, "paused already"),
        (("pause", "by-hand", "-r", "x"), 1, "no system"),
        (("pause", "memory-1", "-r", "x", "--for", "4d"), 1, "72 hours"),
        (("pause", "memory-1", "-r", "x", "--for", "soon"), 2, "30m, 2h or 1d"),
        (("pause", "memory-1", "-r", " "), 1, "reason"),
    ):
        found, said = await run(home, "system", *given)
        assert (found, says in said) == (code, True), said
    assert (await run(home, "system", "resume", "memory-1"))[0] == 0
    assert (await run(home, "system", "resume", "memory-1"))[0] == 1
    assert len(await hall.entries("system:paused")) == 1
    assert len(await hall.entries("system:resumed")) == 1


async def test_case_show_tells_of_a_vendors_clock_that_lies(home, hall):
    """By how much, and whose clock counts; as data, the milliseconds."""
    case = await hall.work.open()
    code, said = await run(home, "case", "show", case.case_id)
    assert (code, "the vendor's clock" in said) == (0, False)
    await said_two_hours_ago(hall.work, case)

    code, said = await run(home, "case", "show", case.case_id)
    assert code == 0
    assert "memory-1: the vendor's clock is 2 h 00 min behind ours" in said
    _, shown = await run(home, "case", "show", case.case_id, "--json")
    assert json.loads(shown)["clock_skew_ms"] == {"memory-1": -7_200_000, "memory-2": 0}


async def test_a_key_is_withdrawn_alone_before_the_cutoff_and_asked_for_afterwards(home, hall):
    """What is no key of the leaver is refused; from the cutoff on nothing is decided here."""
    coming = await hall.work.open(termination("W-1"), due=timedelta(days=1))
    begun = await hall.work.open(termination("W-2"))
    mail = ("--email", EMAIL, "-r", "a namesake's")
    code, said = await run(home, "case", "withdraw-key", coming.case_id, *mail)
    assert (code, "is withdrawn" in said) == (0, True), said
    code, said = await run(home, "case", "withdraw-key", coming.case_id, *mail)
    assert (code, "no such key is in force" in said) == (1, True), said
    shown = json.loads((await run(home, "case", "show", coming.case_id, "--json"))[1])
    assert [key["value"] for key in shown["withdrawn_keys"]] == [EMAIL]

    code, said = await run(home, "case", "withdraw-key", begun.case_id, *mail, "--json")
    assert (code, set(json.loads(said))) == (0, {"requested", "expires_at"}), said
    shown = json.loads((await run(home, "case", "show", begun.case_id, "--json"))[1])
    assert shown["withdrawn_keys"] == []

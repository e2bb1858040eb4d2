"""`lockstep terminate` says whose worker it takes somebody for, and what it would do; `events`."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.storage.cases.rows import Opening
from lockstep.storage.engine.database import create_engine
from lockstep.storage.keys.keyring import Keyring
from tests.support.casework import TENANT, Casework, leaver_keys, termination

SETTINGS = """
tenant = "acme"
keyring = "file:keyring.json"

[database]
mode = "external"
url = "file:db"

[sources.hr-a]
secrets = ["file:hook"]

[sources.hr-b]
secrets = ["file:hook"]

[systems.by-hand]
connector = "manual"
"""


@pytest.fixture
def home(tmp_path, database, ring: Keyring) -> Path:
    ring.save(tmp_path / "keyring.json")
    (tmp_path / "db").write_text(database.app_url)
    (tmp_path / "hook").write_text("whsec_" + "QUJD" * 11)
    (tmp_path / "lockstep.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture
async def work(database, ring):
    engine = create_engine(database.app_url)
    made = Casework(engine, ring)
    await made.adopt()
    yield made
    await engine.dispose()


async def run(home: Path, *arguments: str) -> tuple[int, str]:
    """Exit code, and what was printed."""
    given = [*arguments, "--config", str(home / "lockstep.toml")]
    done = await asyncio.to_thread(CliRunner().invoke, app, given)
    return done.exit_code, " ".join(done.output.split())


async def told(work: Casework) -> list[dict]:
    """The bodies in the inbox."""
    return [json.loads(event.body) for event in await work.inbox.claim(50)]


async def opened(work: Casework, source: str, worker: str = "1005", *, closed: bool = False):
    said = termination(worker, source=source, event_id=f"evt_{source}_{worker}")
    now = datetime.now(UTC)
    [case] = await work.cases.open([Opening(said, now, now)], work.policy)
    assert case is not None
    if closed:
        await work.close(case.case_id, 1)
    return case


LEAVES = ("terminate", "--worker", "1005", "--email", "a@example.com", "--access-ends-at", "now")


async def test_whose_worker_is_said_where_several_could_be_meant(home, work):
    """Nothing is reported, and the sources are named; with one, it is reported as of that."""
    code, said = await run(home, *LEAVES)
    assert code == 1
    assert "hr-a or hr-b or cli" in said
    assert await told(work) == []
    assert (await run(home, *LEAVES, "--source", "hr-b"))[0] == 0
    assert (await run(home, *LEAVES, "--source", "hr-x"))[0] == 1
    [body] = await told(work)
    assert body["numbered_by"] == "hr-b"


async def test_who_is_known_under_one_source_is_taken_for_theirs(home, work):
    """And under another spell too; known under two, they must be named again."""
    await opened(work, "hr-b")
    assert (await run(home, *LEAVES, "--spell", "2"))[0] == 0
    [body] = await told(work)
    assert body["numbered_by"] == "hr-b"
    await opened(work, "hr-a")
    code, said = await run(home, *LEAVES, "--spell", "3")
    assert code == 1
    assert "hr-a, hr-b" in said


async def test_what_would_do_nothing_is_said_at_once(home, work):
    """A second termination without another employment; by option and by a line of a file."""
    case = await opened(work, "hr-a", closed=True)
    code, said = await run(home, *LEAVES)
    assert code == 1
    assert "hired_at" in said
    assert case.case_id in said
    table = home / "leavers.csv"
    line = "1005,voluntary,UTC,now"
    table.write_text(f"worker_id,kind,zone,access_ends_at\n{line}\n")
    code, said = await run(home, "terminate", "--csv", str(table), "--json")
    [row] = json.loads(said)
    assert (code, row["does"], row["source"]) == (1, "closed", "hr-a")
    assert await told(work) == []
    table.write_text(f"worker_id,kind,zone,access_ends_at,hired_at\n{line},2199-01-01\n")
    assert (await run(home, "terminate", "--csv", str(table)))[0] == 0


async def test_refused_events_are_listed_with_their_reason(home, work):
    """Whatever refused them, a brake's approver excepted; nothing is listed where there is none."""
    assert (await run(home, "events"))[1] == (
        "No event was refused within 7 days, and every one can be read."
    )
    now = datetime.now(UTC)
    for key, why in (("e-1", "revision: another statement"), ("e-2", None)):
        await work.inbox.store(
            tenant=TENANT,
            source="hr-a",
            dedupe_key=key,
            received_at=now,
            body=b"{}",
            priority=4,
            refused=why,
            verdict="conflict" if why else None,
        )
    code, said = await run(home, "events")
    assert code == 0
    assert "hr-a e-1 conflict revision: another statement" in said
    assert "e-2" not in said
    [row] = json.loads((await run(home, "events", "--json"))[1])
    assert (row["event_id"], row["verdict"]) == ("e-1", "conflict")


async def test_a_number_of_two_people_erases_neither_by_itself(home, work):
    """Whose it is must be said."""
    await opened(work, "hr-a")
    await opened(work, "hr-b")
    code, said = await run(home, "subject", "show", "--worker-id", "1005")
    assert code == 1
    assert "hr-a, hr-b" in said
    assert (await run(home, "subject", "show", "--worker-id", "1005", "--source", "hr-b"))[0] == 0


@pytest.mark.parametrize(
    "key",
    [("--username", "kim"), ("--email", "Kim@example.com"), ("--username", "kim@example.com")],
)
async def test_nobody_reports_themselves_at_the_command_line(home, work, monkeypatch, key):
    """As far as the operating system's name says who types; another leaver is taken."""
    monkeypatch.setenv("LOGNAME", "kim")
    said = ("terminate", "--worker", "7", *key, "--access-ends-at", "now", "--source", "hr-a")
    code, output = await run(home, *said)
    assert (code, "this is you" in output) == (1, True)
    assert await told(work) == []
    monkeypatch.setenv("LOGNAME", "ana")
    await run(home, *said)
    assert len(await told(work)) == 1


async def test_nobody_corrects_their_own_case_at_the_command_line(home, work, monkeypatch):
    """Neither adds keys nor moves it to another partner."""
    keys = leaver_keys("1005", "kim@example.com")
    named = LeaverKeys((*keys.keys, Key(KeyKind.USERNAME, "kim")))
    said = termination("1005", source="hr-a", keys=named)
    now = datetime.now(UTC)
    [case] = await work.cases.open([Opening(said, now, now)], work.policy)
    monkeypatch.setenv("LOGNAME", "kim")
    correct = ("case", "correct", case.case_id, "--site", "davao", "--reason", "moved")
    code, output = await run(home, *correct)
    assert (code, "about a person of this name" in output) == (1, True)
    assert await told(work) == []

"""A new user's walk with the real `lockstep` command, on a running `lockstep up --sandbox`."""

from __future__ import annotations

import asyncio
import csv
import re
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lockstep.cli.intake.terminate import COLUMNS
from lockstep.cli.runtime import stand_ins, templates
from sandbox.people import Person
from sandbox.vendors.registry import descriptions
from tests.e2e.installation import Installation, lockstep
from tests.e2e.leavers import full_name, new_people, new_person
from tests.e2e.processes import PATIENCE_S, ROOT, eventually
from tests.e2e.vendors import DIRECTORY, SAMPLES, SYSTEMS, Vendors, still_open
from tests.e2e.walk import APPROVER, STUCK, Walk, assert_plain
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

ALL_SYSTEMS = set(tomllib.loads(templates.sandbox_systems(stand_ins.usual_ports()))["systems"])


@pytest.fixture(scope="module")
async def walk(home: Path) -> AsyncIterator[Walk]:
    """`lockstep init`, free ports instead of the usual ones, `lockstep up --sandbox`."""
    init = await lockstep("init", str(home), "--tenant", "acme-bpo", "--sandbox")
    file = home / "lockstep.toml"
    usual = {
        str(port): str(free_port()) for port in (*stand_ins.usual_ports().values(), 7233, 8080)
    }
    # In one go: a new port may have an old one in it.
    text = re.sub("|".join(usual), lambda found: usual[found[0]], file.read_text())
    (home / "paula.token").write_text(APPROVER)
    token = '[tokens.paula]\nsecret = "file:paula.token"\nrights = ["approve", "sealed"]\n'
    token += 'owner = { email = "paula@example.com" }\n'
    file.write_text(f"{text}\n{token}")
    installation = Installation(home, "")
    vendors = Vendors(home, ports=stand_ins.ports_of(installation.settings))
    try:
        await installation.up("--sandbox")
        yield Walk(installation, vendors, init)
    finally:
        await installation.down()
        await vendors.stop()


async def test_init_writes_a_home_and_never_overwrites(walk: Walk) -> None:
    """Settings, keyring and secrets that only their owner may read; a second time is refused."""
    home = walk.installation.home
    again = await lockstep("init", str(home))

    assert walk.init.code == 0
    assert "Back up the keyring" in walk.init.out
    for name in ("keyring.json", "ledger.key", "hr-main.secret"):
        assert (home / ".lockstep" / name).stat().st_mode & 0o777 == 0o600
    assert_plain(again, 2, "exists")


async def test_doctor_finds_everything_in_order(walk: Walk) -> None:
    """Nothing to mend in a fresh installation, for a person and for a script."""
    books = walk.installation.books
    await eventually(lambda: books.ask("select 1 from checkpoints"), what="the first signed head")
    said, for_script = await asyncio.gather(walk.run("doctor"), walk.run("doctor", "--json"))
    checks = for_script.json()
    parts = {check["part"] for check in checks}

    assert [check for check in checks if check["level"] == "problem"] == []
    assert (said.code, for_script.code) == (0, 0)
    assert {"settings", "lockstep up", "database", "temporal"} <= parts
    assert {f"system {name}" for name in ALL_SYSTEMS} <= parts
    warned = any(check["level"] == "warning" for check in checks)
    assert ("Nothing to mend; " if warned else "Everything is in order.") in said.out


async def test_one_leaver_from_the_command_line(walk: Walk) -> None:
    """`terminate --wait` ends when every door is closed and read back, in all systems."""
    person = new_person()
    await stand_ins.hire(walk.installation.settings, person.as_json())
    began = time.monotonic()
    said = await walk.run(
        *("terminate", "--worker", person.worker_id, "--name", full_name(person)),
        *("--email", person.email, "--username", person.username, "--kind", "involuntary"),
        *("--employee-number", person.employee_number, "--access-ends-at", "now"),
        *("--partner", person.partner, "--wait", "--json", "--timeout", "90"),
    )
    took_ms = (time.monotonic() - began) * 1000
    [case] = said.json()

    assert said.code == 0, said
    assert (case["status"], case["leaver"]) == ("closed", full_name(person))
    assert {row["system"]: row["outcome"] for row in case["systems"]} == dict.fromkeys(
        ALL_SYSTEMS, "revoked"
    )
    assert {row["grade"] for row in case["systems"]} <= {"A", "B"}
    assert 0 < case["time_to_revocation_ms"] < took_ms
    for vendor in SAMPLES:
        [account] = await walk.vendors.accounts(vendor, person.worker_id)
        assert not still_open(vendor, account)


async def test_a_refusal_runs_no_destructors(home: Path) -> None:
    """Temporal's native library can abort while the interpreter ends, refused commands included.

    The abort itself is a race that shows under load, so the test asks for its cause.
    """
    code = (
        "import atexit, sys; atexit.register(print, 'interpreter ended');"
        "from lockstep.cli.main import main;"
        f"sys.argv = ['lockstep', 'cases', '--config', {str(home / 'nowhere.toml')!r}]; main()"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)

    assert process.returncode == 2
    assert b"there is no settings file" in err
    assert b"interpreter ended" not in out


def write_csv(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def csv_row(person: Person, **changes: str) -> dict[str, str]:
    return {
        "worker_id": person.worker_id,
        "name": full_name(person),
        "employee_number": person.employee_number,
        "usernames": person.username,
        "emails": person.email,
        "kind": "voluntary",
        "zone": "Asia/Manila",
        "access_ends_at": "now",
        **changes,
    }


async def test_a_csv_with_faulty_lines_reports_nobody(walk: Walk) -> None:
    """Each faulty line is named with its reason; with or without --dry-run nothing is sent."""
    people = new_people(4)
    rows = [
        csv_row(people[0]),
        csv_row(people[1], zone="Asia/Cebu"),
        csv_row(people[2], kind="fired"),
        csv_row(people[3], access_ends_at="", last_working_day="24.12.2026"),
    ]
    file = str(write_csv(walk.installation.home / "faulty.csv", rows))
    before = await walk.installation.books.ask("select count(*) from inbox")
    dry, real, shown = await asyncio.gather(
        walk.run("terminate", "--csv", file, "--dry-run", "--json"),
        walk.run("terminate", "--csv", file, "--json"),
        walk.run("terminate", "--csv", file),
    )

    assert (dry.code, real.code, shown.code) == (1, 1, 1)
    for said in (dry, real):
        lines = {row["line"]: row["problems"] for row in said.json()}
        assert sorted(line for line, problems in lines.items() if problems) == [3, 4, 5]
        assert "zone" in lines[3][0]
        assert "kind" in lines[4][0]
        assert "last_working_day" in lines[5][0]
    assert "3 faulty; nothing was reported" in shown.out
    assert before == await walk.installation.books.ask("select count(*) from inbox")


async def test_a_csv_of_many(walk: Walk) -> None:
    """A dry run shows every cutoff and sends nothing; the real one closes a case for each."""
    people = new_people(5)
    await walk.vendors.seed(people)
    file = str(write_csv(walk.installation.home / "many.csv", [csv_row(p) for p in people]))
    dry = await walk.run("terminate", "--csv", file, "--dry-run", "--json")
    known = await walk.run("cases", "--worker", people[0].worker_id, "--json")
    real = await walk.run("terminate", "--csv", file, "--wait", "--json", "--timeout", "90")

    assert dry.code == 0
    assert [row["problems"] for row in dry.json()] == [[]] * 5
    assert known.json() == []
    assert real.code == 0, real
    assert {case["worker_id"] for case in real.json()} == {p.worker_id for p in people}
    assert {case["status"] for case in real.json()} == {"closed"}


async def test_what_became_of_each_line_is_told(walk: Walk) -> None:
    """Opened, then unchanged: counts add up, and nothing is called reported that was known."""
    people = new_people(2)
    day = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
    rows = [csv_row(person, access_ends_at="", last_working_day=day) for person in people]
    file = str(write_csv(walk.installation.home / "told.csv", rows))
    first = await walk.run("terminate", "--csv", file, "--json")
    again = await walk.run("terminate", "--csv", file, "--json")
    shown = await walk.run("terminate", "--csv", file)

    assert (first.code, first.json()["counts"]["opened"], first.json()["lines"]) == (0, 2, 2)
    assert (again.code, again.json()["counts"]["unchanged"]) == (0, 2)
    assert {row["became"] for row in again.json()["each"]} == {"unchanged"}
    assert "2 lines: 2 unchanged." in shown.out


async def test_a_stuck_case_is_seen_mended_and_closed(walk: Walk) -> None:
    """needs_person → `stuck` says why and what to do → repair → `retry` → closed."""
    person, case_id = await walk.stuck_case()
    stuck, shown, listed, table = await asyncio.gather(
        walk.run("stuck", "--json"),
        walk.run("case", "show", case_id[:8], "--ledger", "--json"),
        walk.run("cases", "--status", "needs_person", "--json"),
        walk.run("case", "show", case_id),
    )
    await walk.mend(person)
    retried = await walk.run("retry", case_id, STUCK, "--reason", "the role was given", "--json")

    [mine] = [case for case in stuck.json() if case["case_id"] == case_id]
    [door] = [row for row in mine["systems"] if row["system"] == STUCK]
    assert (door["state"], door["fault"]) == ("needs_person", "permission_missing")
    assert door["suggestion"] == "Grant the missing permission, then retry."
    assert shown.json()["case_id"] == case_id
    assert shown.json()["ledger"]
    assert case_id in {case["case_id"] for case in listed.json()}
    assert "Grant the missing permission" in table.out
    assert (retried.code, retried.json()["decision"]) == (0, "retry")
    await walk.status(case_id, "closed")
    done = await walk.run("case", "show", case_id, "--json")
    assert {row["outcome"] for row in done.json()["systems"]} <= {"revoked", "not_found"}
    assert case_id not in (await walk.run("stuck")).out


async def test_attesting_is_graded_by_its_proof(walk: Walk) -> None:
    """An artefact and a second person make grade C, a word alone D; nobody types a second one."""
    (_, strong), (_, weak) = await asyncio.gather(walk.stuck_case(), walk.stuck_case())
    proof = walk.installation.home / "proof.png"
    proof.write_bytes(b"\x89PNG\r\n\x1a\n a screenshot")
    words = ("--reason", "by hand", "--as", "ana")
    typed = await walk.run("attest", strong, STUCK, *words, "--second", "bea")
    with_proof, without = await asyncio.gather(
        walk.run("attest", strong, STUCK, *words, "--artefact", str(proof), "--json"),
        walk.run("attest", weak, STUCK, "--reason", "by hand", "--json"),
    )
    waiting = await walk.run("requests", "--json")

    assert_plain(typed, 2, "proves nobody")
    asked = {strong: with_proof.json()["requested"], weak: without.json()["requested"]}
    assert set(asked.values()) <= {row["request_id"] for row in waiting.json()}
    for case_id, grade in ((strong, "C"), (weak, "D")):
        door = (await walk.installation.books.doors(case_id))[STUCK]
        assert door["state"] == "needs_person", "asked is not done"
        assert await walk.agree(asked[case_id]) == 200
        await walk.status(case_id, "closed")
        door = (await walk.installation.books.doors(case_id))[STUCK]
        assert (door["outcome"], door["grade"]) == ("attested", grade)


async def test_waiving_has_rules(walk: Walk) -> None:
    """Before the deadline, for ninety days at most, and once somebody else agrees."""
    long_ago = datetime.now(UTC) - timedelta(hours=5)
    late_dates = {"zone": "UTC", "access_ends_at": long_ago.isoformat()}
    late_words = {"dates": late_dates, "recorded_at": long_ago.isoformat()}
    (_, case_id), (_, late) = await asyncio.gather(walk.stuck_case(), walk.stuck_case(**late_words))

    def waive(case: str, days: int, *more: str) -> Any:
        until = f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"
        return walk.run(
            *("waive", case, STUCK, "--reason", "migrating", "--as", "ana", "--until", until), *more
        )

    typed, long, past, overdue = await asyncio.gather(
        waive(case_id, 10, "--second", "bea"),
        waive(case_id, 100),
        waive(case_id, -2),
        waive(late, 10),
    )
    good = await waive(case_id, 10, "--json")

    assert_plain(typed, 2, "proves nobody")
    assert_plain(long, 1, "90 days")
    assert_plain(past, 1, "90 days")
    assert_plain(overdue, 1, "before the deadline")
    assert await walk.agree(good.json()["requested"]) == 200
    await walk.status(case_id, "closed")
    assert (await walk.installation.books.doors(late))[STUCK]["state"] == "needs_person"


async def test_a_future_case_moves_and_stops(walk: Walk) -> None:
    """`amend` moves the cutoff, `rescind` stops the case; afterwards both are refused."""
    person = new_person()
    await walk.vendors.seed([person])
    day = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
    later = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    sent = await walk.run(
        *("terminate", "--worker", person.worker_id, "--email", person.email, "--last-day", day),
        *("--zone", "Asia/Manila", "--json"),
    )
    case_id = await walk.case_with(sent.json()["reported"][0], "scheduled")
    amended = await walk.run("amend", case_id, "--last-day", later, "-r", "handover", "--json")
    query = "select cutoff_at from cases where case_id = %(c)s"
    [moved] = await walk.installation.books.ask(query, c=case_id)
    rescinded = await walk.run("rescind", case_id, "-r", "stays", "--json")
    again = await walk.run("amend", case_id, "--last-day", day, "-r", "again")

    assert amended.json() == {"verdict": "amend"}
    # 18:00 in Manila, which has no daylight saving, is 10:00 UTC.
    assert moved["cutoff_at"].isoformat() == f"{later}T10:00:00+00:00"
    assert rescinded.json() == {"verdict": "rescind"}
    await walk.status(case_id, "rescinded")
    assert_plain(again, 1, "rescinded")
    [account] = await walk.vendors.accounts(DIRECTORY, person.worker_id)
    assert still_open(DIRECTORY, account), "a rescinded case must touch nobody"


async def test_a_dismissal_is_prolonged_by_two(walk: Walk) -> None:
    """Later, or called off: once somebody else agrees; sooner, by one."""
    person = new_person()
    now = datetime.now(UTC)
    ends, sooner, later = (f"{now + timedelta(days=n):%Y-%m-%dT12:00:00Z}" for n in (20, 10, 30))
    sent = await walk.run(
        *("terminate", "--worker", person.worker_id, "--email", person.email, "--json"),
        *("--kind", "involuntary", "--access-ends-at", ends),
    )
    case_id = await walk.case_with(sent.json()["reported"][0], "scheduled")
    ana = ("-r", "told by HR", "--as", "ana", "--json")
    query = "select cutoff_at from cases where case_id = %(c)s"
    shortened = await walk.run("amend", case_id, "--access-ends-at", sooner, *ana)
    typed = await walk.run("rescind", case_id, "--second", "bea", *ana)
    prolonged = await walk.run("amend", case_id, "--access-ends-at", later, *ana)
    [unmoved] = await walk.installation.books.ask(query, c=case_id)

    assert_plain(typed, 2, "proves nobody")
    assert shortened.json() == {"verdict": "amend"}
    assert f"{unmoved['cutoff_at']:%Y-%m-%dT%H:%M:%SZ}" == sooner, "asked is not done"
    assert await walk.agree(prolonged.json()["requested"]) == 200

    async def moved() -> bool:
        [row] = await walk.installation.books.ask(query, c=case_id)
        return f"{row['cutoff_at']:%Y-%m-%dT%H:%M:%SZ}" == later

    await eventually(moved, what="the later cutoff")
    stopped = await walk.run("rescind", case_id, *ana)
    assert await walk.agree(stopped.json()["requested"]) == 200
    await walk.status(case_id, "rescinded")


async def test_somebody_whom_nobody_knows_needs_a_person(walk: Walk) -> None:
    """All systems answering not_found is no success: the case waits, and can be attested."""
    person = new_person()
    said = await walk.run(
        *("terminate", "--worker", person.worker_id, "--email", person.email),
        *("--username", person.username, "--access-ends-at", "now"),
        *("--wait", "--timeout", "3", "--json"),
    )
    assert said.code == 1, "not closed in time is no success"

    async def opened() -> str:
        known = (await walk.run("cases", "--worker", person.worker_id, "--json")).json()
        return known[0]["case_id"] if known else ""

    case_id = await eventually(opened, what="the case")
    await walk.someone_asked(case_id)
    case = (await walk.run("case", "show", case_id, "--json")).json()
    waiting = [row["system"] for row in case["systems"] if row["state"] == "needs_person"]

    assert case["status"] == "needs_person"
    assert {row["fault"] for row in case["systems"] if row["fault"]} == {"unknown_worker"}
    assert len(waiting) == 1
    said = await walk.run(
        *("attest", case["case_id"], waiting[0], "--reason", "never started work", "--json")
    )
    if "requested" in said.json():  # of tier 0
        assert await walk.agree(said.json()["requested"]) == 200
    await walk.status(case["case_id"], "closed")


async def test_what_does_not_exist_is_said_plainly(walk: Walk) -> None:
    """Unknown case, unknown system, unknown settings file: one line, no traceback."""
    person, case_id = await walk.stuck_case()
    show, decide, system, missing = await asyncio.gather(
        walk.run("case", "show", "cnothere"),
        walk.run("retry", "cnothere", STUCK, "--reason", "x"),
        walk.run("retry", case_id, "slack-prod", "--reason", "x"),
        walk.run("cases", config=walk.installation.home / "nowhere.toml"),
    )
    await walk.mend(person)
    await walk.run("retry", case_id, STUCK, "--reason", "mended")

    assert_plain(show, 1, "there is no case 'cnothere'")
    assert_plain(decide, 1, "there is no case 'cnothere'")
    assert_plain(system, 1, "has no system 'slack-prod'", STUCK)
    assert_plain(missing, 2, "lockstep init")


async def test_an_unreachable_database_is_said_plainly(walk: Walk) -> None:
    """Commands say in a line that the database is away, and doctor which part is."""
    away = walk.installation.home / "away.toml"
    external = 'mode = "external"\nurl = "postgresql+psycopg://nobody@127.0.0.1:1/none"'
    text = walk.installation.file.read_text()
    away.write_text(text.replace('[database]\nmode = "embedded"', f"[database]\n{external}"))
    cases, terminate, doctor = await asyncio.gather(
        walk.run("cases", config=away),
        walk.run("terminate", "--worker", "W-1", "--access-ends-at", "now", config=away),
        walk.run("doctor", "--json", config=away),
    )

    assert_plain(cases, 1, "the database cannot be used", "lockstep doctor")
    assert_plain(terminate, 1, "the database cannot be used")
    assert_plain(doctor, 1)
    [check] = [each for each in doctor.json() if each["part"] == "database"]
    assert check["level"] == "problem"
    assert check["says"]


async def test_a_wrong_credential_is_named_by_doctor(walk: Walk) -> None:
    """Doctor says which system refuses our credential and what to do, and shows no token."""
    home = walk.installation.home
    (home / ".lockstep" / "wrong").write_text("not-the-token-4711\n")
    wrong = home / "wrong.toml"
    text = walk.installation.file.read_text()
    [token] = descriptions()[DIRECTORY].secrets
    wrong.write_text(text.replace(f"file:.lockstep/{token}", "file:.lockstep/wrong"))
    said = await walk.run("doctor", "--json", config=wrong)
    problems = [check for check in said.json() if check["level"] == "problem"]

    assert_plain(said, 1)
    assert {check["part"] for check in problems} == {f"system {SYSTEMS[DIRECTORY]}"}
    assert problems[0]["says"] == f"{descriptions()[DIRECTORY].title} rejects the API token."
    assert problems[0]["fix"]
    assert "not-the-token-4711" not in said.out + said.err

"""A worker killed at every step of a revocation: nothing is lost, doubled or half-done in silence.

Each scenario has a database, a Temporal namespace, a worker and a leaver of its own; PostgreSQL,
Temporal and the vendors are shared. They run a few at a time, because each waits mostly for
Temporal to notice the dead worker (`policies.HEARTBEAT_TIMEOUT`).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url

from lockstep.cli.runtime import templates
from lockstep.cli.runtime.init import write_home
from lockstep.cli.runtime.servers import READY_VARIABLE
from lockstep.embedded.child import ChildSpec
from lockstep.embedded.events import Event, EventKind
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.settings import load_settings
from lockstep.storage.engine.database import create_engine
from lockstep.storage.engine.migrate import migrate
from lockstep.storage.intake.inbox import Inbox
from tests.conftest import search_attribute_types
from tests.e2e.books import Books, Row, kinds, outcomes
from tests.e2e.crashing_worker import Point
from tests.e2e.installation import settings_text
from tests.e2e.leavers import new_person, termination
from tests.e2e.processes import PATIENCE_S, ROOT
from tests.e2e.vendors import (
    BADGES,
    DIRECTORY,
    SAMPLES,
    SIMULATED,
    SYSTEMS,
    Account,
    Vendors,
    applied_twice,
    still_open,
    ways_in,
)
from tests.support.ports import free_port

pytestmark = pytest.mark.e2e

AT_ONCE = 4
TRAPPED = (DIRECTORY, BADGES)
VENDORS = SAMPLES
CASES = [(vendor, point) for vendor in TRAPPED for point in Point]
every_death = pytest.mark.parametrize(("vendor", "point"), CASES)


@dataclass(frozen=True)
class Aftermath:
    """What is left of one scenario."""

    killed: list[Event]
    entries: list[Row]
    doors: dict[str, Row]
    status: str
    before: dict[str, list[Account]]
    after: dict[str, list[Account]]
    calls: dict[str, list[Row]]


@dataclass(frozen=True)
class Ground:
    """The shared servers."""

    home: Path
    postgres: EmbeddedPostgres
    temporal: TemporalDevServer
    vendors: Vendors
    file: Path


def suspending(text: str) -> str:
    """The directory only suspends: deactivating would end sessions that a crash forgot."""
    title = f"[systems.{SYSTEMS[DIRECTORY]}]"
    head, tail = text.split(title)
    own, *others = tail.split("\n[systems.")
    return "\n[systems.".join([f'{head}{title}{own}disable = "suspend"\n', *others])


def name_of(vendor: str, point: Point) -> str:
    return f"{vendor}_{point.value}"


@pytest.fixture(scope="module")
async def ground(home: Path) -> AsyncIterator[Ground]:
    """PostgreSQL and Temporal, both on disk, and the vendors."""
    vendors = Vendors(home)
    file = home / "lockstep.toml"
    write_home(home, suspending(settings_text(vendors.ports)))
    postgres = EmbeddedPostgres(home / "pg")
    postgres.prepare()
    # A database per scenario, which the shipped rights rightly refuse.
    rights = home / "pg_hba.conf"
    rights.write_text("local all all trust\n")
    rights.chmod(0o644)
    (postgres.data_dir / "local.conf").write_text(f"hba_file = '{rights}'\nmax_connections = 200\n")
    temporal = TemporalDevServer(
        home / "temporal.db",
        free_port(),
        log_file=home / "temporal.log",
        search_attributes=search_attribute_types(),
    )
    spec = temporal.child_spec()
    spaces = [part for case in CASES for part in ("--namespace", name_of(*case))]
    try:
        async with Supervisor(home / "servers", stop_signals=()) as servers:
            await vendors.start()
            await servers.start(postgres.child_spec(log_path=home / "pg.log"))
            await asyncio.to_thread(migrate, postgres.owner_url)
            await servers.start(replace(spec, argv=(*spec.argv, *spaces)))
            yield Ground(home, postgres, temporal, vendors, file)
    finally:
        await vendors.stop()


@pytest.fixture(scope="module")
async def scenarios(ground: Ground) -> AsyncIterator[dict[str, asyncio.Task[Aftermath]]]:
    """All scenarios, under way; each test awaits its own."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(vendor: str, point: Point) -> Aftermath:
        async with turn:
            return await play(ground, vendor, point)

    tasks = {name_of(*case): asyncio.create_task(one(*case)) for case in CASES}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.fixture
async def aftermath(
    scenarios: dict[str, asyncio.Task[Aftermath]], vendor: str, point: Point
) -> Aftermath:
    return await asyncio.shield(scenarios[name_of(vendor, point)])


def new_database(ground: Ground, name: str) -> str:
    """A fresh copy of the migrated database; the application's URL of it."""
    admin = make_url(ground.postgres.owner_url).set(
        drivername="postgresql", database="postgres", username="postgres"
    )
    template = make_url(ground.postgres.owner_url).database
    with psycopg.connect(admin.render_as_string(hide_password=False), autocommit=True) as link:
        link.execute(f"create database {name} template {template} owner lockstep_owner".encode())
    return make_url(ground.postgres.app_url).set(database=name).render_as_string(False)


def worker_spec(ground: Ground, vendor: str, point: Point, url: str) -> ChildSpec:
    name = name_of(vendor, point)
    ready_flag = ground.home / f"{name}.ready"

    async def ready() -> None:
        while not ready_flag.exists():  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.05)

    return ChildSpec(
        name=name,
        argv=(
            *(sys.executable, "-m", "tests.e2e.crashing_worker", str(ground.file)),
            *(SYSTEMS[vendor], point.value, str(ground.home / f"{name}.died")),
        ),
        log_path=ground.home / f"{name}.log",
        ready=ready,
        ready_timeout_s=PATIENCE_S,
        prepare=lambda: ready_flag.unlink(missing_ok=True),
        cwd=ROOT,
        env={
            **os.environ,
            READY_VARIABLE: str(ready_flag),
            "LOCKSTEP_DATA_DIR": str(ground.home / f"data-{name}"),
            "LOCKSTEP_DATABASE__MODE": "external",
            "LOCKSTEP_DATABASE__URL": url,
            "LOCKSTEP_TEMPORAL__MODE": "external",
            "LOCKSTEP_TEMPORAL__ADDRESS": ground.temporal.address,
            "LOCKSTEP_TEMPORAL__NAMESPACE": name,
        },
    )


async def report(ground: Ground, url: str, event_id: str, event: dict[str, object]) -> None:
    """Put an event into the inbox as the webhook does; `test_kill_servers` has the webhook."""
    settings = load_settings(ground.file)
    engine = create_engine(url, pool_size=1)
    await Inbox(engine, settings.open_keyring()).store(
        tenant=settings.tenant,
        source=templates.SOURCE,
        dedupe_key=event_id,
        received_at=datetime.now(UTC),
        body=json.dumps(event).encode(),
        priority=1,
    )
    await engine.dispose()


async def play(ground: Ground, vendor: str, point: Point) -> Aftermath:
    """Report a leaver to a worker that is going to die, and wait until the case is closed."""
    name = name_of(vendor, point)
    person = new_person()
    vendors = ground.vendors
    await vendors.seed([person])
    before = {each: await vendors.accounts(each, person.worker_id) for each in VENDORS}
    url = await asyncio.to_thread(new_database, ground, name)
    books = Books(url)
    seen: list[Event] = []
    async with Supervisor(ground.home / name, on_event=seen.append, stop_signals=()) as own:
        await own.start(worker_spec(ground, vendor, point, url))
        await report(ground, url, f"evt-{name}", termination(person))
        [case] = await books.closed([f"evt-{name}"], within_s=3 * PATIENCE_S)
    case_id = case["case_id"]
    assert (ground.home / f"{name}.died").exists(), "the worker never passed the point"
    return Aftermath(
        killed=[event for event in seen if event.kind is EventKind.DIED],
        entries=await books.entries(case_id),
        doors=await books.doors(case_id),
        status=case["status"],
        before=before,
        after={each: await vendors.accounts(each, person.worker_id) for each in VENDORS},
        calls={each: await vendors.calls(each, person.worker_id) for each in VENDORS},
    )


@every_death
def test_the_worker_was_killed_once(aftermath: Aftermath) -> None:
    """The premise of every other test here: one SIGKILL, and the supervisor started it again."""
    assert [event.detail for event in aftermath.killed] == ["signal SIGKILL"]


@every_death
def test_every_system_is_revoked_and_read_back(aftermath: Aftermath) -> None:
    """The case closes with every system settled `revoked`, confirmed by a read-back."""
    assert aftermath.status == "closed"
    assert set(SIMULATED) == set(aftermath.doors)
    for door in aftermath.doors.values():
        assert (door["state"], door["outcome"]) == ("settled", "revoked")
        assert door["confirmed_at"] is not None
        assert door["revoked_at"] <= door["confirmed_at"]


@every_death
def test_one_outcome_lists_every_way_in_once(aftermath: Aftermath) -> None:
    """Each system has one OUTCOME; it removed all that the vendor had given, each once."""
    for each in VENDORS:
        [outcome] = outcomes(aftermath.entries, SYSTEMS[each])
        removed = outcome["data"]["removed"]
        refs = [(access["kind"], access["ref"]) for access in removed]
        [account] = aftermath.before[each]
        expected = ways_in(each, account)
        expected.pop("assignment", None)  # apps fall only with a user who is deactivated there

        assert len(refs) == len(set(refs)), each
        assert expected == Counter(kind for kind, _ in refs), each


@every_death
def test_no_door_stands_open_at_a_vendor(aftermath: Aftermath) -> None:
    """The vendors' own records agree: nothing that the leaver had still works."""
    for each in VENDORS:
        [before], [after] = aftermath.before[each], aftermath.after[each]
        assert still_open(each, before), "nothing stood open to begin with"
        assert not still_open(each, after), each


@every_death
def test_no_effect_is_applied_twice(aftermath: Aftermath) -> None:
    """The repetition reads state first: no target was changed by two calls."""
    for each in VENDORS:
        assert any(call["applied"] for call in aftermath.calls[each])
        assert not applied_twice(aftermath.calls[each]), each


@every_death
def test_the_ledger_tells_one_story(aftermath: Aftermath) -> None:
    """One opening, one closing, ATTEMPT before each OUTCOME, and every key stands once."""
    counted = kinds(aftermath.entries)
    keys = [entry["key"] for entry in aftermath.entries]
    order = [entry["kind"] for entry in aftermath.entries]

    assert counted["case:opened"] == counted["case:closed"] == 1
    assert counted["revocation:outcome"] == len(VENDORS)
    assert order[-1] == "case:closed"
    assert len(keys) == len(set(keys))
    for each in SIMULATED:
        mine = [e["kind"] for e in aftermath.entries if e.get("system") == each]
        assert mine[-1] == "revocation:outcome"
        assert "revocation:attempt" in mine


def test_a_doubled_effect_would_be_noticed() -> None:
    """The guard itself: two applied calls with one target are reported, others are not."""
    call = {"method": "DELETE", "path": "/logins/1", "applied": True}
    other = {**call, "path": "/logins/2"}

    assert applied_twice([call, other, {**call, "applied": False}]) == []
    assert applied_twice([call, other, call]) == ["DELETE /logins/1"]

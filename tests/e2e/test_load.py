"""A hundred leavers at once, every vendor faulty, HR's deliveries doubled and out of order."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.people import Person
from sandbox.vendors.registry import descriptions
from tests.e2e.books import Books
from tests.e2e.installation import Installation, settings_text
from tests.e2e.leavers import new_people, termination
from tests.e2e.vendors import (
    BADGES,
    DIRECTORY,
    MEASURED,
    NETWORK,
    SAMPLES,
    Vendors,
    still_open,
)

pytestmark = pytest.mark.e2e

VENDORS = (*SAMPLES, MEASURED)
SYSTEMS = {kind: f"{kind}-sandbox" for kind in VENDORS}
LEAVERS = 100
PATIENCE_S = 600
NO_BRAKE = "\n[brake]\nper_hour = 0\n"
"""A hundred at once are what the brake is there for."""
REVISION = 5
Event = dict[str, object]
Delivery = tuple[str, Event]


@dataclass(frozen=True)
class Run:
    """What was sent, what was answered, and what came of it."""

    people: list[Person]
    answers: Counter[int]
    seconds: float
    books: Books
    vendors: Vendors


def hire(number: int, person: Person) -> Person:
    """What one leaver has: not everybody has a badge or works from home.

    Less of each than usual, because two cores pretend to be every vendor too.
    """
    shape: dict[str, Any] = {
        DIRECTORY: {"clients": 1, "factors": 1, "groups": 2},
        NETWORK: {"devices": 1, "absent": not has(NETWORK, number)},
        BADGES: {"roles": 1, "absent": not has(BADGES, number)},
    }
    return replace(person, shape=shape)


def has(vendor: str, number: int) -> bool:
    """Whether the leaver of this number has an account there."""
    return {BADGES: number % 2 == 0, NETWORK: number % 4 < 2}.get(vendor, True)


def one_more_system(port: int) -> str:
    return f"""
[systems.{SYSTEMS[MEASURED]}]
connector = "{MEASURED}"
base_url = "http://127.0.0.1:{port}"
token = "file:.lockstep/sandbox-more"
"""


def faults(vendor: str) -> list[dict[str, object]]:
    """Every kind that passes, each at most once per leaver; every second revocation meets one."""
    # One is asked four times for each leaver, the others twenty to forty times.
    share = 0.06 if vendor == MEASURED else 0.006
    of_effects = 0.2 if vendor == MEASURED else 0.04
    once: dict[str, object] = {"per_user": 1, "probability": share}
    effect: dict[str, object] = {"per_user": 1, "probability": of_effects}
    return [
        {"kind": "rate_limit", "reset_after": 1, "seed": 1, **once},
        {"kind": "rate_limit", "reset_header": False, "seed": 2, **once},
        {"kind": "server_error", "status": 502, "seed": 3, **once},
        {"kind": "applied_reply_lost", "seed": 4, **effect},
        {"kind": "success_not_done", "seed": 5, **effect},
        {"kind": "timeout", "seconds": 3, "seed": 6, **once, "probability": share / 4},
        {"kind": "eventually_consistent", "delay_ms": 30},
    ]


def deliveries(people: list[Person]) -> list[Delivery]:
    """Each leaver once, every second one again, some with an older revision; well shuffled."""
    sent: list[Delivery] = []
    for number, person in enumerate(people):
        event = termination(person, revision=REVISION)
        sent.append((event_id(person), event))
        if number % 2:
            sent.append((event_id(person), event))
        if number % 5 == 0:
            old = termination(person, revision=REVISION - 2)
            sent.append((f"{event_id(person)}-old", old))
    random.Random(20).shuffle(sent)
    return sent


def event_id(person: Person) -> str:
    return f"evt-{person.worker_id}"


@pytest.fixture(scope="module")
async def run(home: Path) -> AsyncIterator[Run]:
    """One run of everything; the tests look at it from different sides."""
    vendors = Vendors(home)
    more = one_more_system(vendors.ports[MEASURED]) + NO_BRAKE
    text = settings_text(vendors.ports, more=more)
    text = text.replace('\nconnector = "', '\ntimeout = "2s"\nconnector = "')
    installation = Installation(
        home, text, secrets={"sandbox-more": descriptions()[MEASURED].usual["token"]}
    )
    try:
        await vendors.start()
        people = [hire(number, person) for number, person in enumerate(new_people(LEAVERS))]
        await vendors.seed(people)
        for vendor in VENDORS:
            await vendors.set_faults(vendor, faults(vendor))
        await installation.up()
        began = time.monotonic()
        answers = await asyncio.gather(*(installation.post(*one) for one in deliveries(people)))
        events = [event_id(person) for person in people]
        await installation.books.closed(events, within_s=PATIENCE_S, poll_s=1)
        seconds = time.monotonic() - began
        yield Run(people, Counter(answers), seconds, installation.books, vendors)
    finally:
        await installation.down()
        await vendors.stop()


async def times_to_revocation(books: Books) -> list[timedelta]:
    """Of each case, its slowest system, from the cutoff."""
    rows = await books.ask(
        "select max(r.revoked_at) - c.cutoff_at as took"
        " from cases c join revocations r using (case_id) group by c.case_id order by 1"
    )
    return [row["took"] for row in rows]


def share_of(ordered: list[timedelta], percent: int) -> float:
    """The nearest-rank percentile, in seconds."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[rank - 1].total_seconds()


async def fault_counts(books: Books) -> dict[str, int]:
    rows = await books.ask(
        "select convert_from(body, 'UTF8')::jsonb #>> '{data,category}' as category, count(*)"
        " from ledger_entries where kind = 'revocation:fault' group by 1 order by 2 desc"
    )
    return {row["category"]: row["count"] for row in rows}


async def test_every_case_closes(run: Run) -> None:
    """As many cases as leavers, every one closed; every account revoked and read back."""
    cases = await run.books.ask("select status, count(*) from cases group by 1")
    doors = await run.books.ask("select system, state, outcome, confirmed_at from revocations")
    counted = Counter((door["system"], door["state"], door["outcome"]) for door in doors)
    expected: Counter[tuple[str, str, str]] = Counter()
    for vendor, system in SYSTEMS.items():
        for number in range(LEAVERS):
            outcome = "revoked" if has(vendor, number) else "not_found"
            expected[system, "settled", outcome] += 1

    assert cases == [{"status": "closed", "count": LEAVERS}]
    assert counted == expected
    assert all(door["confirmed_at"] for door in doors)


async def test_every_vendor_agrees(run: Run) -> None:
    """By the vendors' own records no leaver has any way in."""
    for vendor in VENDORS:
        known = [p for number, p in enumerate(run.people) if has(vendor, number)]
        found = await asyncio.gather(*(run.vendors.accounts(vendor, p.worker_id) for p in known))
        open_doors = [still_open(vendor, account) for [account] in found]

        assert [doors for doors in open_doors if doors] == [], vendor
    assert (await run.vendors.summary(MEASURED))["off"] == LEAVERS


async def test_duplicates_open_nothing_twice(run: Run) -> None:
    """Each delivery is acknowledged once as new; the ledger has one story per leaver."""
    old = len(range(0, LEAVERS, 5))
    assert run.answers == {202: LEAVERS + old, 200: LEAVERS // 2}
    rows = await run.books.ask(
        "select kind, count(*), count(distinct (case_id, system)) as apart from ledger_entries"
        " where kind in ('case:opened', 'case:closed', 'revocation:outcome') group by 1 order by 1"
    )
    found = {row["kind"]: (row["count"], row["apart"]) for row in rows}

    assert found == {
        "case:closed": (LEAVERS, LEAVERS),
        "case:opened": (LEAVERS, LEAVERS),
        "revocation:outcome": (LEAVERS * len(SYSTEMS), LEAVERS * len(SYSTEMS)),
    }


async def test_nothing_stays_in_the_inbox(run: Run) -> None:
    """Every stored event has a verdict and a case; the highest revision is what stands."""
    rows = await run.books.ask("select state, count(*) from inbox group by 1")
    revisions = await run.books.ask("select distinct revision from cases")

    assert [{"state": "done", "count": LEAVERS + len(range(0, LEAVERS, 5))}] == rows
    assert revisions == [{"revision": REVISION}]


async def test_the_vendors_were_really_faulty(run: Run) -> None:
    """The premise: every kind of fault was met, and cost repetitions."""
    met: Counter[str] = Counter()
    for vendor in VENDORS:
        for fault in await run.vendors.faults(vendor):
            met[fault["kind"]] += fault["hits"]
    seen = await fault_counts(run.books)

    for kind in {str(fault["kind"]) for fault in faults(DIRECTORY)} - {"eventually_consistent"}:
        assert met[kind] > 0, kind
    assert {"rate_limited", "vendor_error", "timeout", "not_applied"} <= set(seen)


async def test_figures(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Every case has a time to revocation; the figures of this run are printed."""
    times = await times_to_revocation(run.books)
    [sums] = await run.books.ask(
        "select sum(attempts) as attempts, count(*) as doors, sum(actions) as actions"
        " from revocations"
    )
    seen = await fault_counts(run.books)

    assert len(times) == LEAVERS
    assert all(took > timedelta(0) for took in times)
    with capsys.disabled():
        print(  # noqa: T201 - figures are for people
            f"\nload: {LEAVERS} cases, {sums['doors']} systems, {sum(run.answers.values())} "
            f"deliveries: {run.seconds:.1f} s; time to revocation p50 {share_of(times, 50):.1f} s, "
            f"p95 {share_of(times, 95):.1f} s, worst {share_of(times, 100):.1f} s; "
            f"{sums['attempts']} attempts, {sums['actions']} ways in closed; faults {seen}"
        )

"""Packs of a finished and of the running period, made while eighty cases run."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from lockstep.cli.runtime.init import LEDGER_KEY
from lockstep.evidence.format.notes import FileSigner
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Verdict
from tests.e2e.installation import Installation, lockstep, settings_text
from tests.e2e.leavers import new_people, termination
from tests.e2e.processes import eventually
from tests.e2e.test_load import NO_BRAKE
from tests.e2e.vendors import DIRECTORY, SIMULATED, Vendors
from tests.support.exporting import Reader

pytestmark = pytest.mark.e2e

LEAVERS = 80
EARLIER = 6
PATIENCE_S = 600
ROUNDS = 2
"""Of four packs each: both periods, by the API and at the command line."""
SLOW_MS = 3_000
"""Each answer of the directory about one leaver, whose case is open until the first round ends."""
TODAY = datetime.now(UTC)
MONTH_ENDED = TODAY.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
LAST_MONTH = (MONTH_ENDED - timedelta(days=1)).replace(day=1)
FINISHED = (LAST_MONTH.date().isoformat(), (MONTH_ENDED - timedelta(days=1)).date().isoformat())
# Until tomorrow: the leavers of a run around midnight are of two days.
RUNNING = (MONTH_ENDED.date().isoformat(), (TODAY + timedelta(days=1)).date().isoformat())
SETTINGS = """
[brake]  # so many at once are what it is there for
per_hour = 0

[tokens.auditor]
secret = "file:.lockstep/auditor"
rights = ["export", "sealed"]
"""
SAMPLE = {"sample": "3", "seed": "dice"}


@dataclass(frozen=True)
class Made:
    """One pack, and how many cases were open before and after it was made."""

    path: Path
    period: tuple[str, str]
    by: str
    checkpoint: int
    open_before: int
    open_after: int
    seconds: float


@dataclass(frozen=True)
class Run:
    """What was done, and what came of it."""

    installation: Installation
    key: str
    packs: list[Made]
    last: Made
    events: list[str]
    statuses: Counter[int]
    seconds: float


@dataclass
class Auditor:
    """Somebody with a token and a shell, who wants packs."""

    installation: Installation
    token: str
    folder: Path
    _count: int = 0
    _http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self._http = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.installation.settings.web.port}",
            headers={"authorization": f"Bearer {self.token}"},
            trust_env=False,
            timeout=120,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def head(self) -> int:
        """Entries under the newest head."""
        [row] = await self.installation.books.ask("select max(size) as size from checkpoints")
        return int(row["size"])

    async def open_cases(self) -> int:
        query = "select count(*) from cases where status <> 'closed'"
        [row] = await self.installation.books.ask(query)
        return int(row["count"])

    async def by_api(self, period: tuple[str, str], checkpoint: int) -> Made:
        return await self._made(period, checkpoint, "API", self._fetch)

    async def by_command(self, period: tuple[str, str], checkpoint: int) -> Made:
        return await self._made(period, checkpoint, "command", self._export)

    async def _made(
        self,
        period: tuple[str, str],
        checkpoint: int,
        by: str,
        make: Callable[[Path, tuple[str, str], int], Awaitable[None]],
    ) -> Made:
        self._count += 1
        path = self.folder / f"pack-{self._count}.zip"
        before, began = await self.open_cases(), time.monotonic()
        await make(path, period, checkpoint)
        seconds, after = time.monotonic() - began, await self.open_cases()
        return Made(path, period, by, checkpoint, before, after, seconds)

    async def _fetch(self, path: Path, period: tuple[str, str], checkpoint: int) -> None:
        first, last = period
        wish: dict[str, Any] = {"from": first, "to": last, "checkpoint": checkpoint}
        wish |= {"sample": int(SAMPLE["sample"]), "seed": SAMPLE["seed"]}
        ordered = await self._http.post("/api/evidence/exports", json=wish)
        assert ordered.status_code == httpx.codes.ACCEPTED, ordered.text

        async def done() -> dict[str, Any]:
            told: dict[str, Any] = (await self._http.get(ordered.headers["location"])).json()
            assert told["state"] in {"pending", "running", "done"}, told
            return told if told["state"] == "done" else {}

        told = await eventually(done, within_s=PATIENCE_S, what="the ordered pack", poll_s=0.2)
        answer = await self._http.get(told["file"])
        assert hashlib.sha256(answer.content).hexdigest() == told["sha256"]
        await asyncio.to_thread(path.write_bytes, answer.content)

    async def _export(self, path: Path, period: tuple[str, str], checkpoint: int) -> None:
        first, last = period
        said = await self.installation.run(
            *("evidence", "export", "--from", first, "--to", last, "--out", str(path)),
            *("--sample", SAMPLE["sample"], "--seed", SAMPLE["seed"]),
            *("--checkpoint", str(checkpoint)),
            within_s=PATIENCE_S,
        )
        assert said.code == 0, said


async def ask_for_packs(auditor: Auditor, sealed: int) -> list[Made]:
    """Both periods in both ways: the finished one at one head, `sealed`."""
    made = await asyncio.gather(
        auditor.by_api(FINISHED, sealed),
        auditor.by_command(RUNNING, await auditor.head()),
    )
    made += await asyncio.gather(
        auditor.by_command(FINISHED, sealed),
        auditor.by_api(RUNNING, await auditor.head()),
    )
    return made


@pytest.fixture(scope="module")
async def run(home: Path) -> AsyncIterator[Run]:
    """One run of everything; the tests look at it from different sides."""
    vendors = Vendors(home)
    token = secrets.token_urlsafe(32)
    rights = (
        '\n[tokens.auditor]\nsecret = "file:.lockstep/auditor"\nrights = ["export", "sealed"]\n'
    )
    text = settings_text(vendors.ports, systems=SIMULATED, more=rights + NO_BRAKE)
    installation = Installation(home, text, secrets={"auditor": token})
    auditor = Auditor(installation, token, home)
    try:
        await vendors.start()
        people = new_people(EARLIER + LEAVERS)
        await vendors.seed(people)
        await installation.up()
        long_ago = {"zone": "UTC", "access_ends_at": (LAST_MONTH + timedelta(days=9)).isoformat()}
        earlier = [termination(person, dates=long_ago) for person in people[:EARLIER]]
        ids = [f"evt-{person.worker_id}" for person in people]
        await asyncio.gather(*map(installation.post, ids, earlier))
        await installation.books.closed(ids[:EARLIER], within_s=PATIENCE_S)
        sealed = await all_sealed(auditor)
        slow = {"kind": "latency", "user": people[-1].email, "delay_ms": SLOW_MS}
        await vendors.set_faults(DIRECTORY, [{**slow, "unbounded": True}])
        events = [termination(person) for person in people[EARLIER:]]
        began = time.monotonic()
        statuses = await asyncio.gather(*map(installation.post, ids[EARLIER:], events))
        packs = await ask_for_packs(auditor, sealed)
        await vendors.set_faults(DIRECTORY, [])
        for _ in range(ROUNDS - 1):
            packs += await ask_for_packs(auditor, sealed)
        await installation.books.closed(ids, within_s=PATIENCE_S, poll_s=1)
        seconds = time.monotonic() - began
        last = await auditor.by_api(RUNNING, await all_sealed(auditor))
        key = FileSigner.parse((home / LEDGER_KEY).read_text()).verifier.to_text()
        yield Run(installation, key, packs, last, ids, Counter(statuses), seconds)
    finally:
        await auditor.aclose()
        await installation.down()
        await vendors.stop()


async def all_sealed(auditor: Auditor) -> int:
    """The newest head, once it is over the closing of every case."""
    query = """
        select h.size,
               count(*) filter (where h.size is null or l.leaf_index is null
                                   or l.leaf_index >= h.size) as left
          from (select max(size) as size from checkpoints) h
          cross join ledger_entries e left join ledger_leaves l on l.entry_id = e.id
         where e.kind = 'case:closed' group by h.size
    """

    async def sealed() -> int:
        [row] = await auditor.installation.books.ask(query)
        return 0 if row["left"] else int(row["size"])

    return await eventually(sealed, what="a head over every closing", poll_s=0.5)


def of(run: Run, period: tuple[str, str]) -> list[Made]:
    return [made for made in run.packs if made.period == period]


async def test_packs_were_made_while_cases_ran(run: Run) -> None:
    """The premise: each period, in each way, at least once wholly while cases were open."""
    amid = {(made.period, made.by) for made in run.packs if made.open_before and made.open_after}
    running = [Reader(made.path).rows("population/leavers.csv") for made in of(run, RUNNING)]

    assert amid == {(period, by) for period in (FINISHED, RUNNING) for by in ("API", "command")}
    assert any(row["open_items"] != "0" for rows in running for row in rows)


async def test_every_pack_verifies(run: Run) -> None:
    """Offline, with the key alone: in this process, and as an auditor types it."""
    key = FileSigner.parse((run.installation.home / LEDGER_KEY).read_text()).verifier
    for made in (*run.packs, run.last):
        report = verify_pack(made.path, keys=[key])
        failed = [step for step in report.steps if step.verdict is Verdict.FAIL]

        assert (failed, report.exit_code) == ([], 0), made
    for made in (of(run, FINISHED)[0], of(run, RUNNING)[-1]):
        said = await lockstep("evidence", "verify", str(made.path), "--key", run.key)

        assert said.code == 0, said


async def test_the_finished_period_is_the_same_every_time(run: Run) -> None:
    """The same head and the same wish give the same bytes, whoever asks and whatever runs."""
    packs = of(run, FINISHED)
    leavers = Reader(packs[0].path).rows("population/leavers.csv")

    assert len(packs) == 2 * ROUNDS
    assert len({hashlib.sha256(made.path.read_bytes()).hexdigest() for made in packs}) == 1
    assert len(leavers) == EARLIER


async def test_no_case_was_hindered(run: Run) -> None:
    """Every event was taken, every case closed in its time, and nobody was asked for help."""
    cases = await run.installation.books.ask("select status, count(*) from cases group by 1")
    asked = await run.installation.books.ask(
        "select case_id from ledger_entries where kind = 'revocation:needs_person'"
        " and case_id in (select case_id from cases where cutoff_at >= %(start)s)",
        start=MONTH_ENDED,
    )
    leavers = Reader(run.last.path).rows("population/leavers.csv")
    told = Counter((row["state"], row["within_sla"], row["open_items"]) for row in leavers)

    assert run.statuses == {202: LEAVERS}
    assert cases == [{"status": "closed", "count": EARLIER + LEAVERS}]
    assert asked == []
    assert told == {("done", "yes", "0"): LEAVERS}


async def test_figures(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The running period's packs know more and more leavers; the figures are printed."""
    heads = sorted(of(run, RUNNING), key=lambda made: made.checkpoint)
    known = [len(Reader(made.path).rows("population/leavers.csv")) for made in heads]

    assert known == sorted(known)
    with capsys.disabled():
        print(f"\nexports under load: {LEAVERS} cases closed after {run.seconds:.1f} s; packs:")  # noqa: T201
        for made in (*run.packs, run.last):
            about = f"{made.period[0]} by {made.by:7} at {made.checkpoint:5} entries"
            print(  # noqa: T201 - figures are for people
                f"  {about}: {made.seconds:4.1f} s, {made.path.stat().st_size:,} bytes,"
                f" {made.open_before} cases open before, {made.open_after} after"
            )

"""A case whose workflow's task fails is seen within a minute, whatever made it fail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from temporalio.client import Client
from temporalio.worker import Worker
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.cli.runtime.doctor import stalled_check
from lockstep.contracts import names
from lockstep.contracts import payloads as p
from lockstep.control.cases.desk import Desk, Person
from lockstep.control.refusals import UnansweredError
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.control.runtime.stalled import EVERY, StalledWatch, ask
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.notices import NoticeKind
from lockstep.domain.rights import Role
from lockstep.domain.stalled import TaskFault
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.temporal import TemporalDevServer
from lockstep.storage.board.views import CaseViews
from lockstep.storage.intake.inbox import Inbox
from lockstep.storage.outgoing.deliveries import Deliveries
from lockstep.storage.outgoing.notices import Notices
from lockstep.storage.runtime.stalled import StalledCases
from lockstep.storage.score.scores import Scores
from lockstep.web.api.prometheus import exposition
from tests.replay.mutants import AsksNobody, Faulty
from tests.support.casework import SYSTEM, TENANT, Casework
from tests.support.refusing import refusing_converter
from tests.web.console.conftest import Site, text_of
from tests.workflows.conftest import plan
from tests.workflows.doubles import Doubles, World
from workflows.case import CaseWorkflow

A_MINUTE_S = 60
QUEUE = "cases-stalled"


@contextlib.asynccontextmanager
async def working(client: Client, kind: type, doubles: Doubles) -> AsyncIterator[None]:
    cases = Worker(
        client,
        task_queue=QUEUE,
        workflows=[kind],
        activities=doubles.of_cases(),
        workflow_runner=sandboxed(),
        max_cached_workflows=0,
    )
    system = Worker(client, task_queue=names.system_queue(SYSTEM), activities=doubles.of_systems())
    async with cases, system:
        yield


async def begin(client: Client, case_id: str, doubles: Doubles) -> World:
    """Start the workflow of a case that waits for a person."""
    world = World(case_id, datetime.now(UTC))
    world.steps[SYSTEM] = [FaultCategory.PERMISSION_MISSING]
    doubles.worlds[case_id] = world
    given = p.CaseInput(case_id, world.cutoff, True, [plan(SYSTEM)])
    await client.start_workflow(names.CASE_WORKFLOW, given, id=case_id, task_queue=QUEUE)
    return world


async def seen(client: Client, kept: StalledCases, case_id: str) -> TaskFault:
    """Look as a worker does, until the case is seen; within a minute of now."""
    watch = StalledWatch(client, kept)
    async with asyncio.timeout(A_MINUTE_S - EVERY.total_seconds()):
        while True:
            await watch.step()
            for row in (await kept.read()).cases:
                if row.case_id == case_id:
                    return row.fault
            await asyncio.sleep(0.5)


async def test_a_failing_case_is_seen_everywhere(
    site: Site, work: Casework, client: Client
) -> None:
    """A bug: the page, the command, the notice, the metric and doctor tell of it, none says ok."""
    case_id = (await work.open()).case_id
    kept = StalledCases(site.engine)
    olivia = await site.sign_in(Role.OPERATOR)
    doubles = Doubles()
    async with working(client, Faulty, doubles):
        await begin(client, case_id, doubles)
        assert await seen(client, kept, case_id) is TaskFault.WORKER

        page = text_of(await olivia.get("/console/"))
        assert "1 case cannot go on." in page
        assert case_id in page
        assert "Nothing needs you" not in page

        found = await ask(client)
        check = stalled_check(found)
        assert (check.part, check.level) == ("cases", "problem")
        assert case_id in check.says
        assert "worker's log" in check.fix

        facts = await Notices(site.engine).about_cases(datetime.now(UTC))
        assert [fact.case_id for fact in facts if fact.kind is NoticeKind.STALLED] == [case_id]

        assert b"lockstep_cases_stalled 1.0" in await _metrics(site)

        said = await _stuck(site)
        assert f"{case_id}" in said
        assert "cannot go on" in said
        assert "Nothing is stuck." not in said
    await client.get_workflow_handle(case_id).terminate()


async def test_a_changed_order_of_commands_is_seen_and_a_mend_too(
    site: Site, work: Casework, client: Client
) -> None:
    """A release that does not follow the one before; back on that, the case goes on unsaid."""
    case_id = (await work.open()).case_id
    kept = StalledCases(site.engine)
    doubles = Doubles()
    async with working(client, CaseWorkflow, doubles):
        world = await begin(client, case_id, doubles)
        await world.until_asked(p.NeedsPersonInput)
    async with working(client, AsksNobody, doubles):
        handle = client.get_workflow_handle(case_id)
        await handle.signal(names.TERMINATION_CHANGED, p.TerminationChanged("e2"))
        assert await seen(client, kept, case_id) is TaskFault.ORDER
    async with working(client, CaseWorkflow, doubles), asyncio.timeout(A_MINUTE_S):
        watch = StalledWatch(client, kept)
        while (await kept.read()).cases:
            await watch.step()
            await asyncio.sleep(0.5)
    assert "Nothing is stuck." in await _stuck(site)
    assert stalled_check(await ask(client)).level == "ok"
    await handle.terminate()


async def test_a_decision_that_no_workflow_can_take_is_not_called_recorded(
    site: Site,
    work: Casework,
    client: Client,
    temporal: TemporalDevServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No answer comes; the text says that the case cannot go on, and what to do."""
    monkeypatch.setattr("lockstep.control.cases.desk._DECISION_TIMEOUT", EVERY / 2)
    case_id = (await work.open()).case_id
    doubles = Doubles()
    first = await Client.connect(temporal.address, data_converter=refusing_converter(site.ring))
    stranger = await Client.connect(temporal.address)
    async with working(first, CaseWorkflow, doubles):
        world = await begin(client, case_id, doubles)
        await world.until_asked(p.NeedsPersonInput)
        handle = stranger.get_workflow_handle(case_id)
        await handle.signal(names.TERMINATION_CHANGED, "plain")  # the first release fails on it
        desk = Desk(
            tenant=TENANT,
            views=CaseViews(site.engine, site.ring),
            inbox=Inbox(site.engine, site.ring),
            rule=CutoffRule(),
            client=client,
        )
        with pytest.raises(UnansweredError, match="cannot go on") as unanswered:
            await desk.decide(
                case_id, SYSTEM, DecisionKind.RETRY, Person("os:olivia", "it was mended")
            )
        assert "not known whether it is recorded" in str(unanswered.value)
    await handle.terminate()


async def test_what_nobody_looked_at_is_not_called_well(site: Site, work: Casework) -> None:
    """When no worker has looked for a minute, page and command say that it is not known."""
    await work.open()
    kept = StalledCases(site.engine)
    async with site.engine.begin() as connection:
        await connection.exec_driver_sql(
            "update task_looks set looked_at = now() - interval '2 minutes'"
        )
    olivia = await site.sign_in(Role.OPERATOR)
    page = text_of(await olivia.get("/console/"))
    assert "Whether every case goes on is not known." in page
    assert "Nothing needs you" not in page
    said = await _stuck(site)
    assert "is not known: no worker has looked for" in said
    assert "Nothing is stuck." not in said
    assert b"lockstep_cases_stalled " not in await _metrics(site)
    assert not (await kept.read()).is_known


async def _metrics(site: Site) -> bytes:
    async with Scores(site.engine).reading() as reading:
        head = await reading.head()
    backlog = await Deliveries(site.engine).backlog()
    known = await StalledCases(site.engine).total()
    return exposition(None, head, backlog, now=datetime.now(UTC), stalled=known)


async def _stuck(site: Site) -> str:
    given = ["stuck", "--config", str(site.folder / "stuck.toml")]
    (site.folder / "db").write_text(site.engine.url.render_as_string(hide_password=False))
    (site.folder / "stuck.toml").write_text(
        (site.folder / "lockstep.toml").read_text()
        + '\n[database]\nmode = "external"\nurl = "file:db"\n'
    )
    result = await asyncio.to_thread(CliRunner().invoke, app, given)
    assert result.exit_code == 0, result.output
    return result.output

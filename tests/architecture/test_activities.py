"""Stubs, activities and workers agree: what a workflow calls is there, under that name."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import typing
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client

from activities.access import AccessActivities
from activities.home import HomeActivities
from activities.record import RecordActivities
from lockstep import worker as worker_module
from lockstep.contracts import names, payloads, stubs
from lockstep.worker import Parts, build_workers
from tests.support.memory_connector import MemoryConnector
from workflows.case import CaseWorkflow

ROOT = Path(__file__).parents[2]
SYSTEM_QUEUE = "lockstep-system-okta"


def _activities(owner: object) -> dict[str, Callable[..., Any]]:
    """Everything in ``owner`` that is declared as an activity, by its name on the wire."""
    found = {}
    for _, member in inspect.getmembers(owner, callable):
        declared = activity._Definition.from_callable(member)
        if declared is not None:
            assert declared.name is not None
            found[declared.name] = member
    return found


STUBS = _activities(stubs)
REAL = _activities(AccessActivities) | _activities(HomeActivities) | _activities(RecordActivities)


def test_every_stub_has_an_activity_and_no_activity_is_without_a_stub() -> None:
    """The two sets of names are equal."""
    assert STUBS
    assert set(STUBS) == set(REAL)


@pytest.mark.parametrize("name", STUBS)
def test_a_stub_and_its_activity_have_the_same_types(name: str) -> None:
    """One dataclass in, one out, the same on both sides."""
    stub, real = (typing.get_type_hints(side[name]) for side in (STUBS, REAL))
    assert stub == real
    assert list(stub) == ["given", "return"]
    assert all(dataclasses.is_dataclass(kind) for kind in stub.values())
    assert all(kind.__module__ == payloads.__name__ for kind in stub.values())


@pytest.mark.parametrize("name", STUBS)
async def test_a_stub_is_never_run(name: str) -> None:
    """A worker that registered a stub by mistake says so at once."""
    with pytest.raises(AssertionError, match="registers lockstep activities"):
        await STUBS[name](None)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """What `build_workers` hands to each worker, by task queue; no server is needed."""
    built: dict[str, dict[str, Any]] = {}

    def record(client: object, *, task_queue: str, **options: Any) -> SimpleNamespace:
        assert task_queue not in built, "one worker for each queue"
        built[task_queue] = options
        return SimpleNamespace()

    monkeypatch.setattr(worker_module, "Worker", record)
    parts = Parts(
        stores=typing.cast("Any", SimpleNamespace(cases=None, revocations=None)),
        connectors={"okta": MemoryConnector()},
    )
    build_workers(typing.cast("Client", None), parts, hear=typing.cast("Any", None))
    return built


def _calls() -> dict[str, set[bool]]:
    """Each stub that the workflow calls, and whether it names a task queue: some do both."""
    called: dict[str, set[bool]] = {}
    for path in (ROOT / "workflows").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            first = node.args[0]
            if isinstance(first, ast.Attribute) and ast.unparse(first.value) == "stubs":
                names_queue = any(word.arg == "task_queue" for word in node.keywords)
                called.setdefault(first.attr, set()).add(names_queue)
    return called


def test_the_workflow_calls_every_stub() -> None:
    """A stub that nothing calls would be dead, and a call of another name unguarded."""
    assert set(_calls()) == set(STUBS)


@pytest.mark.parametrize("name", STUBS)
def test_what_the_workflow_calls_runs_on_the_queue_it_names(
    workers: dict[str, dict[str, Any]], name: str
) -> None:
    """An activity with a system's queue is registered there, any other with the cases."""
    assert names.system_queue("okta") == SYSTEM_QUEUE
    queues = {True: SYSTEM_QUEUE, False: names.CASE_QUEUE}
    expected = {queues[names_queue] for names_queue in _calls()[name]}
    offered = {
        queue: {
            declared.name
            for one in options["activities"]
            if (declared := activity._Definition.from_callable(one)) is not None
        }
        for queue, options in workers.items()
    }
    assert {queue for queue, offers in offered.items() if name in offers} == expected


def test_only_the_cases_queue_runs_workflows(workers: dict[str, dict[str, Any]]) -> None:
    """A system's worker holds its credential and nothing else."""
    assert workers[names.CASE_QUEUE]["workflows"] == [CaseWorkflow]
    assert "workflows" not in workers[SYSTEM_QUEUE]


def test_the_sandbox_stays_on_and_lets_only_pure_packages_through(
    workers: dict[str, dict[str, Any]],
) -> None:
    """Beside the SDK's own defaults, contracts and domain pass; nothing that does I/O."""
    runner = workers[names.CASE_QUEUE]["workflow_runner"].sandbox
    through = runner.restrictions.passthrough_modules
    assert {name for name in through if name.startswith("lockstep")} == {
        "lockstep.contracts",
        "lockstep.domain",
    }
    assert not through & {"workflows", "activities", "connectors", "sqlalchemy", "httpx"}
    assert runner.restrictions.invalid_module_members, "restrictions are in force"


_CALLS = {
    "workflow.execute_activity",
    "workflow.execute_local_activity",
    "workflow.start_activity",
}


def test_every_call_of_an_activity_bounds_its_attempts() -> None:
    """Start-to-close and a retry policy by name, on every call (house rule 16)."""
    tree = ast.parse((ROOT / "workflows" / "case.py").read_text())
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _CALLS
    ]
    assert len(calls) >= len(STUBS)
    for call in calls:
        given = {word.arg: ast.unparse(word.value) for word in call.keywords}
        assert "start_to_close_timeout" in given
        assert given["retry_policy"].startswith("policies.")

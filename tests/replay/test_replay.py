"""Every kept history replays on the workflow as it is, and a changed one is found out."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from temporalio.client import WorkflowHistory
from temporalio.workflow import NondeterminismError

from lockstep.contracts import payloads
from tests.architecture.test_activities import STUBS
from tests.replay import fingerprint, mutants
from tests.replay.record_histories import CORPUS, IDENTITY, MANIFEST
from tests.replay.replaying import replay
from tests.replay.scenarios import SCENARIOS
from workflows.case import CaseWorkflow

ROWS = {row["history"]: row for row in json.loads(MANIFEST.read_text())["histories"]}
HOW_TO_CHANGE = """The order of the workflow's commands has changed.
Cases that are running now would fail on it. If any may be running anywhere: keep the old order for
them with workflow.patched, and keep their histories. Then record the new order in the same change:
    python -m tests.replay.record_histories
"""


def _history(file: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(ROWS[file]["workflow_id"], (CORPUS / file).read_text())


async def _replay(file: str, workflow: type) -> None:
    """The corpus is not encrypted, so no codec is needed."""
    await replay(_history(file), workflow)


@pytest.mark.parametrize("file", ROWS)
async def test_a_history_replays(file: str) -> None:
    """What ran before the change runs on after it."""
    try:
        await _replay(file, CaseWorkflow)
    except NondeterminismError as error:
        pytest.fail(f"{file}: {error}\n{HOW_TO_CHANGE}", pytrace=False)


@pytest.mark.parametrize(
    ("mutant", "file"),
    [
        (mutants.SwapsSystems, "immediate.json"),
        (mutants.SwapsSystems, "unknown-then-found.json"),
        (mutants.SkipsRehearsal, "moved.json"),
        (mutants.SkipsRehearsal, "rescinded.json"),
        (mutants.PausesBeforeClosing, "immediate.json"),
        (mutants.PausesBeforeClosing, "returned.json"),
        (mutants.AsksNobody, "retried-and-attested.json"),
        (mutants.AsksNobody, "overdue.json"),
        (mutants.AsksNobody, "by-hand.json"),
        (mutants.HearsNoRehiring, "rehired.json"),
    ],
)
async def test_a_planted_change_of_order_is_found(mutant: type, file: str) -> None:
    """The gate can fail: each mutant breaks the histories that reach its change."""
    with pytest.raises(NondeterminismError):
        await _replay(file, mutant)


def test_the_corpus_is_what_its_manifest_says() -> None:
    """No history is missing, added or edited by hand."""
    assert set(ROWS) == {f"{name}.json" for name in SCENARIOS}
    assert {path.name for path in CORPUS.glob("*.json")} == {*ROWS, MANIFEST.name}
    for file, row in ROWS.items():
        assert hashlib.sha256((CORPUS / file).read_bytes()).hexdigest() == row["sha256"], file


def _events() -> Iterator[tuple[str, dict[str, Any]]]:
    for file in ROWS:
        for event in json.loads((CORPUS / file).read_text())["events"]:
            yield file, event


def test_the_corpus_reaches_every_kind_of_command() -> None:
    """Every activity, the signal, the update, timers, cancellation and search attributes."""
    types = {event["eventType"].removeprefix("EVENT_TYPE_") for _, event in _events()}
    assert types >= {
        "ACTIVITY_TASK_CANCEL_REQUESTED",
        "ACTIVITY_TASK_CANCELED",
        "ACTIVITY_TASK_FAILED",
        "TIMER_CANCELED",
        "TIMER_FIRED",
        "UPSERT_WORKFLOW_SEARCH_ATTRIBUTES",
        "WORKFLOW_EXECUTION_SIGNALED",
        "WORKFLOW_EXECUTION_UPDATE_COMPLETED",
    }
    scheduled = {
        event["activityTaskScheduledEventAttributes"]["activityType"]["name"]
        for _, event in _events()
        if "activityTaskScheduledEventAttributes" in event
    }
    local = {"close_case", "try_at_home"}  # these leave a marker instead
    assert "MARKER_RECORDED" in types
    assert scheduled == set(STUBS) - local


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a document with its path; payloads are decoded on the way."""
    match node:
        case {"metadata": {"encoding": _}, **rest}:
            # Null has no data. Nothing here is encrypted, so that a reader can check it.
            raw = base64.b64decode(rest.get("data", "bnVsbA=="))
            yield from _leaves(json.loads(raw), path)
        case dict():
            for key, value in node.items():
                yield from _leaves(value, (*path, key))
        case list():
            for value in node:
                yield from _leaves(value, path)
        case _:
            yield path, node


FIELDS = {
    item.name
    for kind in vars(payloads).values()
    if dataclasses.is_dataclass(kind)
    for item in dataclasses.fields(kind)
}


def test_the_corpus_holds_no_personal_data_and_no_trace_of_a_machine() -> None:
    """Made-up ids only: no address, no folder, no host; free text is one known sentence."""
    for file, event in _events():
        for path, value in _leaves(event):
            where = (file, event["eventId"], path)
            assert path[-1] != "stackTrace", where
            if path[-1] == "identity":
                assert value == IDENTITY, where
            if path[-1] in {"actor", "second_person"}:
                assert value in {"", "operator-1", "operator-2"}, where
            if path[-1] == "reason" and path[-2:-1] and "input" in path:
                assert value == "recorded scenario", where
            if isinstance(value, str):
                assert not re.search(r"@|/home|/root|/work|/tmp|/usr", value), where


MARKER = {
    "activation_index",
    "activity_id",
    "activity_type",
    "attempt",
    "backoff",
    "complete_time",
    "deprecated",
    "id",
    "nanos",
    "original_schedule_time",
    "seconds",
    "seq",
}


def test_histories_hold_nothing_that_a_payload_does_not_declare() -> None:
    """Ids, instants and counts: the members of every input are fields of a known dataclass."""
    for file, event in _events():
        for path, _ in _leaves(event):
            if "payloads" in path:
                # The core's own book-keeping of a marker.
                if "details" in path and not {"data", "patch-data"}.isdisjoint(path):
                    assert set(path[path.index("payloads") + 1 :]) <= MARKER
                    continue
                if "patch-data" in path:  # likewise: which of our patches it is
                    assert set(path[path.index("payloads") + 1 :]) <= {"id", "deprecated"}
                    continue
                inside = path[path.index("payloads") + 1 :]
                assert set(inside) <= FIELDS, (file, event["eventId"], inside)


def test_the_commands_of_the_source_are_the_recorded_ones() -> None:
    """The text of every path, recorded or not, keeps its order of commands."""
    assert fingerprint.fingerprint() == json.loads(fingerprint.BASELINE.read_text()), HOW_TO_CHANGE


def test_the_fingerprint_sees_a_change_of_order() -> None:
    """Swapped, left out or added: each gives another fingerprint; a comment gives the same."""
    source = (
        "async def run(self):\n"
        "    await workflow.execute_activity(stubs.one, 1)\n"
        "    await workflow.sleep(1)\n"
    )
    swapped = (
        "async def run(self):\n"
        "    await workflow.sleep(1)\n"
        "    await workflow.execute_activity(stubs.one, 1)\n"
    )
    known = fingerprint.commands_of(source)
    assert known == {"run": ["workflow.execute_activity(stubs.one)", "workflow.sleep"]}
    assert fingerprint.commands_of(swapped) != known
    assert fingerprint.commands_of(source.replace("stubs.one", "stubs.two")) != known
    assert fingerprint.commands_of(source.replace("    await workflow.sleep(1)\n", "")) != known
    assert fingerprint.commands_of(source.replace("\n    await", "\n    # why\n    await")) == known

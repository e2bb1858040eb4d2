"""Records the corpus anew: ``python -m tests.replay.record_histories [SCENARIO ...]``.

Run by hand, and only in the change that alters the order of a workflow's commands. As long as
cases with the old order may be running anywhere, that change needs ``workflow.patched`` and keeps
the old histories beside the new ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from lockstep.contracts import names
from lockstep.control.runtime.sandboxing import sandboxed
from lockstep.embedded.temporal import find_temporal_binary
from tests.replay import fingerprint
from tests.replay.scenarios import SCENARIOS, SYSTEMS, play
from tests.workflows.doubles import Doubles
from workflows.case import CaseWorkflow

CORPUS = Path(__file__).parent / "histories"
MANIFEST = CORPUS / "manifest.json"
IDENTITY = "recorder"
"""Instead of the process and host that histories name by default."""


async def record(wanted: list[str]) -> None:
    """Play the wanted scenarios on a dev server, unencrypted: they hold made-up ids only."""
    doubles = Doubles()
    server = await WorkflowEnvironment.start_local(
        dev_server_existing_path=str(find_temporal_binary()),
        search_attributes=list(names.SEARCH_ATTRIBUTES),
        identity=IDENTITY,
    )
    async with server, contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            Worker(
                server.client,
                task_queue=names.CASE_QUEUE,
                workflows=[CaseWorkflow],
                activities=doubles.of_cases(),
                workflow_runner=sandboxed(),
                identity=IDENTITY,
            )
        )
        for system in SYSTEMS:
            await stack.enter_async_context(
                Worker(
                    server.client,
                    task_queue=names.system_queue(system),
                    activities=doubles.of_systems(),
                    identity=IDENTITY,
                )
            )
        for name in wanted:
            history = await play(name, server.client, doubles, names.CASE_QUEUE)
            document = _without_stacks(history.to_json_dict())
            (CORPUS / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
            print(f"{name}: {len(history.events)} events")  # noqa: T201 - a script


def _without_stacks(document: Any) -> Any:
    """Stack traces name this machine's folders, and replay never reads them."""
    match document:
        case dict():
            kept = {key: value for key, value in document.items() if key != "stackTrace"}
            return {key: _without_stacks(value) for key, value in kept.items()}
        case list():
            return [_without_stacks(item) for item in document]
        case _:
            return document


def write_manifest() -> None:
    """What the corpus holds; the digests keep a history from being edited by hand."""
    rows: list[dict[str, Any]] = []
    for name, scenario in SCENARIOS.items():
        raw = (CORPUS / f"{name}.json").read_bytes()
        events = json.loads(raw)["events"]
        rows.append(
            {
                "history": f"{name}.json",
                "workflow": names.CASE_WORKFLOW,
                "workflow_id": f"c-{name}",
                "summary": scenario.summary,
                "events": len(events),
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
        )
    document = {"temporalio": version("temporalio"), "histories": rows}
    MANIFEST.write_text(json.dumps(document, indent=2) + "\n")


def main() -> None:
    CORPUS.mkdir(exist_ok=True)
    asyncio.run(record(sys.argv[1:] or list(SCENARIOS)))
    write_manifest()
    fingerprint.write_baseline()


if __name__ == "__main__":
    main()

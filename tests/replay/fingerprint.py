"""The commands of the workflows' source, in order: a cheap second guard beside replay.

Replay sees only the paths that were recorded; this sees every path, but only its text.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path

HERE = Path(__file__).parent
BASELINE = HERE / "commands.json"
WORKFLOWS = HERE.parents[1] / "workflows"
COMMANDS = {
    "workflow.execute_activity",
    "workflow.start_activity",
    "workflow.execute_child_workflow",
    "workflow.start_child_workflow",
    "workflow.sleep",
    "workflow.wait_condition",
    "workflow.upsert_search_attributes",
    "workflow.continue_as_new",
    "workflow.patched",
    "workflow.deprecate_patch",
    "asyncio.create_task",
    "asyncio.gather",
}


def commands_of(source: str) -> dict[str, list[str]]:
    """Per function: the calls that make commands, or that order tasks which do."""
    found: dict[str, list[str]] = {}
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        calls = [
            node
            for node in ast.walk(function)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in COMMANDS
        ]
        calls.sort(key=lambda call: (call.lineno, call.col_offset))
        if calls:
            found[function.name] = [_text(call) for call in calls]
    return found


def _text(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    if "activity" in name:
        return f"{name}({ast.unparse(call.args[0])})"
    timed = any(word.arg == "timeout" for word in call.keywords)
    return f"{name}(timeout)" if timed else name


def fingerprint() -> dict[str, dict[str, list[str]]]:
    """Of every workflow file, as it stands."""
    files = {path.name: commands_of(path.read_text()) for path in sorted(WORKFLOWS.glob("*.py"))}
    return {name: found for name, found in files.items() if found}


def write_baseline() -> None:
    BASELINE.write_text(json.dumps(fingerprint(), indent=2) + "\n")

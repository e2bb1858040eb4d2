"""The page for HR integrators is true: examples, schema, code and answers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from lockstep.control.intake.events import (
    FeedHeartbeat,
    TerminationEvent,
    cutoff_of,
    parse_event,
    read_message,
)
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.web.hooks.routes import _ANSWERS
from tests.web.conftest import LIMIT, SECRET, Hook, event, hook  # noqa: F401 - a fixture

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "termination-event.md").read_text()
SCHEMA = json.loads((DOCS / "termination-event.schema.json").read_text())


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


*EXAMPLES, HEARTBEAT = [json.loads(block) for block in blocks("json")]


def read(document: dict[str, object]):
    return parse_event(json.dumps(document).encode(), tenant="acme", source="hr", event_id="e")


def fields(model=TerminationEvent, prefix: str = "") -> Iterator[str]:
    for name, item in model.model_fields.items():
        yield prefix + name
        if hasattr(item.annotation, "model_fields"):
            yield from fields(item.annotation, f"{name}.")


def test_the_schema_file_is_the_models():
    """Regenerate it: json.dumps(TerminationEvent.model_json_schema(), indent=2)."""
    assert TerminationEvent.model_json_schema() == SCHEMA


@pytest.mark.parametrize("example", EXAMPLES, ids=["smallest", "every field"])
def test_examples_are_read_and_fit_the_schema(example):
    """Both examples are events by the model, by the schema and by the policy's calendar."""
    jsonschema.Draft202012Validator(SCHEMA).validate(example)

    assert cutoff_of(read(example), CutoffRule()).tzinfo is not None


def test_the_schema_refuses_what_we_refuse():
    """The schema is not so loose that anything fits."""
    wrong = {**EXAMPLES[0], "kind": "fired"}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(wrong)


def test_the_full_example_holds_every_field():
    """No field is left out of the page's example or table."""
    example = EXAMPLES[1]
    given = {*example, *(f"{a}.{b}" for a in ("worker", "dates") for b in example[a])}

    assert set(fields()) == given
    for name in set(fields()) - {"worker"}:
        assert f"`{name.removeprefix('dates.')}`" in PAGE, name


@pytest.mark.parametrize(
    ("dates", "cutoff"),
    [
        (EXAMPLES[1]["dates"], "2026-11-30T09:30"),
        (
            {"garden_leave_start": "2026-11-25", "last_working_day": "2026-11-30"},
            "2026-11-24T16:00",
        ),
        (
            {"garden_leave_start": "2026-12-01", "last_working_day": "2026-11-30"},
            "2026-11-30T10:00",
        ),
        (
            {"last_working_day": "2026-11-30", "employment_ends_on": "2026-12-31"},
            "2026-11-30T10:00",
        ),
        ({"employment_ends_on": "2026-12-31"}, "2026-12-31T10:00"),
    ],
)
def test_dates_mean_what_the_page_says(dates, cutoff):
    """The four rules, in their order, in Manila (UTC+8)."""
    document = {**EXAMPLES[0], "dates": {"zone": "Asia/Manila", **dates}}

    expected = datetime.fromisoformat(cutoff).replace(tzinfo=UTC)
    assert cutoff_of(read(document), CutoffRule()) == expected


async def test_the_code_on_the_page_delivers(hook: Hook):  # noqa: F811 - the fixture
    """What the page's Python signs, the hook accepts; what it signs otherwise, it does not."""
    [code] = blocks("python")
    scope: dict[str, object] = {}
    exec(compile(code, "termination-event.md", "exec"), scope)
    raw, headers = scope["signed"](event(), "evt_page", SECRET)
    other, refused = scope["signed"](event(), "evt_page", "whsec_" + "A" * 32)

    assert (await hook.deliver(raw, headers)).status_code == 202
    assert (await hook.deliver(other, refused)).status_code == 401


def test_the_heartbeat_on_the_page_is_one():
    """With every field that it can have."""
    assert isinstance(read_message(json.dumps(HEARTBEAT).encode()), FeedHeartbeat)
    assert set(HEARTBEAT) == set(FeedHeartbeat.model_fields)


async def test_the_code_on_the_page_sends_heartbeats(hook: Hook):  # noqa: F811 - the fixture
    """Its helper signs a heartbeat with an id of its own, which the hook accepts."""
    [code] = blocks("python")
    scope: dict[str, object] = {}
    exec(compile(code, "termination-event.md", "exec"), scope)
    sent = []
    scope["deliver"] = lambda url, *what: sent.append(scope["signed"](*what))
    for _ in range(2):
        scope["heartbeat"]("https://lockstep.example/hooks/hr", SECRET)
    answers = [await hook.deliver(raw, headers) for raw, headers in sent]

    assert answers[0].status_code == 202
    assert answers[1].status_code in {200, 202}  # 202 where the hour ended in between
    assert len({headers["webhook-id"] for _, headers in sent}) == 2


def test_every_answer_is_on_the_page():
    """The table of answers holds the statuses that the hook can give, and no other."""
    told = re.findall(r"^\| (\d{3}) \|", PAGE, re.MULTILINE)
    assert {int(status) for status in told} == set(_ANSWERS)
    assert f"{LIMIT // 1024} KiB" in PAGE

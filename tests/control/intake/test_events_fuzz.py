"""Reading an event: every body becomes a termination or an `EventError`, nothing else."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given, settings

from lockstep.control.intake.events import EventError, cutoff_of, parse_event, read_message
from lockstep.domain.cases.cutoff import CutoffRule
from tests.web.test_hook_fuzz import bodies, changed, documents

RULES = [CutoffRule(), CutoffRule(involuntary_at_notice=True)]


def read(raw: bytes):
    return parse_event(raw, tenant="acme", source="hr", event_id="e1")


@settings(max_examples=800, deadline=None)
@given(raw=bodies)
@example(raw=b"[" * 100_000)
@example(raw=b'{"a":' * 900 + b"1" + b"}" * 900)
@example(raw=b'{"revision": ' + b"1" * 5000 + b"}")
@example(raw=changed([(("dates", "access_ends_at"), "0001-01-01T00:00:00+14:00")]))
@example(raw=changed([(("dates", "last_working_day"), "9999-12-31")]))
@example(raw=changed([(("recorded_at",), "9999-12-31T23:59:59-23:59")]))
@example(raw=changed([(("dates", "zone"), "America")]))
def test_only_event_errors_escape(raw):
    """Parsing and reckoning the cutoff, under either policy, raise `EventError` or succeed."""
    for rule in RULES:
        with contextlib.suppress(EventError):
            cutoff_of(read(raw), rule)
    with contextlib.suppress(EventError):
        read_message(raw)


@settings(max_examples=300, deadline=None)
@given(raw=bodies)
def test_every_problem_can_be_answered_and_stored(raw):
    """Problems are short printable text that JSON and PostgreSQL take."""
    problems = []
    try:
        read(raw)
    except EventError as error:
        problems = error.problems or ["none given"]
    for problem in problems:
        assert ": " in problem
        assert problem.isprintable()
        assert json.dumps(problem).encode()
        assert problem.encode()


@settings(max_examples=200, deadline=None)
@given(value=documents)
def test_a_value_is_never_quoted(value):
    """Whatever stands in a field that is refused, the error does not repeat it."""
    marked = {"secret value": value, "list": ["secret value"]}
    with pytest.raises(EventError) as caught:
        read(changed([(("worker", "id"), marked), (("kind",), "secret value")]))

    assert "secret value" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [20261231, "20261231", 1764547200, 1764547200000, 1.5, "1764547200"]
)
@pytest.mark.parametrize(
    "field",
    [("recorded_at",), ("hired_at",), ("dates", "access_ends_at"), ("dates", "last_working_day")],
)
def test_a_number_is_no_date(field, value):
    """Seconds since 1970 nobody meant: `20261231` would be a day in August 1970."""
    with pytest.raises(EventError) as caught:
        read(changed([(field, value)]))

    assert ".".join(field) in str(caught.value)
    assert "write it out" in str(caught.value)


def test_a_good_event_is_read():
    """The fuzz above does not refuse everything."""
    assert read(changed([])).revision == 1

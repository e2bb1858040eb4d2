"""Hooks of schemathesis: ids that exist, moments to come, tokens in turn, signed deliveries.

What is made up at random never names a case; then only refusals would be tried.
"""

from __future__ import annotations

import itertools
import json
import os
import zlib
from collections import deque
from datetime import UTC, datetime
from typing import Any

import schemathesis
from standardwebhooks import Webhook

from tests.web.fuzz_openapi import GIVEN

_NEWEST = 20

_given: dict[str, Any] = json.loads(os.environ[GIVEN])
_known = {name: deque(values, maxlen=_NEWEST) for name, values in _given["known"].items()}
_tokens = itertools.cycle(_given["tokens"])  # one may ask so many times a minute only
_turns = itertools.count()
_MADE_HERE = {"request_id": "request_id", "id": "event", "act_id": "act_id"}
"""Fields of answers, and the path parameters that they can be given as."""
_asked_by: dict[str, str] = {}
"""The authorization that made a request or an event, by its id: it is for nobody else."""


def _known_instead(given: Any) -> Any:
    """Three of four values with a name that we know something for; the seed decides which."""
    if isinstance(given, list):
        return [_known_instead(item) for item in given]
    if not isinstance(given, dict):
        return given
    chosen = {}
    for name, value in given.items():
        pick = zlib.crc32(repr(value).encode())
        known = _known.get(name)
        chosen[name] = known[pick // 4 % len(known)] if known and pick % 4 else value
        if chosen[name] is value:
            chosen[name] = _known_instead(value)
    return chosen


@schemathesis.hook
def map_path_parameters(
    _: schemathesis.HookContext, path_parameters: dict[str, Any]
) -> dict[str, Any]:
    """Mostly what is there."""
    chosen: dict[str, Any] = _known_instead(path_parameters)
    return chosen


@schemathesis.hook
def map_body(_: schemathesis.HookContext, body: Any) -> Any:
    """Mostly what can be done."""
    return _known_instead(body)


@schemathesis.hook
def before_call(
    _: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]
) -> None:
    """Give the call a token, or every other delivery its signature."""
    del kwargs
    headers = case.headers
    if not case.path.startswith("/hooks/"):
        headers["Authorization"] = f"Bearer {next(_tokens)}"
        if case.path.endswith("/withdraw") or case.path.startswith("/api/events/"):
            for value in (case.path_parameters or {}).values():
                headers["Authorization"] = _asked_by.get(str(value), headers["Authorization"])
        return
    turn = next(_turns)
    if turn % 2 or not isinstance(case.body, dict | list):
        return
    raw, sent_at, event_id = json.dumps(case.body), datetime.now(UTC), f"evt_fuzz_{turn // 4}"
    case.body = raw.encode()
    headers["webhook-id"] = event_id
    headers["webhook-timestamp"] = str(int(sent_at.timestamp()))
    headers["webhook-signature"] = Webhook(_given["secret"]).sign(event_id, sent_at, raw)


@schemathesis.hook
def after_call(
    _: schemathesis.HookContext, case: schemathesis.Case, response: schemathesis.Response
) -> None:
    """Remember what was made, and by whom, so that a later call finds it."""
    if response.status_code not in {200, 202}:
        return
    try:
        told = json.loads(response.content)
    except ValueError:
        return
    for name, parameter in _MADE_HERE.items():
        if isinstance(told, dict) and isinstance(told.get(name), str | int):
            _known.setdefault(parameter, deque(maxlen=_NEWEST)).append(told[name])
            _asked_by[str(told[name])] = str(case.headers["Authorization"])

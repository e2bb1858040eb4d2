"""The two scores of a pack, from the same entries that it shows."""

from __future__ import annotations

from typing import Any

from lockstep.evidence.history import History
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.pack.population import in_scope
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.metric import Window, official_window, score


def pack_scores(
    history: History, definition: Definition, scope: PackScope
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The official score at the pack's instant, and that of the period that was asked for.

    A period that has not ended is scored up to the pack's instant.
    """
    windows = (
        official_window(definition, scope.as_of),
        Window(scope.start, min(scope.end, scope.as_of)),
    )
    official, period = (
        score(
            (facts for facts in history.cases.values() if in_scope(facts, scope)),
            definition,
            window=window,
            as_of=scope.as_of,
            findings=history.findings,
            feeds=history.feeds.feeds(),
        ).as_document()
        for window in windows
    )
    return official, period

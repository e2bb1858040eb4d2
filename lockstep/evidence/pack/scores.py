"""The two scores of a pack, from the same entries that it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack.model import PackScope
from lockstep.evidence.pack.people.population import in_scope
from lockstep.evidence.pack.withheld import bounded, withheld_document
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.metric import Score, Window, official_window, score
from lockstep.scorecard.policies import PolicyTerms, under_policies

BOUNDED_SINCE = 3
"""The format from which on a score says itself how far what is withheld could move it."""


class PackScores(NamedTuple):
    """Documents of the two scores.

    Args:
        withheld: how far what is withheld could move the official one; None where nothing is.
    """

    official: dict[str, Any]
    period: dict[str, Any]
    withheld: dict[str, Any] | None


def pack_scores(
    history: History, definition: Definition, scope: PackScope, *, withheld: int
) -> PackScores:
    """The official score at the pack's instant, and that of the period that was asked for.

    A period that has not ended is scored up to the pack's instant.

    Args:
        history: of the entries that the pack shows.
        definition: of the metric.
        scope: of the pack, and its format.
        withheld: how many entries it does not show.
    """
    windows = (
        official_window(definition, scope.as_of),
        Window(scope.start, min(scope.end, scope.as_of)),
    )
    scores = [_score(history, definition, scope, window) for window in windows]
    is_bounded = scope.format >= BOUNDED_SINCE
    official, period = (
        bounded(one, withheld) if is_bounded else one.as_document() for one in scores
    )
    limits = withheld_document(scores[0], withheld) if withheld else None
    return PackScores(official, period, limits)


def _score(history: History, definition: Definition, scope: PackScope, window: Window) -> Score:
    def cases() -> Iterator[CaseFacts]:
        return (facts for facts in history.cases.values() if in_scope(facts, scope))

    given: dict[str, Any] = {
        "window": window,
        "as_of": scope.as_of,
        "findings": history.findings,
        "feeds": history.feeds.feeds(),
    }
    found = score(cases(), definition, **given, called_off=cases())
    if not definition.has_rules or len(found.policies) == 1:
        return found
    terms = [PolicyTerms.of(digest, history.policies[digest]) for digest in found.policies]
    under = under_policies(cases(), definition, terms, **given, called_off=cases())
    return replace(found, by_policy=under)

"""The score's document as it leaves the house: to whoever may not know of coming dismissals.

A dismissal has no part in a score before its cutoff, and `Question.sealed` keeps it out of every
count. What is left here is what a source or the ledger as a whole would tell: to the very second
when HR last sent something, and by how many entries the ledger has grown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from lockstep.evidence.format.canonical import instant_text

_MS = timedelta(milliseconds=1)


def outside(document: Mapping[str, Any], *, heads: bool = False) -> dict[str, Any]:
    """A copy that tells nothing of what is sealed.

    ``heads``: with the ledger's size and root, for whoever compares them with a pack or a proof.
    """
    shown = {**document, "score": _by_the_hour(document["score"])}
    if "by" in document:
        shown["by"] = {
            dimension: {name: _by_the_hour(found) for name, found in groups.items()}
            for dimension, groups in document["by"].items()
        }
    if not heads:
        shown["ledger"] = {**document["ledger"], "size": None, "root": None}
    return shown


def _by_the_hour(found: Mapping[str, Any]) -> dict[str, Any]:
    """One score, whose sources were heard in an hour and at no instant."""
    as_of = datetime.fromisoformat(found["as_of"])
    feeds = [_feed(feed, as_of) for feed in found["feeds"]]
    stalest = max((feed["age_ms"] for feed in feeds), default=None)
    return {**found, "feeds": feeds, "feed_age_ms": stalest}


def _feed(feed: Mapping[str, Any], as_of: datetime) -> dict[str, Any]:
    if feed["heard_at"] is None:
        return dict(feed)
    heard = datetime.fromisoformat(feed["heard_at"])
    hour = heard.replace(minute=0, second=0, microsecond=0)
    last = max(hour, datetime.fromisoformat(feed["expected_since"]))
    return {**feed, "heard_at": instant_text(hour), "age_ms": max(0, (as_of - last) // _MS)}

"""Which sources of HR are expected, and when each was last heard, folded entry by entry.

Pure, and with the standard library alone, like `lockstep.evidence.ledger.fold`: what is served, the
exporter and the verifier measure the silence of HR by the same rules.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.ledger.fold import NOT_AS_ITS_KIND, Document, UnfitError
from lockstep.scorecard.facts import Feed

MAX_SOURCES = 1000
"""That one ledger may name."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(slots=True)
class FeedBook:
    """What is known of HR's sources after some entries of a ledger.

    Args:
        expected: names, as the last entry about them says.
    """

    expected: tuple[str, ...] = ()
    _since: dict[str, int] = field(default_factory=dict)
    _heard: dict[str, int] = field(default_factory=dict)
    _dropped: dict[str, int] = field(default_factory=dict)

    def take_expected(self, entry: Document) -> None:
        """Take an entry ``feed:expected``; raises any of `fold.MALFORMED`."""
        names = entry["data"]["sources"]
        if type(names) is not list:
            raise UnfitError(NOT_AS_ITS_KIND)
        named = tuple(_name(name) for name in names)
        if len(set(named)) != len(named):
            raise UnfitError(NOT_AS_ITS_KIND)
        at = _said_at(entry)
        for name in set(self.expected) - set(named):
            self._dropped[name] = at
        for name in named:
            _check_room(self._since, name)
            self._since.setdefault(name, at)
            self._dropped.pop(name, None)
        self.expected = named

    def take_heard(self, entry: Document) -> None:
        """Take an entry ``feed:heard``; raises any of `fold.MALFORMED`."""
        self.hear(_name(entry["data"]["source"]), _said_at(entry))

    def hear(self, source: str, at: int) -> None:
        """A source was heard, by an entry of whatever kind.

        Raises:
            UnfitError: if the ledger names more than `MAX_SOURCES`.
        """
        _check_room(self._heard, source)
        self._heard[source] = max(at, self._heard.get(source, at))

    def feeds(self) -> tuple[Feed, ...]:
        """The expected sources, by name."""
        return tuple(
            Feed(name, self._since[name], self._heard.get(name)) for name in sorted(self.expected)
        )

    def dropped(self, *, since: int) -> list[tuple[str, int]]:
        """Sources that are not expected any more, and since when; those from ``since`` on."""
        return sorted((name, at) for name, at in self._dropped.items() if at >= since)


def _said_at(entry: Document) -> int:
    """When, and never later than it was written down: the future is not heard yet."""
    return min(instant_ms(entry["occurred_at"]), instant_ms(entry["recorded_at"]))


def _name(value: object) -> str:
    if type(value) is not str or not _NAME.fullmatch(value):
        raise UnfitError(NOT_AS_ITS_KIND)
    return value


def _check_room(known: dict[str, int], name: str) -> None:
    if name not in known and len(known) >= MAX_SOURCES:
        raise UnfitError(f"it names one more than {MAX_SOURCES} sources")

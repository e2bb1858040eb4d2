"""Whose number a worker's id is: the same number in two HR systems is two people.

Unless policy says that two sources number the same people (`Numbering.same_people`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

LOCAL_SOURCE = "cli"
"""Source of events that a person here entered; no webhook may use this name. Public.

As whose number it is: nobody's, the number of somebody whom no HR system here knows.
"""


class WhoseNumberError(ValueError):
    """It is not known whose worker somebody means; the text names the sources to choose from."""


@dataclass(frozen=True, slots=True)
class Numbering:
    """The sources that are configured, and the groups of them that number the same people."""

    sources: tuple[str, ...] = ()
    same_people: tuple[tuple[str, ...], ...] = ()

    @property
    def is_one_range(self) -> bool:
        """Whether a number names one person, whichever source gave it."""
        return not self.sources or set(self.sources) <= set(self.peers(self.sources[0]))

    def peers(self, source: str) -> tuple[str, ...]:
        """Under whose numbers a worker of ``source`` can be known; its own first.

        Where all sources number the same people, whoever was reported here by hand without a
        source is one of theirs too.
        """
        group = next((group for group in self.same_people if source in group), (source,))
        names = [source, *(name for name in group if name != source)]
        if source != LOCAL_SOURCE and set(self.sources) <= set(names):
            names.append(LOCAL_SOURCE)
        return tuple(names)

    def shares(self, source: str) -> bool:
        """Whether another source numbers the same people as ``source``."""
        return any(source in group for group in self.same_people)

    def choose(self, named: str, known: Collection[str]) -> str:
        """Whose number somebody means who reports here by hand.

        Args:
            named: the source that they named; "" where they named none.
            known: under whose numbers this worker id is known.

        Raises:
            WhoseNumberError: if there is no such source, or none was named and several fit.
        """
        if named:
            if named in self.sources or named == LOCAL_SOURCE:
                return named
            raise WhoseNumberError(f"source: there is none named so: choose {self._choices()}")
        if not self.sources:
            return LOCAL_SOURCE
        fitting = sorted(known) or list(self.sources)
        first = fitting[0]
        if set(fitting) <= {*self.peers(first), LOCAL_SOURCE} and self._one_people(fitting):
            return next((name for name in fitting if name != LOCAL_SOURCE), self._only(first))
        which = ", ".join(fitting)
        why = "is known under" if known else "can be of"
        raise WhoseNumberError(
            f"source: this worker number {why} several sources ({which}): say whose it is,"
            f" {self._choices()}"
        )

    def _one_people(self, names: Collection[str]) -> bool:
        """Whether all these name the same people."""
        real = [name for name in names if name != LOCAL_SOURCE]
        if not real:
            return True
        peers = set(self.peers(real[0]))
        return set(real) <= peers and (LOCAL_SOURCE not in names or LOCAL_SOURCE in peers)

    def _only(self, name: str) -> str:
        """``name``, or the first source where all of them number the same people."""
        first = self.sources[0]
        return first if LOCAL_SOURCE in self.peers(first) else name

    def _choices(self) -> str:
        return " or ".join([*self.sources, f"{LOCAL_SOURCE} (nobody's)"])

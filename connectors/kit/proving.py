"""Proving that a search can find: an empty answer alone says nothing.

Servers ignore filters, compare with regard to case, do not index an attribute, or hold it for
nobody. So before a search that found nobody is believed, the very same search must find an account
that is known to be there: one out of a list, asked for by what it holds, written in another case.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from connectors.base import ConnectorFault
from lockstep.domain.access import Match, Proof
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import KeyKind

LIFE_S = 24 * 3600.0
"""A proof is made anew once a day, and by every new process."""
SAMPLE_S = 60.0
"""The sample is personal data: it is kept as long as the searches of one leaver take."""

CANARIES = 3
"""So many known accounts are asked for, where our credential is refused some of them."""


class Shape(StrEnum):
    """How user names are written; a search for one among the other finds nobody, whoever is there.

    So it counts as not made: an address where the names are words, a word where all are addresses.
    """

    ADDRESS = "address"
    WORD = "word"


def shape_of(name: str) -> Shape:
    return Shape.ADDRESS if "@" in name else Shape.WORD


def is_among(wanted: str, shapes: Collection[Shape]) -> bool:
    """Whether a search for ``wanted`` among names of these shapes could find anybody.

    Where no name was seen, nothing speaks against it.
    """
    return not shapes or shape_of(wanted) in shapes


Ask = Callable[[str], Awaitable[Sequence[Match]]]
"""The very search that a leaver is looked for with: by one value."""
Sample = Callable[[], Awaitable[Sequence[Match]]]


@dataclass(slots=True)
class Prover:
    """Remembers for a day which searches of one system were seen to find; never that one was not.

    Args:
        now: a monotonic clock in seconds.
    """

    now: Callable[[], float] = time.monotonic
    _proved: dict[str, float] = field(default_factory=dict)
    _shapes: dict[KeyKind, frozenset[Shape]] = field(default_factory=dict)
    _sampled: tuple[float, Sequence[Match]] | None = field(default=None, repr=False)

    async def proof_of(
        self, name: str, kind: KeyKind, *, sample: Sample, ask: Ask, wanted: str = ""
    ) -> Proof:
        """Whether the search ``name`` was proved to find accounts by what they hold of ``kind``.

        Args:
            name: of the search, for instance the attribute that it looks at.
            kind: the kind of key under which the vendor holds that attribute.
            wanted: what is compared whole with user names: it must be written as they are.
            sample: a page of accounts as the vendor lists them, without any filter. An empty page
                means that the system has no accounts at all.
            ask: the very search that the leaver was looked for with.

        Raises:
            ConnectorFault: of the calls that the proof takes.
        """
        proved_at = self._proved.get(name)
        proof = Proof.PROVED
        if proved_at is None or self.now() - proved_at >= LIFE_S:
            proof = await self._prove(kind, sample, ask)
            if proof is Proof.PROVED:
                self._proved[name] = self.now()
        if wanted and not is_among(wanted, self._shapes.get(kind, ())):
            return Proof.NOT_HELD
        return proof

    def forget(self) -> None:
        """Prove anew; health does so, because people ask it after they changed something."""
        self._proved.clear()
        self._shapes.clear()
        self._sampled = None

    async def _prove(self, kind: KeyKind, sample: Sample, ask: Ask) -> Proof:
        accounts = await self._sample(sample)
        if not accounts:
            return Proof.LISTED  # nobody is there, and the list says so
        known = [
            (match.account.id, key.value)
            for match in accounts
            for key in match.account.known_keys
            if key.kind is kind and key.value
        ]
        self._shapes[kind] = frozenset(shape_of(value) for _, value in known)
        if not known:
            return Proof.NOT_HELD
        refused: ConnectorFault | None = None
        for account, value in known[:CANARIES]:
            try:
                found = await ask(turned(value))
            except ConnectorFault as fault:
                if fault.category is not FaultCategory.PERMISSION_MISSING:
                    raise
                refused = fault  # we may not see this one; another may show that the search finds
                continue
            hit = any(one.account.id == account for one in found)
            return Proof.PROVED if hit else Proof.UNPROVED
        if refused is None:
            return Proof.UNPROVED
        raise refused

    async def _sample(self, sample: Sample) -> Sequence[Match]:
        if self._sampled is None or self.now() - self._sampled[0] >= SAMPLE_S:
            self._sampled = (self.now(), await sample())
        return self._sampled[1]


def turned(value: str) -> str:
    """The same value in another case: a search that heeds case must not pass for one that finds."""
    return value.swapcase() if value.isascii() else value


def together(proofs: Iterable[Proof]) -> Proof:
    """What the searches for one key, by several attributes, prove together.

    One that is broken spoils it: the key may stand just there. One that nobody holds does not
    count, and is enough for nothing by itself.
    """
    made = set(proofs)
    for proof in (Proof.FAILED, Proof.UNPROVED, Proof.PROVED, Proof.LISTED, Proof.BY_ID):
        if proof in made:
            return proof
    return Proof.NOT_HELD if made else Proof.UNPROVED

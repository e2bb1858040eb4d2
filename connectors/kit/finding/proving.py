"""Proving that a search can find: an empty answer alone says nothing.

Servers ignore filters, compare with regard to case, do not index an attribute, or hold it for
nobody. So before a search that found nobody is believed, the very same search must find an account
that is known to be there: one out of a list, asked for by what it holds, written in another case.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import idna

from connectors.base import ConnectorFault
from connectors.kit.memory import Memory
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import Match, Proof
from lockstep.domain.systems.faults import FaultCategory

LIFE_S = 24 * 3600.0
"""A proof is made anew once a day, and by every new process."""
SAMPLE_S = 60.0
"""The sample is personal data: it is kept as long as the searches of one leaver take."""

_A_LABEL = "xn--"
CANARIES = 10
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
        empty: what a list of nobody at all proves: that nobody is there, or nothing, where whoever
            made our credential is an account of the system and must be in it.
        now: a monotonic clock in seconds.
    """

    empty: Proof = Proof.LISTED
    now: Callable[[], float] = time.monotonic
    _proved: Memory[tuple[str, bool], bool] = field(init=False)
    _shapes: dict[KeyKind, frozenset[Shape]] = field(default_factory=dict)
    _sampled: Memory[None, Sequence[Match]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._proved = Memory(life_s=LIFE_S, now=self.now)
        self._sampled = Memory(life_s=SAMPLE_S, now=self.now)

    async def proof_of(
        self, name: str, kind: KeyKind, *, wanted: str, sample: Sample, ask: Ask
    ) -> Proof:
        """Whether the search ``name`` was proved to find ``wanted``, had somebody held it.

        Args:
            name: of the search, for instance the attribute that it looks at.
            kind: the kind of key under which the vendor holds that attribute.
            wanted: what was searched for. A user name must be written as those that are held, and
                one beyond plain letters is proved by such a one only. "" for any plain one.
            sample: a page of accounts as the vendor lists them, without any filter. An empty page
                means that the system has no accounts at all.
            ask: the very search that the leaver was looked for with.

        Raises:
            ConnectorFault: of the calls that the proof takes.
        """
        search = name, is_plain(wanted)
        proof = Proof.PROVED
        if not self._proved.get(search):
            proof = await self._prove(kind, sample, ask, plain=is_plain(wanted))
            if proof is Proof.PROVED:
                self._proved.keep(search, True)
        is_name = kind is KeyKind.USERNAME and bool(wanted)
        if is_name and not is_among(wanted, self._shapes.get(kind, ())):
            return Proof.NOT_HELD
        return proof

    def forget(self) -> None:
        """Prove anew; health does so, because people ask it after they changed something."""
        self._proved.forget()
        self._shapes.clear()
        self._sampled.forget()

    async def _prove(self, kind: KeyKind, sample: Sample, ask: Ask, *, plain: bool) -> Proof:
        accounts = await self._sample(sample)
        if not accounts:
            return self.empty
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
        canaries = [one for one in known if is_plain(one[1]) is plain]
        for account, value in canaries[:CANARIES]:
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
        known = self._sampled.get(None)
        if known is None:
            known = await sample()
            self._sampled.keep(None, known)
        return known


def is_plain(value: str) -> bool:
    """Whether a value is written in one way only but for its case.

    é is one letter or two, and a domain has a form for people and one for the DNS: a server that
    finds the one form may be blind for the other.
    """
    return value.isascii() and _A_LABEL not in value.lower()


def turned(value: str) -> str:
    """The same value written otherwise: a search that heeds it must not pass for one that finds.

    In another case, and what is not plain in another normal form, its domain in the other form.
    """
    local, at, domain = value.rpartition("@")
    if _A_LABEL in domain.lower():
        domain = _or_same(lambda: idna.decode(domain), domain)
    elif not domain.isascii() and at:
        domain = _or_same(lambda: idna.encode(domain, uts46=True).decode(), domain)
    other = "".join(map(_turned_letter, f"{local}{at}{domain}"))
    if other.isascii():
        return other
    apart = unicodedata.normalize("NFD", other)
    return apart if apart != other else unicodedata.normalize("NFC", other)


def _turned_letter(letter: str) -> str:
    """The other case of a letter, where it is one letter and leads back."""
    other = letter.swapcase()
    return other if len(other) == 1 and other.swapcase() == letter else letter


def _or_same(made: Callable[[], str], value: str) -> str:
    try:
        return made()
    except idna.IDNAError:
        return value


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

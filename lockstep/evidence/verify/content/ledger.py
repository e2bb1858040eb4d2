"""The entries, read once as a stream: the tree over them, and what they say."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lockstep.evidence.format.merkle import Frontier, TreeError
from lockstep.evidence.format.plain import PlainError, instant_ms, parse_canonical
from lockstep.evidence.ledger.history import History, HistoryError
from lockstep.evidence.verify.forms import count, exact, text
from lockstep.evidence.verify.heads.earlier import Opening
from lockstep.evidence.verify.report import RefutedError, shown

VERSION = 1
"""Of an entry's format."""

_LEAF = b"\x00"
_WITHHELD = re.compile(rb"#([0-9]|[1-5][0-9]|6[0-2]) ([0-9a-f]{64})")


@dataclass(slots=True)
class Ledger:
    """What the stream of entries came to.

    Args:
        tree: the frontier after the last line.
        tree_problem: why the lines make no tree; "" where they do.
        roots: the tree's roots at those wanted sizes that fall between two lines.
        problem: the first thing that is wrong with what the entries say; "" where nothing is.
        openings: hash of the entry that each case begins with.
        identities: the latest commitment to who a leaver is (hex), by case.
        disclosed: how many entries are shown.
        newest: the latest instant at which an entry was recorded.
        opening: what an earlier pack withheld, if one was given.
    """

    tree: Frontier = field(default_factory=Frontier)
    tree_problem: str = ""
    roots: dict[int, bytes] = field(default_factory=dict)
    problem: str = ""
    history: History = field(default_factory=History)
    openings: dict[str, bytes] = field(default_factory=dict)
    identities: dict[str, str] = field(default_factory=dict)
    disclosed: int = 0
    newest: int = 0
    opening: Opening | None = None


def read_ledger(
    lines: Iterator[bytes],
    *,
    tenant: str,
    sizes: Collection[int],
    identified: bool,
    opening: Opening | None = None,
) -> Ledger:
    """Read ``ledger/entries.jsonl`` line by line.

    The tree is built to the end whatever the entries say, and the entries are read to the end
    whatever the tree is: a reader wants to know both.

    Args:
        lines: of the file, without their line feeds.
        tenant: that every entry must name; "" where no statement says it.
        sizes: of heads whose roots are wanted.
        identified: whether commitments to identities are wanted.
        opening: takes what an earlier pack withheld.
    """
    reader = _Reader(tenant, frozenset(sizes), identified=identified)
    reader.ledger.opening = opening
    try:
        for line in lines:
            reader.take(line)
    except (TreeError, RefutedError) as error:
        reader.ledger.tree_problem = str(error)
    reader.finish()
    return reader.ledger


class _Reader:
    def __init__(self, tenant: str, sizes: frozenset[int], *, identified: bool) -> None:
        self.ledger = Ledger()
        self._tenant = tenant
        self._sizes = sizes
        self._identified = identified
        self._keys = _Seen()
        self._has_looked = False
        if 0 in sizes:
            self.ledger.roots[0] = self.ledger.tree.root()

    def take(self, line: bytes) -> None:
        ledger = self.ledger
        self._look_back()
        if line.startswith(b"#"):
            withheld = _WITHHELD.fullmatch(line)
            if withheld is None:
                raise RefutedError("a line of the entries cannot be read")
            ledger.tree.push(int(withheld[1]), bytes.fromhex(withheld[2].decode()))
        else:
            digest = hashlib.sha256(_LEAF + line).digest()
            leaf = ledger.tree.size
            ledger.tree.append(digest)
            ledger.disclosed += 1
            if not ledger.problem:
                self._read(leaf, line, digest)
        if ledger.tree.size in self._sizes:
            ledger.roots[ledger.tree.size] = ledger.tree.root()

    def _look_back(self) -> None:
        """Keep how cases stood at an earlier pack's head, before the first entry beyond it."""
        opening = self.ledger.opening
        if self._has_looked or opening is None or self.ledger.tree.size < opening.pack.head.size:
            return
        self._has_looked = True
        for case_id in opening.cases:
            opening.cases[case_id] = self.ledger.history.cases.get(case_id)

    def finish(self) -> None:
        self._look_back()
        if not self.ledger.problem and not self._keys.are_unique():
            self.ledger.problem = "two entries have the same key: one of them is a repetition"

    def _read(self, leaf: int, line: bytes, digest: bytes) -> None:
        ledger = self.ledger
        try:
            entry = parse_canonical(line)
            self._check_head(leaf, entry)
            ledger.history.add(leaf, entry)
        except PlainError as error:
            ledger.problem = f"entry {leaf}: {error}"
            return
        except (HistoryError, RefutedError) as error:
            ledger.problem = str(error)
            return
        case_id = entry.get("case")
        opening = ledger.opening
        if opening is not None and opening.covers(leaf):
            opening.take(leaf, entry["kind"], case_id)
        if case_id is None:
            return
        if case_id not in ledger.openings and case_id in ledger.history.cases:
            ledger.openings[case_id] = digest
        if self._identified:
            self._remember(str(case_id), entry)

    def _check_head(self, leaf: int, entry: Mapping[str, Any]) -> None:
        """The members that every entry has."""
        try:
            key, tenant = _read_head(entry)
        except (KeyError, TypeError, ValueError):
            raise RefutedError(f"entry {leaf}: it is not in the form of an entry") from None
        self.ledger.newest = max(self.ledger.newest, instant_ms(entry["recorded_at"]))
        if self._tenant and tenant != self._tenant:
            raise RefutedError(f"entry {leaf}: it is of another tenant, {shown(tenant)}")
        self._keys.add(key)

    def _remember(self, case_id: str, entry: Mapping[str, Any]) -> None:
        if entry["kind"] in {"case:opened", "case:amended", "case:rescinded"}:
            committed = entry.get("data", {}).get("identity")
            if type(committed) is str:
                self.ledger.identities[case_id] = committed


_MEMBERS = ("v", "kind", "key", "tenant", "occurred_at", "recorded_at", "actor")
_OPTIONAL = ("case", "subject", "system", "policy", "data")
_ACTORS = frozenset({"lockstep", "person", "token"})


def _read_head(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Key and tenant of an entry that has the members of entries, and none that is empty.

    Raises:
        KeyError, TypeError, ValueError: for any other.
    """
    exact(entry, *_MEMBERS, optional=_OPTIONAL)
    actor = entry["actor"]
    exact(actor, "type", optional=("ref",))
    if count(entry["v"]) != VERSION or actor["type"] not in _ACTORS:
        raise ValueError
    told = [entry[name] for name in _OPTIONAL[:-1] if name in entry]
    if "ref" in actor:
        told.append(actor["ref"])
    if not all(text(value) for value in (entry["kind"], entry["key"], entry["tenant"], *told)):
        raise ValueError
    if "data" in entry and (type(entry["data"]) is not dict or not entry["data"]):
        raise TypeError
    instant_ms(entry["occurred_at"])
    return entry["key"], entry["tenant"]


class _Seen:
    """Whether texts are all different, in 12 bytes for each of millions."""

    _BYTES = 12

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(256)]

    def add(self, text: str) -> None:
        digest = hashlib.blake2b(text.encode(), digest_size=self._BYTES + 1).digest()
        self._buckets[digest[-1]] += digest[: self._BYTES]

    def are_unique(self) -> bool:
        for bucket in self._buckets:
            parts = range(0, len(bucket), self._BYTES)
            if len({bytes(bucket[at : at + self._BYTES]) for at in parts}) != len(parts):
                return False
        return True

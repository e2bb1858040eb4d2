"""The cases' facts, folded from entries in the ledger's order and kept for the metric."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from lockstep.evidence.format.canonical import instant_text
from lockstep.evidence.ledger.history import facts_document, facts_from_document, needs_policy
from lockstep.scorecard.facts import CaseFacts
from lockstep.storage.engine.direct import Link
from lockstep.storage.ledger.head import LedgerRefusedError

log = structlog.get_logger("lockstep.ledger")

Fold = Callable[
    [CaseFacts | None, int, Mapping[str, Any], Mapping[str, Any] | None], CaseFacts | None
]
_CHANGED = "the kept facts of a case were changed by another hand: they are folded anew"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REMEMBERED = 5000
"""Cases whose facts are kept at hand: those under way come again within seconds."""


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry that has its place in the order."""

    leaf: int
    case_id: str | None
    body: bytes


def is_open(facts: CaseFacts) -> bool:
    """Whether a required system is not yet proved gone. A waiver leaves it open.

    As in the metric: where the policy requires none, all of them decide.
    """
    deciding = [item for item in facts.items if item.required] or facts.items
    return not facts.rescinded and any(item.off_at is None for item in deciding)


class Projection:
    """Writes `case_facts` within the caller's transaction.

    It remembers what it wrote: throw it away when that transaction fails. ``knows`` says whether
    a row, by its digest, is as it was written.
    """

    def __init__(
        self, fold: Fold, *, knows: Callable[[str, bytes], bool] = lambda _case, _digest: True
    ) -> None:
        self._fold = fold
        self._knows = knows
        self._facts: OrderedDict[str, CaseFacts] = OrderedDict()
        self._policies: dict[str, Mapping[str, Any]] = {}

    def take(self, link: Link, entries: Sequence[Placed]) -> dict[str, bytes]:
        """Fold the next entries of the ledger, in order; the digests of the rows written."""
        about = [entry for entry in entries if entry.case_id]
        self._recall(link, {entry.case_id for entry in about if entry.case_id})
        changed: dict[str, tuple[int, CaseFacts]] = {}
        for entry in about:
            case_id = str(entry.case_id)
            before = self._facts.get(case_id)
            after = self._after(link, before, entry)
            if after is not None and after is not before:
                self._facts[case_id] = after
                changed[case_id] = (entry.leaf, after)
        written = write_facts(link, changed)
        while len(self._facts) > _REMEMBERED:
            self._facts.popitem(last=False)
        return written

    def _after(self, link: Link, before: CaseFacts | None, entry: Placed) -> CaseFacts | None:
        """The facts after an entry. One that cannot be read is sealed all the same, and said."""
        try:
            parsed = json.loads(entry.body)
            needed = needs_policy(before, parsed)
            policy = self._policy(link, parsed.get("policy", "")) if needed else None
            return self._fold(before, entry.leaf, parsed, policy)
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            log.error(  # noqa: TRY400 - a traceback could quote the entry
                "entry_not_folded",
                case_id=entry.case_id,
                error=f"{type(error).__name__} at leaf {entry.leaf}",
            )
            return before

    def _recall(self, link: Link, case_ids: Iterable[str]) -> None:
        missing = []
        for case_id in case_ids:
            if case_id in self._facts:
                self._facts.move_to_end(case_id)
            else:
                missing.append(case_id)
        if not missing:
            return
        query = f"select case_id, document, {ROW_DIGEST} from case_facts where case_id = any(%s)"  # noqa: S608 - a constant
        for case_id, document, digest in link.execute(query.encode(), (missing,)):
            if not self._knows(case_id, bytes(digest)):  # nothing is built on another's hand
                raise LedgerRefusedError("facts_changed", _CHANGED)
            self._facts[case_id] = facts_from_document(document)

    def _policy(self, link: Link, digest: str) -> Mapping[str, Any] | None:
        """The policy as the ledger tells it, so that every reader of the ledger has the same."""
        if digest not in self._policies:
            query = "select body from ledger_entries where key = %s"
            row = link.execute(query, (f"policy:{digest}",)).fetchone()
            if row is None:
                return None
            self._policies[digest] = json.loads(bytes(row[0]))["data"]["document"]
        return self._policies[digest]


ROW_DIGEST: Final = (
    "sha256(convert_to(concat_ws(E'\\n', case_facts.case_id, case_facts.partner,"
    " extract(epoch from case_facts.cutoff_at), case_facts.is_open, case_facts.document), 'UTF8'))"
)
"""Everything of a row that a score is made of, hashed where it stands: whatever wrote it."""

_UPSERT = """
insert into case_facts (case_id, partner, cutoff_at, is_open, through, document)
select case_id, partner, cutoff_at, is_open, through, document
  from jsonb_to_recordset(%s::jsonb) as v(
    case_id text, partner text, cutoff_at timestamptz, is_open boolean, through bigint,
    document jsonb)
on conflict (case_id) do update set
    partner = excluded.partner, cutoff_at = excluded.cutoff_at, is_open = excluded.is_open,
    through = excluded.through, document = excluded.document
returning case_facts.case_id, """


def write_facts(link: Link, changed: Mapping[str, tuple[int, CaseFacts]]) -> dict[str, bytes]:
    """Store facts by case id, each with the leaf that changed them last; the rows' digests."""
    if not changed:
        return {}
    rows = [
        {
            "case_id": case_id,
            "partner": facts.partner,
            "cutoff_at": instant_text(_EPOCH + timedelta(milliseconds=facts.shown_cutoff_at)),
            "is_open": is_open(facts),
            "through": leaf,
            "document": facts_document(facts),
        }
        for case_id, (leaf, facts) in changed.items()
    ]
    query = f"{_UPSERT}{ROW_DIGEST}".encode()
    written = link.execute(query, (json.dumps(rows, separators=(",", ":")),))
    return {case_id: bytes(digest) for case_id, digest in written}

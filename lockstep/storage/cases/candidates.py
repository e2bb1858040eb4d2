"""Accounts that a person has to tell apart, and what people said; kept under the leaver's key."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from lockstep.domain.systems.finding import Finding, Judged, Picks
from lockstep.evidence.format.canonical import canonical_bytes, instant_text
from lockstep.storage.keys.subjects import Subject


@dataclass(frozen=True, slots=True)
class Candidate:
    """One account as people compare it with another; every text is the vendor's.

    Args:
        account_id: the vendor's immutable id, by which it is picked.
        why: a value of `lockstep.domain.systems.finding.Reason`.
        found_by: kind of the key that found it.
        held: the identity keys that the vendor holds: kind and value.
        signs_in: whether it can sign in; None where the search did not say.
        in_doubt: or else set aside.
    """

    account_id: str = field(repr=False)
    why: str
    found_by: str
    name: str = field(default="", repr=False)
    held: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    created_at: datetime | None = None
    last_used_at: datetime | None = None
    signs_in: bool | None = None
    in_doubt: bool = True


def seal_candidates(
    finding: Finding, subject: Subject, *, case_id: str, system: str
) -> bytes | None:
    """The accounts in doubt and those set aside as they are stored; None where none is in doubt."""
    if not finding.in_doubt:
        return None
    rows = [
        *(_row(one, in_doubt=True) for one in finding.in_doubt),
        *(_row(one, in_doubt=False) for one in finding.set_aside),
    ]
    return subject.encrypt({"candidates": rows}, context=f"{case_id}/{system}/candidates")


def open_candidates(
    sealed: bytes | None, subject: Subject, *, case_id: str, system: str
) -> tuple[Candidate, ...]:
    """What `seal_candidates` made."""
    if sealed is None:
        return ()
    document: Any = subject.decrypt(sealed, context=f"{case_id}/{system}/candidates")
    return tuple(_candidate(row) for row in document["candidates"])


def shown_as(candidates: Sequence[Candidate]) -> str:
    """What a pick says that it was shown, so that other candidates are not decided by it."""
    told = sorted((one.account_id, one.why) for one in candidates)
    return sha256(canonical_bytes({"shown": [list(row) for row in told]})).hexdigest()[:16]


def picked(before: Picks, *, accounts: Collection[str], others: Collection[str]) -> Picks:
    """What people have said by now; the newest word about an account counts."""
    theirs = (before.theirs - set(others)) | set(accounts)
    return Picks(theirs, (before.others | set(others)) - theirs)


def seal_picks(picks: Picks, subject: Subject, *, case_id: str, system: str) -> bytes:
    """What people said of accounts, as it is stored."""
    document = {"theirs": sorted(picks.theirs), "others": sorted(picks.others)}
    return subject.encrypt(document, context=f"{case_id}/{system}/picks")


def open_picks(sealed: bytes | None, subject: Subject, *, case_id: str, system: str) -> Picks:
    """What `seal_picks` made; nothing where nobody has said anything."""
    if sealed is None:
        return Picks()
    document: Any = subject.decrypt(sealed, context=f"{case_id}/{system}/picks")
    return Picks(frozenset(document["theirs"]), frozenset(document["others"]))


def _row(one: Judged, *, in_doubt: bool) -> dict[str, object]:
    match = one.match
    signs_in = match.seen.signs_in if match.seen is not None else None
    return {
        "account": match.account.id,
        "why": one.reason.value,
        "by": match.found_by.value,
        "name": match.name,
        "held": [[key.kind.value, key.value] for key in match.account.known_keys],
        "created_at": _text(match.created_at),
        "last_used_at": _text(match.last_used_at),
        "signs_in": signs_in,
        "in_doubt": in_doubt,
    }


def _candidate(row: dict[str, Any]) -> Candidate:
    held: Sequence[Sequence[str]] = row["held"]
    return Candidate(
        account_id=row["account"],
        why=row["why"],
        found_by=row["by"],
        name=row["name"],
        held=tuple((kind, value) for kind, value in held),
        created_at=_instant(row["created_at"]),
        last_used_at=_instant(row["last_used_at"]),
        signs_in=row["signs_in"],
        in_doubt=row["in_doubt"],
    )


def _text(moment: datetime | None) -> str:
    return instant_text(moment) if moment is not None else ""


def _instant(text: str) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

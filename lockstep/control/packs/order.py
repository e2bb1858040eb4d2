"""What somebody may ask an evidence pack for, checked before anything is read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from lockstep.domain.errors import Kind, LockstepError
from lockstep.evidence.format.notes import Checkpoint, NoteError, parse_checkpoint, split_note
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack.layout import MAX_SAMPLE, OCSF_VERSIONS

LONGEST_PERIOD = timedelta(days=3700)
"""Ten years: longer than the ledger is kept by default."""

MAX_REASON = 500
_MAX_PARTNER = 200
_MAX_SEED = 128
_CASE_ID = re.compile(r"[A-Za-z0-9-]{1,40}")


class OrderError(LockstepError, ValueError):
    """Something that cannot be asked for; the text is one line and says what to change."""

    kind = Kind.CANNOT_BE_ORDERED


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for.

    Args:
        first: the first civil day of the period, in UTC.
        last: the last one; it belongs to the period.
        partner: only this partner's leavers; all others are withheld.
        case_id: only this case; all others are withheld.
        sample: how many leavers are drawn to be shown in detail.
        seed: decides who is drawn; "" takes the checkpoint's root, which nobody can choose.
        identified: whether the pack says who the leavers are.
        reason: why they must be named; kept encrypted.
        ocsf: "1.9" or "1.8".
        checkpoint: size of the head that the pack is made at; None takes the latest.
        previous: a signed note that the reader has from before, for a proof that we only grew.
        coming: whether cases are shown whose cutoff is still to come. A coming dismissal is a
            secret: without the right to it, every such case is withheld.
    """

    first: date
    last: date
    partner: str = ""
    case_id: str = ""
    sample: int = 0
    seed: str = ""
    identified: bool = False
    reason: str = field(default="", repr=False)
    ocsf: str = "1.9"
    checkpoint: int | None = None
    previous: str = ""
    coming: bool = True

    def __post_init__(self) -> None:
        """Refuse what makes no sense; raises `OrderError`."""
        for holds, text in self._rules():
            if not holds:
                raise OrderError(text)

    @property
    def start(self) -> datetime:
        """The first instant of the period."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def end(self) -> datetime:
        """The first instant after the period."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    def _rules(self) -> tuple[tuple[bool, str], ...]:
        known = ", ".join(sorted(OCSF_VERSIONS))
        return (
            (self.first <= self.last, "the period ends before it begins: swap from and to"),
            (self.first.year >= 2000, "from: no ledger is so old"),  # noqa: PLR2004
            (self.last.year < 2200, "to: too far ahead"),  # noqa: PLR2004
            (self.last - self.first <= LONGEST_PERIOD, "the period is longer than ten years"),
            (not (self.partner and self.case_id), "give a partner or a case, not both"),
            (not (self.sample and self.case_id), "give a sample or a case, not both"),
            (len(self.partner) <= _MAX_PARTNER, "partner: too long"),
            (
                not self.case_id or bool(_CASE_ID.fullmatch(self.case_id)),
                "case: this is no case id",
            ),
            (0 <= self.sample <= MAX_SAMPLE, f"sample: from 0 to {MAX_SAMPLE}"),
            (not self.seed or self.sample > 0, "a seed needs a sample"),
            (
                len(self.seed) <= _MAX_SEED and self.seed.isascii() and self.seed.isprintable(),
                f"seed: {_MAX_SEED} printable ASCII characters at most",
            ),
            (
                not self.identified or bool(self.reason.strip()),
                "an identified pack needs a reason: why the leavers must be named",
            ),
            (len(self.reason) <= MAX_REASON, f"reason: {MAX_REASON} characters at most"),
            (self.ocsf in OCSF_VERSIONS, f"ocsf: one of {known}"),
            (
                self.checkpoint is None or self.checkpoint > 0,
                "checkpoint: the number of entries of a signed head",
            ),
        )

    def previous_head(self) -> Checkpoint | None:
        """The head that the reader has; raises `OrderError` if it is none."""
        if not self.previous:
            return None
        try:
            head = parse_checkpoint(split_note(self.previous)[0])
        except NoteError as error:
            raise OrderError(f"previous: {error}") from None
        if not head.size:
            raise OrderError("previous: the head of an empty ledger proves nothing")
        return head

    def as_parameters(self) -> dict[str, Any]:
        """What is stored with the export: everything but the reason."""
        row = asdict(self)
        del row["reason"]
        return {**row, "first": self.first.isoformat(), "last": self.last.isoformat()}

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Order:
        """Read what `as_parameters` wrote."""
        known = {name: parameters[name] for name in cls.__slots__ if name in parameters}
        days = {name: date.fromisoformat(parameters[name]) for name in ("first", "last")}
        reason = "kept apart" if parameters["identified"] else ""
        return cls(**{**known, **days, "reason": reason})

    def digest(self) -> str:
        """SHA-256 (hex) of the parameters' RFC 8785 bytes: what the ledger says was asked for."""
        return hashlib.sha256(plain_bytes(self.as_parameters())).hexdigest()


def shows_coming(parameters: Mapping[str, Any]) -> bool:
    """Whether a pack may tell of a coming dismissal, by the parameters it was ordered with."""
    return bool(parameters.get("coming", True)) and not parameters["case_id"]

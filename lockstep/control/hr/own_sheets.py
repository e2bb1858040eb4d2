"""Sheets of leavers that people of HR upload: looked at first, then sent exactly as seen.

Between the two the sheet lies in the page alone, sealed under the keyring for whoever looked at it:
nothing of it is stored here, and nothing can be sent that was not looked at.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import secrets
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from lockstep.control.hr.leaver_lines import Becomes, LeaverLine, LeaverLines
from lockstep.control.hr.own_reports import MOST_REASON, Sent
from lockstep.control.hr.reporters import Reporters, key_prefix
from lockstep.control.intake.events import local_body
from lockstep.control.refusals import RefusedError
from lockstep.domain.intake.judging import Verdict
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.intake.sheets import SheetLine, read_sheet
from lockstep.domain.rights import Principal
from lockstep.storage.intake.inbox import Arriving, Inbox
from lockstep.storage.intake.sent_events import SentEvent
from lockstep.storage.keys.keyring import Keyring, KeyringError

MOST_BYTES = 1_000_000
MOST_LINES = 2_000
"""In one page; the command line takes more."""
STALLED_S = 2.0
LONGEST_S = 15.0
"""How long it is waited for what becomes of a sheet: while it moves, and at all."""
_POLL_S = 0.1
_SENT = frozenset({Becomes.OPENED, Becomes.AMENDED, Becomes.HELD})
_AT_ONCE = "at once"
_CHANGED = "nothing was sent: since you looked, something has changed. Look again, then send"
_NOT_TICKED = "nothing was sent: mend the lines that cannot be taken, or tick to leave them out"
_NOT_OURS = "this page cannot be sent any more: choose the file again"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A file as it was uploaded. ``source``: whose numbers, where a line does not say."""

    name: str = field(repr=False)
    raw: bytes = field(repr=False)
    source: str = ""
    reason: str = field(default="", repr=False)

    @property
    def digest(self) -> str:
        """SHA-256, as `sha256sum` prints it."""
        return hashlib.sha256(self.raw).hexdigest()

    def lines(self) -> list[SheetLine]:
        """Every line; raises `RefusedError` where it is not to be read."""
        if not self.raw:
            raise RefusedError("choose a file that is not empty")
        if len(self.raw) > MOST_BYTES:
            raise RefusedError(
                f"the file has more than {MOST_BYTES:,} bytes: split it, or use the command line"
            )
        if len(self.reason) > MOST_REASON:
            raise RefusedError(f"reason: {MOST_REASON} characters at most")
        return read_sheet(self.raw, most_lines=MOST_LINES)


@dataclass(frozen=True, slots=True)
class _Step:
    """What was shown of a line. ``ends``: when access ends; "" where the line is not sent."""

    number: int
    becomes: Becomes
    does: str
    ends: str
    problems: tuple[str, ...]

    @classmethod
    def of(cls, line: LeaverLine, now: datetime) -> _Step:
        does = line.found.verdict.value if line.found and not line.problems else ""
        ends = ""
        if does and line.cutoff is not None:
            ends = _AT_ONCE if line.cutoff <= now else line.cutoff.isoformat()
        return cls(line.number, line.becomes, does, ends, line.problems)

    def says_as(self, other: _Step) -> bool:
        """Whether both show the same; what the brake would hold changes by the minute."""
        return replace(self, becomes=other.becomes) == other


def _steps(lines: Sequence[LeaverLine]) -> tuple[_Step, ...]:
    now = datetime.now(UTC)
    return tuple(_Step.of(line, now) for line in lines)


@dataclass(frozen=True, slots=True)
class _Plan:
    """A sheet that was looked at. ``mark`` is random: every look is a sending of its own."""

    sheet: Sheet
    mark: str
    steps: tuple[_Step, ...] = field(repr=False)

    def key(self, by: Principal, number: int) -> str:
        """Of a line's event: by who looked, when, what the bytes were, and which line."""
        said = "\x00".join((self.mark, self.sheet.digest, str(number)))
        digest = base64.urlsafe_b64encode(hashlib.sha256(said.encode()).digest())
        return f"{key_prefix(by)}{digest.decode()[:32]}"

    def keys(self, by: Principal) -> dict[int, str]:
        """Of the lines that are sent."""
        return {step.number: self.key(by, step.number) for step in self.steps if _is_sent(step)}

    def to_bytes(self) -> bytes:
        head = {
            **{name: getattr(self.sheet, name) for name in ("name", "source", "reason")},
            "mark": self.mark,
            "steps": [[s.number, s.becomes, s.does, s.ends, *s.problems] for s in self.steps],
        }
        return zlib.compress(json.dumps(head).encode() + b"\0" + self.sheet.raw)

    @classmethod
    def from_bytes(cls, packed: bytes) -> _Plan:
        head, _, raw = zlib.decompress(packed).partition(b"\0")
        said = json.loads(head)
        steps = tuple(
            _Step(number, Becomes(becomes), does, ends, tuple(problems))
            for number, becomes, does, ends, *problems in said["steps"]
        )
        sheet = Sheet(said["name"], raw, said["source"], said["reason"])
        return cls(sheet, said["mark"], steps)


def _is_sent(step: _Step) -> bool:
    return step.becomes in _SENT


@dataclass(frozen=True, slots=True)
class SheetPreview:
    """What a sheet would do. ``sealed`` is how the page gives it back."""

    sheet: Sheet
    lines: Sequence[LeaverLine] = field(repr=False)
    sealed: str = field(repr=False)

    @property
    def counts(self) -> Counter[Becomes]:
        """Lines by what would become of them."""
        return Counter(line.becomes for line in self.lines)

    @property
    def refused(self) -> list[LeaverLine]:
        """Lines that cannot be taken."""
        return [line for line in self.lines if line.becomes is Becomes.REFUSED]

    @property
    def usable(self) -> list[LeaverLine]:
        """Lines that say something, and can be taken."""
        left_out = {Becomes.REFUSED, Becomes.EMPTY}
        return [line for line in self.lines if line.becomes not in left_out]

    @property
    def to_send(self) -> list[LeaverLine]:
        """Lines that would do something."""
        return [line for line in self.lines if line.becomes in _SENT]

    @property
    def corrections(self) -> int:
        """How many would correct an earlier report."""
        found = [line.found for line in self.to_send]
        return sum(one is not None and one.verdict is Verdict.AMEND for one in found)

    @property
    def reports(self) -> int:
        """How many would be reported anew."""
        return len(self.to_send) - self.corrections


class UnsentError(RefusedError):
    """Nothing of a sheet was sent. ``preview``: what it would do now."""

    def __init__(self, text: str, preview: SheetPreview) -> None:
        super().__init__(text)
        self.preview = preview


@dataclass(frozen=True, slots=True)
class LineOutcome:
    """What became of a line; ``text`` says more. `Becomes.OPENED` says no more than reported."""

    number: int
    worker_id: str = field(repr=False)
    name: str = field(repr=False)
    became: Becomes
    text: str


@dataclass(frozen=True, slots=True)
class SheetOutcome:
    """What became of every line that says something."""

    sheet: Sheet
    lines: Sequence[LineOutcome] = field(repr=False)

    @property
    def counts(self) -> Counter[Becomes]:
        """They add up to the lines."""
        return Counter(line.became for line in self.lines)


class OwnSheets:
    """The use case; every line is an event as one that is reported by the form."""

    def __init__(
        self, lines: LeaverLines, reporters: Reporters, inbox: Inbox, ring: Keyring, *, tenant: str
    ) -> None:
        self._lines = lines
        self._reporters = reporters
        self._inbox = inbox
        self._ring = ring
        self._tenant = tenant

    async def preview(self, sheet: Sheet, by: Principal) -> SheetPreview:
        """What every line would do, as far as ``by`` may know; changes nothing.

        Raises:
            RefusedError: for a file that is too large.
        """
        return self._shown(sheet, await self._look(sheet, by), by)

    async def report(self, sealed: str, by: Principal, *, leaves_out: bool) -> SheetOutcome:
        """Send the lines that a preview showed, all of them or none; what became of each.

        The same preview again sends nothing more.

        Args:
            sealed: `SheetPreview.sealed`.
            by: who looked at it.
            leaves_out: whether ``by`` wants the rest sent where lines cannot be taken.

        Raises:
            UnsentError: if a line cannot be taken, or would do something else by now.
            RefusedError: if ``sealed`` is not of ours and theirs.
        """
        plan = self._open(sealed, by)
        keys = plan.keys(by)
        if not keys:
            raise RefusedError("no line of this file would change anything: nothing was sent")
        if not await self._inbox.states_of(LOCAL_SOURCE, keys.values()):  # it was sent already
            lines = await self._as_seen(plan, by, leaves_out=leaves_out)
            events = [self._event(line, keys[line.number], plan, by) for line in lines]
            if await self._inbox.store_all(
                events, tenant=self._tenant, source=LOCAL_SOURCE, received_at=datetime.now(UTC)
            ):
                await self._reporters.log.acted(by.user_id, "hr.report", token=by.token)
        await self._settled(keys)
        rows = await self._reporters.sent.by_keys(key_prefix(by), by.scope, keys.values())
        return _outcome(plan, keys, rows)

    async def _look(self, sheet: Sheet, by: Principal) -> list[LeaverLine]:
        sight = self._reporters.of(by)
        return await self._lines.look(sheet.lines(), source=sheet.source, sight=sight)

    async def _as_seen(self, plan: _Plan, by: Principal, *, leaves_out: bool) -> list[LeaverLine]:
        """The lines that are sent, if all would do now what was shown; raises `UnsentError`."""
        lines = await self._look(plan.sheet, by)
        preview = self._shown(plan.sheet, lines, by)
        steps = _steps(lines)
        if len(steps) != len(plan.steps) or not all(map(_Step.says_as, steps, plan.steps)):
            raise UnsentError(_CHANGED, preview)
        if preview.refused and not leaves_out:
            raise UnsentError(_NOT_TICKED, preview)
        return preview.to_send

    def _shown(self, sheet: Sheet, lines: Sequence[LeaverLine], by: Principal) -> SheetPreview:
        plan = _Plan(sheet, secrets.token_urlsafe(16), _steps(lines))
        return SheetPreview(sheet, lines, self._seal(plan, by))

    def _event(self, line: LeaverLine, key: str, plan: _Plan, by: Principal) -> Arriving:
        assert line.event is not None, "only such a line is sent"  # noqa: S101
        assert line.found is not None, "only such a line is sent"  # noqa: S101
        body = local_body(
            line.event,
            actor=f"{by.name} ({by.user_id})",
            reason=plan.sheet.reason.strip(),
            numbered_by=line.found.said.whose_number,
        )
        about = line.event.worker.id, line.event.spell
        return Arriving(key, body, line.event.kind.priority, about, by.user_id)

    async def _settled(self, keys: dict[int, str]) -> None:
        """Wait until a worker has come to every event, as long as it goes on."""
        clock = asyncio.get_running_loop().time
        began = moved_at = clock()
        waiting = len(keys)
        while True:
            left = (await self._inbox.states_of(LOCAL_SOURCE, keys.values()))["pending"]
            if left < waiting:
                waiting, moved_at = left, clock()
            if not left or clock() - moved_at > STALLED_S or clock() - began > LONGEST_S:
                return
            await asyncio.sleep(_POLL_S)

    def _seal(self, plan: _Plan, by: Principal) -> str:
        sealed = self._ring.encrypt(plan.to_bytes(), context=self._context(by))
        return base64.urlsafe_b64encode(sealed).decode()

    def _open(self, sealed: str, by: Principal) -> _Plan:
        try:
            plain = self._ring.decrypt(
                base64.urlsafe_b64decode(sealed.encode()), context=self._context(by)
            )
        except (KeyringError, binascii.Error, ValueError):
            raise RefusedError(_NOT_OURS) from None
        return _Plan.from_bytes(plain)

    def _context(self, by: Principal) -> bytes:
        return f"sheet\x00{self._tenant}\x00{by.user_id}".encode()


def _outcome(plan: _Plan, keys: dict[int, str], rows: dict[str, SentEvent]) -> SheetOutcome:
    cells = {line.number: line.cells for line in plan.sheet.lines()}
    told = []
    for step in plan.steps:
        if step.becomes is Becomes.EMPTY:
            continue
        row = rows.get(keys.get(step.number, ""))
        became, text = _of_sent(row) if _is_sent(step) else _of_unsent(step)
        named = cells.get(step.number, {})
        ids = named.get("worker_id", ""), named.get("name", "")
        told.append(LineOutcome(step.number, *ids, became, text))
    return SheetOutcome(plan.sheet, told)


def _of_unsent(step: _Step) -> tuple[Becomes, str]:
    if step.becomes is Becomes.REFUSED:
        return Becomes.REFUSED, "; ".join(step.problems)
    return Becomes.UNCHANGED, WOULD[step.becomes]


def _of_sent(row: SentEvent | None) -> tuple[Becomes, str]:
    """What is known of a line that was sent; None where its sender may know nothing of its case."""
    if row is None:
        return Becomes.OPENED, "Taken."
    text = Sent.of(row).became
    if row.state == "held":
        return Becomes.HELD, text
    if row.state == "refused" and row.verdict != Verdict.CONFLICT:
        return Becomes.REFUSED, text
    if row.state == "pending":
        return Becomes.WAITING, text
    is_corrected = row.verdict == Verdict.AMEND and bool(row.case_id)
    return (Becomes.AMENDED if is_corrected else Becomes.OPENED), text


WOULD = {
    Becomes.OPENED: "Would be reported.",
    Becomes.AMENDED: "Would correct your earlier report.",
    Becomes.UNCHANGED: "Nothing changes: it is known already.",
    Becomes.SUPERSEDED: "Nothing changes: a later revision is known.",
    Becomes.RECORDED: "Nothing changes: it is too late.",
    Becomes.HELD: "Would wait for an approver: the brake would hold it.",
}
"""What a line would do, for whoever sends it."""

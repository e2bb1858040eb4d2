"""Where stories really happen: every word of them goes through the real storage."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.domain.cases.clocks import VendorClock
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import CaseStatus, Closing, reckon
from lockstep.domain.cases.terminations import Termination, TerminationAction, TerminationKind
from lockstep.domain.policy import Policy
from lockstep.domain.systems.access import Access, AccessKind, Account, Action, Observation
from lockstep.domain.systems.faults import FaultCategory
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.closing import Closing as Closed
from lockstep.storage.cases.rows import Opening, Said
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.keys.keyring import Keyring
from lockstep.storage.ledger.sequencer import heartbeat
from lockstep.storage.records import CaseView
from lockstep.storage.systems.revocations import Progress, Revocation
from lockstep.storage.systems.snapshots import Snapshot
from tests.support.casework import TENANT, leaver_keys, revised, termination
from tests.support.endings import receive
from tests.support.exporting import LOCATION, Packing
from tests.support.histories import (
    PARTNERS,
    POLICIES,
    SITES,
    Act,
    Amend,
    Ask,
    Attempt,
    Attest,
    Begin,
    Close,
    DoorAct,
    Fault,
    Leaver,
    Listened,
    Pass,
    Prove,
    Rehearse,
    Rescind,
    Retry,
    Return,
    Story,
    Waive,
)
from tests.support.ledgers import LedgerBook, settle

FINE = timedelta(microseconds=789)
"""Instants reach storage finer than it keeps them."""
ARTEFACT = "ab" * 32
SECOND = "second.person@example.com"
ACTOR = "olivia.operations@example.com"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROVED = {"revoked", "already_absent", "not_found"}
_DOUBTFUL = timedelta(seconds=5)


@dataclass(slots=True)
class Diary:
    """What was done to a case, and cannot be read from its rows.

    Args:
        counts_from: E as it counts, in milliseconds since the epoch.
        recorded: N, when HR recorded the statement that set E.
        allowed: by system, the milliseconds that count.
        shown: by system, the milliseconds that its due time goes by.
        looked: systems of which the ledger says how many accounts there were.
        waived: by system, the waivers that took hold: id of the decision, given by two people.
        first: the earliest cutoff while it was a dismissal.
        called_off: when HR's word that stopped it was heard.
        earlier: cases of the same person that had not begun, or were called off, at its opening.
    """

    counts_from: int
    recorded: int
    allowed: dict[str, int] = field(default_factory=dict)
    shown: dict[str, int] = field(default_factory=dict)
    looked: set[str] = field(default_factory=set)
    waived: dict[str, list[tuple[str, bool]]] = field(default_factory=dict)
    first: int | None = None
    called_off: int | None = None
    earlier: list[str] = field(default_factory=list)

    def dismiss(self, kind: object, cutoff: int) -> None:
        """While it is a dismissal, the earliest cutoff is remembered."""
        if kind == TerminationKind.INVOLUNTARY:
            self.first = cutoff if self.first is None else min(self.first, cutoff)


def ms(moment: datetime) -> int:
    """Whole milliseconds since the epoch."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def times(policy: Policy, kind: TerminationKind) -> dict[str, int]:
    """By system, the milliseconds that a policy allows."""
    return {
        system.system: policy.sla_for(kind, system.tier) // timedelta(milliseconds=1)
        for system in policy.systems
    }


def at_ms(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


@dataclass(slots=True)
class _Life:
    """One leaver on the stage."""

    leaver: Leaver
    said: Termination
    case_id: str
    count: int = 0

    def number(self) -> int:
        self.count += 1
        return self.count


class Stage:
    """One installation and the diary of everybody who leaves it."""

    def __init__(self, engine: AsyncEngine, ring: Keyring, book: LedgerBook, folder: Path) -> None:
        self.packing = Packing(engine, ring, book, folder)
        self.engine = engine
        self.book = book
        self.work = self.packing.work
        self.views = CaseViews(engine, ring)
        self.diary: dict[str, Diary] = {}
        self.feeds: dict[str, tuple[int, int | None]] = {}
        """By source of HR: since when it is expected, when it sent a heartbeat."""
        self._sealed = 0
        self._people: dict[int, list[str]] = {}

    async def play(self, story: Story) -> datetime:
        """Let it all happen and seal it; the instant of the last head."""
        for policy in POLICIES:
            await self.work.adopt(policy)
        await self._listen(story.feeds)
        lives = [await self._open(leaver) for leaver in story.leavers]
        live = [life for life in lives if life is not None]
        for turn, acts in enumerate(zip_longest(*(life.leaver.acts for life in live))):
            if turn == story.sealed > 0:
                await self.seal(datetime.now(UTC))
            for life, act in zip(live, acts, strict=True):
                if act is not None:
                    await self._do(life, act)
        return await self.seal(await self._instant(story.at))

    async def _listen(self, told: tuple[Listened, ...]) -> None:
        feeds, now = Feeds(self.engine, TENANT), datetime.now(UTC)
        for each in sorted(told, key=lambda listened: -listened.expected_ms):
            since = now - timedelta(milliseconds=each.expected_ms)
            self.feeds[each.source] = ms(since), None
            await feeds.expect([*self.feeds], at=since)
            if each.heard_ms is not None:
                heard = now - timedelta(milliseconds=each.heard_ms)
                await feeds.hear(each.source, sent_at=heard, received_at=heard)
                self.feeds[each.source] = ms(since), ms(heard)

    async def seal(self, now: datetime) -> datetime:
        """Place every entry and sign a head over all of them, as if it were ``now``."""
        self._sealed += 1
        beat = heartbeat(TENANT, 0, now, asked=f"stage-{self._sealed}")
        self.book.append(beat)
        sequencer = self.book.sequencer(now=lambda: now)
        try:
            await asyncio.to_thread(settle, sequencer)
        finally:
            sequencer.close()
        query = "select signed_at from checkpoints order by size desc limit 1"
        [(signed_at,)] = self.book.ask(query)
        return signed_at

    async def view(self, case_id: str) -> CaseView:
        view = await self.views.show(case_id)
        assert view is not None
        return view

    async def _instant(self, at: tuple[int, int] | None) -> datetime:
        now = datetime.now(UTC)
        if at is None:
            return now
        views = [await self.view(case_id) for case_id in self.diary]
        moments = {view.case.cutoff_at for view in views}
        moments |= {row.due_at for view in views for row in view.revocations}
        moments |= {at_ms(diary.counts_from) for diary in self.diary.values()}
        ahead = sorted(moment for moment in moments if moment > now + _DOUBTFUL)
        place, beside = at
        if not ahead:
            return now
        return ahead[place % len(ahead)] + timedelta(milliseconds=beside)

    async def _open(self, leaver: Leaver) -> _Life | None:
        now = datetime.now(UTC)
        cutoff = now + timedelta(milliseconds=leaver.due_ms)
        said = termination(
            f"W-{leaver.worker}",
            keys=leaver_keys(f"W-{leaver.worker}", f"leaver-{leaver.worker}@example.com"),
            spell=str(leaver.spell),
            kind=leaver.kind,
            partner=PARTNERS[leaver.partner],
            site=SITES[leaver.site],
            recorded_at=cutoff + timedelta(milliseconds=leaver.lag_ms),
        )
        heard = now - timedelta(milliseconds=leaver.heard_ms)
        opening = Opening(said, heard, cutoff, tombstone=leaver.tombstone)
        [case] = await self.work.cases.open([opening], POLICIES[leaver.policy])
        if case is None:  # this spell has a case already
            return None
        await receive(self.work, f"evt-{case.case_id}", case_id=case.case_id)
        policy = POLICIES[leaver.policy].policy
        allowed = {} if leaver.tombstone else times(policy, leaver.kind)
        diary = Diary(ms(case.cutoff_at), ms(said.recorded_at), dict(allowed), dict(allowed))
        if not leaver.tombstone:
            diary.dismiss(leaver.kind, ms(case.cutoff_at))
            diary.earlier = await self._before(leaver.worker)
        self.diary[case.case_id] = diary
        self._people.setdefault(leaver.worker, []).append(case.case_id)
        return _Life(leaver, said, case.case_id)

    async def _before(self, worker: int) -> list[str]:
        """This person's cases that might be called off yet, or were."""
        views = [await self.view(case_id) for case_id in self._people.get(worker, ())]
        return [v.case.case_id for v in views if v.case.status in {"scheduled", "rescinded"}]

    async def _do(self, life: _Life, act: Act) -> None:
        """Let one thing happen; what cannot happen to the case as it stands does not."""
        view = await self.view(life.case_id)
        status = CaseStatus(view.case.status)
        match act:
            case Amend() if self._is_doubtful(life.case_id):
                return  # so near the cutoff that nobody knows which comes first
            case Amend() if status is not CaseStatus.RESCINDED:
                await self._amend(life, view, act)
            case Rescind():
                await self._rescind(life, view)
            case Pass():
                await self._wait_for(view.case.cutoff_at)
            case Begin():
                await self.work.cases.begin(life.case_id)
            case Close() if view.case.begun_at is not None:
                # Where a system is open still it is refused, which is on record too.
                await self.work.cases.close(Closed(life.case_id, view.case.closings + 1))
            case Rehearse() if status is CaseStatus.SCHEDULED:
                await self._at_door(life, view, act)
            case Amend() | Close() | Rehearse():
                return
            case _ if view.case.begun_at is not None:
                await self._at_door(life, view, act)

    # --- the case -------------------------------------------------------------------------------

    def _is_doubtful(self, case_id: str) -> bool:
        ahead = at_ms(self.diary[case_id].counts_from) - datetime.now(UTC)
        return timedelta(0) <= ahead < _DOUBTFUL

    def _tell_time(self, life: _Life, kind: TerminationKind, *, counts: bool, shown: bool) -> None:
        """What a system has after the kind was corrected: less at once, more if that counts."""
        diary = self.diary[life.case_id]
        for system, new in times(POLICIES[life.leaver.policy].policy, kind).items():
            if system in diary.allowed:
                diary.allowed[system] = new if counts else min(diary.allowed[system], new)
                diary.shown[system] = new if shown else min(diary.shown[system], new)

    async def _wait_for(self, cutoff: datetime) -> None:
        ahead = cutoff - datetime.now(UTC)
        if ahead < _DOUBTFUL:
            await asyncio.sleep(max(0.0, ahead.total_seconds()) + 0.002)

    async def _amend(self, life: _Life, view: CaseView, act: Amend) -> None:
        diary = self.diary[life.case_id]
        asked = view.case.cutoff_at + timedelta(milliseconds=act.by_ms) + FINE
        second = SECOND if act.second else ""
        said = Said(ACTOR, "HR has it wrong", second) if act.person else None
        now, by_two = datetime.now(UTC), act.second or not act.person
        in_time = ms(now) < diary.counts_from
        word = self._corrected(life, view, act)
        after = await self.work.cases.amend(view.case, word, asked, said)
        shown = ms(after.cutoff_at)
        diary.dismiss(view.case.kind, shown)
        diary.dismiss(word.kind, shown)
        if shown < diary.counts_from or (in_time and by_two and shown != diary.counts_from):
            diary.counts_from, diary.recorded = shown, ms(word.recorded_at)
        by_rows = by_two and now < view.case.cutoff_at
        self._tell_time(life, word.kind, counts=in_time and by_two, shown=by_rows)

    def _corrected(self, life: _Life, view: CaseView, act: Amend) -> Termination:
        case = view.case
        return replace(
            self._word(life, view),
            kind=act.kind or TerminationKind(case.kind),
            partner=case.partner if act.partner is None else PARTNERS[act.partner],
            site=case.site if act.site is None else SITES[act.site],
            recorded_at=datetime.now(UTC) - timedelta(minutes=7),
        )

    async def _rescind(self, life: _Life, view: CaseView) -> None:
        word = replace(self._word(life, view), action=TerminationAction.RESCINDED)
        heard = datetime.now(UTC)
        status = await self.work.cases.rescind(view.case, word, heard_at=heard)
        diary = self.diary[life.case_id]
        is_first = view.case.status == CaseStatus.SCHEDULED and status is CaseStatus.RESCINDED
        if is_first and not life.leaver.tombstone:
            diary.called_off = ms(heard)

    def _word(self, life: _Life, view: CaseView) -> Termination:
        return revised(life.said, view.case.revision + 1, event_id=f"e-{life.number()}")

    # --- one system -----------------------------------------------------------------------------

    async def _at_door(self, life: _Life, view: CaseView, act: DoorAct) -> None:
        if not view.revocations:
            return
        row = view.revocations[act.system % len(view.revocations)]
        item = await self.work.revocations.load(life.case_id, row.system, row.opening)
        looked = self.diary[life.case_id].looked
        match act:
            case Rehearse():
                await self.work.revocations.rehearsed(item, accounts=act.accounts, problems=())
            case Attempt():
                looked.add(row.system)
                await self._attempt(item, life.number(), act.accounts)
            case Fault():
                await self._fault(item, life.number())
            case Ask():
                await self.work.revocations.needs_person(
                    item, round_=life.number(), category=FaultCategory.MANUAL, overdue=False
                )
            case Prove():
                looked.add(row.system)
                sla = ms(row.due_at) - ms(view.case.cutoff_at)
                await self._prove(item, life.number(), act, sla)
            case Attest() | Waive() | Retry():
                await self._decide(life, item, act)
            case Return() if row.outcome in _PROVED:
                await self._return(item, life.number())

    async def _attempt(self, item: Revocation, number: int, accounts: int) -> None:
        await self.work.revocations.attempt(
            item, round_=1, attempt=number, work=Progress(_standing(accounts), LOCATION)
        )

    async def _fault(self, item: Revocation, number: int) -> None:
        await self.work.revocations.fault(
            item,
            round_=1,
            attempt=number,
            category=FaultCategory.RATE_LIMITED,
            text="memory revoke: rate_limited (429)",
            retry_at=None,
            exchanges=(),
        )

    async def _prove(self, item: Revocation, number: int, act: Prove, sla: int) -> None:
        after = timedelta(milliseconds=sla * act.part // 1000 + act.by_ms)
        off_at = min(item.cutoff + after + FINE, datetime.now(UTC))
        await self.work.revocations.outcome(
            item,
            round_=1,
            attempt=number,
            closing=_closing(act, off_at),
            work=Progress(_standing(act.accounts, stood=act.stood), LOCATION),
            exchanges=(),
            dropped=0,
        )

    async def _decide(self, life: _Life, item: Revocation, act: Attest | Waive | Retry) -> None:
        decision_id = f"d-{life.case_id}-{life.number()}"
        kind, more = _decided(act)
        decision = Decision(decision_id, kind, item.system, ACTOR, "seen by me", **more)
        await self.work.cases.decide(DecisionInput(life.case_id, 1, decision, item.opening))
        if isinstance(act, Waive) and not item.outcome:
            waived = self.diary[life.case_id].waived.setdefault(item.system, [])
            waived.append((decision_id, act.second))

    async def _return(self, item: Revocation, look: int) -> None:
        now = datetime.now(UTC)
        entry = Entry(
            kind=EntryKind.FINDING_RAISED,
            key=item.key("look", look),
            tenant=TENANT,
            occurred_at=now,
            recorded_at=now,
            case_id=item.case_id,
            subject=str(item.subject.subject_id),
            system=item.system,
            policy=item.policy,
            data={"look": look, "finding": "access_returned"},
        )
        await self.work.cases.raise_finding(
            item.case_id, item.system, look=look, opening=item.opening, entry=entry
        )


def _accounts(count: int) -> tuple[Account, ...]:
    return tuple(Account(f"00u{number}", "maria@example.com") for number in range(count))


def _standing(count: int, *, stood: bool = True) -> Snapshot:
    doors = (Access(AccessKind.SIGN_IN, "sign_in-1"),) if stood else ()
    accounts = _accounts(count)
    return Snapshot(accounts, {account.id: doors for account in accounts})


def _closing(act: Prove, off_at: datetime) -> Closing:
    """A reckoning whose R is ``off_at``: by the vendor's record, by its answer, or by our look."""
    before = _standing(act.accounts, stood=act.stood).all_standing()
    by_answer = not act.record and bool(before)
    after = [
        Observation(account.id, exists=True, standing=(), off_since=off_at if act.record else None)
        for account in _accounts(act.accounts)
    ]
    seen = bool(after) and (act.record or by_answer)
    later = min(off_at + timedelta(seconds=3), datetime.now(UTC))
    return reckon(
        before=before,
        after=after,
        actions=[Action(before[0], off_at, "memory.close")] if by_answer else (),
        confirmed_at=max(later, off_at) if seen else off_at,
        clock=VendorClock(timedelta(0)),
    )


def _decided(act: Attest | Waive | Retry) -> tuple[DecisionKind, dict[str, object]]:
    match act:
        case Attest(strong=True):
            return DecisionKind.ATTEST, {"artefact_digest": ARTEFACT, "second_person": SECOND}
        case Attest():
            return DecisionKind.ATTEST, {}
        case Waive(second=second, until_ms=until_ms):
            until = None
            if until_ms is not None:
                until = datetime.now(UTC) + timedelta(milliseconds=until_ms)
            return DecisionKind.WAIVE, {"second_person": SECOND if second else "", "until": until}
        case Retry():
            return DecisionKind.RETRY, {}

"""Whose case a statement is about, and what it does to it: asked at every door, and by intake.

The front doors ask so that the sender hears at once what will not be carried out; the dispatcher
asks again when it comes to the event, and its word counts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from lockstep.control.intake.events import EventError, parse_statement
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.cases.terminations import Termination, TerminationAction
from lockstep.domain.intake.judging import KnownCase, Verdict, concerned, judge
from lockstep.domain.intake.numbering import LOCAL_SOURCE, Numbering, WhoseNumberError
from lockstep.domain.intake.remit import EVERYBODY, Remit
from lockstep.storage.cases.cases import Cases
from lockstep.storage.cases.reads import as_known
from lockstep.storage.intake.inbox import Inbox, InboxEvent
from lockstep.storage.records import CaseRow

_PAGE = 200
"""Statements of which it is looked up together what was said before."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a statement is about, and what it does.

    Args:
        said: the statement as it is to be recorded: whose number it is, and its revision.
        case: the case that it is about; None where there is none.
        employment: of the case that it opens.
        peers: sources that number the same people as its own.
        reason: why it is refused, where that is not the same for everybody.
        is_beside: it opens a case beside one of another partner, of whom the number is too.
    """

    said: Termination
    case: CaseRow | None
    verdict: Verdict
    employment: int = 1
    peers: tuple[str, ...] = ()
    reason: str = ""
    is_beside: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for statements about one spell of one person."""
        return self.said.whose_number, self.said.worker_id, self.said.spell

    @property
    def why(self) -> str:
        """Why it is not carried out, and what to do; "" where it is. Says nothing personal."""
        if self.reason:
            return self.reason
        if self.said.source == LOCAL_SOURCE and self.verdict in _WHY_HERE:
            return _WHY_HERE[self.verdict]
        return _WHY.get(self.verdict, "")

    @property
    def refusal(self) -> str:
        """`why` where it is not carried out; "" where what it says is superseded, or in force."""
        return self.why if self.verdict.is_refusal else ""

    @property
    def to_look_at(self) -> str:
        """What people have to look at although it is carried out; "" where there is nothing."""
        return _BESIDE if self.is_beside else ""

    @property
    def heard(self) -> Verdict:
        """What its sender may hear: of a case of another's, as if there were none."""
        return judge(self.said, None) if self.verdict is Verdict.FOREIGN_CASE else self.verdict


def why(verdict: Verdict) -> str:
    """What a sender is told of a verdict; "" where it is carried out."""
    return _WHY.get(verdict, "")


class WhoseCase:
    """Finds the case of a statement by whose number the worker's id is, spell and employment.

    Of cases of people for whom its source does not speak it is as if there were none.

    Args:
        remits: for whose people each source speaks; one that is not there speaks for everybody.
    """

    def __init__(
        self,
        cases: Cases,
        inbox: Inbox,
        numbering: Numbering,
        remits: Mapping[str, Remit] | None = None,
    ) -> None:
        self.sources = numbering.sources
        self._remits = dict(remits or {})
        self._cases = cases
        self._inbox = inbox
        self._numbering = numbering

    def remit(self, source: str) -> Remit:
        """For whose people a source speaks."""
        return self._remits.get(source, EVERYBODY)

    async def number(
        self, said: Termination, named: str = "", *, sealed: bool = True
    ) -> Termination:
        """The same, as of the source that a person here named, or that alone can be meant.

        Without ``sealed`` a coming case tells nobody whose number it is: that there is one would
        show.

        Raises:
            EventError: if it is not known whose number it is; names the sources.
        """
        [numbered] = await self.number_all([(said, named)], sealed=sealed)
        if isinstance(numbered, EventError):
            raise numbered
        return numbered

    async def number_all(
        self, asked: Sequence[tuple[Termination, str]], *, sealed: bool = True
    ) -> list[Termination | EventError]:
        """As `number`, of many at once; an error stands where it would be raised."""
        indexes = {self._worker(said) for said, _ in asked}
        known = await self._cases.numbered_by(sorted(indexes), sealed=sealed) if indexes else {}
        found: list[Termination | EventError] = []
        for said, named in asked:
            try:
                name = self._numbering.choose(named, known.get(self._worker(said), ()))
            except WhoseNumberError as error:
                found.append(EventError([str(error)]))
            else:
                found.append(replace(said, numbered_by=name))
        return found

    async def of(self, said: Termination, cutoff: datetime) -> Found:
        """What one statement is about and does."""
        return (await self.find([(said, cutoff)]))[0]

    async def find(self, asked: Sequence[tuple[Termination, datetime]]) -> list[Found]:
        """What each statement, with its cutoff, is about and does to what is known now."""
        numbered = await self._numbered([said for said, _ in asked])
        indexes = [self._cases.spell_index(said) for said in numbered]
        cases = await self._cases.of_spells(sorted(set(indexes))) if indexes else {}
        placed = [
            self._placed(said, cutoff, cases.get(index, ()))
            for said, (_, cutoff), index in zip(numbered, asked, indexes, strict=True)
        ]
        found: list[Found] = []
        for first in range(0, len(placed), _PAGE):
            page = placed[first : first + _PAGE]
            repeated = {one.case.case_id: one.case for one in page if one.case and one.is_repeated}
            before = await self._inbox.said_of(repeated.values())
            by_hand = {one.case.case_id: one.case for one in page if one.case and one.is_by_hand}
            spoken = await self._inbox.spoken_of(by_hand.values())
            found += [_judged(one, before, spoken) for one in page]
        return found

    async def _numbered(self, statements: Sequence[Termination]) -> list[Termination]:
        """Where sources share numbers: as of the one under which the worker is known already."""
        sharing = [said for said in statements if self._numbering.shares(said.whose_number)]
        if not sharing:
            return list(statements)
        indexes = {self._worker(said) for said in sharing}
        known = await self._cases.numbered_by(sorted(indexes))
        return [self._known_as(said, known) for said in statements]

    def _known_as(self, said: Termination, known: Mapping[bytes, Sequence[str]]) -> Termination:
        peers = self._numbering.peers(said.whose_number)
        names = [name for name in known.get(self._worker(said), ()) if name in peers]
        return replace(said, numbered_by=names[0]) if names else said

    def _worker(self, said: Termination) -> bytes:
        return self._cases.worker_index(said.tenant, said.worker_id)

    def _placed(self, said: Termination, cutoff: datetime, cases: Iterable[CaseRow]) -> _Placed:
        """The statement with the case that it is about."""
        peers = self._numbering.peers(said.whose_number)
        remit = self.remit(said.source)
        of_number = [case for case in cases if case.numbered_by in peers]
        theirs = [case for case in of_number if _speaks_of(remit, said, case)]
        partner, site = said.partner, said.site
        if theirs:  # of what is left out nothing is said: it stays
            partner, site = partner or theirs[-1].partner, site or theirs[-1].site
        partner, site = remit.named(partner, site)
        if not theirs:
            said = replace(said, partner=partner, site=site)
        if reason := remit.why_not(partner, site):
            return _Placed(said, cutoff, None, peers, reason=reason)
        latest = {case.employment: case for case in theirs}
        rows = [latest[number] for number in sorted(latest)]
        meant = [case.employment for case in theirs if case.case_id == said.case_id]
        if meant:
            at: int | None = sorted(latest).index(meant[0])
        else:
            at = concerned(said, [as_known(row) for row in rows])
        others = tuple(case for case in of_number if case not in theirs)
        if at is None:
            return _Placed(said, cutoff, None, peers, others=others)
        said = replace(said, numbered_by=rows[at].numbered_by)
        is_latest = at + 1 == len(rows)
        return _Placed(said, cutoff, rows[at], peers, is_latest=is_latest, others=others)


def _speaks_of(remit: Remit, said: Termination, case: CaseRow) -> bool:
    """Whether the source of a statement speaks for the leaver of a case.

    Where nobody has said whose the leaver is, whoever gave the number does.
    """
    is_own = case.numbered_by == said.source
    partner, site = (
        name or (mine if is_own else "")
        for name, mine in zip((case.partner, case.site), _any_of(remit), strict=True)
    )
    return remit.covers(partner, site)


def _any_of(remit: Remit) -> tuple[str, str]:
    """A partner and a site that it speaks for."""
    return next(iter(remit.partners or ()), ""), next(iter(remit.sites or ()), "")


@dataclass(frozen=True, slots=True)
class _Placed:
    """A statement and its case.

    Args:
        is_latest: no later employment has one.
        reason: why its source may not say it; "" where it may.
        others: cases of this number and spell, of people for whom its source does not speak.
    """

    said: Termination
    cutoff: datetime
    case: CaseRow | None
    peers: tuple[str, ...]
    is_latest: bool = True
    reason: str = ""
    others: tuple[CaseRow, ...] = ()

    @property
    def standing_others(self) -> list[CaseRow]:
        """Those of ``others`` that were not called off."""
        return [case for case in self.others if case.status != CaseStatus.RESCINDED]

    def free_from(self, employment: int) -> int:
        """``employment``, or the next that is none of others'."""
        taken = {case.employment for case in self.standing_others}
        return 1 + max(taken) if employment in taken else employment

    @property
    def is_repeated(self) -> bool:
        """Whether it depends on what was said before under its revision."""
        if self.case is None:
            return False
        known = as_known(self.case)
        asked = _as_asked(self.said, known).revision
        is_of_its_revision = asked == known.revision or (self.is_here and asked > known.revision)
        return is_of_its_revision and self.said.event_id != known.last_event_id

    @property
    def is_here(self) -> bool:
        """Whether a person here reports a leaver."""
        is_report = self.said.action is TerminationAction.TERMINATED
        return self.said.source == LOCAL_SOURCE and is_report

    @property
    def is_by_hand(self) -> bool:
        """Whether somebody here has spoken of the leaver, or speaks."""
        return self.case is not None and LOCAL_SOURCE in {self.case.source, self.said.source}


def _judged(
    one: _Placed, before: Mapping[str, Sequence[InboxEvent]], spoken: Collection[str]
) -> Found:
    """What it does.

    Args:
        one: the statement and its case.
        before: what was said of its case, where it is repeated.
        spoken: cases of which an HR system itself has spoken, where people here have too.
    """
    said, case = one.said, one.case
    if one.reason:
        return Found(said, None, Verdict.FOREIGN, peers=one.peers, reason=one.reason)
    if case is None:
        return _of_nobody_known(one)
    known = as_known(case)
    asked = _as_asked(said, known)
    is_same = _is_said(asked, before.get(case.case_id, ())) if one.is_repeated else None
    is_spoken = not one.is_by_hand or case.case_id in spoken
    if one.is_here and is_spoken:  # a number of theirs is no later revision of HR's
        asked = replace(asked, revision=known.revision) if is_same else asked
        said = replace(said, revision=known.revision)
    elif asked.revision != said.revision:
        said = replace(said, revision=known.revision)
    if not is_spoken and not is_same and _outweighs(said, case, one.cutoff):
        known = replace(known, revision=min(known.revision, asked.revision - 1))
    verdict = judge(asked, known, cutoff=one.cutoff, is_same=is_same)
    employment = known.employment
    if verdict is Verdict.OPEN and not known.is_rescinded:
        employment += 1
        if not one.is_latest:  # that employment has a case already
            verdict = Verdict.OUTDATED
    return Found(said, case, verdict, one.free_from(employment), one.peers)


def _outweighs(said: Termination, case: CaseRow, cutoff: datetime) -> bool:
    """Whether the first word of an HR system counts against what only people here have said.

    They know no revision of it, and none of theirs bars its own. But what it recorded before they
    spoke gives nobody more time: it may be what they have corrected.
    """
    if said.source == LOCAL_SOURCE:
        return False
    is_newer = said.recorded_at >= case.recorded_at
    is_sooner = cutoff < case.cutoff_at
    is_call_off = said.action is TerminationAction.RESCINDED
    return is_newer or (is_sooner and not is_call_off)


def _of_nobody_known(one: _Placed) -> Found:
    """What is said of somebody of whom no case is known that its source may speak of.

    Where the number is that of somebody of another partner too, nobody can tell here who of both
    is right. Nothing is done to the other's case; and a termination opens one of its own, so that
    nobody keeps a door open by being the first to say something of another's leaver.
    """
    said = one.said
    verdict = judge(said, None)
    standing = one.standing_others
    if any(case.source == said.source for case in standing):
        return Found(said, None, Verdict.FOREIGN, peers=one.peers, reason=_MOVED)
    if standing and said.action is not TerminationAction.TERMINATED:
        return Found(said, None, Verdict.FOREIGN_CASE, peers=one.peers)
    if standing:
        said = replace(said, numbered_by=said.source)
    return Found(said, None, verdict, one.free_from(1), one.peers, is_beside=bool(standing))


def _is_said(said: Termination, events: Iterable[InboxEvent]) -> bool | None:
    """Whether this has been said by this revision; None if nothing of it is kept."""
    found: bool | None = None
    for event in events:
        try:
            before = parse_statement(
                event.body, tenant=event.tenant, source=event.source, event_id=event.dedupe_key
            ).termination
        except EventError:
            continue
        same = (before.revision, before.worker_id, before.spell)
        if same != (said.revision, said.worker_id, said.spell):
            continue
        if before.says_as(said):
            return True
        found = False
    return found


def _as_asked(said: Termination, known: KnownCase) -> Termination:
    """With the revision by which it is judged.

    A person's word stands beside HR's revisions and must not use one up; one who reports a leaver
    does not know them.
    """
    if said.source != LOCAL_SOURCE:
        return said
    if said.action is not TerminationAction.TERMINATED or known.is_rescinded:
        return replace(said, revision=known.revision + 1)
    return replace(said, revision=max(said.revision, known.revision))


_WHY = {
    Verdict.CONFLICT: (
        "revision: another statement with this revision is known, and it says something else: to"
        " correct it, send it all again with the next revision"
    ),
    Verdict.CLOSED: (
        "spell: the case of this employment is closed, so that this would do nothing: for another"
        " employment give another spell, or hired_at, when it began after the earlier one ended"
    ),
    Verdict.STILL_OPEN: (
        "spell: the case of the earlier employment has not closed yet: say it again when it has,"
        " or give another spell"
    ),
    Verdict.NOBODY: "action: nobody of this worker id and spell has left, so nobody was rehired",
    Verdict.NOT_LEFT: (
        "action: they have not left yet: to call the leaving off before its cutoff, say rescinded"
    ),
    Verdict.OUTDATED: "revision: superseded, a later revision was received before",
    Verdict.FOREIGN_CASE: (
        "by the case that stands, this worker number is that of somebody of a partner or site for"
        " which this source does not speak: nothing was done to it, and its sender was not told;"
        " find out who is right"
    ),
}
_MOVED = (
    "partner: this leaver's case is of a partner or site for which this source does not speak any"
    " more: ask operations"
)
_BESIDE = (
    "a case of another partner or site stands under the same worker number, for which this source"
    " does not speak: a case of its own was opened beside it; find out whose the person is"
)
_WHY_HERE = {
    Verdict.CONFLICT: (
        "worker_id: this leaver is reported already, with other dates or particulars: change the"
        " case, or the earlier report"
    ),
    Verdict.OUTDATED: "revision: superseded, a later one was reported before",
}
"""For people who report here: they know no revisions."""

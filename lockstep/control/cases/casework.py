"""What people do to one case: within what they may know of, once, and on record.

Of two people at the same instant one takes the act's slot and the other is told who did. An act is
recorded before it is carried out; where no answer comes it stays *sent*, and is sent again under
the same id, which decides once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from lockstep.control.cases.desk import Desk, Person, check_decision
from lockstep.control.cases.words import instant_words, who_did
from lockstep.control.people.one_person import OnePerson
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import ConflictError, NotThereError, RefusedError, UnansweredError
from lockstep.domain.cases.decisions import Bar, DecisionKind, Standing, bar_to
from lockstep.domain.cases.outcomes import CaseStatus, RevocationState
from lockstep.domain.policy import Tier
from lockstep.domain.rights import CLI_USER, Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import (
    ActKind,
    ActRow,
    ActState,
    NewAct,
    SlotTakenError,
)
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.people.colleagues import Colleague
from lockstep.storage.people.requests import RequestState
from lockstep.storage.records import RevocationRow
from lockstep.storage.stores import Stores

LONGEST_TEXT = 2000
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_DECIDING = frozenset(kind.value for kind in DecisionKind)


@dataclass(frozen=True, slots=True)
class Done:
    """An act that was carried out. ``outcome``: what now stands of the system, or ""."""

    act_id: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """What is decided about one system, before it has an id."""

    kind: DecisionKind
    reason: str = field(repr=False)
    digest: str = ""
    until: datetime | None = None
    accounts: tuple[str, ...] = field(default=(), repr=False)
    others: tuple[str, ...] = field(default=(), repr=False)


class CaseDesk:
    """Acts on cases for somebody who has proved who they are.

    Every act raises `NotThereError` for what is outside of ``me``'s scope, `ConflictError` where
    somebody was faster, and `RefusedError` where it cannot be done.
    """

    def __init__(
        self,
        stores: Stores,
        desk: Desk,
        *,
        pairs: Pairs | None,
        one_person: OnePerson | None = None,
    ) -> None:
        self.pairs = pairs or Pairs()
        self.acts = stores.acts
        self.files = stores.files
        self.requests = stores.requests
        self.artefacts = stores.artefacts
        self.log = stores.log
        self.sight = stores.sight
        self.one_person = one_person or OnePerson(stores.identities, stores.users)
        self.withdrawals = stores.withdrawals
        self._colleagues = stores.colleagues
        self.desk = desk

    async def find(self, me: Principal, case_id: str) -> CaseFile:
        """One case in scope, by its whole id."""
        found = await self.files.read(checked_id(case_id), me.scope)
        if found is None:
            raise NotThereError(case_id)
        return found

    async def retry(
        self, me: Principal, case_id: str, system: str, *, reason: str, seen: str = ""
    ) -> Done:
        """Try a system again now. ``seen``: its `position` as ``me`` saw it; "" is as it is."""
        choice = Choice(DecisionKind.RETRY, text_of(reason))
        return await self.decide_alone(me, case_id, system, choice, seen=seen)

    async def decide_alone(
        self, me: Principal, case_id: str, system: str, choice: Choice, *, seen: str
    ) -> Done:
        """Carry out what needs nobody else."""
        found = await self.find(me, case_id)
        open_row(found, system, seen, choice.kind)
        return await self.decide_found(me, found, system, choice)

    async def decide_found(
        self, me: Principal, found: CaseFile, system: str, choice: Choice
    ) -> Done:
        """Carry out what needs nobody else and was found to be possible."""
        person = Person(named(me), choice.reason)
        check_decision(choice.kind, person, choice.until)
        act = NewAct(
            found.view.case.case_id,
            system,
            ActKind(choice.kind.value),
            me.user_id,
            {"name": me.name, "reason": choice.reason, **decision_data(choice, person)},
            token=me.token,
            slot=slot_of(found, system),
            state=ActState.SENT,
        )
        taken = await self.take(act, found)
        return await self.carry_out(me, taken)

    async def take(self, act: NewAct, found: CaseFile, *, give_to: str = "") -> ActRow:
        """Record an act, or say who was faster; with it the case may be given to somebody."""
        try:
            return await self.acts.take(act, living(found), give_to=give_to)
        except SlotTakenError as error:
            raise faster(error) from None

    async def carry_out(self, me: Principal, act: ActRow) -> Done:
        """Bring a recorded decision to its case; harmless where that was done before."""
        data = act.document
        until = data.get("until")
        request_id = str(data.get("request", ""))
        try:
            result = await self.desk.within(me.scope).decide(
                act.case_id,
                act.system,
                DecisionKind(data["kind"]),
                Person(data["actor"], data["why"], data["second"]),
                artefact_digest=data["digest"],
                until=datetime.fromisoformat(until) if until else None,
                decision_id=decision_id_of(act.act_id),
                accounts=data.get("accounts", ()),
                others=data.get("others", ()),
            )
        except UnansweredError as error:
            # It stays sent, and its slot taken, until it is sent again.
            raise UnansweredError(str(error), act_id=act.act_id) from None
        except RefusedError as error:
            if await self.acts.stands(
                decision_id_of(act.act_id)
            ):  # an earlier sending came through
                await self.acts.done(act.act_id)
                return Done(act.act_id)
            await self.acts.refused(act, request_id=request_id, token=me.token)
            raise RefusedError(str(error)) from None
        await self.acts.done(act.act_id)
        return Done(act.act_id, result.outcome)

    async def send_again(self, me: Principal, case_id: str, act_id: str) -> Done:
        """Send what got no answer, whoever did it: the same decision under the same id."""
        found = await self.find(me, case_id)
        act = await self.acts.one(case_id, checked_id(act_id), living(found))
        if act is None or act.kind not in _DECIDING:
            raise NotThereError(act_id)
        if act.state != ActState.SENT:
            raise ConflictError("an answer has come meanwhile: look again")
        await self.log.acted(
            me.user_id, "case.send_again", case_id=case_id, system=act.system, token=me.token
        )
        return await self.carry_out(me, act)

    async def comment(self, me: Principal, case_id: str, text: str) -> Done:
        """Say something about the case."""
        found = await self.find(me, case_id)
        document = {"name": me.name, "text": text_of(text, what="comment")}
        act = NewAct(case_id, "", ActKind.COMMENT, me.user_id, document, token=me.token)
        return Done((await self.take(act, found)).act_id)

    async def colleagues(self, *partners: str) -> list[Colleague]:
        """Whom cases of all of ``partners`` can be given to."""
        everybody = await self._colleagues.acting()
        return [one for one in everybody if all(map(one.may_know_of, partners))]

    async def denied(self, me: Principal, act: str, found: CaseFile, system: str, why: str) -> None:
        """Record what somebody was not allowed to do."""
        case_id = found.view.case.case_id
        await self.log.denied(
            me.user_id, act, why=why, case_id=case_id, system=system, token=me.token
        )


def checked_id(given: str) -> str:
    """Something that can be an id of ours; raises `NotThereError` for everything else."""
    if not _ID.fullmatch(given):
        raise NotThereError
    return given


def decision_id_of(act_id: str) -> str:
    """The id of the decision, and of the update of the workflow, that an act stands for."""
    return f"d-{act_id}"


def named(me: Principal) -> str:
    """How a decision names somebody; the user id of the command line is everybody's there."""
    return me.name if me.user_id == CLI_USER else f"{me.name} ({me.user_id})"


def text_of(given: str, *, what: str = "reason") -> str:
    """Free text of a person, without blanks around it.

    Raises:
        RefusedError: if there is none, or too much.
    """
    text = writable(given).strip()
    if not text:
        raise RefusedError(f"give a {what}: whoever looks at the case later will need it")
    if len(text) > LONGEST_TEXT:
        raise RefusedError(f"the {what} is too long: {LONGEST_TEXT} characters at most")
    return text


def writable(given: str) -> str:
    """Text that every store and every page can hold: no NUL, no half characters."""
    return given.replace("\x00", "").encode("utf-8", "replace").decode()


def living(found: CaseFile) -> Subject:
    """The leaver's data; raises `RefusedError` once they are erased."""
    if found.subject is None:
        raise RefusedError("the leaver's data were erased: nothing more can be recorded here")
    return found.subject


def row_of(found: CaseFile, system: str) -> RevocationRow:
    """One system of the case; raises `NotThereError`."""
    for row in found.view.revocations:
        if row.system == system:
            return row
    raise NotThereError(system)


def position(found: CaseFile, system: str) -> str:
    """What a form carries of a system, so that it cannot act on what it never showed."""
    return f"{row_of(found, system).opening}.{found.decided.get(system, 0)}"


def slot_of(found: CaseFile, system: str) -> str:
    """What of two people deciding at once only one can take."""
    return f"{found.view.case.case_id}:{system}:{position(found, system)}"


def standing_of(row: RevocationRow, status: str) -> Standing:
    """What a decision depends on, of a system and its case's status as they were read."""
    return Standing(
        begun=status != CaseStatus.SCHEDULED,
        called_off=row.state == RevocationState.STOPPED or status == CaseStatus.RESCINDED,
        settled=row.state == RevocationState.SETTLED,
        by_hand=row.tier == Tier.MANUAL,
        due_at=row.due_at,
    )


def open_row(found: CaseFile, system: str, seen: str, kind: DecisionKind) -> RevocationRow:
    """A system about which ``kind`` can be decided, as it was seen.

    Raises:
        ConflictError: if it is settled, or somebody has decided since.
        RefusedError: if it cannot be decided now.
    """
    row = row_of(found, system)
    bar = bar_to(kind, standing_of(row, found.view.case.status), now=datetime.now(UTC))
    if bar is Bar.SETTLED:
        raise ConflictError(f"{system} is settled: {settled_words(found, row)}")
    if bar is not None:
        raise RefusedError(f"{system}: {bar}")
    if seen and seen != position(found, system):
        raise ConflictError(since_then(found, system))
    return row


def pending_of(found: CaseFile, system: str, now: datetime) -> bool:
    """Whether something about the system waits for a second person."""
    return any(
        row.system == system and row.state_at(now) is RequestState.PENDING for row in found.requests
    )


def faster(error: SlotTakenError) -> ConflictError:
    """Who was faster, in words."""
    if not error.holder.act_id:
        return ConflictError("somebody tried the same at this moment: try again")
    return ConflictError(who_did(error.holder))


def decision_data(choice: Choice, person: Person, *, request_id: str = "") -> Mapping[str, object]:
    """All that is needed to send a decision, and to send the same one again."""
    return {
        "kind": choice.kind.value,
        "actor": person.actor,
        "why": person.reason,
        "second": person.second,
        "digest": choice.digest,
        "until": choice.until.astimezone(UTC).isoformat() if choice.until else "",
        "request": request_id,
        **(
            {"accounts": list(choice.accounts), "others": list(choice.others)}
            if choice.kind is DecisionKind.PICK
            else {}
        ),
    }


def settled_words(found: CaseFile, row: RevocationRow) -> str:
    outcome = (row.outcome or "").replace("_", " ")
    last = _last_decision(found, row.system)
    by_person = row.outcome in {"attested", "waived"}
    if by_person and last is not None:
        return who_did(last)
    at = row.confirmed_at or row.revoked_at
    words = f"{outcome} at {instant_words(at)}" if at else outcome
    return f"{words}; {who_did(last)}" if last is not None else words


def since_then(found: CaseFile, system: str) -> str:
    last = _last_decision(found, system)
    if last is None:
        return "it has changed since you looked at it: look again, then decide"
    return who_did(last)


def _last_decision(found: CaseFile, system: str) -> ActRow | None:
    """The newest act that decided about a system; acts come newest first."""
    for act in found.acts:
        if act.system == system and act.kind in _DECIDING and act.state != ActState.REFUSED:
            return act
    return None

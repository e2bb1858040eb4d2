"""What one person asks for and another approves: never the one who asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from lockstep.control.cases.asking import Asked, Wish, already_asked, ask, refuse_nobody
from lockstep.control.cases.casework import (
    LONGEST_TEXT,
    CaseDesk,
    Choice,
    Done,
    checked_id,
    decision_data,
    faster,
    living,
    named,
    open_row,
    pending_of,
    slot_of,
    text_of,
    writable,
)
from lockstep.control.cases.dates import OF_DATES, CaseDates
from lockstep.control.cases.desk import LONGEST_WAIVER, Person
from lockstep.control.cases.picking import doubtful_row
from lockstep.control.cases.withdrawing import Withdrawing, withdrawal_act
from lockstep.control.cases.words import state_words
from lockstep.control.people.one_person import Author
from lockstep.control.refusals import ConflictError, NotAllowedError, NotThereError, RefusedError
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.rights import CLI_USER, EVERYTHING, Principal, Scope
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import (
    ActKind,
    ActRow,
    ActState,
    DecidedError,
    NewAct,
    SlotTakenError,
)
from lockstep.storage.cases.candidates import shown_as
from lockstep.storage.keys.artefacts import Upload
from lockstep.storage.keys.keyring import KeyringError
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.people.requests import RequestRow, RequestState
from lockstep.storage.records import RevocationRow

_OWN = "the second person is somebody else: as far as is known, you asked for this yourself"


class SecondPerson:
    """Use cases around requests."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk
        self._dates = CaseDates(desk)

    async def attest(
        self,
        me: Principal,
        case_id: str,
        system: str,
        *,
        reason: str,
        seen: str = "",
        upload: Upload | None = None,
    ) -> Done | Asked:
        """Say that access was ended by hand: done at once, or when somebody else agrees."""
        found = await self._desk.find(me, case_id)
        row = open_row(found, system, seen, DecisionKind.ATTEST)
        digest = upload.digest if upload else ""
        choice = Choice(DecisionKind.ATTEST, text_of(reason), digest)
        if self._desk.pairs.need_second(choice.kind, row.tier, has_artefact=upload is not None):
            return await ask(self._desk, me, found, _wish(choice, row, upload))
        if pending_of(found, system, datetime.now(UTC)):
            raise already_asked(system)
        return await self._desk.decide_alone(me, case_id, system, choice, seen=seen)

    async def waive(
        self,
        me: Principal,
        case_id: str,
        system: str,
        *,
        reason: str,
        until: datetime,
        seen: str = "",
    ) -> Asked:
        """Ask that a system may stay open until ``until``."""
        found = await self._desk.find(me, case_id)
        row = open_row(found, system, seen, DecisionKind.WAIVE)
        choice = Choice(DecisionKind.WAIVE, text_of(reason), until=whole_ms(until))
        _check_end(until)
        return await ask(self._desk, me, found, _wish(choice, row))

    async def approve(self, me: Principal, request_id: str, *, reason: str = "") -> Done:
        """Agree, and have it carried out.

        Raises:
            NotAllowedError: for whoever asked; recorded.
        """
        words = writable(reason).strip()[:LONGEST_TEXT]
        request, found, asked = await self._open(me, request_id, "approve")
        if ActKind(request.kind) in OF_DATES:
            return await self._approve_dates(me, found, request, asked, words)
        if request.kind == ActKind.WITHDRAW_KEY:
            return await self._approve_withdrawal(me, found, request, asked, words)
        row = _fitting(found, request, asked)
        await self._check_asker(request, asked)
        choice = Choice(
            DecisionKind(request.kind),
            str(asked["reason"]),
            str(asked["digest"]),
            request.until,
            tuple(asked.get("accounts", ())),
            tuple(asked.get("others", ())),
        )
        person = Person(str(asked["actor"]), choice.reason, named(me))
        act = NewAct(
            request.case_id,
            row.system,
            ActKind(request.kind),
            me.user_id,
            {
                "name": me.name,
                "reason": words,
                **decision_data(choice, person, request_id=request_id),
            },
            token=me.token,
            slot=slot_of(found, row.system),
            state=ActState.SENT,
        )
        taken = await self._settle(me, found, request, RequestState.APPROVED, act)
        return await self._desk.carry_out(me, taken)

    async def _approve_dates(
        self,
        me: Principal,
        found: CaseFile,
        request: RequestRow,
        asked: Mapping[str, Any],
        words: str,
    ) -> Done:
        person = Person(
            str(asked["actor"]), str(asked["reason"]), named(me), user_id=request.asked_by
        )
        kind = ActKind(request.kind)
        move = await self._dates.agreed(me, found, kind, person, asked)
        await self._check_asker(request, asked)
        agreed = {"reason": words, "request": request.request_id, "actor": person.actor}
        act = move.act(me, **agreed)
        taken = await self._settle(me, found, request, RequestState.APPROVED, act)
        return await self._dates.send(move, taken)

    async def _approve_withdrawal(
        self,
        me: Principal,
        found: CaseFile,
        request: RequestRow,
        asked: Mapping[str, Any],
        words: str,
    ) -> Done:
        withdrawing = Withdrawing(self._desk)
        key = withdrawing.agreed(found, asked)
        await self._check_asker(request, asked)
        person = Person(str(asked["actor"]), str(asked["reason"]), named(me))
        agreed = {"request": request.request_id, "actor": person.actor, "about": asked["about"]}
        act = withdrawal_act(me, request.case_id, {"reason": words, **agreed})
        taken = await self._settle(me, found, request, RequestState.APPROVED, act)
        return await withdrawing.carry_out(taken, key, person, request_id=request.request_id)

    async def refuse(self, me: Principal, request_id: str, *, reason: str) -> Done:
        """Do not agree, and say why; raises `NotAllowedError` for whoever asked."""
        request, found, _ = await self._open(me, request_id, "refuse")
        act = self._plain(me, request, ActKind.REFUSE, text_of(reason))
        return Done((await self._settle(me, found, request, RequestState.REFUSED, act)).act_id)

    async def withdraw(self, me: Principal, request_id: str, *, reason: str = "") -> Done:
        """Take back what oneself asked for; raises `NotAllowedError` for everybody else.

        Oneself is whoever could not approve it for having asked, too: of the command line a name is
        known, and no more.
        """
        request, found = await self._find(me, request_id)
        if not await self._may_withdraw(me, request, found):
            await self._desk.denied(me, "case.withdraw", found, request.system, "not_own_request")
            raise NotAllowedError("only whoever asked can take it back: refuse it instead")
        act = self._plain(me, request, ActKind.WITHDRAW, writable(reason).strip()[:LONGEST_TEXT])
        return Done((await self._settle(me, found, request, RequestState.WITHDRAWN, act)).act_id)

    async def own_requests(self, me: Principal, found: CaseFile) -> frozenset[str]:
        """Ids of what ``me`` asked for about a case, and so cannot decide."""
        return frozenset(
            [
                row.request_id
                for row in found.requests
                if await self.is_own(me, row, _readable(row, found))
            ]
        )

    async def _may_withdraw(self, me: Principal, request: RequestRow, found: CaseFile) -> bool:
        asked = _readable(request, found)
        if me.user_id == CLI_USER and request.asked_by == CLI_USER:  # which is everybody's there
            return not _folded(me.typed).isdisjoint(_folded(asked.get("typed", ())))
        return await self.is_own(me, request, asked)

    async def find(self, me: Principal, request_id: str) -> RequestRow:
        """One request in scope; raises `NotThereError`."""
        return (await self._find(me, request_id))[0]

    async def pending(self, scope: Scope = EVERYTHING, *, limit: int = 50) -> list[RequestRow]:
        """What waits for a second person, the first to run out first."""
        return await self._desk.requests.pending(scope, limit=limit)

    async def is_own(self, me: Principal, request: RequestRow, asked: Mapping[str, Any]) -> bool:
        """Whether ``me`` asked for it, under whatever id, key or name."""
        keys = frozenset(bytes.fromhex(key) for key in asked.get("own_keys", ()))
        author = Author(request.asked_by, keys, tuple(asked.get("typed", ())))
        return await self._desk.one_person.is_same(me, author)

    async def _find(self, me: Principal, request_id: str) -> tuple[RequestRow, CaseFile]:
        request = await self._desk.requests.one(checked_id(request_id), me.scope)
        if request is None:
            raise NotThereError(request_id)
        return request, await self._desk.find(me, request.case_id)

    async def _open(
        self, me: Principal, request_id: str, act: str
    ) -> tuple[RequestRow, CaseFile, Mapping[str, Any]]:
        """What ``me`` is to decide as the second person."""
        request, found = await self._find(me, request_id)
        asked = opened(request, living(found))
        await refuse_nobody(self._desk, me, found, f"case.{act}", request.system)
        if await self.is_own(me, request, asked):
            await self._desk.denied(me, f"case.{act}", found, request.system, "own_request")
            raise NotAllowedError(_OWN)
        state = request.state_at(datetime.now(UTC))
        if state is not RequestState.PENDING:
            raise ConflictError(state_words(state))
        return request, found, asked

    async def _check_asker(self, request: RequestRow, asked: Mapping[str, Any]) -> None:
        """Nobody has a say in a case about themselves, even if that showed only afterwards."""
        keys = frozenset(bytes.fromhex(key) for key in asked["own_keys"])
        theirs = Scope(partners=None, sealed=True, own_keys=keys)
        if not await self._desk.sight.among([request.case_id], theirs):
            raise RefusedError("whoever asked for this is the leaver: it cannot be approved")

    async def _settle(
        self,
        me: Principal,
        found: CaseFile,
        request: RequestRow,
        state: RequestState,
        act: NewAct,
    ) -> ActRow:
        try:
            return await self._desk.acts.settle(request.request_id, state, act, living(found))
        except DecidedError:
            again = await self._desk.requests.one(request.request_id, me.scope)
            now = again.state_at(datetime.now(UTC)) if again else RequestState.EXPIRED
            raise ConflictError(state_words(now)) from None
        except SlotTakenError as error:
            raise faster(error) from None

    def _plain(self, me: Principal, request: RequestRow, kind: ActKind, reason: str) -> NewAct:
        document = {"name": me.name, "reason": reason, "request": request.request_id}
        return NewAct(request.case_id, request.system, kind, me.user_id, document, token=me.token)


def _readable(request: RequestRow, found: CaseFile) -> Mapping[str, Any]:
    """Who asked and why; nothing where it cannot be read."""
    if found.subject is None:
        return {}
    try:
        return opened(request, found.subject)
    except RefusedError:
        return {}


def _folded(names: Iterable[str]) -> set[str]:
    return {name.strip().casefold() for name in names}


def opened(request: RequestRow, subject: Subject) -> Mapping[str, Any]:
    """Who asked and why; raises `RefusedError` if it cannot be read."""
    try:
        return subject.decrypt(request.private, context=request.request_id)
    except KeyringError:
        raise RefusedError("what was asked for cannot be read: it must be asked anew") from None


def _fitting(found: CaseFile, request: RequestRow, asked: Mapping[str, Any]) -> RevocationRow:
    """The system as it stands now; raises unless what was asked for still makes sense."""
    if request.kind == DecisionKind.PICK:
        row = doubtful_row(found, request.system, "")
        if shown_as(found.candidates[row.system]) != asked["shown"]:
            raise ConflictError("other accounts are in doubt by now: it must be asked anew")
    else:
        row = open_row(found, request.system, "", DecisionKind(request.kind))
    if row.opening != asked["opening"]:
        raise ConflictError(
            f"access came back to {row.system} since this was asked for: it must be asked anew"
        )
    if request.kind == DecisionKind.WAIVE:
        assert request.until is not None  # noqa: S101 - a waiver has an end
        _check_end(request.until)
    return row


def _check_end(until: datetime) -> None:
    now = datetime.now(UTC)
    if not now < until <= now + LONGEST_WAIVER:
        raise RefusedError(f"a waiver needs an end, {LONGEST_WAIVER.days} days ahead at most")


def _wish(choice: Choice, row: RevocationRow, upload: Upload | None = None) -> Wish:
    return Wish(
        ActKind(choice.kind.value),
        choice.reason,
        system=row.system,
        until=choice.until,
        more={"digest": choice.digest, "opening": row.opening},
        upload=upload,
    )

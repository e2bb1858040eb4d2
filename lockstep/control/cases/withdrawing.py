"""Withdrawing a key of a leaver: alone before the cutoff, by two people afterwards.

HR's statements only ever add keys (docs/whose-account.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep.control.cases.asking import Asked, Wish, ask
from lockstep.control.cases.casework import CaseDesk, Done, living, named, text_of
from lockstep.control.cases.desk import Person
from lockstep.control.refusals import ConflictError, RefusedError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.outcomes import CaseStatus
from lockstep.domain.intake.key_cleaning import KeyFormError, cleaned
from lockstep.domain.rights import Principal
from lockstep.domain.systems.keys import WithdrawalError, without
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import ActKind, ActRow, ActState, NewAct
from lockstep.storage.cases.rows import Said
from lockstep.storage.cases.withdrawing import AloneError

_KINDS = {
    KeyKind.ACCOUNT_ID: "account",
    KeyKind.WORKER_ID: "worker id",
    KeyKind.EMPLOYEE_NUMBER: "employee number",
    KeyKind.EXTERNAL_ID: "external id",
    KeyKind.USERNAME: "user name",
    KeyKind.EMAIL: "address",
}


class Withdrawing:
    """The use case, for somebody who has proved who they are, or is known by a name at least."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def withdraw(self, me: Principal, case_id: str, key: Key, *, reason: str) -> Done | Asked:
        """Take a key out of force: nobody is searched for by it any more.

        Raises:
            RefusedError: if it is not in force, or HR speaks of the leaver by it.
        """
        person = Person(named(me), text_of(reason))
        found = await self._desk.find(me, case_id)
        known = self._known(found, key)
        case = found.view.case
        about = key_words(known)
        if self._desk.pairs.need_second_to_withdraw(case.kind, begun=case.begun_at is not None):
            more = {"key": [known.kind.value, known.value, known.system], "about": about}
            return await ask(
                self._desk, me, found, Wish(ActKind.WITHDRAW_KEY, person.reason, more=more)
            )
        act = withdrawal_act(me, case.case_id, {"reason": person.reason, "about": about})
        return await self.carry_out(await self._desk.take(act, found), known, person)

    def agreed(self, found: CaseFile, asked: Mapping[str, Any]) -> Key:
        """The key that a second person agrees to, if it is still in force."""
        kind, value, system = asked["key"]
        return self._known(found, Key(KeyKind(kind), value, system))

    async def carry_out(
        self, act: ActRow, key: Key, person: Person, *, request_id: str = ""
    ) -> Done:
        """Withdraw it, and have the case read the database again.

        Raises:
            ConflictError: if it is not in force any more, or the cutoff has come since.
        """
        said = Said(person.actor, person.reason, person.second)
        try:
            await self._desk.withdrawals.withdraw(act.case_id, key, said)
        except (AloneError, WithdrawalError) as error:
            await self._desk.acts.refused(act, request_id=request_id)
            if isinstance(error, AloneError):
                raise ConflictError("the cutoff has come: a second person has to agree") from None
            raise ConflictError(str(error)) from None
        await self._desk.acts.done(act.act_id)
        await self._desk.desk.wake(act.case_id)
        return Done(act.act_id)

    def _known(self, found: CaseFile, key: Key) -> Key:
        if found.view.case.status == CaseStatus.RESCINDED:
            raise RefusedError("the case was called off: nobody is searched for")
        try:
            return without(living(found).keys, key)[1]
        except WithdrawalError as error:
            raise RefusedError(str(error)) from None


def withdrawal_act(me: Principal, case_id: str, document: Mapping[str, object]) -> NewAct:
    """How it is recorded, before it is carried out."""
    return NewAct(
        case_id,
        "",
        ActKind.WITHDRAW_KEY,
        me.user_id,
        {"name": me.name, **document},
        token=me.token,
        state=ActState.SENT,
    )


def key_given(kind: str, value: str, system: str = "") -> Key:
    """A key as somebody names it; raises `RefusedError`."""
    try:
        found = KeyKind(kind)
        is_account = found is KeyKind.ACCOUNT_ID
        if is_account != bool(system):
            raise RefusedError("an account is named with its system, and nothing else is")
        return Key(found, cleaned(found, value), system or None)
    except KeyFormError as error:
        raise RefusedError(str(error)) from None
    except ValueError as error:
        if isinstance(error, RefusedError):
            raise
        known = ", ".join(kind.value for kind in KeyKind)
        raise RefusedError(f"there is no such kind of key: these are {known}") from None


def key_words(key: Key) -> str:
    """A key for people who may see it."""
    where = f" in {key.system}" if key.system else ""
    return f"{_KINDS[key.kind]} {key.value}{where}"

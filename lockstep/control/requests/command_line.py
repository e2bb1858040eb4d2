"""What is decided on the command line, where nobody has proved who they are.

Where policy wants a pair, it asks: somebody else, who has signed in, decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime

from lockstep.contracts.payloads import DecisionResult
from lockstep.control.cases.asking import Asked, already_asked
from lockstep.control.cases.casework import CaseDesk, Choice, pending_of, row_of, text_of
from lockstep.control.cases.dates import CaseDates
from lockstep.control.cases.desk import Person
from lockstep.control.cases.picking import Picking, choice_of, doubtful_row
from lockstep.control.cases.withdrawing import Withdrawing
from lockstep.control.intake.events import Dates
from lockstep.control.refusals import NotAllowedError, NotThereError, RefusedError
from lockstep.control.requests.following import Followed, Following
from lockstep.control.requests.second_person import SecondPerson
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.rights import CLI_USER, Permission, Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.keys.artefacts import Upload
from lockstep.storage.keys.keyring import Keyring

_OS = "os:"
_PAUSE_S = 0.5


class CommandLine:
    """Decisions of whoever holds the keyring: alone where policy lets them, else by a request.

    Args:
        given: the name given with ``--as``, or "".
        user: the operating system's user, as ``os:ana``.
    """

    def __init__(
        self, cases: CaseDesk, ring: Keyring, *, tenant: str, given: str, user: str
    ) -> None:
        self._cases = cases
        self._seconds = SecondPerson(cases)
        self._dates = CaseDates(cases)
        self._actor = given.strip() or user
        self._me = typed_principal(ring, tenant, given=given, user=user)

    async def attest(
        self, case_id: str, system: str, *, reason: str, upload: Upload | None = None
    ) -> DecisionResult | Asked:
        """Say that access was ended by hand: a word alone, or a request."""
        found = await self._find(case_id)
        whole = found.view.case.case_id
        row = row_of(found, _known(found, system))
        if self._cases.pairs.need_second(
            DecisionKind.ATTEST, row.tier, has_artefact=upload is not None
        ):
            done = await self._seconds.attest(self._me, whole, system, reason=reason, upload=upload)
            return _asked(done)
        if pending_of(found, system, datetime.now(UTC)):
            raise already_asked(system)
        person = Person(self._actor, text_of(reason))
        return await self._cases.desk.decide(whole, system, DecisionKind.ATTEST, person)

    async def waive(self, case_id: str, system: str, *, reason: str, until: datetime) -> Asked:
        """Ask that a system may stay open."""
        found = await self._find(case_id)
        whole = found.view.case.case_id
        return await self._seconds.waive(
            self._me, whole, _known(found, system), reason=reason, until=until
        )

    async def amend(self, case_id: str, dates: Dates, *, reason: str) -> str | Asked:
        """Move the cutoff; return the event's id where nobody else is asked."""
        found = await self._find(case_id)
        case, desk, pairs = found.view.case, self._cases.desk, self._cases.pairs
        cutoff = desk.cutoff(await desk.amendment(case.case_id, dates))
        if pairs.need_second_to_move(case.kind, case.cutoff_at, cutoff):
            done = await self._dates.reschedule(self._me, case.case_id, dates, reason=reason)
            return _asked(done)
        return await desk.amend(case.case_id, dates, Person(self._actor, text_of(reason)), pairs)

    async def rescind(self, case_id: str, *, reason: str) -> str | Asked:
        """Call a case off; return the event's id where nobody else is asked."""
        found = await self._find(case_id)
        case, desk, pairs = found.view.case, self._cases.desk, self._cases.pairs
        if pairs.need_second_to_prolong(case.kind):
            return _asked(await self._dates.rescind(self._me, case.case_id, reason=reason))
        return await desk.rescind(case.case_id, Person(self._actor, text_of(reason)), pairs)

    async def rehire(
        self, case_id: str, *, reason: str, hired_on: date | None = None
    ) -> str | Asked:
        """Say that they work here again; return the event's id where nobody else is asked."""
        found = await self._find(case_id)
        case, desk, pairs = found.view.case, self._cases.desk, self._cases.pairs
        if pairs.need_second_to_prolong(case.kind):
            done = await self._dates.rehire(
                self._me, case.case_id, reason=reason, hired_on=hired_on
            )
            return _asked(done)
        person = Person(self._actor, text_of(reason))
        return await desk.rehire(case.case_id, person, pairs, hired_on=hired_on)

    async def withdraw_key(self, case_id: str, key: Key, *, reason: str) -> Asked | None:
        """Take a key of the leaver out of force; None where nobody else is asked."""
        found = await self._find(case_id)
        whole = found.view.case.case_id
        done = await Withdrawing(self._cases).withdraw(self._me, whole, key, reason=reason)
        return done if isinstance(done, Asked) else None

    async def pick(
        self, case_id: str, system: str, accounts: Sequence[str], *, reason: str
    ) -> Choice | Asked:
        """Say which accounts are the leaver's, or ask somebody else to agree."""
        found = await self._find(case_id)
        whole = found.view.case.case_id
        row = doubtful_row(found, _known(found, system), "")
        choice = choice_of(found, system, accounts, reason=text_of(reason))
        if self._cases.pairs.need_second(DecisionKind.PICK, row.tier, has_artefact=False):
            done = await Picking(self._cases).pick(
                self._me, whole, system, accounts, reason=choice.reason
            )
            return _asked(done)
        if pending_of(found, system, datetime.now(UTC)):
            raise already_asked(system)
        await self._cases.desk.decide(
            whole,
            system,
            DecisionKind.PICK,
            Person(self._actor, choice.reason),
            accounts=choice.accounts,
            others=choice.others,
        )
        return choice

    async def withdraw(self, request_id: str, *, reason: str = "") -> None:
        """Take back what was asked for here under the same name.

        Raises:
            RefusedError: if there is no such request, somebody else asked, or it is decided.
        """
        try:
            await self._seconds.withdraw(self._me, request_id, reason=reason)
        except NotThereError:
            raise RefusedError(
                f"there is no request {request_id!r}: see `lockstep requests`"
            ) from None
        except NotAllowedError:
            raise RefusedError(
                f"request {request_id} was not asked for here by {self._me.name}: only whoever"
                " asked takes it back; in the console, somebody else can refuse it"
            ) from None

    async def follow(self, request_id: str, views: CaseViews, *, patience_s: float) -> Followed:
        """Wait until a request is decided and carried out; where it stands after ``patience_s``."""
        following = Following(self._cases, views)
        until = asyncio.get_running_loop().time() + patience_s
        while True:
            found = await following.look(self._me, request_id)
            left = until - asyncio.get_running_loop().time()
            if found.is_over or left <= 0:
                return found
            await asyncio.sleep(min(_PAUSE_S, left))

    async def _find(self, case_id: str) -> CaseFile:
        """The case, by the beginning of its id; refused to the leaver, as far as is known."""
        view = await self._cases.desk.find(case_id)
        try:
            return await self._cases.find(self._me, view.case.case_id)
        except NotThereError:
            raise RefusedError(
                f"case {view.case.case_id} is about a person of this name ({self._me.name}): nobody"
                " decides in a case about themselves; somebody else has to"
            ) from None


def typed_principal(ring: Keyring, tenant: str, *, given: str, user: str) -> Principal:
    """Whoever sits at the command line: every name that is known of them, and no proof of any."""
    own, said = user.removeprefix(_OS), given.strip().removeprefix(_OS)
    name = f"cli:{own}" if said in {"", own} else f"cli:{said}, typed by {own}"
    names = tuple(dict.fromkeys(one for one in (own, said) if one))
    return Principal(
        CLI_USER,
        name,
        permissions=frozenset({Permission.SEE_CASES, Permission.ACT, Permission.SEALED}),
        partners=None,
        own_keys=key_indexes(ring, tenant, _keys(names)),
        typed=names,
    )


def _keys(names: Iterable[str]) -> Iterable[Key]:
    for name in names:
        yield Key(KeyKind.EMAIL if "@" in name else KeyKind.USERNAME, name)


def _known(found: CaseFile, system: str) -> str:
    names = [row.system for row in found.view.revocations]
    if system not in names:
        case_id, known = found.view.case.case_id, ", ".join(names)
        raise RefusedError(f"case {case_id} has no system {system!r}: it has {known}")
    return system


def _asked(done: object) -> Asked:
    assert isinstance(done, Asked)  # noqa: S101 - by the same rules it was to be asked for
    return done

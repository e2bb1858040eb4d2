"""Saying whose the accounts are that the law could not tell apart (docs/whose-account.md).

Only what was shown can be picked; what was shown and not picked is somebody else's from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from lockstep.control.cases.asking import Asked, Wish, already_asked, ask
from lockstep.control.cases.casework import (
    CaseDesk,
    Choice,
    Done,
    pending_of,
    position,
    row_of,
    since_then,
    standing_of,
    text_of,
)
from lockstep.control.refusals import ConflictError, RefusedError
from lockstep.domain.cases.decisions import Bar, DecisionKind, bar_to
from lockstep.domain.rights import Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import ActKind
from lockstep.storage.cases.candidates import Candidate, shown_as
from lockstep.storage.records import RevocationRow


class Picking:
    """The use case, for somebody who has proved who they are."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    async def pick(
        self,
        me: Principal,
        case_id: str,
        system: str,
        accounts: Sequence[str],
        *,
        reason: str,
        seen: str = "",
    ) -> Done | Asked:
        """Say that of the accounts that are shown these are the leaver's, and no other; maybe none.

        ``seen``: `pick_seen` as ``me`` saw it; "" is as it is.

        Raises:
            RefusedError: for an account that is not shown.
        """
        found = await self._desk.find(me, case_id)
        row = doubtful_row(found, system, seen)
        choice = choice_of(found, system, accounts, reason=text_of(reason))
        if pending_of(found, system, datetime.now(UTC)):
            raise already_asked(system)
        if self._desk.pairs.need_second(DecisionKind.PICK, row.tier, has_artefact=False):
            more = {
                "digest": "",
                "opening": row.opening,
                "accounts": list(choice.accounts),
                "others": list(choice.others),
                "shown": shown_as(found.candidates[system]),
            }
            wish = Wish(ActKind.PICK, choice.reason, system=system, more=more)
            return await ask(self._desk, me, found, wish)
        return await self._desk.decide_found(me, found, system, choice)


def pick_seen(found: CaseFile, system: str) -> str:
    """What a form carries, so that it decides about no account that it never showed."""
    shown = found.candidates.get(system, ())
    return f"{position(found, system)}.{shown_as(shown)}" if shown else ""


def bar_to_pick(found: CaseFile, row: RevocationRow) -> Bar | None:
    """Why nobody may say now whose accounts are; None where a person may."""
    case = found.view.case
    standing = replace(
        standing_of(row, case.status),
        in_doubt=bool(found.candidates.get(row.system)),
        watched=case.unwatched_at is None,
    )
    return bar_to(DecisionKind.PICK, standing, now=datetime.now(UTC))


def doubtful_row(found: CaseFile, system: str, seen: str) -> RevocationRow:
    """A system in which accounts are in doubt, as it was seen.

    Raises:
        ConflictError: if nothing is in doubt there any more, or other accounts are.
        RefusedError: if nobody may pick in it.
    """
    row = row_of(found, system)
    if not found.candidates.get(system):
        raise ConflictError(f"no account of {system} is in doubt: {since_then(found, system)}")
    if (bar := bar_to_pick(found, row)) is not None:
        raise RefusedError(bar.value)
    if seen and seen != pick_seen(found, system):
        raise ConflictError(
            f"what is in doubt has changed since you looked: {since_then(found, system)}"
        )
    return row


def choice_of(found: CaseFile, system: str, accounts: Sequence[str], *, reason: str) -> Choice:
    """What is decided: the accounts that were named, and against all others that are shown.

    Raises:
        RefusedError: for an account that is not shown.
    """
    shown: dict[str, Candidate] = {one.account_id: one for one in found.candidates[system]}
    if strange := [account for account in accounts if account not in shown]:
        known = ", ".join(shown)
        raise RefusedError(
            f"there is no account {strange[0]} among those in doubt in {system}: these are {known}"
        )
    theirs = tuple(dict.fromkeys(accounts))
    others = tuple(account for account in shown if account not in theirs)
    return Choice(DecisionKind.PICK, reason, accounts=theirs, others=others)

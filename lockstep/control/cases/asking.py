"""Asking a second person: what was asked for, by whom, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from lockstep.control.cases.casework import CaseDesk, living, named
from lockstep.control.refusals import ConflictError, NotAllowedError
from lockstep.domain.cases.clocks import whole_ms
from lockstep.domain.rights import Principal
from lockstep.storage.board.file import CaseFile
from lockstep.storage.cases.acts import ActKind, NewAct, NewRequest, RequestStandsError
from lockstep.storage.keys.artefacts import Upload

LIFETIME = timedelta(hours=48)
_ASKS = {
    ActKind.ATTEST: ActKind.ASK_ATTEST,
    ActKind.WAIVE: ActKind.ASK_WAIVE,
    ActKind.PICK: ActKind.ASK_PICK,
    ActKind.RESCHEDULE: ActKind.ASK_RESCHEDULE,
    ActKind.RESCIND: ActKind.ASK_RESCIND,
    ActKind.REHIRE: ActKind.ASK_REHIRE,
    ActKind.WITHDRAW_KEY: ActKind.ASK_WITHDRAW_KEY,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """It waits for a second person until ``expires_at``."""

    request_id: str
    expires_at: datetime
    case_id: str


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants done.

    Args:
        kind: the act that it will be.
        system: "" where it is about the whole case.
        until: the end of a waiver.
        more: what is needed to carry it out; kept under the leaver's key.
    """

    kind: ActKind
    reason: str = field(repr=False)
    system: str = ""
    until: datetime | None = None
    more: Mapping[str, object] = field(default_factory=dict, repr=False)
    upload: Upload | None = None


async def ask(desk: CaseDesk, me: Principal, found: CaseFile, wish: Wish) -> Asked:
    """Have it wait for somebody else.

    Raises:
        ConflictError: if something about this system, or this case as a whole, waits already.
        NotAllowedError: for a token of which nobody knows whose it is; recorded.
    """
    await refuse_nobody(desk, me, found, f"case.{_ASKS[wish.kind].value}", wish.system)
    request = NewRequest(
        wish.kind.value,
        whole_ms(datetime.now(UTC)) + LIFETIME,
        wish.until,
        {
            **wish.more,
            "actor": named(me),
            "name": me.name,
            "reason": wish.reason,
            "own_keys": sorted(index.hex() for index in me.own_keys),
            "typed": list(me.typed),
        },
        wish.upload,
    )
    act = NewAct(
        found.view.case.case_id,
        wish.system,
        _ASKS[wish.kind],
        me.user_id,
        {"name": me.name, "reason": wish.reason, "request": request.request_id, **_told(wish)},
        token=me.token,
    )
    try:
        await desk.acts.ask(act, request, living(found))
    except RequestStandsError:
        raise already_asked(wish.system) from None
    return Asked(request.request_id, request.expires_at, act.case_id)


async def refuse_nobody(
    desk: CaseDesk, me: Principal, found: CaseFile, act: str, system: str
) -> None:
    """Of two people each must be somebody; raises `NotAllowedError` for a token without owner."""
    if me.is_nobodys:
        await desk.denied(me, act, found, system, "token_without_owner")
        raise NotAllowedError(
            "this needs two people, and nobody knows whose token this is: give it an owner"
        )


def _told(wish: Wish) -> dict[str, object]:
    """What of a wish the history of the case tells."""
    return {name: wish.more[name] for name in ("accounts", "others", "about") if name in wish.more}


def already_asked(system: str) -> ConflictError:
    """Two wishes about the same would contradict each other."""
    about = system or "this case as a whole"
    return ConflictError(
        f"something about {about} waits for a second person already: decide or withdraw that first"
    )

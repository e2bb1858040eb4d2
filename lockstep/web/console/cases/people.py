"""What people asked for and did about a case, as its page tells it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lockstep.control.cases.casework import decision_id_of
from lockstep.control.cases.words import asked_words, did, is_approval, picked_words, state_words
from lockstep.control.refusals import RefusedError
from lockstep.control.requests.second_person import opened
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.rights import CLI_USER
from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.board.file import CaseFile, DecisionRow
from lockstep.storage.cases.acts import ActKind, ActState
from lockstep.storage.keys.artefacts import ArtefactRow
from lockstep.storage.people.requests import RequestRow, RequestState

_UNKNOWN = "a person"
_SAID = {
    EntryKind.CASE_OPENED.value: "reported the leaver",
    EntryKind.CASE_AMENDED.value: "amended the case; carried out",
    EntryKind.CASE_RESCINDED.value: "called the case off; carried out",
    EntryKind.CASE_RESCIND_REFUSED.value: "called the case off too late",
    EntryKind.CASE_REHIRED.value: "said that they work here again",
    EntryKind.CASE_KEY_WITHDRAWN.value: "withdrew a key of the leaver; carried out",
}


@dataclass(frozen=True, slots=True)
class AskedView:
    """Something that waits, or waited, for a second person.

    Args:
        wish: what, as a noun.
        cutoff: the later one that was asked for.
        about: the key that is to be withdrawn.
        is_unproved: whether it came by the command line: ``who`` is a name that nobody proved.
    """

    row: RequestRow
    state: RequestState
    wish: str
    words: str
    who: str = field(repr=False)
    reason: str = field(repr=False)
    cutoff: datetime | None
    decided_by: str = field(repr=False)
    artefact: ArtefactRow | None
    is_own: bool
    is_unproved: bool
    about: str = field(default="", repr=False)

    @property
    def waits(self) -> bool:
        return self.state is RequestState.PENDING


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """What somebody did. ``is_sent``: no answer has come yet."""

    at: datetime
    who: str = field(repr=False)
    what: str
    system: str
    text: str = field(repr=False)
    act_id: str
    state: str
    is_comment: bool = False
    second: str = field(default="", repr=False)
    until: datetime | None = None

    @property
    def is_sent(self) -> bool:
        return self.state == ActState.SENT


def people_in(found: CaseFile) -> set[str]:
    """User ids that the page may name."""
    ids = {act.user_id for act in found.acts}
    ids |= {row.asked_by for row in found.requests}
    ids |= {row.decided_by for row in found.requests if row.decided_by}
    return ids | ({found.assigned[0]} if found.assigned else set())


def asked_view(
    found: CaseFile,
    row: RequestRow,
    users: Mapping[str, str],
    *,
    own: frozenset[str],
    named: bool,
    now: datetime,
) -> AskedView:
    """A request as somebody may see it who asked for ``own``. ``users``: names of colleagues."""
    state = row.state_at(now)
    document: Mapping[str, Any] = {}
    if found.subject is not None:
        with contextlib.suppress(RefusedError):
            document = opened(row, found.subject)
    cutoff = document.get("cutoff")
    return AskedView(
        row=row,
        state=state,
        wish=asked_words(row.kind),
        words=state_words(state),
        who=_asker(row, document, users, named=named),
        reason=str(document.get("reason", "")) if named else "",
        cutoff=datetime.fromisoformat(cutoff) if cutoff else None,
        decided_by=who(row.decided_by, users, named=named) if row.decided_by else "",
        artefact=next((one for one in found.artefacts if one.artefact_id == row.artefact_id), None),
        is_own=row.request_id in own,
        is_unproved=row.asked_by == CLI_USER,
        about=str(document.get("about", "")) if named else "",
    )


def _asker(
    row: RequestRow, document: Mapping[str, Any], users: Mapping[str, str], *, named: bool
) -> str:
    if row.asked_by == CLI_USER and named:
        return str(document.get("name") or CLI_USER)
    return who(row.asked_by, users, named=named)


def history_of(
    found: CaseFile, users: Mapping[str, str], *, named: bool
) -> tuple[HistoryLine, ...]:
    """Acts, and decisions that were made elsewhere, the newest first."""
    by_id = {row.decision_id: row for row in found.decisions}
    lines = []
    for act in found.acts:
        made = by_id.pop(decision_id_of(act.act_id), None)
        document = act.document if named else {}
        text = document.get("text") or document.get("reason") or ""
        name = str(document.get("name") or "") or who(act.user_id, users, named=named)
        what = did(act.kind)
        if act.kind == ActKind.ASSIGN and document.get("to"):
            what = f"gave the case to {document['to']}"
        if act.kind == ActKind.CORRECT and document.get("what"):
            what = f"{what}: {document['what']}"
        if act.kind in {ActKind.WITHDRAW_KEY, ActKind.ASK_WITHDRAW_KEY} and document.get("about"):
            what = f"{what}: {document['about']}"
        if act.kind in {ActKind.PICK, ActKind.ASK_PICK} and "accounts" in document:
            what = picked_words(document["accounts"], document["others"])
        if is_approval(act):
            asker = document.get("actor")
            what = f"approved the {asked_words(act.kind)}" + (
                f" that {asker} asked for" if asker else ""
            )
        lines.append(
            HistoryLine(
                at=act.acted_at,
                who=name,
                what=what,
                system=act.system,
                text=str(text),
                act_id=act.act_id,
                state=ActState.DONE if made else act.state,
                is_comment=act.kind == ActKind.COMMENT,
                second=made.second if made and named else "",
                until=made.until if made else None,
            )
        )
    lines += [_from_elsewhere(row, named=named) for row in by_id.values()]
    return tuple(sorted(lines, key=lambda line: line.at, reverse=True))


def _from_elsewhere(row: DecisionRow, *, named: bool) -> HistoryLine:
    words = {**{kind.value: did(kind.value) for kind in DecisionKind}, **_SAID}
    return HistoryLine(
        at=row.decided_at,
        who=row.actor if named and row.actor else _UNKNOWN,
        what=words.get(row.kind, row.kind.replace("_", " ")),
        system=row.system,
        text=row.reason if named else "",
        act_id="",
        state=ActState.DONE,
        second=row.second if named else "",
        until=row.until,
    )


def who(user_id: str, users: Mapping[str, str], *, named: bool) -> str:
    """Colleagues by name; an auditor needs to tell them apart, not to know them."""
    return users.get(user_id, user_id) if named else user_id

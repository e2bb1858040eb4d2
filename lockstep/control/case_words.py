"""How acts are told to people: the same words in pages, refusals and answers of the API."""

from __future__ import annotations

from datetime import UTC, datetime

from lockstep.storage.case_acts import ActKind, ActRow, ActState
from lockstep.storage.requests import RequestState

_DID = {
    ActKind.RETRY: "asked for a retry",
    ActKind.ATTEST: "attested it",
    ActKind.WAIVE: "waived it",
    ActKind.ASK_ATTEST: "asked for an attestation",
    ActKind.ASK_WAIVE: "asked for a waiver",
    ActKind.ASK_RESCHEDULE: "asked for a later cutoff",
    ActKind.ASK_RESCIND: "asked that the case be called off",
    ActKind.REFUSE: "refused what was asked for",
    ActKind.WITHDRAW: "withdrew what was asked for",
    ActKind.RESCHEDULE: "moved the cutoff",
    ActKind.RESCIND: "called the case off",
    ActKind.COMMENT: "commented",
    ActKind.ASSIGN: "gave the case to somebody",
    ActKind.NAMES: "looked at the leaver's name",
    ActKind.FETCH: "fetched an artefact",
}
_ASKED = {
    ActKind.ATTEST: "attestation",
    ActKind.WAIVE: "waiver",
    ActKind.RESCHEDULE: "later cutoff",
    ActKind.RESCIND: "calling off",
}
_STATES = {
    RequestState.PENDING: "It waits for a second person.",
    RequestState.APPROVED: "It was approved.",
    RequestState.REFUSED: "It was refused.",
    RequestState.WITHDRAWN: "It was withdrawn.",
    RequestState.EXPIRED: "It ran out: nobody decided it in time.",
    RequestState.LAPSED: "It was approved too late: it could not be carried out any more.",
}


def instant_words(moment: datetime) -> str:
    """To the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def did(kind: str) -> str:
    """What somebody did, to go behind their name."""
    return _DID[ActKind(kind)]


def asked_words(kind: str) -> str:
    """What a second person is asked for; goes behind an article."""
    return _ASKED[ActKind(kind)]


def is_approval(act: ActRow) -> bool:
    """Whether it carries out what somebody else had asked for."""
    return act.kind in _ASKED and bool(act.document.get("request"))


def who_did(act: ActRow) -> str:
    """Who did what and when; of what got no answer, that too."""
    name = str(act.document.get("name") or act.user_id)
    what = "approved what was asked for" if is_approval(act) else did(act.kind)
    text = f"{name} {what} at {instant_words(act.acted_at)}"
    if act.state == ActState.SENT:
        return f"{text}, and no answer has come yet: it can be sent again"
    return text


def state_words(state: RequestState) -> str:
    """What became of something that was asked for."""
    return _STATES[state]

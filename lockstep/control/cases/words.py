"""How acts are told to people: the same words in pages, refusals and answers of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from lockstep.domain.systems.finding import Reason
from lockstep.storage.cases.acts import ActKind, ActRow, ActState
from lockstep.storage.people.requests import RequestState

_DID = {
    ActKind.RETRY: "asked for a retry",
    ActKind.ATTEST: "attested it",
    ActKind.WAIVE: "waived it",
    ActKind.PICK: "picked accounts",
    ActKind.ASK_PICK: "asked that accounts be picked",
    ActKind.ASK_ATTEST: "asked for an attestation",
    ActKind.ASK_WAIVE: "asked for a waiver",
    ActKind.ASK_RESCHEDULE: "asked for a later cutoff",
    ActKind.ASK_RESCIND: "asked that the case be called off",
    ActKind.ASK_REHIRE: "asked to say that they work here again",
    ActKind.REFUSE: "refused what was asked for",
    ActKind.WITHDRAW: "withdrew what was asked for",
    ActKind.RESCHEDULE: "moved the cutoff",
    ActKind.RESCIND: "called the case off",
    ActKind.REHIRE: "said that they work here again",
    ActKind.CORRECT: "added to what HR said",
    ActKind.WITHDRAW_KEY: "withdrew a key of the leaver",
    ActKind.ASK_WITHDRAW_KEY: "asked that a key of the leaver be withdrawn",
    ActKind.COMMENT: "commented",
    ActKind.ASSIGN: "gave the case to somebody",
    ActKind.NAMES: "looked at the leaver's name",
    ActKind.FETCH: "fetched an artefact",
}
_WHY = {
    Reason.PICKED: "a person said that it is the leaver's",
    Reason.PINNED: "HR named it for this system",
    Reason.KNOWN: "it was found to be the leaver's before",
    Reason.NUMBER: "it has the leaver's number",
    Reason.ONLY_ONE: "the only one with an address or user name of the leaver",
    Reason.NOT_PICKED: "a person said that it is not the leaver's",
    Reason.OTHER_NUMBER: "it has another employee number or worker id",
    Reason.OTHER_ACCOUNT: "a stronger key names another account",
    Reason.MADE_AFTER_CUTOFF: "it was made after the cutoff",
    Reason.NAME_IN_PART: "the user name agrees before the @ only",
    Reason.OTHER_DOMAIN: "all its addresses are in domains where the leaver has none",
    Reason.SEVERAL: "one of several with an address or user name of the leaver",
    Reason.TWO_RANGES: "only the number agrees, and several HR systems number people here",
    Reason.WITHDRAWN: "it was found by keys of which one was withdrawn, and by no other",
    Reason.NOT_ALL_SEARCHED: "a search failed, and may have found what speaks against it",
}
_ASKED = {
    ActKind.ATTEST: "attestation",
    ActKind.WAIVE: "waiver",
    ActKind.PICK: "pick of accounts",
    ActKind.RESCHEDULE: "later cutoff",
    ActKind.RESCIND: "calling off",
    ActKind.REHIRE: "end of the watch, as they work here again",
    ActKind.WITHDRAW_KEY: "withdrawal of a key",
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


def why_words(why: str) -> str:
    """Why an account is in doubt, or somebody else's."""
    return _WHY[Reason(why)]


def picked_words(accounts: Sequence[str], others: Sequence[str]) -> str:
    """What a pick said, by the vendor's ids."""
    theirs = f"picked {', '.join(accounts)}" if accounts else "picked none"
    return f"{theirs}; not the leaver's: {', '.join(others)}" if others else theirs


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

"""What a tenant tells beyond who holds what: sign-ins, and what people own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from connectors.entra import calls, quirks
from connectors.kit.abilities.rows import Log, Owned, Owns
from connectors.kit.calls import Listed
from connectors.kit.holdings import Test
from lockstep.domain.systems.owned import OwnedKind


def _signed_in_by(of: str) -> Listed:
    span = f"{of}createdDateTime ge {{since}} and createdDateTime le {{until}}"
    return calls.listed("/auditLogs/signIns", "sign_ins", calls.SIGN_INS, params={"$filter": span})


ACTIVITY = Log(
    _signed_in_by("userId eq '{id}' and "),
    at=("createdDateTime",),
    what=quirks.what_was_used,
    kind=quirks.use_of,
    sees="interactive sign-ins, refused ones too; not those that an app made with a token, nor what"
    " was done afterwards. Needs a P1 licence; entries come minutes late and are kept 30 days",
    mine=lambda entry, words: str(entry.get("userId")) == words["id"],
    oldest=_signed_in_by(""),
    widest=timedelta(days=30),
)


def _owned(kind: OwnedKind, name: str) -> Mapping[OwnedKind, Test]:
    return {kind: lambda item: quirks.type_of(item) == name}


OWNED = Owned(
    (
        Owns(
            calls.of_user("ownedObjects", "users.owned", calls.READ),
            {
                **_owned(OwnedKind.APP, "application"),
                **_owned(OwnedKind.SERVICE_ACCOUNT, "servicePrincipal"),
                **_owned(OwnedKind.GROUP, "group"),
            },
            mine=lambda _item, _words: True,
            name=("displayName",),
            created=("createdDateTime",),
        ),
    ),
    "app registrations, service principals and groups that the person owns. Whoever owned an app"
    " may know its secrets and certificates: they must be replaced. Whether there is another"
    " owner, and which agents the person sponsors, is not seen",
)

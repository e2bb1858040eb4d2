"""What Okta tells beyond who holds what: everybody's users, its System Log, API tokens by owner.

From https://developer.okta.com/docs/api/openapi/okta-management/management/tag/SystemLog/ and
https://developer.okta.com/docs/api/openapi/okta-management/management/tag/ApiToken/: entries are
kept for 90 days, a question with ``until`` has an end, and a user's entries carry the user's id as
``actor.id``. Okta names an owner of an API token (``userId``), of a group only group by group, and
of an application or OAuth client none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from connectors.kit.abilities.rows import Active, Log, Owned, Owns
from connectors.kit.calls import Call, Listed
from connectors.kit.holdings import always
from connectors.kit.pages import Item, LinkHeader, Shape
from connectors.kit.paths import at
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.owned import OwnedKind

KEPT: Final = timedelta(days=90)
_NO_SIZE: Final = LinkHeader()
# An outcome that is neither, as SKIPPED or CHALLENGE, opened nothing and turned nobody away.
_KINDS: Final = {
    "SUCCESS": UseKind.USED,
    "ALLOW": UseKind.USED,
    "FAILURE": UseKind.REFUSED,
    "DENY": UseKind.REFUSED,
    # Okta could not tell: it is shown, because "it was not used" would be a claim.
    "UNKNOWN": UseKind.USED,
}


def _entries(operation: str, size: int, **params: str) -> Listed:
    """Entries of the log between two instants, the oldest first."""
    bounds = {"since": "{since}", "until": "{until}", "sortOrder": "ASCENDING"}
    call = Call("GET", "/api/v1/logs", operation, "logs", {**bounds, **params})
    return Listed(call, LinkHeader({"limit": size}), Shape(ref="uuid"), most_pages=200)


def _by(event: Item) -> Any:
    return at(event, ("actor", "id"))


def active(everybody: Listed) -> Active:
    return Active(
        everybody,
        "users who are not SUSPENDED and not DEPROVISIONED, so also those who are not activated"
        " yet, locked out, or whose password has expired",
    )


ACTIVITY = Log(
    _entries("logs.list", 1000, filter='actor.id eq "{id}"'),
    at=("published",),
    what=lambda event: event.get("eventType"),
    kind=lambda event: _KINDS.get(str(at(event, ("outcome", "result")))),
    sees="what the user did in Okta and was refused, in the last 90 days: a sign-in to an app is"
    " seen, what is done inside the app is not. Okta logs a token's renewal under the client that"
    " asks for it, which is not looked at",
    mine=lambda event, words: _by(event) == words["id"],
    oldest=_entries("logs.earlier", 1),
    kept=KEPT,
    widest=KEPT,
)

OWNED = Owned(
    (
        Owns(
            Listed(Call("GET", "/api/v1/api-tokens", "api_tokens.list", "apiTokens"), _NO_SIZE),
            {OwnedKind.KEY: always},
            mine=lambda token, words: token.get("userId") == words["id"],
            name=("name",),
            created=("created",),
        ),
    ),
    "API tokens that the user made; Okta ends them with their user. Not seen: OAuth clients and"
    " apps, of which Okta names no owner, groups, whose owners are told group by group only, and"
    " AI agents, whose API is in beta. Not verified at a real organisation: whether an"
    " administrator who is not super administrator sees everybody's tokens",
)

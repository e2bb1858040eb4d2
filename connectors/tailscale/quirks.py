"""What only Tailscale's documents say: which devices connect, which keys work, and what ends soon.

Field meanings: https://tailscale.com/api and github.com/tailscale/tailscale-client-go-v2. Scopes:
https://tailscale.com/kb/1623/trust-credentials.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.kit.auth.ways import SignedIn
from connectors.kit.calls import Words
from connectors.kit.options import Option
from connectors.kit.pages import Item
from connectors.kit.spec import Examined
from lockstep.domain.systems.access import Problem, ProblemSeverity

_EXPIRY_WARNING: Final = timedelta(days=14)
_SIGHT_SCOPES: Final = ("api_access_tokens", "oauth_keys:read")
"""Without these a kind of key is not shown. Suspending ends API keys all the same (kb/1145)."""
LACKING: Final = (
    "The credential lacks the scope {missing}.",
    "Give the trust credential the scope {missing}, or use a key of an Owner, Admin or IT admin.",
)


def is_owned(device: Item, words: Words) -> bool:
    """Registered by this user and of this tailnet: one that is shared in is not ours to cut off."""
    owner = str(device.get("user", "")).casefold()
    return owner == words["locator"].casefold() and not device.get("isExternal")


def is_tagged(device: Item) -> bool:
    return bool(device.get("tags"))


def connects(device: Item) -> bool:
    """Whether the device is authorized by a node key that has not ended."""
    if device.get("authorized") is False:
        return False
    return never_expires(device) or not _is_past(device.get("expires"))


def never_expires(device: Item) -> bool:
    """A key that never expires would outlive being expired."""
    return bool(device.get("keyExpiryDisabled"))


def is_valid(key: Item) -> bool:
    revoked = key.get("invalid") is True or _instant_of(key.get("revoked")) is not None
    return not revoked and not _is_past(key.get("expires"))


def outlives_its_maker(key: Item) -> bool:
    return is_valid(key) and key.get("keyType") in {"client", "federated"}


def is_actor(entry: Item, words: Words) -> bool:
    """Whether this user made the change: by id, or by the login name that entries carry too."""
    said = entry.get("actor")
    actor = said if isinstance(said, dict) else {}
    login = str(actor.get("loginName") or "").casefold()
    return str(actor.get("id")) == words["id"] or login == words["locator"].casefold()


def what_was_done(entry: Item) -> str:
    """For instance ``NODE.CREATE``."""
    said = entry.get("target")
    target = said if isinstance(said, dict) else {}
    return f"{target.get('type') or 'TAILNET'}.{entry.get('action') or 'UNKNOWN'}"


def blind_to_clients(signed_in: SignedIn) -> str:
    """The scope without which OAuth clients are left out of the list; "" where it is there.

    A token says what it may; an API key may what its person may.
    """
    granted = signed_in.scopes
    sees = {"all", "all:read", "oauth_keys", "oauth_keys:read"}
    return "oauth_keys:read" if granted and not granted & sees else ""


def examine(seen: Examined, scopes: Iterable[str], api_key: Option[str]) -> list[Problem]:
    """What a token says that it may not do, and an API key that ends soon."""
    problems = _expiry_problems(seen.values[api_key], seen.lists.get("keys.list", ()))
    return problems + _ungranted(seen.signed_in.scopes, scopes)


def _ungranted(granted: frozenset[str], needed: Iterable[str]) -> list[Problem]:
    """Nothing where the token does not say what it may."""
    if not granted or "all" in granted:
        return []
    readable = granted | {f"{scope}:read" for scope in granted}
    if "all:read" in granted:
        readable |= set(_SIGHT_SCOPES)
    problems = [_lacks(each) for each in needed if each not in granted]
    unseen = [each for each in _SIGHT_SCOPES if each not in readable]
    return problems + [_lacks(each, ProblemSeverity.LIMITS) for each in unseen]


def _lacks(scope: str, severity: ProblemSeverity = ProblemSeverity.BLOCKS) -> Problem:
    summary, fix = (text.format(missing=scope) for text in LACKING)
    return Problem(f"permission_missing.{scope}", summary, fix, severity)


def _expiry_problems(api_key: str, keys: Iterable[Item]) -> list[Problem]:
    """An API key ends after 90 days at most; its own id is the third part of its text."""
    parts = api_key.split("-")
    own_id = parts[2] if len(parts) > 3 else ""  # noqa: PLR2004 - tskey-api-<id>-<secret>
    ends = [_instant_of(key.get("expires")) for key in keys if own_id and key["id"] == own_id]
    if not any(end and end - datetime.now(UTC) < _EXPIRY_WARNING for end in ends):
        return []
    return [
        Problem(
            "credential_expires",
            "The API key ends within two weeks.",
            "Create a trust credential, which does not end, and set client_id and client_secret;"
            " or replace api_key.",
            ProblemSeverity.LIMITS,
        )
    ]


def _is_past(expires: object) -> bool:
    moment = _instant_of(expires)
    return moment is not None and moment <= datetime.now(UTC)


def _instant_of(text: object) -> datetime | None:
    """A vendor time; None for none, which Go writes as an empty string or as year 1.

    An unreadable or zoneless time is None too: then the door counts as open.
    """
    try:
        moment = datetime.fromisoformat(str(text or ""))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment.year > 1 else None

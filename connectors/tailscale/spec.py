"""Tailscale: suspend the user, delete the user's keys, cut off the user's devices.

Vendor rules, from https://tailscale.com/api (no pages: every list is given whole),
https://tailscale.com/kb/1145/remove-team-members and /kb/1623/trust-credentials:

- There is no search by address: the users are listed and ``loginName`` is compared.
- An owner must hand over before leaving, and an API key cannot act on its own user.
- Suspending twice is not described, so state is read first and a shut door is left alone.
- Only "suspended" is shut: "needs-approval" is one click of an administrator from open.
- Deleting a user takes devices and keys along; both are looked for all the same.
- The list of keys leaves out, without a word, every kind that the credential may not read.
- A tagged device belongs to its tag and not to whoever registered it; like the OAuth clients and
  federated identities that a person made, it survives that person: a residual without a bound.
"""

from __future__ import annotations

from datetime import timedelta

from connectors.http import Dialect
from connectors.kit import options
from connectors.kit.abilities.rows import Active, Log, Owned, Owns
from connectors.kit.auth.ways import ClientCredentials, bearer
from connectors.kit.calls import Call, Listed, Wire
from connectors.kit.holdings import Close, Holding, always
from connectors.kit.pages import Shape, Whole
from connectors.kit.residuals import Outlives
from connectors.kit.rest import manifest_of
from connectors.kit.spec import Door, Finding, Guard, KeyAt, Record, RestSpec, SignIn
from connectors.tailscale import quirks
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.abilities import EnforcedAt, Enforcement
from lockstep.domain.systems.access import AccessKind, Category
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.owned import OwnedKind

KIND = "tailscale"

_BASE = options.address("base_url", "API address", default="https://api.tailscale.com/api/v2")
_TAILNET = options.text("tailnet", "tailnet; - is the credential's own", default="-", empty="-")
_DISABLE = options.choice(
    "disable", "suspend keeps the user for a restore, delete does not", ("suspend", "delete")
)
_DEVICES = options.choice(
    "devices",
    "what happens to the user's devices; deauthorize needs device approval",
    ("expire", "deauthorize", "delete"),
)
_NETMAP_BOUND = options.bound(
    "netmap_bound_s",
    "seconds until every peer has dropped the user's devices, where you have measured it;"
    " Tailscale states none",
)
_API_KEY = options.secret("api_key", "API access token (tskey-api-)")
_CLIENT = options.secret("client_id", "id of a trust credential")
_SECRET = options.secret("client_secret", "secret of a trust credential")

# What revoking needs: the scopes of the three areas of the API.
_SCOPES = _USERS, _DEVICES_CORE, _AUTH_KEYS = ("users", "devices:core", "auth_keys")


def _list(area: str, needs: str, **params: str) -> Listed:
    """A whole list. Go writes an empty one as null; an answer without it is not "nobody"."""
    call = Call("GET", f"/tailnet/{{tailnet}}/{area}", f"{area}.list", needs, params)
    return Listed(call, Whole(), Shape(at=(area,), null_is_empty=True))


def _cut_off(operation: str, path: str, method: str = "POST", **more: object) -> Call:
    path = f"/device/{{ref}}{path}"
    return Call(method, path, f"devices.{operation}", _DEVICES_CORE, **more)  # type: ignore[arg-type] # body and when


_HOLDINGS = (
    # Devices can be many thousands: only one user's are asked for.
    Holding(
        _list("devices", _DEVICES_CORE, user="{locator}"),
        {AccessKind.DEVICE: always},
        Close(
            option=_DEVICES,
            by_word={
                "expire": (
                    _cut_off(
                        "enable_key_expiry",
                        "/key",
                        body={"keyExpiryDisabled": False},
                        when=quirks.never_expires,
                    ),
                    _cut_off("expire", "/expire"),
                ),
                "deauthorize": (
                    _cut_off("deauthorize", "/authorized", body={"authorized": False}),
                ),
                "delete": (_cut_off("delete", "", "DELETE"),),
            },
        ),
        mine=quirks.is_owned,
        stands=quirks.connects,
        ref=lambda device: str(device.get("nodeId") or device["id"]),
        again=True,
        leaves={"tagged_devices": quirks.is_tagged},
    ),
    Holding(
        _list("keys", _AUTH_KEYS, all="true"),
        {AccessKind.SECRET: always},
        Close((Call("DELETE", "/tailnet/{tailnet}/keys/{ref}", "keys.delete", _AUTH_KEYS),)),
        mine=lambda key, words: key.get("userId") == words["id"],
        stands=quirks.is_valid,
        again=True,
        leaves={"oauth_clients": quirks.outlives_its_maker},
    ),
)

# https://tailscale.com/kb/1203/audit-logging: on for every tailnet, kept for 90 days, no pages.
_CHANGES = Listed(
    Call(
        "GET",
        "/tailnet/{tailnet}/logging/configuration",
        "logging.configuration",
        "logs:configuration:read",
        {"start": "{since}", "end": "{until}"},
    ),
    Whole(),
    Shape(at=("logs",), ref="", null_is_empty=True),
)
_ACTIVITY = Log(
    _CHANGES,
    at=("eventTime",),
    what=quirks.what_was_done,
    kind=lambda _: UseKind.USED,
    sees="changes that the user made to the tailnet (devices, keys, settings); neither traffic nor"
    " refused tries. Not verified at a real tailnet: whether signing in is an entry",
    mine=quirks.is_actor,
    oldest=_CHANGES,
    kept=timedelta(days=90),
)
_OWNED = Owned(
    (
        Owns(
            _list("devices", _DEVICES_CORE, user="{locator}"),
            {OwnedKind.SERVICE_ACCOUNT: quirks.is_tagged},
            mine=quirks.is_owned,
            ref=lambda device: str(device.get("nodeId") or device["id"]),
            name=("name",),
            created=("created",),
            used=("lastSeen",),
        ),
        Owns(
            _list("keys", _AUTH_KEYS, all="true"),
            {OwnedKind.APP: quirks.outlives_its_maker},
            mine=lambda key, words: key.get("userId") == words["id"],
            name=("description",),
            created=("created",),
            blind=quirks.blind_to_clients,
        ),
    ),
    "devices that the user gave to a tag, OAuth clients and federated identities that they made",
)

SPEC = RestSpec(
    kind=KIND,
    title="Tailscale",
    category=Category.VPN,
    secret_marks=("tskey-",),
    options=(_BASE, _TAILNET, _DISABLE, _DEVICES, _NETMAP_BOUND, _API_KEY, _CLIENT, _SECRET),
    base_url=_BASE,
    auth=(bearer(_API_KEY), ClientCredentials(_CLIENT, _SECRET)),
    # Tailscale refuses with prose only ({"message": ...}), which may hold a name: a path that
    # matches nothing keeps all of it out of our fault codes.
    wire=Wire(Dialect(KIND, error_code=("",)), effect_ok=frozenset({200, 204})),
    record=Record(
        Call("GET", "/users/{id}", "users.get", _USERS),
        keys=(
            KeyAt(KeyKind.USERNAME, ("loginName",)),
            # An identity provider without addresses signs people in as "name@github".
            KeyAt(KeyKind.EMAIL, ("loginName",), when=lambda name: "." in name.rpartition("@")[2]),
        ),
        name=("displayName",),
        created=("created",),
        used=("lastSeen",),
        listed_too=True,
    ),
    finding=Finding(
        everybody=_list("users", _USERS, type="all"),
        compared={KeyKind.USERNAME: ("loginName",), KeyKind.EMAIL: ("loginName",)},
    ),
    sign_in=SignIn(
        doors=(Door(("status",), shut="suspended"),),
        block=Close(
            option=_DISABLE,
            by_word={
                word: (Call("POST", f"/users/{{id}}/{word}", f"users.{word}", _USERS),)
                for word in _DISABLE.choices
            },
        ),
        guards=(Guard(("role",), "owner"),),
        takes_all=frozenset({"delete"}),
    ),
    holdings=_HOLDINGS,
    outlives=(
        Outlives("wireguard_peers", _NETMAP_BOUND),
        Outlives("tagged_devices", of_things=True),
        Outlives("oauth_clients", of_things=True),
    ),
    things_outlive_it=True,
    active=Active(
        _list("users", _USERS, type="all"),
        "users that are not suspended, shared ones and those that wait for approval too; a tagged"
        " device signs in by itself and is nobody's",
    ),
    activity=_ACTIVITY,
    owned=_OWNED,
    # Suspending ends API keys for good; devices connect again and auth keys work again.
    revives_on_unblock=frozenset({AccessKind.DEVICE, AccessKind.SECRET}),
    enforced_at=EnforcedAt(Enforcement.NOT_READ, "every device of the tailnet, by its netmap"),
    lacking=quirks.LACKING,
    examine=lambda seen: quirks.examine(seen, _SCOPES, _API_KEY),
    permissions=(
        "users: list, read, suspend or delete users",
        "devices:core: list devices, expire, deauthorize or delete them",
        "auth_keys: list and delete the auth keys that the user made",
        "api_access_tokens: list and delete the user's API access tokens (they end on suspension)",
        "oauth_keys:read: report OAuth clients that the user made, which outlive the user",
        "logs:configuration:read: optional: tell what the user changed afterwards",
    ),
    proves="GET /users/{id} shows status suspended (or 404, and the list of users agrees); no"
    " untagged device of the user is authorized with an unexpired node key; no auth key that the"
    " user made is valid. Tailscale keeps no time of suspension on the user. Tagged devices and"
    " OAuth clients survive their maker and are reported as residuals.",
)

MANIFEST = manifest_of(SPEC)

"""Tailscale: suspend the user, delete the user's keys, cut off the user's devices.

Vendor rules, from https://tailscale.com/api (no pages: every list is given whole),
https://tailscale.com/kb/1145/remove-team-members and /kb/1623/trust-credentials:

- There is no search by address: the users are listed and ``loginName`` is compared.
- An owner must hand over before leaving, and an API key cannot act on its own user.
- Suspending twice is not described, so state is read first and a shut door is left alone.
- The list of keys leaves out, without a word, every kind that the credential may not read.
- A tagged device belongs to its tag and not to whoever registered it; like the OAuth clients and
  federated identities that a person made, it survives that person: a residual without a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final
from urllib.parse import quote

import httpx

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    Transcript,
)
from connectors.http import Answer, Dialect, VendorHttp
from connectors.kit import options
from connectors.kit.bounds import residual
from connectors.kit.options import read_options
from connectors.kit.searching import Searching
from connectors.kit.steps import attempt, fault_of, in_order, unread
from connectors.vpn.tailscale_health import SCOPES, expiry_problems, problem_of, ungranted
from connectors.vpn.tailscale_oauth import oauth_client
from connectors.vpn.tailscale_records import (
    Item,
    UserState,
    is_named,
    match_of,
    seen_of,
    state_of,
)
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    Proof,
    Residual,
    Search,
    Unread,
)
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import KeyKind, LeaverKeys

KIND: Final = "tailscale"

# Tailscale refuses with prose only ({"message": ...}), which may hold a name: a path that matches
# nothing keeps all of it out of our fault codes.
_DIALECT: Final = Dialect(connector=KIND, error_code=("",))


class Tailscale:
    """One tailnet. See `connectors.base.Connector`."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        values = read_options(_OPTIONS, given, kind=KIND)
        self._system = given.system
        self._tailnet = quote(values[_TAILNET] or "-", safe="")
        self._devices = values[_DEVICES]
        self._disable = values[_DISABLE]
        self._netmap_bound_s = values[_NETMAP_BOUND]
        self._api_key = values[_API_KEY]
        self._oauth = oauth_client(values[_BASE_URL], given.secrets, _DIALECT)
        self._http = VendorHttp(
            _DIALECT,
            values[_BASE_URL],
            headers={"Authorization": f"Bearer {self._api_key}"} if self._api_key else {},
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            pace=given.pace,
            auth=self._oauth,
        )

    @property
    def kind(self) -> str:
        return KIND

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """List the users and compare; where the list fails, whom HR named is read by id."""
        ids = keys.account_ids(self._system)
        wanted = [(KeyKind.ACCOUNT_ID, value) for value in ids]
        wanted += [(KeyKind.USERNAME, value) for value in keys.usernames]
        wanted += [(KeyKind.EMAIL, value) for value in keys.emails]
        if not wanted:
            return Location((), ())
        searching = Searching(not_theirs)
        users = await searching.one(partial(self._list, "users", transcript))
        if isinstance(users, ConnectorFault):
            read = await searching.each(partial(self._user, each, transcript) for each in ids)
            named = [each for each in read if isinstance(each, dict)]
            matches = tuple(match_of(each, KeyKind.ACCOUNT_ID) for each in named)
            told = (Search(kind, value, Proof.FAILED) for kind, value in wanted)
            return searching.told(Location(matches, tuple(told)))
        found: dict[str, Match] = {}
        for kind, value in wanted:
            for user in users:
                if is_named(user, kind, value):
                    found.setdefault(user["id"], match_of(user, kind))
        # Whoever owns the tailnet is a user: a list of nobody hides people.
        proof = Proof.LISTED if users else Proof.UNPROVED
        searches = (Search(kind, value, proof) for kind, value in wanted)
        return Location(tuple(found.values()), tuple(searches), listed=len(users))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The user alone: one call."""
        return seen_of(account.id, await self._user(account.id, transcript))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Suspend or delete the user; deleting takes devices and keys along (kb/1145)."""
        if not before.signs_in:
            return ()
        user = await self._user(account.id, transcript)
        now = seen_of(account.id, user)
        if user is None or not now.signs_in:
            return ()
        if user.get("role") == "owner":
            raise self._fault(FaultCategory.PROTECTED_ACCOUNT, f"users.{self._disable}")
        closed = before.standing if self._disable == "delete" else now.standing
        return tuple(_actions(closed, await self._shut_out(account, transcript)))

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        state, unread = await self._look(account, transcript)
        residuals = [*residual("wireguard_peers", self._netmap_bound_s)]
        if state.has_tagged_devices:
            residuals.append(Residual("tagged_devices", None))
        if state.has_oauth_clients:
            residuals.append(Residual("oauth_clients", None))
        return Observation(
            account_id=account.id,
            exists=state.user is not None,
            standing=state.standing(account.id),
            residuals=tuple(residuals),
            unread=unread,
        )

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Delete the user's keys, then cut off the devices: a key can bring new devices in."""
        state, missing = await self._look(account, transcript)
        still = set(state.standing(account.id))
        due = [access for access in before.standing if access in still]

        async def close(access: Access) -> list[Action]:
            if access.kind is AccessKind.SECRET:
                return _actions([access], await self._delete_key(access.ref, transcript))
            return _actions([access], await self._cut_off(state, access.ref, transcript))

        return await in_order(
            [partial(close, access) for access in due if access.kind is AccessKind.SECRET],
            [partial(close, access) for access in due if access.kind is AccessKind.DEVICE],
            [
                partial(self._cannot, row)
                for row in missing
                if any(access.kind is row.kind for access in before.standing)
            ],
        )

    async def _cannot(self, row: Unread) -> tuple[Action, ...]:
        """What stood in a list that cannot be read now is neither closed nor gone."""
        raise fault_of(row, connector=KIND)

    async def health(self, transcript: Transcript) -> Health:
        problems: list[Problem] = []
        for area in SCOPES:
            try:
                items = await self._list(area, transcript, user=_NOBODY)
            except ConnectorFault as fault:
                problems.append(problem_of(fault))
                if fault.category is FaultCategory.PERMISSION_MISSING:
                    continue
                is_silent = fault.category in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
                return Health(reachable=not is_silent, problems=tuple(problems))
            if area == "keys":
                problems += expiry_problems(self._api_key, items)
        problems += ungranted(self._oauth.scopes if self._oauth else frozenset())
        return Health(reachable=True, problems=tuple(dict.fromkeys(problems)))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _look(
        self, account: Account, transcript: Transcript
    ) -> tuple[UserState, tuple[Unread, ...]]:
        """Read user, devices and keys at once; a list that cannot be read is unread.

        Raises:
            ConnectorFault: the user cannot be read.
        """
        user, devices, keys = await asyncio.gather(
            attempt(self._user(account.id, transcript)),
            attempt(self._list("devices", transcript, user=account.locator or _NOBODY)),
            attempt(self._list("keys", transcript)),
        )
        if isinstance(user, ConnectorFault):
            raise user
        login = str(user.get("loginName", "")) if user else account.locator
        if login != account.locator:
            # Renamed since the account was pinned: the devices go by the new name.
            devices = await attempt(self._list("devices", transcript, user=login))
        unread_lists = tuple(
            unread(kind, told)
            for kind, told in ((AccessKind.DEVICE, devices), (AccessKind.SECRET, keys))
            if isinstance(told, ConnectorFault)
        )
        state = state_of(
            user,
            login,
            account_id=account.id,
            devices=() if isinstance(devices, ConnectorFault) else devices,
            keys=() if isinstance(keys, ConnectorFault) else keys,
            now=datetime.now(UTC),
        )
        return state, unread_lists

    async def _user(self, account_id: str, transcript: Transcript) -> Item | None:
        """The user by id; a 404 counts only once the list of users agrees."""
        answer = await self._call(
            "GET", f"/users/{quote(account_id, safe='')}", "users.get", "users", transcript
        )
        if answer.status == httpx.codes.NOT_FOUND:
            users = await self._list("users", transcript)
            return next((user for user in users if user["id"] == account_id), None)
        if not isinstance(answer.data, dict) or str(answer.data.get("id")) != account_id:
            raise self._fault(FaultCategory.UNEXPECTED_ANSWER, "users.get", "other_user")
        return answer.data

    async def _list(self, area: str, transcript: Transcript, *, user: str = "") -> list[Item]:
        """One area, whole; of the devices, which can be many thousands, only one user's."""
        answer = await self._call(
            "GET",
            f"/tailnet/{self._tailnet}/{area}",
            f"{area}.list",
            area,
            transcript,
            params=_LIST_PARAMS.get(area, {"user": user}),
        )
        data = answer.data
        # An answer without its list must not read as "nobody": Go writes an empty one as null.
        if not isinstance(data, dict) or not isinstance(data.get(area, ""), list | None):
            raise self._fault(FaultCategory.UNEXPECTED_ANSWER, f"{area}.list", "no_list")
        items = answer.objects(area)
        if not all(item.get("id") for item in items):
            raise self._fault(FaultCategory.UNEXPECTED_ANSWER, f"{area}.list", "no_id")
        return [{**item, "id": str(item["id"])} for item in items]

    async def _shut_out(self, account: Account, transcript: Transcript) -> Answer:
        path = f"/users/{quote(account.id, safe='')}/{self._disable}"
        return await self._call("POST", path, f"users.{self._disable}", "users", transcript)

    async def _delete_key(self, key_id: str, transcript: Transcript) -> Answer:
        path = f"/tailnet/{self._tailnet}/keys/{quote(key_id, safe='')}"
        return await self._call("DELETE", path, "keys.delete", "keys", transcript)

    async def _cut_off(self, state: UserState, device_id: str, transcript: Transcript) -> Answer:
        path = f"/device/{quote(device_id, safe='')}"
        call = partial(self._call, needs="devices", transcript=transcript)
        match self._devices:
            case "delete":
                return await call("DELETE", path, "devices.delete")
            case "deauthorize":
                body = {"authorized": False}
                return await call("POST", f"{path}/authorized", "devices.deauthorize", body=body)
            case _:
                if state.devices[device_id].get("keyExpiryDisabled"):
                    # A key that never expires would outlive being expired.
                    body = {"keyExpiryDisabled": False}
                    await call("POST", f"{path}/key", "devices.enable_key_expiry", body=body)
                return await call("POST", f"{path}/expire", "devices.expire")

    async def _call(
        self,
        method: str,
        path: str,
        operation: str,
        needs: str,
        transcript: Transcript,
        *,
        params: Mapping[str, str | int] | None = None,
        body: object | None = None,
    ) -> Answer:
        """Call; a 404 is an answer, because every id in a path was resolved before."""
        listing = operation.endswith(".list")
        try:
            return await self._http.call(
                method,
                path,
                operation=operation,
                transcript=transcript,
                expect=(200,) if listing else (200, 204, 404),
                params=params,
                body=body,
            )
        except ConnectorFault as fault:
            if fault.category is not FaultCategory.PERMISSION_MISSING:
                raise
            raise ConnectorFault(
                fault.category,
                connector=KIND,
                operation=operation,
                code=fault.code,
                missing=SCOPES[needs],
                request_id=fault.request_id,
            ) from None

    def _fault(self, category: FaultCategory, operation: str, code: str = "") -> ConnectorFault:
        return ConnectorFault(category, connector=KIND, operation=operation, code=code)


_NOBODY: Final = "nobody@lockstep.invalid"
_LIST_PARAMS: Final[Mapping[str, Mapping[str, str | int]]] = {
    "users": {"type": "all"},
    "keys": {"all": "true"},
}


def _actions(closed: Iterable[Access], answer: Answer) -> list[Action]:
    """None for a 404: what it asked to close was gone already."""
    if answer.status == httpx.codes.NOT_FOUND:
        return []
    exchange = answer.exchange
    return [
        Action(each, answer.answered_at, exchange.operation, exchange.request_id) for each in closed
    ]


_BASE_URL = options.address("base_url", "API address", default="https://api.tailscale.com/api/v2")
_TAILNET = options.text("tailnet", "tailnet; - is the credential's own", default="-")
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
_CLIENT_ID = options.secret("client_id", "id of a trust credential")
_CLIENT_SECRET = options.secret("client_secret", "secret of a trust credential")
_OPTIONS = (
    _BASE_URL,
    _TAILNET,
    _DISABLE,
    _DEVICES,
    _NETMAP_BOUND,
    _API_KEY,
    _CLIENT_ID,
    _CLIENT_SECRET,
)

MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Tailscale",
    category=Category.VPN,
    build=Tailscale,
    options=_OPTIONS,
    permissions=(
        "users: list, read, suspend or delete users",
        "devices:core: list devices, expire, deauthorize or delete them",
        "auth_keys: list and delete the auth keys that the user made",
        "api_access_tokens: list and delete the user's API access tokens (they end on suspension)",
        "oauth_keys:read: report OAuth clients that the user made, which outlive the user",
    ),
    proves="GET /users/{id} shows status suspended (or 404, and the list of users agrees); no"
    " untagged device of the user is authorized with an unexpired node key; no auth key that the"
    " user made is valid. Tailscale keeps no time of suspension on the user. Tagged devices and"
    " OAuth clients survive their maker and are reported as residuals.",
    residual_s={"wireguard_peers": None, "tagged_devices": None, "oauth_clients": None},
)

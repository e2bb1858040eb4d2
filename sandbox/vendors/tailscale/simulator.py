"""The simulated tailnet.

Facts come from Tailscale's API description (`tools/openapi/spec/tailscale-v2-openapi.yaml` in
tailscale/tailscale-client-go-v2). That an owner cannot be suspended, and that suspending twice is
answered with 200, is this simulation's reading.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs

from sandbox.kit.accounts import Account, Item
from sandbox.kit.calls import Call, Route
from sandbox.kit.clock import iso, now
from sandbox.kit.vendor import Vendor
from sandbox.kit.wire import Request, Response, json_response
from sandbox.vendors.tailscale.changes import changes
from sandbox.vendors.tailscale.seed import build_account

__all__ = ["Tailscale", "TailscaleCredentials"]

TOKEN_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True)
class TailscaleCredentials:
    """What the simulated tailnet accepts, and its name."""

    tailnet: str
    api_token: str
    client_id: str
    client_secret: str


def refuse(status: int, message: str) -> Response:
    """An error as Tailscale writes one."""
    return json_response(status, {"message": message})


def done() -> Response:
    """200; Tailscale answers an effect with an empty object."""
    return json_response(HTTPStatus.OK, {})


class Tailscale(Vendor):
    """A simulated tailnet."""

    name = "tailscale"
    title = "Tailscale"
    owned_parts = ("devices", "keys")

    def __init__(self, credentials: TailscaleCredentials) -> None:
        super().__init__()
        self._credentials = credentials
        self._written: dict[str, tuple[int, bytes, list[tuple[Item, bytes]]]] = {}

    def routes(self) -> Iterable[Route]:
        """The operations of its API."""
        tailnet, device = "/api/v2/tailnet/{tailnet}", "/api/v2/device/{device}"
        user, core = "/api/v2/users/{user}", "devices:core"
        return (
            Route("GET", f"{tailnet}/users", "users", self._list_users),
            Route("GET", user, "users", self._get_user),
            Route("POST", f"{user}/suspend", "users", self._suspend),
            Route("POST", f"{user}/restore", "users", self._restore_user),
            Route("POST", f"{user}/delete", "users", self._delete_user),
            Route("GET", f"{tailnet}/devices", core, self._list_devices),
            Route("GET", device, core, self._get_device),
            Route("DELETE", device, core, self._delete_device),
            Route("POST", f"{device}/expire", core, self._expire),
            Route("POST", f"{device}/authorized", core, self._authorize),
            Route("GET", f"{tailnet}/keys", "auth_keys", self._list_keys),
            Route("GET", f"{tailnet}/keys/{{key}}", "auth_keys", self._get_key),
            Route("DELETE", f"{tailnet}/keys/{{key}}", "auth_keys", self._delete_key),
            Route(
                "GET",
                f"{tailnet}/logging/configuration",
                "logs:configuration",
                lambda call: changes(self, call),
            ),
        )

    def build(self, person: Item, shape: Mapping[str, Any]) -> list[Account]:
        """The person's user."""
        return [build_account(person, shape)]

    def permit(self, request: Request) -> str | None:
        """Accept an API token (Bearer, or as the user of Basic) or an OAuth access token."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            given = _basic(given)[0]
        if given == self._credentials.api_token or given in self.lacks:
            return given
        expires, _, mark = given.removeprefix("tskey-oauth-").partition("-")
        fresh = expires.isdigit() and int(expires) > now()
        return given if fresh and mark == self._mark(expires) else None

    def subject(self, request: Request, params: dict[str, str]) -> Account | None:
        """The user in the path, or the owner of the device or key in the path."""
        if "user" in params:
            return self.accounts.get(params["user"])
        item_id = params.get("device") or params.get("key")
        if item_id:
            return self.accounts.owner_of(item_id)
        named = self.accounts.named(request.query.get("user", ""))
        return named[0] if named else None

    def refusal(self, status: int, detail: str = "") -> Response:
        """An error in Tailscale's words."""
        words = {
            HTTPStatus.UNAUTHORIZED: "API token invalid",
            HTTPStatus.FORBIDDEN: "calling actor does not have enough permissions",
            HTTPStatus.NOT_FOUND: "not found",
        }
        return refuse(status, detail or words.get(HTTPStatus(status), "internal error"))

    def rate_limited(self, reset_after: int | None) -> Response:
        """429, with `Retry-After` in seconds or without."""
        response = refuse(HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
        if reset_after is not None:
            response.headers.append(("Retry-After", str(reset_after)))
        return response

    def standing(self, account: Account) -> Item:
        """What the person can still do here."""
        own = [d for d in account.parts["devices"] if not d.get("tags")]
        at = iso()
        return {
            "sign_in": account.doc["status"] in ("active", "idle") and not account.deleted,
            "status": "deleted" if account.deleted else account.doc["status"],
            "devices": len(own),
            "usable_devices": sum(d["authorized"] and d["expires"] > at for d in own),
            "tagged_devices": len(account.parts["devices"]) - len(own),
            "keys": sum(not key["invalid"] for key in account.parts["keys"]),
        }

    # OAuth: access tokens carry their own expiry and proof, so they outlive a restart.

    def public(self, request: Request) -> Response | None:
        """Answer `POST /api/v2/oauth/token`, which needs no token."""
        if (request.method, request.path) != ("POST", "/api/v2/oauth/token"):
            return None
        form = {k: v[-1] for k, v in parse_qs(request.body.decode("utf-8", "replace")).items()}
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        named = (form.get("client_id", ""), form.get("client_secret", ""))
        client = _basic(given) if scheme.lower() == "basic" else named
        if client != (self._credentials.client_id, self._credentials.client_secret):
            return refuse(HTTPStatus.UNAUTHORIZED, "invalid client credentials")
        expires = str(int(now()) + TOKEN_SECONDS)
        value = {
            "access_token": f"tskey-oauth-{expires}-{self._mark(expires)}",
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "scope": form.get("scope", "users devices:core auth_keys"),
        }
        return json_response(HTTPStatus.OK, value)

    def _mark(self, expires: str) -> str:
        return sha256(f"{self._credentials.client_secret}:{expires}".encode()).hexdigest()[:32]

    # Users.

    def _foreign(self, call: Call) -> bool:
        return call.params["tailnet"] not in ("-", self._credentials.tailnet)

    def _list_users(self, call: Call) -> Response:
        if self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND)
        query = call.request.query
        role, kind = query.get("role", "all"), query.get("type", "member")
        bodies = [
            self._fragments(account)[0]
            for account in call.everybody()
            if role in ("all", account.doc["role"]) and kind in ("all", account.doc["type"])
        ]
        return Response(HTTPStatus.OK, b'{"users":[' + b",".join(bodies) + b"]}")

    def _get_user(self, call: Call) -> Response:
        if call.account is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "user not found")
        return Response(HTTPStatus.OK, self._fragments(call.account)[0])

    def _set_status(self, call: Call, status: str) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "user not found")
        if account.doc["role"] == "owner" and status != "active":
            return refuse(HTTPStatus.FORBIDDEN, "the owner of a tailnet cannot be suspended")
        if account.doc["status"] != status:
            account.doc["status"] = status
            call.applied = True
        return done()

    def _suspend(self, call: Call) -> Response:
        return self._set_status(call, "suspended")

    def _restore_user(self, call: Call) -> Response:
        return self._set_status(call, "active")

    def _delete_user(self, call: Call) -> Response:
        account = call.account
        if account is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "user not found")
        if account.doc["role"] == "owner":
            return refuse(HTTPStatus.FORBIDDEN, "the owner of a tailnet cannot be deleted")
        account.deleted = call.applied = True
        account.parts["devices"][:] = [d for d in account.parts["devices"] if d.get("tags")]
        account.parts["keys"].clear()
        return done()

    # Devices. There are no pages; a client asks for `?user=` to get only one person's.

    def _list_devices(self, call: Call) -> Response:
        if self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND)
        wanted = {k: v for k, v in call.request.query.items() if k != "fields"}
        seen = map(call.see, self.accounts) if call.read_late else self.accounts
        bodies = [
            body
            for account in seen
            if "user" not in wanted or account.doc["loginName"] == wanted["user"]
            for device, body in self._fragments(account)[1]
            if all(_matches(device.get(name), value) for name, value in wanted.items())
        ]
        return Response(HTTPStatus.OK, b'{"devices":[' + b",".join(bodies) + b"]}")

    def _device(self, call: Call) -> Item | None:
        owner = self.accounts.owner_of(call.params["device"])
        if owner is None:
            return None
        wanted = call.params["device"]
        devices = call.see(owner).parts["devices"]
        return next((d for d in devices if wanted in (d["id"], d["nodeId"])), None)

    def _get_device(self, call: Call) -> Response:
        device = self._device(call)
        if device is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "device not found")
        return json_response(HTTPStatus.OK, device)

    def _delete_device(self, call: Call) -> Response:
        device = self._device(call)
        owner = self.accounts.owner_of(call.params["device"])
        if device is None or owner is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "device not found")
        owner.take("devices", device["id"])
        call.applied = True
        return done()

    def _expire(self, call: Call) -> Response:
        device = self._device(call)
        if device is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "device not found")
        if device["expires"] > iso():
            device["expires"] = iso()
            call.applied = True
        return done()

    def _authorize(self, call: Call) -> Response:
        device = self._device(call)
        if device is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "device not found")
        try:
            wanted = call.request.json()["authorized"]
        except (KeyError, TypeError, ValueError):
            return refuse(HTTPStatus.BAD_REQUEST, "authorized: missing")
        call.applied = device["authorized"] is not bool(wanted)
        device["authorized"] = bool(wanted)
        return done()

    # Keys.

    def _list_keys(self, call: Call) -> Response:
        """Active keys; without `all=true` only the caller's own, so never a leaver's.

        Source: description of `listTailnetKeys`.
        """
        if self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND)
        keys: list[Item] = []
        if call.request.query.get("all", "").lower() == "true":
            keys = [k for a in call.everybody() for k in a.parts["keys"] if not k["invalid"]]
        return json_response(HTTPStatus.OK, {"keys": keys})

    def _key(self, call: Call) -> Item | None:
        return call.account.item("keys", call.params["key"]) if call.account else None

    def _get_key(self, call: Call) -> Response:
        key = self._key(call)
        if key is None or self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND, "key not found")
        return json_response(HTTPStatus.OK, key)

    def _delete_key(self, call: Call) -> Response:
        key = self._key(call)
        if key is None or self._foreign(call):
            return self.refusal(HTTPStatus.NOT_FOUND, "key not found")
        if not key["invalid"]:
            key["invalid"] = True
            key["revoked"] = iso()
            call.applied = True
        return done()

    def _fragments(self, account: Account) -> tuple[bytes, list[tuple[Item, bytes]]]:
        """The account's user and devices as JSON, written once per version.

        Every list holds the whole tailnet, so writing it anew each time would be most of the work.
        """
        cached = self._written.get(account.id)
        if cached is None or cached[0] != account.version:
            own = [device for device in account.parts["devices"] if not device.get("tags")]
            user = {**account.doc, "deviceCount": len(own), "currentlyConnected": bool(own)}
            devices = [(device, _write(device)) for device in account.parts["devices"]]
            cached = (account.version, _write(user), devices)
            self._written[account.id] = cached
        return cached[1], cached[2]


def _write(value: Item) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _basic(given: str) -> tuple[str, str]:
    try:
        name, _, word = base64.b64decode(given).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return name, word


def _matches(have: Any, want: str) -> bool:
    """Exact match of a device filter; a list matches when it contains the value."""
    if isinstance(have, list):
        return want in have
    if isinstance(have, bool):
        return want == str(have).lower()
    return str(have) == want

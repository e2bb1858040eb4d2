"""What a person has in the simulated tailnet, and how Tailscale writes it down.

Shapes follow the schemas User, Device and Key of Tailscale's API description and of
tailscale/tailscale-client-go-v2.
"""

from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Account, Item, stable_id, stable_number
from sandbox.kit.clock import iso, now_ms

__all__ = ["TAILNET_ID", "TAILSCALE_PARTS", "build_account"]

TAILSCALE_PARTS: Final = ("devices", "keys")
TAILNET_ID: Final = "TsandboxCNTRL"
DAY_MS: Final = 86_400_000
SYSTEMS: Final = ("windows", "android", "macOS")


def build_account(person: Item, shape: Mapping[str, Any]) -> Account:
    """The person's user with devices and keys.

    Args:
        person: the seed record.
        shape: `status`, `role`, `devices`, `keys`, `tagged_device`, `oauth_clients`.
    """
    worker, login = person["worker_id"], person["email"]
    user_id = f"u{stable_id('tailscale', worker, length=12)}CNTRL"
    keys = [user_id, login, person.get("username", ""), worker, person.get("employee_number", "")]
    account = Account(
        id=user_id,
        person=person,
        keys=list(dict.fromkeys(key.lower() for key in keys if key)),
        doc={
            "id": user_id,
            "displayName": f"{person.get('first_name', '')} {person.get('last_name', '')}".strip(),
            "loginName": login,
            "profilePicUrl": "",
            "tailnetId": TAILNET_ID,
            "created": iso(now_ms() - 200 * DAY_MS),
            "type": "member",
            "role": shape.get("role", "member"),
            "status": shape.get("status", "active"),
            "lastSeen": iso(),
        },
        parts={"devices": [], "keys": []},
    )
    for n in range(shape.get("devices", 2)):
        account.parts["devices"].append(_device(account, n, tags=[]))
    if shape.get("tagged_device"):
        # `user` of a tagged device names who registered it, not who owns it: the tag does
        # (Tailscale's description of Device.user). Whoever goes by `user` alone deletes servers.
        account.parts["devices"].append(_device(account, 99, tags=["tag:call-recorder"]))
    for n in range(shape.get("keys", 1)):
        account.parts["keys"].append(_key(account, n))
    for n in range(shape.get("oauth_clients", 0)):
        client = {**_key(account, 1000 + n), "keyType": "client", "description": "deploy"}
        account.parts["keys"].append({**client, "scopes": ["devices:core"], "expires": ""})
    return account


def _device(account: Account, n: int, *, tags: list[str]) -> Item:
    number = stable_number(account.id, "device", n)
    local = account.doc["loginName"].partition("@")[0].replace(".", "-")
    host = f"recorder-{number % 1000}" if tags else f"{local}-{n + 1}"
    device = {
        "addresses": [f"100.{64 + number % 64}.{number // 64 % 256}.{number // 16384 % 256}"],
        "id": str(number),
        "nodeId": f"n{stable_id(account.id, 'node', n, length=12)}CNTRL",
        "user": account.doc["loginName"],
        "name": f"{host}.sandbox.ts.net",
        "hostname": host,
        "clientVersion": "1.90.0",
        "updateAvailable": False,
        "os": "linux" if tags else SYSTEMS[n % len(SYSTEMS)],
        "created": iso(now_ms() - 100 * DAY_MS),
        "lastSeen": iso(),
        "keyExpiryDisabled": bool(tags),
        "expires": iso(now_ms() + 80 * DAY_MS),
        "authorized": True,
        "isExternal": False,
        "isEphemeral": False,
        "machineKey": f"mkey:{number:064x}",
        "nodeKey": f"nodekey:{number:064x}",
        "blocksIncomingConnections": False,
    }
    return {**device, "tags": tags} if tags else device


def _key(account: Account, n: int) -> Item:
    return {
        "id": f"k{stable_id(account.id, 'key', n, length=10)}CNTRL",
        "keyType": "auth",
        "description": f"laptop of {account.doc['loginName'].partition('@')[0]}"[:50],
        "expirySeconds": 7_776_000,
        "created": iso(now_ms() - 10 * DAY_MS),
        "expires": iso(now_ms() + 80 * DAY_MS),
        "invalid": False,
        "userId": account.id,
        "capabilities": {
            "devices": {
                "create": {
                    "reusable": True,
                    "ephemeral": False,
                    "preauthorized": True,
                    "tags": [],
                }
            }
        },
    }

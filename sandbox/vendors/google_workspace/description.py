"""Google Workspace, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.google_workspace.simulator import GoogleWorkspace

__all__ = ["DESCRIPTION"]

ADMIN: Final = "admin@northwind.example.com"


def simulate(credentials: Mapping[str, str]) -> GoogleWorkspace:
    """An empty customer."""
    return GoogleWorkspace(credentials["account"], ADMIN)


def ways_in(account: Item) -> dict[str, int]:
    """One door; its sessions are not listed, and count as one while it is open."""
    parts, doc = account["parts"], account["doc"]
    open_ = int(not doc["suspended"] and not doc["archived"])
    return {
        "sign_in": open_,
        "session": open_,
        "token": len(parts["tokens"]),
        "secret": len(parts["asps"]),
        "role": len(parts["roles"]),
        "group": len(parts["groups"]),
    }


# None of the sample systems: a service account signs with a private key, and there is none here.
DESCRIPTION: Final = Description(
    kind="google_workspace",
    title="Google Workspace",
    port=8123,
    accepts=(Accepted("account", "lockstep@sandbox.example", "SANDBOX_GOOGLE_SERVICE_ACCOUNT"),),
    simulate=simulate,
    doors=("sign_in", "sessions", "tokens", "asps", "roles", "groups"),
    ways_in=ways_in,
)

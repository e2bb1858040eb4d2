"""Entra, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.entra.simulator import Entra

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.entra-sandbox]               # simulated
connector = "entra"
tier = 1
base_url = "{url}/v1.0"
login_url = "{url}"
tenant = "sandbox.example"
client_id = "sandbox-entra-client"
client_secret = "file:.lockstep/sandbox-entra"
limit = "none"                        # the simulator has no limit unless told so
accept_single_key = true              # the sample people have an address only
"""


def simulate(credentials: Mapping[str, str]) -> Entra:
    """An empty tenant."""
    return Entra("sandbox.example", "sandbox-entra-client", credentials["secret"])


def ways_in(account: Item) -> dict[str, int]:
    """One door; its sessions are not listed, and count as one while it is open."""
    parts = account["parts"]
    enabled = int(account["doc"]["accountEnabled"] is True)
    return {
        "sign_in": enabled,
        "session": enabled,
        "token": len(parts["consents"]),
        "factor": len(parts["methods"]),
        "role": len(parts["roles"]) + len(parts["eligible"]),
        "group": len(parts["groups"]),
        "assignment": len(parts["apps"]),
    }


DESCRIPTION: Final = Description(
    kind="entra",
    title="Microsoft Entra ID",
    port=8121,
    accepts=(Accepted("secret", "sandbox-entra-secret", "SANDBOX_ENTRA_SECRET"),),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-entra": "secret"},
    doors=("sign_in", "sessions", "consents", "methods", "roles", "eligible", "groups", "apps"),
    ways_in=ways_in,
)

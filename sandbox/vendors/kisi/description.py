"""Kisi, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.kisi.simulator import Kisi

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.kisi-sandbox]                # simulated
connector = "kisi"
tier = 1
base_url = "{url}"
api_key = "file:.lockstep/sandbox-kisi"
limit = "none"                        # the simulator has no limit unless told so
accept_single_key = true              # knows people by one key only, their address
"""


def simulate(credentials: Mapping[str, str]) -> Kisi:
    """An empty organisation."""
    return Kisi(credentials["key"])


def ways_in(account: Item) -> dict[str, int]:
    """Two ways to sign in; a login on a phone is a session, one of a script a secret."""
    parts, doc = account["parts"], account["doc"]
    return {
        "sign_in": int(doc["access_enabled"]) + int(doc["password_flow_enabled"]),
        "session": sum(login["type"] == "device" for login in parts["logins"]),
        "secret": sum(login["type"] == "api" for login in parts["logins"]),
        "credential": sum(card["status"] == "activated" for card in parts["card_assignments"]),
        "role": len(parts["role_assignments"]),
        "group": len(parts["team_memberships"]),
    }


DESCRIPTION: Final = Description(
    kind="kisi",
    title="Kisi",
    port=8103,
    accepts=(Accepted("key", "sandbox-kisi-key", "SANDBOX_KISI_KEY"),),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-kisi": "key"},
    doors=("sign_in", "doors", "logins", "role_assignments", "cards", "team_memberships"),
    ways_in=ways_in,
    demo={8: {"absent": True}},
)

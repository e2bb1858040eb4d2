"""Okta, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.okta.simulator import Okta

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.okta-sandbox]                # simulated
connector = "okta"
tier = 0
base_url = "{url}"
token = "file:.lockstep/sandbox-okta"
"""


def limited(text: str) -> dict[str, tuple[str, ...]]:
    """More tokens, each with the permission areas that it lacks.

    Args:
        text: a list such as `token-a:roles+factors,token-b:groups:write`.
    """
    found: dict[str, tuple[str, ...]] = {}
    for entry in filter(None, text.split(",")):
        token, _, areas = entry.partition(":")
        found[token.strip()] = tuple(areas.split("+"))
    return found


def simulate(credentials: Mapping[str, str]) -> Okta:
    """An empty org."""
    return Okta(credentials["token"], limited(credentials["limited"]))


def ways_in(account: Item) -> dict[str, int]:
    """Sessions and app assignments are each one way in, because Okta ends them as a whole."""
    parts = account["parts"]
    return {
        "sign_in": int(account["doc"]["status"] == "ACTIVE"),
        "session": int(bool(parts["sessions"])),
        "token": len({token["clientId"] for token in parts["tokens"]}),
        "factor": len(parts["factors"]),
        "role": len(parts["roles"]),
        "group": sum(group["type"] == "OKTA_GROUP" for group in parts["groups"]),
        "assignment": int(bool(parts["apps"])),
    }


DESCRIPTION: Final = Description(
    kind="okta",
    title="Okta",
    port=8101,
    accepts=(
        Accepted("token", "sandbox-okta-token", "SANDBOX_OKTA_TOKEN"),
        Accepted("limited", "", "SANDBOX_OKTA_LIMITED"),
    ),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-okta": "token"},
    doors=("sign_in", "sessions", "tokens", "groups", "roles"),
    ways_in=ways_in,
    demo={2: {"roles": ["HELP_DESK_ADMIN"]}, 6: {"app_groups": 1}, 9: {"status": "SUSPENDED"}},
)

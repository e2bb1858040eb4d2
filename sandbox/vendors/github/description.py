"""GitHub, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.github.simulator import GitHub

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.github-sandbox]                        # simulated
connector = "github"
tier = 1
base_url = "{url}"
organization = "northwind"
enterprise = "northwind-group"
saml = "organization"
token = "file:.lockstep/sandbox-github"
limit = "none"                        # the simulator has no limit unless told so
accept_single_key = true              # the sample people have an address only
"""


def simulate(credentials: Mapping[str, str]) -> GitHub:
    """An organisation with its owner."""
    return GitHub(credentials)


def ways_in(account: Item) -> dict[str, int]:
    """One way to sign in, by whichever membership."""
    parts = account["parts"]
    inside = any(parts[name] for name in ("membership", "outside", "enterprise"))
    return {"sign_in": int(inside), "secret": len(parts["credentials"])}


DESCRIPTION: Final = Description(
    kind="github",
    title="GitHub",
    port=8131,
    accepts=(
        Accepted("token", "ghp_sandbox", "SANDBOX_GITHUB_TOKEN"),
        Accepted("installation_token", "ghs_sandbox", "SANDBOX_GITHUB_INSTALLATION_TOKEN"),
        Accepted("organization", "northwind", "SANDBOX_GITHUB_ORGANIZATION"),
        Accepted("enterprise", "northwind-group", "SANDBOX_GITHUB_ENTERPRISE"),
    ),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-github": "token"},
    held_by=frozenset({"Workforce Planner"}),
    doors=("sign_in", "credentials"),
    ways_in=ways_in,
)

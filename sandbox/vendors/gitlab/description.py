"""GitLab, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.gitlab.simulator import GitLab

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.gitlab-sandbox]                        # simulated
connector = "gitlab"
tier = 1
base_url = "{url}/api/v4"
token = "file:.lockstep/sandbox-gitlab"
limit = "none"                        # the simulator has no limit unless told so
accept_single_key = true              # the sample people have an address only
"""


def simulate(credentials: Mapping[str, str]) -> GitLab:
    """An instance with its first administrator."""
    return GitLab(credentials["token"])


def ways_in(account: Item) -> dict[str, int]:
    """Tokens and keys are secrets."""
    parts = account["parts"]
    return {
        "sign_in": int(account["doc"]["state"] == "active"),
        "secret": sum(len(parts[name]) for name in ("tokens", "impersonations", "keys")),
        "group": len(parts["memberships"]),
    }


DESCRIPTION: Final = Description(
    kind="gitlab",
    title="GitLab",
    port=8133,
    accepts=(Accepted("token", "glpat-sandbox", "SANDBOX_GITLAB_TOKEN"),),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-gitlab": "token"},
    held_by=frozenset({"Workforce Planner"}),
    doors=("sign_in", "tokens", "impersonations", "keys", "memberships"),
    ways_in=ways_in,
)

"""Slack's Enterprise organisation, simulated."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.accounts import Item
from sandbox.kit.description import Accepted, Description
from sandbox.vendors.slack_enterprise.simulator import Slack

__all__ = ["DESCRIPTION"]

SETTINGS: Final = """\
[systems.slack-sandbox]                         # simulated
connector = "slack_enterprise"
tier = 1
base_url = "{url}/api"
token = "file:.lockstep/sandbox-slack"
limit = "none"                        # the simulator has no limit unless told so
accept_single_key = true              # the sample people have an address only
"""


def simulate(credentials: Mapping[str, str]) -> Slack:
    """An organisation with its primary owner."""
    return Slack(credentials["token"])


def ways_in(account: Item) -> dict[str, int]:
    """All sessions together are one way in, because they end together."""
    sign_in = int(not account["doc"]["deleted"])
    return {"sign_in": sign_in, "session": int(bool(account["parts"]["sessions"]))}


DESCRIPTION: Final = Description(
    kind="slack_enterprise",
    title="Slack",
    port=8132,
    accepts=(Accepted("token", "xoxp-sandbox", "SANDBOX_SLACK_TOKEN"),),
    simulate=simulate,
    settings=SETTINGS,
    secrets={"sandbox-slack": "token"},
    doors=("sign_in", "sessions"),
    ways_in=ways_in,
)

"""A real SCIM 2.0 server, which knows no sessions."""

import json
from collections.abc import Mapping
from typing import Any, Final

from sandbox.kit.accounts import Item
from sandbox.kit.asking import post
from sandbox.kit.description import Accepted, Description, Program

__all__ = ["DESCRIPTION"]

USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP: Final = "urn:ietf:params:scim:schemas:core:2.0:Group"
SETTINGS: Final = """\
[systems.scim-local]                  # a real SCIM 2.0 server (scim2-server)
connector = "scim"
tier = 1
base_url = "{url}/v2"
token = "file:.lockstep/sandbox-scim"
"""


def command(port: int, credentials: Mapping[str, str]) -> list[str]:
    """On this machine only, behind its token."""
    return [
        *("scim2-server", "--hostname", "127.0.0.1"),
        *("--port", str(port), "--bearer-token", credentials["token"]),
    ]


def hire(url: str, credentials: Mapping[str, str], person: Item) -> None:
    """A user, and a group with the user in it."""

    def make(what: str, value: Item) -> Any:
        headers = {
            "Authorization": f"Bearer {credentials['token']}",
            "Content-Type": "application/scim+json",
        }
        return json.loads(post(f"{url}/v2/{what}", json.dumps(value).encode(), headers))

    user = {
        "schemas": [USER],
        "userName": person["username"],
        "externalId": person["worker_id"],
        "active": True,
        "emails": [{"value": person["email"], "primary": True}],
    }
    made = make("Users", user)
    group = {
        "schemas": [GROUP],
        "displayName": f"Agents {person['worker_id']}",
        "members": [{"value": made["id"]}],
    }
    make("Groups", group)


DESCRIPTION: Final = Description(
    kind="scim",
    title="SCIM 2.0",
    port=8105,
    accepts=(Accepted("token", "sandbox-scim-token"),),
    program=Program(command, hire),
    settings=SETTINGS,
    held_by=frozenset({"Quality Analyst"}),
    secrets={"sandbox-scim": "token"},
)

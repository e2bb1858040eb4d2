"""AWS, as moto answers for it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from sandbox.kit.accounts import Item
from sandbox.kit.asking import post
from sandbox.kit.description import Accepted, Description, Program

__all__ = ["DESCRIPTION"]

GROUP: Final = "agents"
SETTINGS: Final = """\
[systems.aws-local]                   # moto: answers as AWS does
connector = "aws"
tier = 0
endpoint_url = "{url}"
region = "us-east-1"
access_key_id = "file:.lockstep/sandbox-aws-id"
secret_access_key = "file:.lockstep/sandbox-aws-key"
service_credentials = false           # moto cannot list them
applications = false                  # nor these
accept_single_key = true              # knows people by one key only, their address
"""


def command(port: int, credentials: Mapping[str, str]) -> list[str]:
    """On this machine only; it takes any credential."""
    del credentials
    return ["moto_server", "-H", "127.0.0.1", "-p", str(port)]


def hire(url: str, credentials: Mapping[str, str], person: Item) -> None:
    """A user with a console password and an access key, in a group."""
    # Moto reads in it which service is meant, and looks at no signature.
    scope = f"{credentials['key_id']}/20260101/us-east-1/iam/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        "Content-Type": "application/x-www-form-urlencoded",
    }

    def ask(action: str, *, is_there: int = 0, **values: str) -> None:
        form = urlencode({"Action": action, "Version": "2010-05-08", **values})
        post(f"{url}/", form.encode(), headers, is_there=is_there)

    name = person["username"]
    ask("CreateUser", UserName=name)
    ask("CreateLoginProfile", UserName=name, Password="Sample-Passw0rd!")  # noqa: S106 - moto
    ask("CreateAccessKey", UserName=name)
    ask("CreateGroup", GroupName=GROUP, is_there=HTTPStatus.CONFLICT)
    ask("AddUserToGroup", GroupName=GROUP, UserName=name)


DESCRIPTION: Final = Description(
    kind="aws",
    title="AWS",
    port=8106,
    accepts=(
        Accepted("key_id", "sandbox"),
        Accepted("key", "sandbox"),
    ),
    # The connector attaches AWS's own deny policy, which moto loads only on request.
    program=Program(command, hire, {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"}),
    settings=SETTINGS,
    held_by=frozenset({"Workforce Planner"}),
    secrets={"sandbox-aws-id": "key_id", "sandbox-aws-key": "key"},
)

"""Gives the sample leaver of the demo real access in every sample system."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import boto3
import httpx

from lockstep.settings import Settings

_SCIM_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_SCIM_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


async def give(settings: Settings, person: Any) -> None:
    """Hire ``person`` (a sandbox person) everywhere."""
    await asyncio.gather(
        _simulated(settings, person),
        _scim(settings, person),
        asyncio.to_thread(_aws, settings, person),
    )


async def _simulated(settings: Settings, person: Any) -> None:
    url = f"http://127.0.0.1:{settings.sandbox.okta_port}/sandbox/seed?all=true"
    document = {name: value for name, value in asdict(person).items() if value}
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(url, json={"people": [document]})
        response.raise_for_status()


async def _scim(settings: Settings, person: Any) -> None:
    token = (settings.path(settings.data_dir) / "sandbox-scim").read_text().strip()
    base = f"http://127.0.0.1:{settings.sandbox.scim_port}/v2"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    user = {
        "schemas": [_SCIM_USER],
        "userName": person.username,
        "externalId": person.worker_id,
        "active": True,
        "emails": [{"value": person.email, "primary": True}],
    }
    async with httpx.AsyncClient(trust_env=False, headers=headers) as client:
        made = await client.post(f"{base}/Users", json=user)
        made.raise_for_status()
        group = {
            "schemas": [_SCIM_GROUP],
            "displayName": f"Agents {person.worker_id}",
            "members": [{"value": made.json()["id"]}],
        }
        (await client.post(f"{base}/Groups", json=group)).raise_for_status()


def _aws(settings: Settings, person: Any) -> None:
    name = person.username
    iam = boto3.client(
        "iam",
        endpoint_url=f"http://127.0.0.1:{settings.sandbox.aws_port}",
        region_name="us-east-1",
        aws_access_key_id="sandbox",
        aws_secret_access_key="sandbox",  # noqa: S106 - moto takes anything
    )
    iam.create_user(UserName=name)
    iam.create_login_profile(UserName=name, Password="Sample-Passw0rd!")  # noqa: S106 - moto
    iam.create_access_key(UserName=name)
    groups = {group["GroupName"] for group in iam.list_groups()["Groups"]}
    if "agents" not in groups:
        iam.create_group(GroupName="agents")
    iam.add_user_to_group(GroupName="agents", UserName=name)

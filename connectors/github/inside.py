"""Whether somebody is inside: a member, invited, an outside collaborator, of the enterprise.

GitHub answers 404 both for "no member" and for "you may not know". So a 404 counts only while the
same question about an owner, who is a member for certain, is answered; and a search of the
enterprise that shows nobody only while the very same search finds somebody whom its list shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.base import Transcript
from connectors.github import questions as ask
from connectors.kit.calls import Api
from connectors.kit.options import Values
from connectors.kit.pages import Item
from lockstep.domain.systems.faults import FaultCategory

_STATES: Final = frozenset({"active", "pending"})


async def completed(api: Api, values: Values, record: Item, transcript: Transcript) -> Item:
    """The record of a user, with what the organisation and the enterprise say.

    Raises:
        ConnectorFault: something of it cannot be read, or proves nothing.
    """
    words = {"id": record["id"], "locator": str(record.get("login") or "")}
    if not words["locator"]:
        raise api.odd(ask.USER.operation, "no_login")
    membership = await _membership(api, words, transcript)
    owners: list[Item] = []
    if membership is None or membership.get("role") == "admin":
        owners = await api.some(ask.OWNERS, words, transcript)
    if membership is None:
        await _require_sight(api, words, owners, transcript)
    outside = membership is None and await _is_outside(api, words, transcript)
    enterprise = ""
    if values.named("enterprise"):
        enterprise = await _enterprise_of(api, words, transcript)
    told: dict[str, object] = {
        "membership": membership,
        "outside": outside,
        "enterprise": {"node": enterprise} if enterprise else None,
        "inside": bool(membership or outside or enterprise),
        "last_owner": membership is not None
        and [str(one["id"]) for one in owners] == [words["id"]],
    }
    return {**record, **told}


async def _membership(api: Api, words: Mapping[str, str], transcript: Transcript) -> Item | None:
    answer = await api.read(ask.MEMBERSHIP, words, transcript)
    if answer is None:
        return None
    told = answer.data if isinstance(answer.data, dict) else {}
    if told.get("state") not in _STATES:
        raise api.odd(ask.MEMBERSHIP.operation, "no_membership", answer)
    user = told.get("user")
    if isinstance(user, dict) and str(user.get("id")) != words["id"]:
        raise api.odd(ask.MEMBERSHIP.operation, "other_user", answer)
    return dict(told)


async def _require_sight(
    api: Api, words: Mapping[str, str], owners: list[Item], transcript: Transcript
) -> None:
    """Ask the same of an owner: who may not see members would be told 404 of them too."""
    witness = next((one for one in owners if str(one["id"]) != words["id"]), None)
    if witness is None:
        raise api.odd(ask.OWNERS.call.operation, "no_owner")
    asked = {"id": str(witness["id"]), "locator": str(witness.get("login"))}
    if await api.read(ask.MEMBERSHIP, asked, transcript) is None:
        fault = api.fault(
            FaultCategory.PERMISSION_MISSING, ask.MEMBERSHIP.operation, "members_hidden"
        )
        raise fault.lacking("Members")


async def _is_outside(api: Api, words: Mapping[str, str], transcript: Transcript) -> bool:
    listed = await api.whole(ask.OUTSIDE, words, transcript)
    return any(str(one["id"]) == words["id"] for one in listed)


async def _enterprise_of(api: Api, words: Mapping[str, str], transcript: Transcript) -> str:
    """The node id of the enterprise while the user is a member of it."""
    found = await _like(api, words["locator"], words, transcript)
    if words["id"] in found:
        return found[words["id"]]
    some = await api.some(ask.enterprise_members(size=10), words, transcript)
    witness = next((user for one in some if (user := user_of(one))["id"] != words["id"]), None)
    if witness is None:
        raise api.odd("enterprise.members.list", "nobody")
    if witness["id"] not in await _like(api, str(witness["login"]), words, transcript):
        raise api.odd("enterprise.members.find", "search_not_proved")
    return ""


async def _like(
    api: Api, login: str, words: Mapping[str, str], transcript: Transcript
) -> dict[str, str]:
    """By id, the enterprise's node id for each member whom a search for this login shows."""
    listed = ask.enterprise_members(login)
    walk = api.walk(listed, words, transcript)
    found = [user_of(one)["id"] for one in await walk.all()]
    api.require_whole(walk, listed)
    data = walk.last.data if walk.last is not None else {}
    node = str(data["data"]["enterprise"].get("id") or "")
    if found and not node:
        raise api.odd(listed.call.operation, "no_enterprise")
    return dict.fromkeys(found, node)


def user_of(node: Item) -> Item:
    """The user of an entry of the enterprise's list, by the id of the user; "" for none."""
    told = node.get("user") if isinstance(node.get("user"), dict) else node
    user = told if isinstance(told, dict) else {}
    return {**user, "id": str(user.get("databaseId") or "")}

"""Finding a leaver's IAM users: one listing answers every key.

An account holds at most 5,000 users, so a listing is at most 5 calls. It is whole or refused, so
"nobody" is proved by it: listed so many, compared with each key.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from connectors.aws.http import AwsCalls, need
from connectors.aws.match import Finds, distinct
from connectors.aws.settings import AwsSettings
from connectors.base import Transcript
from connectors.kit.finding.proving import is_among, shape_of
from connectors.kit.instants import told_instant
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Proof
from lockstep.domain.systems.keys import comparable, local_part

PAGE = {"MaxItems": 1000}
_NAMES = (KeyKind.USERNAME, KeyKind.EMAIL)


async def locate(
    settings: AwsSettings,
    calls: AwsCalls,
    account_ids: Sequence[str],
    keys: LeaverKeys,
    transcript: Transcript,
) -> Location:
    """Compare every user of the account with every key by which IAM can know a person."""
    finds = Finds()
    wanted = usable(account_ids, keys, settings)
    if not wanted:
        return finds.location()
    users = await _everybody(settings, calls, transcript)
    held = [key for user in users for key in _keys_of(user, settings)]
    for key in wanted:
        finds.searched(key, _proof(key, held, settings))
        for user in users:
            if (kind := _found_by(user, key, settings)) is not None:
                finds.add(_match(user, kind, settings))
    return finds.location(len(users))


def usable(account_ids: Sequence[str], keys: LeaverKeys, settings: AwsSettings) -> list[Key]:
    """The keys by which IAM can know a person."""
    return [key for key in distinct(account_ids, keys) if _is_usable(key, settings)]


async def list_users(calls: AwsCalls, transcript: Transcript) -> list[dict[str, Any]]:
    """All users of the account, without their tags."""
    found = await calls.pages("iam", "ListUsers", PAGE, transcript, key="Users")
    return need(found, "iam.ListUsers", "UserId", "UserName", "Arn")


async def _everybody(
    settings: AwsSettings, calls: AwsCalls, transcript: Transcript
) -> list[dict[str, Any]]:
    """All users, each once; with their tags only if a tag is configured (another permission)."""
    if settings.employee_number_tag or settings.email_tag:
        operation = "GetAccountAuthorizationDetails"
        params = {"Filter": ["User"], **PAGE}
        found = await calls.pages("iam", operation, params, transcript, key="UserDetailList")
        users = need(found, f"iam.{operation}", "UserId", "UserName", "Arn")
    else:
        users = await list_users(calls, transcript)
    return list({user["UserId"]: user for user in users}.values())


def _is_usable(key: Key, settings: AwsSettings) -> bool:
    if key.kind is KeyKind.EMPLOYEE_NUMBER:
        return settings.employee_number_tag is not None
    return key.kind in {KeyKind.ACCOUNT_ID, KeyKind.USERNAME, KeyKind.EMAIL}


def _proof(key: Key, held: Collection[Key], settings: AwsSettings) -> Proof:
    """Listed; or held for nobody, and then the comparison could not have found anybody."""
    names = {shape_of(one.value) for one in held if one.kind in _NAMES}
    is_compared = (
        not held
        or key.kind is KeyKind.ACCOUNT_ID
        or (key.kind in _NAMES and is_among(key.value, names))
        or (key.kind is KeyKind.EMAIL and settings.match_email_local_part)
        or (key.kind not in _NAMES and any(one.kind is key.kind for one in held))
    )
    return Proof.LISTED if is_compared else Proof.NOT_HELD


def _found_by(user: dict[str, Any], key: Key, settings: AwsSettings) -> KeyKind | None:
    """The kind of key under which IAM has this user, for ``key`` of the leaver."""
    if key.kind is KeyKind.ACCOUNT_ID:
        if key.value in (user["UserId"], user["Arn"]):
            return KeyKind.ACCOUNT_ID
        # HR gave a name where an id belongs: it says no more than a name does.
        return KeyKind.USERNAME if _same(user["UserName"], key.value) else None
    if key.kind is KeyKind.EMPLOYEE_NUMBER:
        number = _tags(user).get(settings.employee_number_tag or "", "")
        return key.kind if number and _same(number, key.value) else None
    names = [user["UserName"], _tags(user).get(settings.email_tag or "", "")]
    is_named = any(name and _same(name, key.value) for name in names)
    is_in_part = (
        settings.match_email_local_part
        and key.kind is KeyKind.EMAIL
        and _same(user["UserName"], local_part(key.value))
    )
    return key.kind if is_named or is_in_part else None


def _match(user: dict[str, Any], found_by: KeyKind, settings: AwsSettings) -> Match:
    account = Account(user["UserId"], user["UserName"], _keys_of(user, settings))
    return Match(
        account,
        found_by,
        created_at=told_instant(user.get("CreateDate")),
        last_used_at=told_instant(user.get("PasswordLastUsed")),
    )


def _keys_of(user: dict[str, Any], settings: AwsSettings) -> tuple[Key, ...]:
    tags = _tags(user)
    held = (
        (KeyKind.EMPLOYEE_NUMBER, tags.get(settings.employee_number_tag or "", "")),
        (KeyKind.USERNAME, user["UserName"]),
        (KeyKind.EMAIL, tags.get(settings.email_tag or "", "")),
    )
    return tuple(Key(kind, value) for kind, value in held if value)


def _tags(user: dict[str, Any]) -> dict[str, str]:
    return {tag.get("Key", ""): tag.get("Value", "") for tag in user.get("Tags", ())}


def _same(theirs: str, ours: str) -> bool:
    """As IAM does, without regard to case, which `GetUser` by name does not promise."""
    return comparable(KeyKind.USERNAME, theirs) == comparable(KeyKind.USERNAME, ours)

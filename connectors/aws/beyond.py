"""What AWS tells beyond who holds what: who can sign in, and what CloudTrail says was done.

- `GetAccountAuthorizationDetails` shows of every IAM user whether AWSDenyAll is attached; only of
  those who are denied must be asked whether they have a console password. The credential report is
  not used: AWS makes it anew every four hours only.
- `LookupEvents` shows management events of the last 90 days, of one Region at a time, to the
  second; two questions a second are allowed (CloudTrail API reference). That an event of an
  Identity Center user bears the user's name as role session, and the user's id as ``onBehalfOf``,
  is documented (CloudTrail User Guide, "userIdentity element"), and was seen at no real account.
- AWS names no owner of a role, a function or a schedule: what somebody made is not listed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final

from connectors.aws import spec
from connectors.aws.iam_find import IamFinder, list_users
from connectors.aws.store import IdentityCenterUsers
from connectors.aws.wire import complete, fault
from connectors.base import ConnectorFault, Transcript
from connectors.kit.abilities.activity import ACTIVITY, ActivityLog
from connectors.kit.abilities.gaps import gap
from connectors.kit.abilities.rows import Log
from connectors.kit.calls import Api, Call, Listed, Words
from connectors.kit.options import Values
from connectors.kit.pages import Cursor, Item, Shape
from connectors.kit.paths import at
from connectors.kit.steps import attempt
from lockstep.domain.systems.abilities import Ability, Gap
from lockstep.domain.systems.access import Account, Match
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.activity import Activity, UseKind
from lockstep.domain.systems.faults import FaultCategory

ABILITIES: Final = {
    Ability.LIST_ACTIVE: "IAM users with a console password or without AWSDenyAll (with"
    ' deny = "none": with a console password), and Identity Center users who are not DISABLED; the'
    " last use told is that of an IAM user's password, not of keys",
    Ability.ACTIVITY_SINCE: "management events of CloudTrail in the last 90 days, in the Regions of"
    " activity_regions; without that option only in its own Region and us-east-1, and then"
    ' "none" is never proved. Data events (objects read, functions run) are not in it, and an event'
    " may take a quarter of an hour to appear. Not verified at a real account: how events of"
    " Identity Center users name them. What somebody made there is not listed: AWS names no owner",
}
KEPT: Final = timedelta(days=90)
_GLOBAL: Final = "us-east-1"
"""Where IAM, the global STS and most sign-ins are logged."""
_AT_ONCE: Final = 8
_ACCOUNTS: Final = "accounts"


class ActiveUsers:
    """Everybody who can sign in to one AWS system."""

    def __init__(
        self, values: Values, api: Api, finder: IamFinder, store: IdentityCenterUsers
    ) -> None:
        self._values = values
        self._api = api
        self._finder = finder
        self._store = store

    async def pages(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """See `connectors.abilities.ListsActive`; a half that cannot be listed is a gap."""
        looked_at, gaps = 0, list[Gap]()
        users = self._values[spec.USERS]
        for half, is_wanted in (
            (self._iam, users != "identity_center"),
            (self._in_store, users != "iam"),
        ):
            if not is_wanted:
                continue
            told = await attempt(half(transcript))
            if isinstance(told, ConnectorFault):
                gaps.append(gap(_ACCOUNTS, told))
                continue
            matches, seen, missed = told
            looked_at += seen
            gaps += [gap(_ACCOUNTS, one) for one in missed]
            yield ActivePage(tuple(map(_active, matches)))
        yield ActivePage((), ListEnd(looked_at, tuple(gaps)))

    async def _iam(self, transcript: Transcript) -> tuple[list[Match], int, list[ConnectorFault]]:
        users, details = await asyncio.gather(
            list_users(self._api, transcript),
            list_users(self._api, transcript, spec.TAGGED_LIST),
        )
        used = {user["UserId"]: user.get("PasswordLastUsed") for user in users}
        found = [{**one, "PasswordLastUsed": used.get(one["UserId"])} for one in details]
        asked = [user for user in found if not self._makes_requests(user)]
        turn = asyncio.Semaphore(_AT_ONCE)

        async def profile(user: Item) -> object:
            async with turn:
                words = {"locator": user["UserName"]}
                return await attempt(self._api.read(spec.GET_PROFILE, words, transcript))

        profiles = await asyncio.gather(*map(profile, asked))
        shut = {
            user["UserId"]
            for user, said in zip(asked, profiles, strict=True)
            if said is None or isinstance(said, ConnectorFault)
        }
        missed = [said for said in profiles if isinstance(said, ConnectorFault)]
        return (
            [self._finder.told(user) for user in found if user["UserId"] not in shut],
            len(found),
            missed,
        )

    def _makes_requests(self, user: Item) -> bool:
        """Whether requests of the user's are answered, so that nothing else need be asked."""
        policies = user.get("AttachedManagedPolicies") or ()
        denied = any(str(one.get("PolicyArn")).endswith(_DENY_ALL) for one in policies)
        return self._values[spec.DENY] == "all" and not denied

    async def _in_store(
        self, transcript: Transcript
    ) -> tuple[list[Match], int, list[ConnectorFault]]:
        words = await self._store.instance(transcript)
        users = await self._api.whole(spec.STORE_USERS, words, transcript)
        complete(users, spec.STORE_USERS.call.operation, "UserName")
        standing = [user for user in users if user.get("UserStatus") != "DISABLED"]
        return [self._store.finder.told(user) for user in standing], len(users), []


_DENY_ALL: Final = ":aws:policy/AWSDenyAll"


def _active(match: Match) -> ActiveAccount:
    return ActiveAccount(match.account, match.name, match.created_at, match.last_used_at)


class CloudTrail:
    """What one account did, Region by Region."""

    def __init__(self, values: Values, api: Api) -> None:
        named = values[spec.ACTIVITY_REGIONS]
        own = values[spec.REGION] or _GLOBAL
        self._is_told = bool(named)
        self._logs = [ActivityLog(_log(region), api) for region in named or {own, _GLOBAL}]

    async def since(self, account: Account, since: datetime, transcript: Transcript) -> Activity:
        """See `connectors.abilities.TellsActivity`."""
        # CloudTrail tells seconds: what happened within the one that is asked from counts.
        second = since.replace(microsecond=0)
        told = await asyncio.gather(*(log.since(account, second, transcript) for log in self._logs))
        uses = (replace(use, at=max(use.at, since)) for one in told for use in one.uses)
        reached = [one.reaches_from for one in told]
        gaps = [missed for one in told for missed in one.gaps]
        if not self._is_told:
            other = fault(FaultCategory.MISCONFIGURED, _LOOKUP, "other_regions")
            gaps.append(gap(ACTIVITY, other))
        return Activity(
            account.id,
            since,
            tuple(sorted(uses, key=lambda use: use.at)),
            None if None in reached else max(filter(None, reached), default=None),
            min(one.read_at for one in told),
            tuple(gaps),
        )


_LOOKUP: Final = "cloudtrail.LookupEvents"


def _log(region: str) -> Log:
    named = {"AttributeKey": "Username", "AttributeValue": "{locator}"}
    return Log(
        _events(region, 50, LookupAttributes=[named]),
        at=("EventTime",),
        what=lambda event: (
            f"{str(event.get('EventSource')).partition('.')[0]}.{event.get('EventName')}"
        ),
        kind=_kind,
        sees=ABILITIES[Ability.ACTIVITY_SINCE],
        mine=_is_theirs,
        oldest=_events(region, 1),
        kept=KEPT,
        widest=KEPT,
    )


def _events(region: str, size: int, **members: Any) -> Listed:
    """Events of one Region between two instants, the newest first."""
    body = {
        **members,
        "StartTime": lambda words: int(_second(words["since"])),
        "EndTime": lambda words: ceil(_second(words["until"])),
    }
    call = Call("POST", f"/{region}", _LOOKUP, "cloudtrail:LookupEvents", body=body)
    cursor = Cursor("NextToken", ("NextToken",), size={"MaxResults": size})
    return Listed(call, cursor, Shape(at=("Events",), ref="EventId"), most_pages=200)


def _second(text: str) -> float:
    return datetime.fromisoformat(text).astimezone(UTC).timestamp()


def _record(event: Item) -> Any:
    try:
        return json.loads(str(event.get("CloudTrailEvent")))
    except ValueError:
        return {}


def _is_theirs(event: Item, words: Words) -> bool:
    """By the immutable id that AWS writes into the record; the name alone finds, and proves not."""
    record = _record(event)
    behalf = at(record, ("userIdentity", "onBehalfOf", "userId"))
    if behalf:
        return bool(behalf == words["id"])
    if at(record, ("userIdentity", "principalId")) == words["id"]:
        return True
    # Nobody but Identity Center begins sessions of these roles, each in its user's name.
    arn = str(at(record, ("userIdentity", "arn")))
    return "/AWSReservedSSO_" in arn and arn.endswith(f"/{words['locator']}")


def _kind(event: Item) -> UseKind:
    record = _record(event)
    failed = at(record, ("responseElements", "ConsoleLogin")) == "Failure"
    return UseKind.REFUSED if failed or at(record, ("errorCode",)) else UseKind.USED

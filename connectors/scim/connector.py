"""Any SCIM 2.0 service provider: ends sign-in, takes the user out of its groups.

SCIM knows neither sessions nor tokens, so a read-back carries a residual for them. A 200 or 204 is
"requested"; a user that reads ``active: false`` by id, or 404 for an id seen before, is proof.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

import httpx

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    Transcript,
)
from connectors.http import Dialect, VendorHttp
from connectors.kit import options, steps
from connectors.kit.options import read_options
from connectors.kit.residuals import residual
from connectors.scim import wire
from connectors.scim.client import KIND, NO_LIST, WRONG_ADDRESS, ScimClient, fault
from connectors.scim.groups import JustSeen, ScimGroups
from connectors.scim.leaving import Leaving
from connectors.scim.search import ScimSearch
from connectors.scim.sign_in import SignIn
from connectors.scim.wire import Profile
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Observation,
    Problem,
    ProblemSeverity,
    Unread,
)
from lockstep.domain.systems.faults import FaultCategory, rule_for


class ScimConnector:
    """One SCIM 2.0 service provider.

    Args:
        given: settings and secrets as `MANIFEST` lists them.
        transport: replaces the network in tests.

    Raises:
        ValueError: names the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        values = read_options(_OPTIONS, given, kind=KIND)
        self._strips_groups = values[_STRIP_GROUPS]
        # 0 says that the product ends sessions itself.
        self._residuals = residual("session", values[_SESSION_BOUND])
        http = VendorHttp(
            Dialect(KIND, error_code=("scimType",)),
            values[_BASE_URL],
            headers={
                "Authorization": f"Bearer {values[_TOKEN]}",
                "Accept": f"{wire.CONTENT_TYPE}, application/json",
            },
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            pace=given.pace,
        )
        self._client = client = ScimClient(http)
        self._search = ScimSearch(client, system=given.system, groups=self._strips_groups)
        self._groups = ScimGroups(client)
        deletes = values[_DISABLE] == "delete"
        self._sign_in = SignIn(client, profile=values[_PROFILE], deletes=deletes)
        self._leaving = Leaving(client, self._groups)
        self._held = JustSeen()

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        await self._client.aclose()

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by id, employee number, externalId, userName and e-mail address.

        Where filters find nobody and are not proved to find anybody, everybody is listed.
        """
        return await self._search.locate(keys, transcript, not_theirs)

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user by id."""
        user = await self._client.get_user(account.id, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        # What is not said to be closed is open: the door is shut before anything is argued.
        stands = wire.is_active(user.data) is not False
        return wire.observed(user.data, active=stands, groups=self._strips_groups)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End sign-in. The user is read again first: it gives the version for If-Match."""
        if not before.signs_in:
            return ()
        user = await self._client.get_user(account.id, transcript)
        return await self._sign_in.end(account.id, user, transcript)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user by id, and the groups that hold it.

        ``off_since`` stays empty: meta.lastModified moves with every later change.
        """
        user = await self._client.get_user(account.id, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=(), residuals=self._residuals)
        signs_in = wire.is_active(user.data)
        if signs_in is None:
            raise fault(FaultCategory.UNEXPECTED_ANSWER, "users.get", "active")
        standing = [Access(AccessKind.SIGN_IN, account.id)] if signs_in else []
        unread: tuple[Unread, ...] = ()
        if self._strips_groups:
            held = await self._groups.of(user.data, transcript)
            self._held.keep(account.id, held.found)
            standing += [Access(AccessKind.GROUP, one.group_id) for one in held.found]
            unread = (held.unread,) if held.unread is not None else ()
        return Observation(
            account.id,
            exists=True,
            standing=tuple(standing),
            residuals=() if signs_in else self._residuals,
            unread=unread,
        )

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Leave every group; those that hold the user through another one are left with that one.

        Unless they were just looked at, the memberships are read first: what is left already
        yields nothing.
        """
        asked = {way.ref for way in before.standing if way.kind is AccessKind.GROUP}
        if not asked:
            return ()
        found = self._held.take(account.id)
        if found is None:
            user = await self._client.get_user(account.id, transcript)
            if user is None:
                return ()
            found = (await self._groups.of(user.data, transcript)).found
        direct = [one for one in found if one.direct and one.group_id in asked]
        return await steps.carry_out(
            *(partial(self._leaving.leave, account.id, one, transcript) for one in direct),
            at_once=steps.AT_ONCE,
        )

    async def health(self, transcript: Transcript) -> Health:
        """Read one user and one group, and prove the searches.

        SCIM has no way to ask what the token may write.
        """
        for part in (self._client, self._groups):
            part.forget()
        problems: list[Problem] = []
        try:
            await self._client.probe("/Users", transcript)
            await self._client.learn(transcript)
            if not self._client.supports("filter"):
                problems.append(_NO_FILTER)
            elif unproved := await self._search.unproved(transcript):
                problems.append(_unproved(unproved))
        except ConnectorFault as told:
            lost = {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(told.category not in lost, (*problems, _problem(told)))
        if self._strips_groups:
            problems += await self._groups_health(transcript)
        return Health(reachable=True, problems=tuple(problems))

    async def _groups_health(self, transcript: Transcript) -> list[Problem]:
        try:
            await self._client.probe("/Groups", transcript)
        except ConnectorFault as told:
            if await self._groups.are_none(told, transcript):
                return []
            return [_problem(told, fix=_GROUPS_FIX)]
        return [] if await self._groups.show_members(transcript) else [_NO_MEMBERS]


_GROUPS_FIX = "Let the token read and write /Groups, or set strip_groups = false."
_NO_MEMBERS = Problem(
    "members_not_seen",
    "no group that was looked at shows a member, so leaving groups cannot be proved",
    "Let the token see the members of groups, or set strip_groups = false.",
    ProblemSeverity.LIMITS,
)
_NO_FILTER = Problem(
    "no_filter",
    "the server does not filter: every search lists all users",
    "Give account ids with each leaver, or expect slow searches in a large directory.",
    ProblemSeverity.LIMITS,
)


_ADDRESS_FIX = (
    "Check the address and the version segment in base_url: the SCIM service answers at "
    "base_url/Users, and base_url often ends in /scim/v2 or /v2."
)


def _problem(told: ConnectorFault, fix: str = "") -> Problem:
    if WRONG_ADDRESS in told.code or told.code in NO_LIST:
        fix = fix or _ADDRESS_FIX
    return Problem(told.category.value, str(told), fix or rule_for(told.category).suggestion)


def _unproved(attributes: Sequence[str]) -> Problem:
    named = ", ".join(attributes)
    return Problem(
        "search_not_proved",
        f"a filter on {named} does not find an account that is known to be there",
        "Nothing to do in a small directory: who is not found is looked for in a list of all users."
        " Else ask the vendor for filters that heed no case, or give account ids with each leaver.",
        ProblemSeverity.LIMITS,
    )


_BASE_URL = options.address("base_url", "address of the SCIM service, version segment included")
_TOKEN = options.secret("token", "bearer token", required=True)
_PROFILE = options.one_of(
    "profile",
    "how active=false is written: RFC 7644, an object without a path, or a string",
    Profile,
)
_DISABLE = options.choice(
    "disable",
    "deactivate the user, or delete it for good where the vendor says that DELETE does so",
    ("deactivate", "delete"),
)
_STRIP_GROUPS = options.flag("strip_groups", "also take the user out of every group", default=True)
_SESSION_BOUND = options.bound(
    "session_bound_s",
    "longest life of a session that was open at the cutoff, in seconds, as the vendor "
    "states it; 0 if the product ends sessions itself",
)
_OPTIONS = (_BASE_URL, _TOKEN, _PROFILE, _DISABLE, _STRIP_GROUPS, _SESSION_BOUND)

MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Any SCIM 2.0 service provider",
    category=Category.SAAS,
    build=ScimConnector,
    options=_OPTIONS,
    permissions=(
        "read and update /Users: find the account, set active=false, read it back",
        "read and update /Groups: find memberships and remove them (strip_groups)",
        "delete /Users: only with disable = delete",
    ),
    proves="GET /Users/{id} says active=false, or 404 for an id located earlier; "
    "neither the user's own groups nor the members of any group of GET /Groups name the user",
    residual_s={"session": None},
)

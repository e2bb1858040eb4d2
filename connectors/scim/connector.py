"""Any SCIM 2.0 service provider: ends sign-in, takes the user out of its groups.

SCIM knows neither sessions nor tokens, so a read-back carries a residual for them. A 200 or 204 is
"requested"; a user that reads ``active: false`` by id, or 404 for an id seen before, is proof.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from functools import partial

import httpx

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.http import Dialect, VendorHttp
from connectors.kit import steps
from connectors.kit.abilities.gaps import gap
from connectors.kit.auth.ways import bearer
from connectors.kit.memory import Memory
from connectors.kit.options import read_options
from connectors.kit.residuals import shown
from connectors.scim import spec, wire
from connectors.scim.client import KIND, ScimClient, fault
from connectors.scim.dialects import DIALECTS
from connectors.scim.groups import ScimGroups
from connectors.scim.leaving import Leaving
from connectors.scim.members import Membership
from connectors.scim.pages import Walk
from connectors.scim.search import ScimSearch
from connectors.scim.sign_in import SignIn
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.abilities import Ability, Gap
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
    Unread,
)
from lockstep.domain.systems.active import ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory

_ALL = "accounts"


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
        values = read_options(spec.OPTIONS, given, kind=KIND)
        is_given = given.settings.get(spec.PROFILE.name) is not None
        self._dialect, profile = spec.chosen(values, is_given=is_given)
        self._strips_groups = values[spec.STRIP_GROUPS]
        self._residuals = shown(spec.OUTLIVES, values, signs_in=False)
        answers = Dialect(KIND, error_code=("scimType",))
        signed_in = bearer(spec.TOKEN).sign_in(values, values[spec.BASE_URL], answers)
        http = VendorHttp(
            answers,
            values[spec.BASE_URL],
            headers={**signed_in.headers, "Accept": f"{wire.CONTENT_TYPE}, application/json"},
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            pace=given.pace,
        )
        self._client = client = ScimClient(http)
        self._search = ScimSearch(
            client,
            system=given.system,
            groups=self._strips_groups,
            searched=self._dialect.searched,
        )
        self._groups = ScimGroups(client)
        deletes = values[spec.DISABLE] == "delete"
        self._sign_in = SignIn(client, profile=profile, deletes=deletes)
        self._leaving = Leaving(client, self._groups)
        # What a look has shown just before, so that stripping does not read it again.
        self._held = Memory[str, tuple[Membership, ...]](life_s=30.0, most=200)

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

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Everybody whose ``active`` is not false: what is not said to be closed is open."""
        walk = Walk(self._client, "/Users", "users.list", transcript)
        gaps: tuple[Gap, ...] = ()
        try:
            async for users in walk.pages():
                open_ones = (one for one in users if wire.is_active(one) is not False)
                yield ActivePage(tuple(map(wire.active_of, open_ones)))
            if not walk.whole:
                gaps = (Gap(_ALL, FaultCategory.UNEXPECTED_ANSWER, "users.list", "list_not_whole"),)
        except ConnectorFault as told:
            gaps = (gap(_ALL, told),)
        yield ActivePage((), ListEnd(len(walk.seen), gaps))

    async def health(self, transcript: Transcript) -> Health:
        """Read one user and one group, and prove the searches.

        SCIM has no way to ask what the token may write.
        """
        for part in (self._client, self._groups):
            part.forget()
        problems = list(spec.untried(self._dialect))
        try:
            await self._client.probe("/Users", transcript)
            await self._client.learn(transcript)
            if not self._client.supports("filter"):
                problems.append(spec.NO_FILTER)
            elif unproved := await self._search.unproved(transcript):
                problems.append(spec.unproved(unproved))
        except ConnectorFault as told:
            lost = {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(told.category not in lost, (*problems, spec.problem(told)))
        if self._strips_groups:
            problems += await self._groups_health(transcript)
        return Health(reachable=True, problems=tuple(problems))

    async def _groups_health(self, transcript: Transcript) -> list[Problem]:
        try:
            await self._client.probe("/Groups", transcript)
        except ConnectorFault as told:
            if await self._groups.are_none(told, transcript):
                return []
            return [spec.problem(told, fix=spec.GROUPS_FIX)]
        return [] if await self._groups.show_members(transcript) else [spec.NO_MEMBERS]


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Any SCIM 2.0 service provider",
    category=Category.SAAS,
    build=ScimConnector,
    options=spec.OPTIONS,
    permissions=spec.PERMISSIONS,
    proves=spec.PROVES,
    residual_s={row.what: row.default for row in spec.OUTLIVES},
    limit_by=(spec.DIALECT.name, {word: each.limit for word, each in DIALECTS.items()}),
    calls=12,
    abilities={
        Ability.LIST_ACTIVE: "GET /Users to its end; not complete where the list may be cut or "
        "claims more than it shows. Who is not said to be inactive counts as active.",
    },
    # A user who is active again is in every group that was not left.
    revives_on_unblock=frozenset({AccessKind.GROUP}),
)

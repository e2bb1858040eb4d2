"""Any SCIM 2.0 service provider: ends sign-in, takes the user out of its groups.

SCIM knows neither sessions nor tokens, so a read-back carries a residual for them. A 200 or 204 is
"requested"; a user that reads ``active: false`` by id, or 404 for an id seen before, is proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import httpx

from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    OptionSpec,
    Transcript,
)
from connectors.http import Dialect, VendorHttp
from connectors.saas import scim_wire as wire
from connectors.saas.scim_client import KIND, ScimClient, active, fault, together
from connectors.saas.scim_wire import Profile, Search
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    ProblemSeverity,
    Residual,
)
from lockstep.domain.faults import FaultCategory, rule_for
from lockstep.domain.leavers import KeyKind, LeaverKeys

_SESSION_BOUND_S = 86_400
_DISABLE = ("deactivate", "delete")
_Found = dict[str, tuple[dict[str, Any], KeyKind]]


class ScimConnector:
    """One SCIM 2.0 service provider.

    Args:
        options: settings and secrets as `MANIFEST` lists them.
        transport: replaces the network in tests.

    Raises:
        ValueError: names the option that is wrong.
    """

    def __init__(
        self, options: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        settings, token = options.settings, options.secrets.get("token", "")
        if not token:
            raise ValueError("token: a bearer token is required")
        self._system = options.system
        self._deletes = _choice(settings, "disable", _DISABLE) == "delete"
        self._strips_groups = _flag(settings, "strip_groups", default=True)
        self._session_bound_s = _seconds(settings, "session_bound_s", default=_SESSION_BOUND_S)
        http = VendorHttp(
            Dialect(KIND, error_code=("scimType",)),
            str(settings.get("base_url", "")),
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": f"{wire.CONTENT_TYPE}, application/json",
            },
            secrets=(token,),
            timeout=options.timeout,
            transport=transport,
        )
        self._client = ScimClient(
            http, profile=Profile(_choice(settings, "profile", tuple(Profile)))
        )

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        await self._client.aclose()

    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        """Search by id, employee number, externalId, userName and e-mail address.

        A server that refuses an attribute, or ignores filters, is listed instead, unless the
        person was found by another key. An account id given for this system is a person's word on
        whose account it is: it settles what would otherwise be ambiguous.
        """
        found: _Found = {}
        given = keys.account_ids(self._system)
        tried = {KeyKind.ACCOUNT_ID} if given else set()
        for user_id in given:
            if (answer := await self._client.get_user(user_id, transcript)) is not None:
                found[user_id] = (answer.data, KeyKind.ACCOUNT_ID)
        unanswered = []
        for search in wire.searches_for(keys):
            filters = await self._client.supports("filter", transcript)
            users = await self._client.search(search, transcript) if filters else None
            if users is None:
                unanswered.append(search)
                continue
            tried.add(search.kind)
            _pin(search, users, found)
        if unanswered and not found:
            everybody = await self._client.everybody(transcript)
            for search in unanswered:
                tried.add(search.kind)
                _pin(search, everybody, found)
        matches = tuple(
            Match(wire.account_of(user), kind) for user, kind in _settled(found, keys).values()
        )
        return Location(matches, tuple(kind for kind in KeyKind if kind in tried))

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user by id, and the groups that hold it.

        ``off_since`` stays empty: meta.lastModified moves with every later change.
        """
        user = await self._client.get_user(account.id, transcript)
        standing: list[Access] = []
        if user is not None:
            if active(user):
                standing.append(Access(AccessKind.SIGN_IN, account.id))
            groups = await self._groups_of(account.id, transcript)
            standing += [Access(AccessKind.GROUP, group_id) for group_id in groups]
        signs_in = any(way.kind is AccessKind.SIGN_IN for way in standing)
        outlives = self._session_bound_s and not signs_in
        residuals = (Residual("session", self._session_bound_s),) if outlives else ()
        return Observation(account.id, user is not None, tuple(standing), residuals=residuals)

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End sign-in, then leave every group, several groups at a time.

        State is read again first: it gives the version for If-Match, and a repetition after a
        crash finds what is closed already.
        """
        if before.is_closed:
            return ()
        user = await self._client.get_user(account.id, transcript)
        if user is None:
            return ()
        actions: list[Action] = []
        asked = {(way.kind, way.ref) for way in before.standing}
        if (AccessKind.SIGN_IN, account.id) in asked:
            actions += await self._client.end_sign_in(
                account.id, user, transcript, delete=self._deletes
            )
        if any(kind is AccessKind.GROUP for kind, _ in asked):
            groups = await self._groups_of(account.id, transcript)
            left = await together(
                self._client.leave(group_id, account.id, transcript)
                for group_id in groups
                if (AccessKind.GROUP, group_id) in asked
            )
            actions += [action for one in left for action in one]
        return tuple(actions)

    async def health(self, transcript: Transcript) -> Health:
        """Read one user and one group; SCIM has no way to ask what the token may write."""
        problems: list[Problem] = []
        try:
            await self._client.probe("/Users", transcript)
            if not await self._client.supports("filter", transcript):
                problems.append(_NO_FILTER)
        except ConnectorFault as told:
            lost = {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            return Health(told.category not in lost, (*problems, _problem(told)))
        if self._strips_groups:
            try:
                await self._client.probe("/Groups", transcript)
            except ConnectorFault as told:
                problems.append(_problem(told, fix=_GROUPS_FIX))
        return Health(reachable=True, problems=tuple(problems))

    async def _groups_of(self, user_id: str, transcript: Transcript) -> tuple[str, ...]:
        return await self._client.groups_of(user_id, transcript) if self._strips_groups else ()


def _pin(search: Search, users: Iterable[dict[str, Any]], found: _Found) -> None:
    """Take over the users that really hold the searched value.

    Raises:
        ConnectorFault: several users hold it, and nobody said which is the leaver's.
    """
    hits = {str(user["id"]): user for user in users if search.hits(user)}
    if len(hits) > 1 and not _is_pinned(found):
        raise fault(FaultCategory.AMBIGUOUS_MATCH, "users.search", search.kind.value)
    for user_id, user in hits.items():
        found.setdefault(user_id, (user, search.kind))


def _settled(found: _Found, keys: LeaverKeys) -> _Found:
    """The leaver's accounts among those found.

    Raises:
        ConnectorFault: one is somebody else's by its employee number, or was found beside another
            one by a name or an address only, which may have been recycled.
    """
    if _is_pinned(found):
        return {
            user_id: (user, kind)
            for user_id, (user, kind) in found.items()
            if kind is KeyKind.ACCOUNT_ID or (kind.is_strong and not wire.contradicts(user, keys))
        }
    if any(wire.contradicts(user, keys) for user, _ in found.values()):
        raise fault(FaultCategory.AMBIGUOUS_MATCH, "users.search", "employee_number")
    if len(found) > 1 and not all(kind.is_strong for _, kind in found.values()):
        raise fault(FaultCategory.AMBIGUOUS_MATCH, "users.search", "several_users")
    return found


def _is_pinned(found: _Found) -> bool:
    return any(kind is KeyKind.ACCOUNT_ID for _, kind in found.values())


_GROUPS_FIX = "Let the token read and write /Groups, or set strip_groups = false."
_NO_FILTER = Problem(
    "no_filter",
    "the server does not filter: every search lists all users",
    "Give account ids with each leaver, or expect slow searches in a large directory.",
    ProblemSeverity.LIMITS,
)


def _problem(told: ConnectorFault, fix: str = "") -> Problem:
    return Problem(told.category.value, str(told), fix or rule_for(told.category).suggestion)


def _choice(settings: Mapping[str, object], name: str, choices: tuple[str, ...]) -> str:
    """The first choice is the default."""
    value = settings.get(name, choices[0])
    if value not in choices:
        raise ValueError(f"{name}: one of {', '.join(choices)}")
    return str(value)


def _flag(settings: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = settings.get(name, default)
    words = {"true": True, "false": False}
    said = value if isinstance(value, bool) else words.get(str(value).lower())
    if said is None:
        raise ValueError(f"{name}: true or false")
    return said


def _seconds(settings: Mapping[str, object], name: str, *, default: int) -> int:
    value = str(settings.get(name, default))
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"{name}: whole seconds, 0 or more")
    return int(value)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Any SCIM 2.0 service provider",
    category=Category.SAAS,
    build=ScimConnector,
    options=(
        OptionSpec("base_url", "address of the SCIM service, version segment included"),
        OptionSpec("token", "bearer token", secret=True),
        OptionSpec(
            "profile",
            "how active=false is written: RFC 7644, an object without a path, or a string",
            required=False,
            default=Profile.RFC.value,
            choices=tuple(profile.value for profile in Profile),
        ),
        OptionSpec(
            "disable",
            "deactivate the user, or delete it for good where the vendor says that DELETE does so",
            required=False,
            default="deactivate",
            choices=_DISABLE,
        ),
        OptionSpec(
            "strip_groups",
            "also take the user out of every group",
            required=False,
            default=True,
        ),
        OptionSpec(
            "session_bound_s",
            "longest life of a session that was open at the cutoff, in seconds; 0 if the "
            "product ends sessions itself",
            required=False,
            default=_SESSION_BOUND_S,
        ),
    ),
    permissions=(
        "read and update /Users: find the account, set active=false, read it back",
        "read and update /Groups: find memberships and remove them (strip_groups)",
        "delete /Users: only with disable = delete",
    ),
    proves="GET /Users/{id} says active=false, or 404 for an id located earlier; "
    "no group of GET /Groups holds the id",
    residual_s={"session": _SESSION_BOUND_S},
)

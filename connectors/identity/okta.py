"""Okta Workforce Identity: suspend or deactivate the user, end sessions, strip what is left.

Proof is ``GET /users/{id}``: status SUSPENDED or DEPROVISIONED with no transition under way, and
the user's own lists of clients, factors, roles and groups. What cannot be proved:

- Sessions are not listed. They count as standing until sign-in is blocked; see `okta_revoke`.
- Groups of type APP_GROUP (imported) and BUILT_IN, and roles that come from a group, are not ours
  to remove and are left out.
- An app behind Okta keeps the session that it made itself: that is a residual.
- Suspending tells the apps nothing, so with ``disable = "deactivate"`` a suspended user's app
  assignments still count as standing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import httpx

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.http import VendorHttp
from connectors.identity.okta_api import (
    DIALECT,
    MANAGE_GROUPS,
    MANAGE_ROLES,
    MANAGE_USERS,
    OktaApi,
    known_refs,
)
from connectors.identity.okta_faults import KIND, attempt
from connectors.identity.okta_health import examine
from connectors.identity.okta_locate import Search
from connectors.identity.okta_options import (
    ACCESS_TOKEN_S,
    APP_SESSION_S,
    SPECS,
    Disable,
    parse_options,
)
from connectors.identity.okta_revoke import ALL, APPS, UNREAD, Revocation
from connectors.identity.okta_user import OktaUser
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Observation,
    Residual,
)
from lockstep.domain.leavers import LeaverKeys

ACCESS_TOKEN = "access_token"  # noqa: S105 - the code of a residual, not a secret
APP_SESSION = "app_session"

_Refs = tuple[str, ...] | None | ConnectorFault


class OktaConnector:
    """One Okta organisation.

    Args:
        options: see `okta_options.SPECS`.
        transport: replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, options: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._options = parse_options(options)
        self._system = options.system
        token = options.secrets["token"]
        self._api = OktaApi(
            VendorHttp(
                DIALECT,
                self._options.base_url,
                headers={"Authorization": f"SSWS {token}", "Accept": "application/json"},
                secrets=(token,),
                timeout=options.timeout,
                transport=transport,
            )
        )

    @property
    def kind(self) -> str:
        return KIND

    async def locate(self, keys: LeaverKeys, transcript: Transcript) -> Location:
        """Search by account id, worker id, employee number, login and e-mail address."""
        search = Search(
            self._api, self._options, system=self._system, keys=keys, transcript=transcript
        )
        return await search.run()

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user and its lists at once.

        While sign-in is open nothing may delay the block: a list that cannot be read then counts
        as standing (`UNREAD`). Once it is blocked, an unread list is a fault.
        """
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(attempt(self._api.user(account.id, transcript)))
            lists = {
                kind: group.create_task(attempt(self._api.refs(kind, account.id, transcript)))
                for kind in self._listed()
            }
        user = reading.result()
        if isinstance(user, ConnectorFault):
            raise user
        if user is None:
            return Observation(account.id, exists=False, standing=())
        return Observation(
            account_id=account.id,
            exists=True,
            standing=self._standing(user, {kind: task.result() for kind, task in lists.items()}),
            off_since=user.status_changed if user.is_blocked else None,
            residuals=self._residuals(user),
        )

    async def revoke(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close every way in; order and repetition are explained in `okta_revoke`."""
        user = await self._api.user(account.id, transcript)
        if user is None:
            return ()
        return await Revocation(self._api, self._options, user, before, transcript).run()

    async def health(self, transcript: Transcript) -> Health:
        return await examine(self._api, self._options, transcript)

    async def aclose(self) -> None:
        await self._api.aclose()

    def _listed(self) -> tuple[AccessKind, ...]:
        wanted = {
            AccessKind.TOKEN: True,
            AccessKind.FACTOR: self._options.reset_factors,
            AccessKind.ROLE: self._options.strip_roles,
            AccessKind.GROUP: self._options.strip_groups,
        }
        return tuple(kind for kind, is_wanted in wanted.items() if is_wanted)

    def _standing(self, user: OktaUser, lists: Mapping[AccessKind, _Refs]) -> tuple[Access, ...]:
        standing: list[Access] = []
        if not user.is_blocked:
            standing += [Access(AccessKind.SIGN_IN, user.id), Access(AccessKind.SESSION, ALL)]
        for kind, refs in lists.items():
            # A deactivated user's factors open nothing, and Okta refuses to reset them.
            if kind is AccessKind.FACTOR and user.is_deactivated:
                continue
            standing += [Access(kind, ref) for ref in _believed(kind, refs, user)]
        if self._options.disable is Disable.DEACTIVATE and not user.is_deactivated:
            standing.append(Access(AccessKind.ASSIGNMENT, APPS))
        return tuple(standing)

    def _residuals(self, user: OktaUser) -> tuple[Residual, ...]:
        """What outlives the block, until its bound has passed by Okta's clock."""
        if not user.is_blocked:
            return ()
        bounds = (
            Residual(ACCESS_TOKEN, self._options.access_token_s),
            Residual(APP_SESSION, self._options.app_session_s),
        )
        off_since = user.status_changed
        return tuple(
            bound
            for bound in bounds
            if off_since is None or user.seen_at < off_since + timedelta(seconds=bound.bound_s)
        )


def _believed(kind: AccessKind, refs: _Refs, user: OktaUser) -> tuple[str, ...]:
    try:
        if isinstance(refs, ConnectorFault):
            raise refs
        return known_refs(kind, refs, user)
    except ConnectorFault:
        if user.is_blocked:
            raise
        return (UNREAD,)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Okta Workforce Identity",
    category=Category.IDENTITY,
    build=OktaConnector,
    options=SPECS,
    permissions=(
        f"{MANAGE_USERS}: block, end sessions, reset factors (Organization Administrator)",
        f"{MANAGE_GROUPS}: leave groups (Organization Administrator)",
        f"{MANAGE_ROLES}: unassign roles, revoke administrators (Super Administrator)",
    ),
    proves="GET /users/{id} by immutable id: status SUSPENDED or DEPROVISIONED and no transition "
    "under way; the user's own lists of clients, factors, roles and groups are empty of what can "
    "be removed.",
    residual_s={ACCESS_TOKEN: ACCESS_TOKEN_S, APP_SESSION: APP_SESSION_S},
)

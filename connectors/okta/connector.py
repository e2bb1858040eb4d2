"""Okta Workforce Identity: suspend or deactivate the user, end sessions, strip what is left.

Proof is ``GET /users/{id}``: status SUSPENDED or DEPROVISIONED with no transition under way, and
the user's own lists of clients, factors, roles and groups. What cannot be proved:

- Sessions are not listed. They count as standing until sign-in is blocked; see `okta_revoke`.
- Groups of type APP_GROUP (imported) and BUILT_IN, and roles that come from a group, are not ours
  to remove and are left out.
- An app behind Okta keeps the session that it made itself: that is a residual.
- Suspending tells the apps nothing, so with ``disable = "deactivate"`` a suspended user's app
  assignments still count as standing.

Finding. Reading by login is authoritative; the search index is proved to find before it is believed
that it found nobody, else all users are listed. A short user name finds logins that begin with it:
those are told, and a person decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import httpx

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.http import VendorHttp
from connectors.kit.steps import unread
from connectors.okta.api import DIALECT, OktaApi
from connectors.okta.faults import KIND, attempt
from connectors.okta.health import examine
from connectors.okta.lists import (
    MANAGE_GROUPS,
    MANAGE_ROLES,
    MANAGE_USERS,
    known_refs,
)
from connectors.okta.locate import Locating
from connectors.okta.options import ACCESS_TOKEN_S, SPECS, parse_options
from connectors.okta.revoke import Revocation
from connectors.okta.search import Searches
from connectors.okta.user import (
    ACCESS_TOKEN,
    APP_SESSION,
    OktaUser,
    door,
    lists_of,
    open_lists,
)
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Observation,
    Unread,
)

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
                pace=options.pace,
            )
        )
        self._searches = Searches(self._api, self._options)

    @property
    def kind(self) -> str:
        return KIND

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by account id, worker id, employee number, login and e-mail address."""
        locating = Locating(
            self._api,
            self._options,
            self._searches,
            system=self._system,
            keys=keys,
            transcript=transcript,
            not_theirs=not_theirs,
        )
        return await locating.run()

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        user = await self._api.user(account.id, transcript)
        if user is None:
            return Observation(account.id, exists=False, standing=())
        return door(user, self._options)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Block the sign-in; how, is explained in `okta_revoke`."""
        if not before.signs_in:
            return ()
        user = await self._api.user(account.id, transcript)
        if user is None:
            return ()
        return await Revocation(self._api, self._options, user, transcript).contain()

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user and its lists at once."""
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(attempt(self._api.user(account.id, transcript)))
            lists = {
                kind: group.create_task(attempt(self._api.refs(kind, account.id, transcript)))
                for kind in lists_of(self._options)
            }
        user = reading.result()
        if isinstance(user, ConnectorFault):
            raise user
        if user is None:
            return Observation(account.id, exists=False, standing=())
        seen = door(user, self._options)
        standing, rows = list(seen.standing), list[Unread]()
        for kind in open_lists(user, self._options):
            refs = _believed(kind, lists[kind].result(), user)
            if isinstance(refs, ConnectorFault):
                rows.append(unread(kind, refs))
            else:
                standing += [Access(kind, ref) for ref in refs]
        return replace(seen, standing=tuple(standing), unread=tuple(rows))

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close the rest; order and repetition are explained in `okta_revoke`."""
        if not before.standing:
            return ()
        user = await self._api.user(account.id, transcript)
        if user is None:
            return ()
        return await Revocation(self._api, self._options, user, transcript).strip(before)

    async def health(self, transcript: Transcript) -> Health:
        return await examine(self._api, self._options, self._searches, transcript)

    async def aclose(self) -> None:
        await self._api.aclose()


def _believed(kind: AccessKind, refs: _Refs, user: OktaUser) -> tuple[str, ...] | ConnectorFault:
    try:
        return refs if isinstance(refs, ConnectorFault) else known_refs(kind, refs, user)
    except ConnectorFault as fault:
        return fault


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
    residual_s={ACCESS_TOKEN: ACCESS_TOKEN_S, APP_SESSION: None},
    grade=EvidenceGrade.A,
)

"""Okta's connector: the rows of `okta.spec`, and the order and the searches that are Okta's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import httpx

from connectors.base import ConnectorOptions, Transcript
from connectors.kit.finding.asking import Asking, keys_for
from connectors.kit.finding.searching import Searching
from connectors.kit.rest import RestConnector, manifest_of
from connectors.okta.health import Examination
from connectors.okta.revoke import Revocation
from connectors.okta.search import Searches
from connectors.okta.spec import LIST_LIMIT, SPEC
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import Account, Action, Health, Location, Observation


class OktaConnector(RestConnector):
    """One Okta organisation."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(SPEC, given, transport=transport)
        self._system = given.system
        self._searches = Searches(self._parts)
        everybody, full = SPEC.finding.everybody, LIST_LIMIT
        self._asking = Asking(self._searches, self._api, self._records, everybody, full=full)

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by account id, worker id, employee number, login and e-mail address."""
        wanted = keys_for(keys, self._system)
        return await self._asking.locate(wanted, transcript, Searching(not_theirs))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Block the sign-in; how, is explained in `okta.revoke`."""
        way_out = await self._way_out(account, transcript) if before.signs_in else None
        return await way_out.contain() if way_out is not None else ()

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close the rest; order and repetition are explained in `okta.revoke`."""
        way_out = await self._way_out(account, transcript) if before.standing else None
        return await way_out.strip(before) if way_out is not None else ()

    async def health(self, transcript: Transcript) -> Health:
        """Read everything that a revocation reads, and prove every search anew."""
        ways = self._searches.ways
        return await Examination(self._parts, self._asking, ways, transcript).run()

    async def _way_out(self, account: Account, transcript: Transcript) -> Revocation | None:
        user = await self._records.one(account.id, transcript)
        return Revocation(self._parts, user, transcript) if user is not None else None


MANIFEST = replace(manifest_of(SPEC), build=OktaConnector)

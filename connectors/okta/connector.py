"""Okta's connector: the rows of `okta.spec`, and the order and the searches that are Okta's own.

Finding. Reading by login is authoritative; the search index is proved to find before it is believed
that it found nobody, else all users are listed. A short user name finds logins that begin with it:
those are told, and a person decides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace

import httpx

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.finding.asking import Asking, keys_for
from connectors.kit.finding.searching import Searching
from connectors.kit.rest import RestConnector, manifest_of
from connectors.kit.steps import attempt
from connectors.okta.health import Examination
from connectors.okta.lists import believed
from connectors.okta.revoke import Revocation
from connectors.okta.search import BY_LOGIN, EMAIL, Searches
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
        self._searches = Searches(self._api, self._records, self._values)
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

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """Read the user and its lists at once."""
        user, held = await asyncio.gather(
            attempt(self._records.one(account.id, transcript)),
            self._holdings.read({"id": account.id}, transcript),
        )
        if isinstance(user, ConnectorFault):
            raise user
        seen = self._records.seen(account.id, user)
        if user is None:
            return seen
        held = believed(held, user)
        return replace(seen, standing=(*seen.standing, *held.standing), unread=held.unread)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Close the rest; order and repetition are explained in `okta.revoke`."""
        way_out = await self._way_out(account, transcript) if before.standing else None
        return await way_out.strip(before) if way_out is not None else ()

    async def health(self, transcript: Transcript) -> Health:
        return await Examination(
            self._api,
            self._records,
            self._holdings,
            self._values,
            self._asking,
            (BY_LOGIN, EMAIL, *self._searches.numbers.values()),
            transcript,
        ).run()

    async def _way_out(self, account: Account, transcript: Transcript) -> Revocation | None:
        user = await self._records.one(account.id, transcript)
        if user is None:
            return None
        return Revocation(
            self._api,
            self._records,
            self._holdings,
            self._values,
            user=user,
            transcript=transcript,
        )


MANIFEST = replace(manifest_of(SPEC), build=OktaConnector)

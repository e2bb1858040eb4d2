"""Entra's connector: the rows of `entra.spec`, its searches, and the end of sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import httpx

from connectors.base import ConnectorOptions, Transcript
from connectors.entra import calls, spec
from connectors.entra.search import Searches
from connectors.kit.calls import actions
from connectors.kit.finding.asking import Asking, keys_for
from connectors.kit.finding.searching import Searching
from connectors.kit.rest import RestConnector, manifest_of
from connectors.kit.steps import Step, in_order
from lockstep.domain.cases.leavers import LeaverKeys
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Location,
    Observation,
)


class EntraConnector(RestConnector):
    """One tenant."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(spec.SPEC, given, transport=transport)
        self._system = given.system
        everybody, full = spec.SPEC.finding.everybody, spec.LIST_LIMIT
        searches = Searches(self._parts)
        self._asking = Asking(searches, self._api, self._records, everybody, full=full)

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by id, principal name, every address, employee number and worker id."""
        wanted = keys_for(keys, self._system)
        return await self._asking.locate(wanted, transcript, Searching(not_theirs))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Disable the account: that shuts the sign-in, and ends no session by itself."""
        done = await super().contain(account, before, transcript)
        return tuple(action for action in done if action.access.kind is AccessKind.SIGN_IN)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End sessions, then close what is listed.

        A crash after the block leaves no trace of sessions that still live: they are ended whenever
        ``before`` shows them. Ending them again only moves the instant from which they count.
        """
        sessions = [way for way in before.standing if way.kind is AccessKind.SESSION]
        first: list[Step] = [partial(self._end, sessions, account, transcript)] if sessions else []
        rest = replace(
            before, standing=tuple(way for way in before.standing if way not in sessions)
        )
        second: Step = partial(super().strip, account, rest, transcript)
        return await in_order(first, [second])

    async def _end(
        self, sessions: list[Access], account: Account, transcript: Transcript
    ) -> tuple[Action, ...]:
        words = self._records.words(account)
        answer = await self._api.do([calls.REVOKE], words, transcript, thing={})
        return actions(sessions, answer)


MANIFEST = replace(manifest_of(spec.SPEC), build=EntraConnector)

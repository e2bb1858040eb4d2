"""Google's connector: the rows of `google_workspace.spec`, its searches, and signing out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial

import httpx

from connectors.base import ConnectorOptions, Transcript
from connectors.google_workspace import spec
from connectors.google_workspace.search import Searches, numbered
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


class GoogleConnector(RestConnector):
    """One customer of Google's."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        types = (option.read(given) for option in (spec.NUMBER_TYPE, spec.WORKER_TYPE))
        super().__init__(numbered(*types), given, transport=transport)
        self._system = given.system
        everybody, full = spec.SPEC.finding.everybody, spec.LIST_LIMIT
        searches = Searches(self._parts)
        self._asking = Asking(searches, self._api, self._records, everybody, full=full)

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by id, every address, employee number and worker id."""
        wanted = keys_for(keys, self._system)
        return await self._asking.locate(wanted, transcript, Searching(not_theirs))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Suspend the user; signing out of what was open is `strip`'s."""
        done = await super().contain(account, before, transcript)
        return tuple(action for action in done if action.access.kind is AccessKind.SIGN_IN)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Sign out, then close what is listed.

        Sessions are not listed, so they are ended whenever ``before`` shows them; the caller hands
        over what stood at the first try as well. Signing out twice changes nothing more.
        """
        sessions = [way for way in before.standing if way.kind is AccessKind.SESSION]
        first: list[Step] = [partial(self._end, sessions, account, transcript)] if sessions else []
        left = tuple(way for way in before.standing if way not in sessions)
        rest = partial(super().strip, account, replace(before, standing=left), transcript)
        return await in_order(first, [rest])

    async def _end(
        self, sessions: list[Access], account: Account, transcript: Transcript
    ) -> tuple[Action, ...]:
        words = self._records.words(account)
        answer = await self._api.do([spec.SIGN_OUT], words, transcript, thing={})
        return actions(sessions, answer)


MANIFEST = replace(manifest_of(spec.SPEC), build=GoogleConnector)

"""Everybody who can sign in, a page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from connectors.base import ConnectorFault, Transcript
from connectors.kit.abilities.gaps import flawed, gap
from connectors.kit.abilities.rows import Active
from connectors.kit.calls import Api
from connectors.kit.records import Records
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.access import Proof
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd

MOST_PAGES: Final = 5_000
"""A list of everybody is longer than a search; it is never held in memory."""
ACCOUNTS: Final = "accounts"
NOBODY: Final = "nobody_listed"
"""The list is empty, and nothing says that the system is."""


class ActiveAccounts:
    """Runs the row of one vendor against one system."""

    def __init__(self, row: Active, api: Api, records: Records, *, empty: Proof) -> None:
        most = max(row.listed.most_pages, MOST_PAGES)
        self._listed = replace(row.listed, most_pages=most)
        self._api = api
        self._records = records
        self._empty = empty

    async def pages(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """See `connectors.abilities.ListsActive`."""
        walk = self._api.walk(self._listed, {}, transcript)
        looked_at, gaps = 0, tuple[Gap, ...]()
        operation = self._listed.call.operation
        try:
            async for page in walk.pages():
                looked_at += len(page)
                found = tuple(match for record in page if (match := self._active(record)))
                if found:
                    yield ActivePage(found)
        except ConnectorFault as fault:
            gaps = (gap(ACCOUNTS, fault),)
        else:
            if walk.flaw:
                gaps = (flawed(ACCOUNTS, operation, walk.flaw),)
            elif not looked_at and self._empty is not Proof.LISTED:
                gaps = (flawed(ACCOUNTS, operation, NOBODY),)
        yield ActivePage((), ListEnd(looked_at, gaps))

    def _active(self, record: dict[str, object]) -> ActiveAccount | None:
        """The account, unless its record says that every front door is shut."""
        match = self._records.match(record, KeyKind.ACCOUNT_ID)
        if match.seen is None or not match.seen.signs_in:
            return None
        return ActiveAccount(match.account, match.name, match.created_at, match.last_used_at)

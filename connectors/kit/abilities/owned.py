"""What runs or stays because of an account, list by list."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connectors.base import ConnectorFault, Transcript
from connectors.kit.abilities.gaps import gap, lacking
from connectors.kit.abilities.rows import Owns
from connectors.kit.auth.ways import SignedIn
from connectors.kit.calls import Api, Words
from connectors.kit.instants import told_instant
from connectors.kit.pages import Item
from connectors.kit.paths import at
from connectors.kit.records import Records
from connectors.kit.steps import attempt
from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.owned import Belongings, Owned


class OwnedThings:
    """Runs the rows of one vendor against one system."""

    def __init__(self, rows: Sequence[Owns], api: Api, signed_in: SignedIn) -> None:
        self._rows = tuple(rows)
        self._api = api
        self._signed_in = signed_in

    async def of(self, account: Account, transcript: Transcript) -> Belongings:
        """See `connectors.abilities.ListsOwned`."""
        words = Records.words(account)
        told = await asyncio.gather(*(self._one(row, words, transcript) for row in self._rows))
        things = tuple(thing for found, _ in told for thing in found)
        gaps = tuple(one for _, missed in told for one in missed)
        return Belongings(account.id, things, gaps)

    async def _one(
        self, row: Owns, words: Words, transcript: Transcript
    ) -> tuple[list[Owned], list[Gap]]:
        operation = row.listed.call.operation
        items = await attempt(self._api.whole(row.listed, words, transcript))
        if isinstance(items, ConnectorFault):
            return [], [gap(kind.value, items) for kind in row.kinds]
        mine = [item for item in items if row.mine(item, words) and row.stands(item)]
        found = [thing for item in mine if (thing := _thing(row, item))]
        # Only after a call is it known what our token may do.
        missing = row.blind(self._signed_in)
        blind = [lacking(kind.value, operation, missing) for kind in row.kinds] if missing else []
        return found, blind


def _thing(row: Owns, item: Item) -> Owned | None:
    kind = next((kind for kind, test in row.kinds.items() if test(item)), None)
    if kind is None:
        return None
    return Owned(
        kind,
        row.ref(item),
        name=str(at(item, row.name) or "") if row.name else "",
        has_other_owner=row.others(item),
        created_at=told_instant(at(item, row.created)) if row.created else None,
        last_used_at=told_instant(at(item, row.used)) if row.used else None,
    )

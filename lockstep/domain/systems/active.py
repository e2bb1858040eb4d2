"""All accounts of a system that can sign in, as its own list shows them.

The list is a stream of pages, because a system may hold a hundred thousand accounts. Only the last
page says whether the list was whole; a stream that ends without saying so was not.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.access import Account


@dataclass(frozen=True, slots=True)
class ActiveAccount:
    """One account that can sign in.

    Args:
        account: its immutable id, and every identity key that the vendor holds of it.
        name: the person's name at the vendor, for people to compare.
        created_at: when it was made (UTC), where the vendor says so.
        last_used_at: when it was last used (UTC), where the vendor says so. None says nothing:
            neither that it was never used nor that the vendor would know.
    """

    account: Account
    name: str = field(default="", repr=False)
    created_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListEnd:
    """How a list ended.

    Args:
        looked_at: accounts that the list showed, those that cannot sign in too.
        gaps: what of the list was not seen.
    """

    looked_at: int
    gaps: tuple[Gap, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether an account that is not in the list is known to be unable to sign in."""
        return not self.gaps


@dataclass(frozen=True, slots=True)
class ActivePage:
    """Some of the accounts; ``end`` stands on the last page only."""

    accounts: tuple[ActiveAccount, ...]
    end: ListEnd | None = None


@dataclass(frozen=True, slots=True)
class ActiveList:
    """A whole list in memory, for systems that are small enough."""

    accounts: tuple[ActiveAccount, ...]
    end: ListEnd | None

    @property
    def is_complete(self) -> bool:
        return self.end is not None and self.end.is_complete


async def gathered(pages: AsyncIterator[ActivePage]) -> ActiveList:
    """Every page of a stream; not complete where the stream did not say that it was."""
    accounts: list[ActiveAccount] = []
    end: ListEnd | None = None
    async for page in pages:
        accounts += page.accounts
        end = page.end
    return ActiveList(tuple(accounts), end)

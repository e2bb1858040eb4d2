"""What a user's lists say, by the user's own record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from connectors.kit.holdings import Held
from connectors.kit.pages import Item
from connectors.okta.spec import SPEC
from connectors.okta.status import is_deactivated
from lockstep.domain.systems.access import AccessKind, Unread

NOT_THERE = frozenset(f"404.{code}" for code in SPEC.wire.gone)


def open_kinds(kinds: Iterable[AccessKind], user: Item) -> list[AccessKind]:
    """Those that say something of this user.

    A deactivated user's factors open nothing, and Okta refuses to reset them.
    """
    moot = AccessKind.FACTOR if is_deactivated(user) else None
    return [kind for kind in kinds if kind is not moot]


def believed(held: Held, user: Item) -> Held:
    """What the lists say of this user.

    Okta answers 404 for lists of a deactivated user (seen with factors:
    https://github.com/okta/okta-sdk-java/issues/646); for any other user 404 says nothing.
    """
    kinds = open_kinds(AccessKind, user)
    things = {way: thing for way, thing in held.things.items() if way.kind in kinds}
    unread = tuple(row for row in held.unread if row.kind in kinds and not _is_empty(row, user))
    return replace(held, things=things, unread=unread)


def _is_empty(row: Unread, user: Item) -> bool:
    return is_deactivated(user) and row.code in NOT_THERE

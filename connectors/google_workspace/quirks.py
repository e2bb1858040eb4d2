"""What only Google's documents say: where addresses and numbers stand, and what a sign-in is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from connectors.kit.pages import Item
from lockstep.domain.systems.activity import UseKind

_USES: Final = {
    "login_success": UseKind.USED,
    "login_failure": UseKind.REFUSED,
    "login_challenge": None,
    "logout": None,
}


def quoted(text: str) -> str:
    """A text in a query of users."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def addresses(record: Item) -> Iterator[str]:
    """The first address, aliases, and whatever else stands in the profile."""
    yield str(record.get("primaryEmail") or "")
    for name in ("aliases", "nonEditableAliases"):
        yield from map(str, record.get(name) or ())
    yield from (str(each.get("address") or "") for each in _rows(record, "emails"))


def numbers(kind: str) -> Callable[[Item], Iterator[str]]:
    """External ids of one type; ``organization`` is what the console calls employee id."""

    def read(record: Item) -> Iterator[str]:
        for each in _rows(record, "externalIds"):
            if each.get("type") == kind or each.get("customType") == kind:
                yield str(each.get("value") or "")

    return read


def is_shut(record: Item) -> bool:
    """Suspended or archived: neither signs in."""
    return record.get("suspended") is True or record.get("archived") is True


def event_of(activity: Item) -> str:
    return next((str(each.get("name")) for each in _rows(activity, "events")), "unknown")


def use_of(activity: Item) -> UseKind | None:
    return _USES.get(event_of(activity))


def _rows(record: Item, name: str) -> Iterator[dict[str, Any]]:
    rows = record.get(name)
    yield from (row for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()

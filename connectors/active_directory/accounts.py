"""An account as a domain controller shows it: what stands, and since when it does not."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from connectors.kit.ldap.messages import Change, Edit, Entry
from lockstep.domain.systems.access import Access, AccessKind, Unread
from lockstep.domain.systems.faults import FaultCategory

DISABLED: Final = 0x2
PASSWORD: Final = "password"  # noqa: S105 - what is called so, not one
HOURS: Final = "logon_hours"
NO_HOURS: Final = bytes(21)
"""A week without an hour in which anybody may sign in."""
EVERYBODY: Final = frozenset({"513", "514"})
"""Domain Users and Domain Guests: a primary group that gives nothing of its own."""

_CONTROL: Final = 0x0009_0008
"""How replication calls userAccountControl (MS-ADTS 3.1.1.1.9, prefix table)."""
_PASSWORD: Final = 0x0009_005A
"""And unicodePwd, whose value nobody is shown."""
_HEAD: Final = struct.Struct("<QLL")
_ROW: Final = struct.Struct("<LLQ16sQQ")
_FROM_1601: Final = datetime(1601, 1, 1, tzinfo=UTC)


def control_of(entry: Entry) -> int | None:
    """The flags of the account; None where we may not read them."""
    text = entry.one("userAccountControl")
    return int(text) if text.removeprefix("-").isdecimal() else None


def is_shut(entry: Entry) -> bool:
    control = control_of(entry)
    return control is not None and bool(control & DISABLED)


@dataclass(frozen=True, slots=True)
class Written:
    """One change of an attribute: when, and as which of a controller's changes."""

    at: datetime
    controller: bytes
    number: int

    def is_after(self, other: Written) -> bool:
        """Instants are whole seconds: within one, and at one controller, the number decides."""
        if self.controller == other.controller:
            return self.number > other.number
        return self.at > other.at


def changes(entry: Entry) -> Mapping[int, Written]:
    """By attribute its last change, as the controller that made it wrote it down.

    ``replPropertyMetaData`` (MS-DRSR 5.164): of its kind only what is whole is believed.
    """
    raw = next(iter(entry.raw("replPropertyMetaData")), b"")
    if len(raw) < _HEAD.size:
        return {}
    version, rows, _ = _HEAD.unpack_from(raw)
    if version != 1 or len(raw) < _HEAD.size + rows * _ROW.size:
        return {}
    told = (_ROW.unpack_from(raw, _HEAD.size + place * _ROW.size) for place in range(rows))
    try:
        return {
            row[0]: Written(_FROM_1601 + timedelta(seconds=row[2]), row[3], row[4]) for row in told
        }
    except OverflowError:
        return {}


def off_since(entry: Entry) -> datetime | None:
    """Since when the account is disabled, by the domain's own record."""
    made = changes(entry).get(_CONTROL) if is_shut(entry) else None
    return None if made is None else made.at


def standing(entry: Entry, account_id: str) -> Iterator[Access]:
    """What the entry itself shows."""
    shut = is_shut(entry)
    if not shut:
        yield Access(AccessKind.SIGN_IN, account_id)
    if not shut or _is_old_password(entry):
        yield Access(AccessKind.SECRET, PASSWORD)
    if entry.raw("logonHours") != (NO_HOURS,):
        yield Access(AccessKind.ASSIGNMENT, HOURS)


def unknown(entry: Entry) -> Iterator[Unread]:
    """What it should show and does not."""
    if is_shut(entry) and off_since(entry) is None:
        yield Unread(
            AccessKind.SECRET,
            FaultCategory.PERMISSION_MISSING,
            operation="people.get",
            code="no_metadata",
            missing="read replPropertyMetaData",
        )


def _is_old_password(entry: Entry) -> bool:
    """Whether the password is one from before the account was disabled."""
    made = changes(entry)
    shut, password = made.get(_CONTROL), made.get(_PASSWORD)
    return shut is not None and (password is None or not password.is_after(shut))


def disable(entry: Entry) -> Edit:
    flags = (control_of(entry) or 0x200) | DISABLED
    return Change.REPLACE, "userAccountControl", (str(flags).encode(),)


def scramble() -> Edit:
    """A password that nobody is told, of every kind of letter that a policy may ask for."""
    text = f'"{secrets.token_urlsafe(48)}aA1!"'
    return Change.REPLACE, "unicodePwd", (text.encode("utf-16-le"),)


def no_hours() -> Edit:
    return Change.REPLACE, "logonHours", (NO_HOURS,)

"""Whose certificates: a person is a common name, as it is for the server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from connectors.openvpn.book import Entry, account_id
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Access, Account, Match


def people_of(entries: Iterable[Entry]) -> Mapping[str, Sequence[Entry]]:
    """Certificates by common name: one that was renewed is no other person."""
    people: dict[str, list[Entry]] = {}
    for entry in entries:
        people.setdefault(entry.name, []).append(entry)
    return people


def match_of(name: str, entries: Sequence[Entry], name_is: KeyKind) -> Match:
    """Whoever has this common name, with every key that the CA put into a certificate."""
    held = [Key(name_is, name)]
    held += [Key(KeyKind.EMAIL, address) for one in entries for address in one.addresses]
    account = Account(account_id(name), name, tuple(dict.fromkeys(held)))
    made = [one.made_at for one in entries if one.made_at]
    return Match(account, KeyKind.ACCOUNT_ID, created_at=min(made, default=None))


def name_of(account: Account, entries: Sequence[Entry]) -> str:
    """The common name; "" where neither the book nor the account tells it."""
    if entries:
        return entries[0].name
    return account.locator if account_id(account.locator) == account.id else ""


def place_in(way: Access) -> str:
    """The server that a reference names."""
    return way.ref.rpartition("@")[2]

"""Filters of a search (RFC 4511, section 4.5.1.7), built as they travel.

A value stands beside its attribute as octets: there is no text in which it could be taken for a
part of the filter, so nothing is escaped.
"""

from __future__ import annotations

from connectors.kit.ldap import ber

Filter = bytes


def equals(attribute: str, value: bytes | str) -> Filter:
    """Whoever holds the value, by the attribute's own rule of equality."""
    return ber.several(ber.octets(attribute), ber.octets(value), tag=0xA3)


def present(attribute: str) -> Filter:
    """Whoever holds any value that we may see."""
    return ber.octets(attribute, 0x87)


def by_rule(attribute: str, rule: str, value: bytes | str) -> Filter:
    """Whoever holds the value by another rule, named by its number."""
    parts = (ber.octets(rule, 0x81), ber.octets(attribute, 0x82), ber.octets(value, 0x83))
    return ber.several(*parts, tag=0xA9)


def all_of(*filters: Filter) -> Filter:
    return ber.several(*filters, tag=0xA0)


def any_of(*filters: Filter) -> Filter:
    return ber.several(*filters, tag=0xA1)


def none_of(one: Filter) -> Filter:
    return ber.several(one, tag=0xA2)

"""Several gateways by name: where the line of each one is."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from functools import partial
from typing import Final

from connectors.kit.lines.line import Place
from connectors.kit.options import Option

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_HOST = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_TLS: Final = "tls://"
_MOST_PORT: Final = 65_535


def gateways_option(summary: str, *, own: str = "") -> Option[Mapping[str, str]]:
    """A table of names and addresses, at least one; ``own`` begins addresses of another kind."""
    return Option("gateways", summary, required=True, parse=partial(_table, own=own), absent={})


def _table(value: object, *, own: str) -> Mapping[str, str]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError('a table of names and addresses: { north = "/run/north.sock" }')
    for name, address in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError("a gateway's name is of letters, digits, . _ and -")
        if not isinstance(address, str):
            raise ValueError(f"the address of {name} is a text")  # noqa: TRY004 - as options do
        if own and address.startswith(own):
            continue
        try:
            place_of(address, ca_file="")
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return dict(value)


def place_of(address: str, *, ca_file: str) -> Place:
    """Where a line is.

    Args:
        address: a socket's path, ``host:port`` on loopback, ``tls://host:port``.
        ca_file: authority of its certificate; empty for the system's.

    Raises:
        ValueError: for anything else.
    """
    if address.startswith("/"):
        return Place(path=address)
    found = _HOST.fullmatch(address.removeprefix(_TLS))
    if found is None or int(found["port"]) > _MOST_PORT:
        raise ValueError("a socket's path, host:port on loopback, or tls://host:port")
    host = found["host"].strip("[]")
    if address.startswith(_TLS):
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except OSError:
            raise ValueError("no authority can be read from tls_ca_file") from None
        return Place(host=host, port=int(found["port"]), tls=context)
    if host not in _LOOPBACK:
        raise ValueError("another machine is spoken to by tls://host:port alone")
    return Place(host=host, port=int(found["port"]))

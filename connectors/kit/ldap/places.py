"""Where a directory is, and how it is spoken to: the options that every kind of it has."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from connectors.kit import options
from connectors.kit.ldap.wire import Place
from connectors.kit.options import Values

LDAPS_PORT = 636
PLAIN_PORT = 389
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def address(text: str) -> str:
    """host, host:port, or the path of a Unix socket.

    Raises:
        ValueError: it is none of them.
    """
    if not text.startswith("/") and not _ADDRESS.fullmatch(text):
        raise ValueError("host or host:port, or the path of a Unix socket")
    return text


PASSWORD = options.secret("password", "its password", required=True)
TLS = options.choice(
    "tls",
    "ldaps: TLS from the first byte; starttls: before anything is said; off only on loopback or a"
    " Unix socket",
    ("ldaps", "starttls", "off"),
)
CA_FILE = options.text("ca_file", "authority of the servers' certificates; empty: the system's")


def place_of(values: Values, at: str, user: str, *, name: str = "") -> Place:
    """One server; its certificate must bear ``name``, or else its host.

    Raises:
        ValueError: naming the option that is wrong.
    """
    way = values[TLS]
    port = LDAPS_PORT if way == "ldaps" else PLAIN_PORT
    host = at
    if found := _ADDRESS.fullmatch(at):
        host, port = found["host"].strip("[]"), int(found["port"] or port)
    if way == "off" and not (host.startswith("/") or host in _LOOPBACK):
        raise ValueError("tls: off only for a server on loopback or a Unix socket")
    tls = None if way == "off" else _context(values[CA_FILE])
    return Place(
        host=host,
        port=port,
        name=name or host,
        tls=tls,
        start_tls=way == "starttls",
        user=user,
        password=values[PASSWORD],
    )


def _context(ca_file: str) -> ssl.SSLContext:
    """Checks authority and name; TLS 1.2 or newer."""
    if ca_file and not Path(ca_file).is_file():
        raise ValueError("ca_file: there is no such file")
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (ssl.SSLError, OSError):
        raise ValueError("ca_file: no certificate, PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

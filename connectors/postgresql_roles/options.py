"""What ``[systems.<id>]`` says of a PostgreSQL cluster."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

from connectors.kit import options
from connectors.kit.options import Values
from connectors.postgresql_roles.driver import Place
from lockstep.domain.cases.leavers import KeyKind

_PORT = 5432
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _server(text: str) -> str:
    if not text.startswith("/") and not _ADDRESS.fullmatch(text):
        raise ValueError("host or host:port, or the folder of a Unix socket")
    return text


def _servers(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_server, texts))


SERVER = options.text("server", "the primary, as host:port", required=True, check=_server)
STANDBYS = options.listing(
    "standbys", "hot standbys that people can connect to, as host:port; each is read back"
)
DATABASE = options.text("database", "database to connect to", default="postgres")
USER = options.text("user", "our own role", required=True)
PASSWORD = options.secret("password", "its password", required=True)
TLS = options.choice(
    "tls",
    "how the server's certificate is checked; off only on loopback or a Unix socket",
    ("verify-full", "verify-ca", "off"),
)
CA_FILE = options.text("ca_file", "authority of the server's certificate; empty: the system's")
ROLE_IS = options.choice(
    "role_is", "what a role's name is of a person", ("username", "email", "worker_id")
)
COMMENT_HOLDS = options.choice(
    "comment_holds",
    "what a role's comment (COMMENT ON ROLE) is of a person",
    ("nothing", "email", "worker_id", "username"),
)
OPTIONS = (SERVER, STANDBYS, DATABASE, USER, PASSWORD, TLS, CA_FILE, ROLE_IS, COMMENT_HOLDS)

_KINDS = {
    "username": KeyKind.USERNAME,
    "email": KeyKind.EMAIL,
    "worker_id": KeyKind.WORKER_ID,
}


def kinds_of(word: str) -> tuple[KeyKind, ...]:
    """The kind of key that a name or a comment is."""
    return (_KINDS[word],) if word in _KINDS else ()


def place_of(values: Values, address: str, timeout: timedelta) -> Place:
    """Where one server is.

    Raises:
        ValueError: naming the option that is wrong.
    """
    try:
        _server(address)
    except ValueError as error:
        raise ValueError(f"standbys: {error}") from None
    host, port = address, _PORT
    if found := _ADDRESS.fullmatch(address):
        host, port = found["host"].strip("[]"), int(found["port"] or _PORT)
    is_near = host.startswith("/") or host in _LOOPBACK
    if values[TLS] == "off" and not is_near:
        raise ValueError("tls: off only for a server on loopback or a Unix socket")
    ca_file = values[CA_FILE]
    if values[TLS] == "verify-ca" and not ca_file:
        raise ValueError("ca_file: verify-ca needs the authority that it checks with")
    if ca_file and not Path(ca_file).is_file():
        raise ValueError("ca_file: there is no such file")
    return Place(
        host=host,
        port=port,
        database=values[DATABASE],
        user=values[USER],
        password=values[PASSWORD],
        tls="disable" if values[TLS] == "off" else values[TLS],
        ca_file=ca_file,
        timeout_s=timeout.total_seconds(),
    )

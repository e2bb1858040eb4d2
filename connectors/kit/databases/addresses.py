"""Where the servers of a database are, how they are trusted, and what an account's name is."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from connectors.kit import options
from connectors.kit.options import Values
from lockstep.domain.cases.leavers import KeyKind

_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def server(text: str) -> str:
    """An address as settings write it.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith("/") and not _ADDRESS.fullmatch(text):
        raise ValueError("host or host:port, or the path of a Unix socket")
    return text


SERVER: Final = options.text("server", "the primary, as host:port", required=True, check=server)
USER: Final = options.text("user", "our own account", required=True)
PASSWORD: Final = options.secret("password", "its password", required=True)
TLS: Final = options.choice(
    "tls",
    "how the server's certificate is checked; off only on loopback or a Unix socket",
    ("verify-full", "verify-ca", "off"),
)
CA_FILE: Final = options.text(
    "ca_file", "authority of the server's certificate; empty: the system's"
)

NAMES: Final = ("username", "email", "worker_id")
_KINDS = {
    "username": KeyKind.USERNAME,
    "email": KeyKind.EMAIL,
    "worker_id": KeyKind.WORKER_ID,
}


def kinds_of(word: str) -> tuple[KeyKind, ...]:
    """The kind of key that a name or a comment is."""
    return (_KINDS[word],) if word in _KINDS else ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is and who we are there.

    ``host`` may be the path of a Unix socket. ``tls`` is a word of the option; ``ca_file`` "" for
    the authorities that the system trusts.
    """

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    tls: str
    ca_file: str
    timeout_s: float

    def trust(self) -> ssl.SSLContext | None:
        """How the server is trusted; None where it is spoken to in clear."""
        if self.tls == "off":
            return None
        context = ssl.create_default_context(cafile=self.ca_file or None)
        context.check_hostname = self.tls == "verify-full"
        return context


def place_of(values: Values, address: str, *, option: str, port: int, timeout: timedelta) -> Place:
    """Where one server is.

    Args:
        values: of the options above.
        address: as the settings write it.
        option: that names the address.
        port: where it says none.
        timeout: bound on connecting, and on each statement.

    Raises:
        ValueError: naming the option that is wrong.
    """
    try:
        server(address)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
    host = address
    if found := _ADDRESS.fullmatch(address):
        host, port = found["host"].strip("[]"), int(found["port"] or port)
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
        user=values[USER],
        password=values[PASSWORD],
        tls=values[TLS],
        ca_file=ca_file,
        timeout_s=timeout.total_seconds(),
    )

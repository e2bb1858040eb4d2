"""Connecting to Temporal, with every payload encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client, TLSConfig

from lockstep.control.runtime.payloads import data_converter
from lockstep.storage.keys.keyring import Keyring


@dataclass(frozen=True, slots=True)
class TemporalAddress:
    """Where Temporal is. ``api_key`` switches TLS on; certificates are file paths."""

    address: str
    namespace: str = "default"
    tls: bool = False
    api_key: str = field(default="", repr=False)
    server_ca: Path | None = None
    client_certificate: Path | None = None
    client_key: Path | None = None


async def connect(where: TemporalAddress, ring: Keyring, *, lazy: bool = False) -> Client:
    """Connect; with ``lazy`` the first call connects, so that Temporal may still be down.

    Raises:
        RuntimeError: from the SDK, if the server cannot be reached.
    """
    tls: bool | TLSConfig = where.tls or bool(where.api_key)
    if where.server_ca or where.client_certificate:
        tls = TLSConfig(
            server_root_ca_cert=_read(where.server_ca),
            client_cert=_read(where.client_certificate),
            client_private_key=_read(where.client_key),
        )
    return await Client.connect(
        where.address,
        namespace=where.namespace,
        tls=tls,
        api_key=where.api_key or None,
        data_converter=data_converter(ring),
        lazy=lazy,
    )


def _read(path: Path | None) -> bytes | None:
    return path.read_bytes() if path else None

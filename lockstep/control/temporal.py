"""Connecting to Temporal, with every payload encrypted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.client import Client, TLSConfig
from temporalio.converter import (
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    PayloadCodec,
)

from lockstep.storage.keyring import Keyring, KeyringError

_ENCODING = b"binary/lockstep-aes256gcm"
_CONTEXT = b"temporal-payload"


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM over whole payloads: neither Temporal nor its UI sees who leaves."""

    def __init__(self, ring: Keyring) -> None:
        self._ring = ring

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={"encoding": _ENCODING},
                data=self._ring.encrypt(payload.SerializeToString(), context=_CONTEXT),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt; refuses plain payloads, because a stranger may have written them.

        Raises:
            KeyringError: for a payload that is not ours.
        """
        decoded = []
        for payload in payloads:
            if payload.metadata.get("encoding") != _ENCODING:
                raise KeyringError("a payload that this installation did not write")
            plain = self._ring.decrypt(payload.data, context=_CONTEXT)
            decoded.append(Payload.FromString(plain))
        return decoded


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


def data_converter(ring: Keyring) -> DataConverter:
    """JSON, encrypted, error texts included: they can carry what a vendor said."""
    return dataclasses.replace(
        DataConverter.default,
        payload_codec=EncryptingCodec(ring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


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

"""Payloads on their way to and from Temporal: ours are encrypted, all others are not believed.

Temporal's server writes payloads of its own (an activity that is cancelled before its next try has
the detail ``"ACTIVITY_ID_NOT_STARTED"``), and whoever reaches its port can write any. The codec
cannot see where a payload stands, so it marks what it cannot open, and the converter decides: where
a value of a known type is expected the mark is an error; where nothing is expected, as in the
details of a failure, it is an `Unread`, which says nothing. Neither keeps what was written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    PayloadCodec,
)

from lockstep.storage.keyring import Keyring, KeyringError

ENCODING = b"binary/lockstep-aes256gcm"
_CONTEXT = b"temporal-payload"
_UNREAD = "lockstep/unread"
_WHY = "why"
_NOT_OURS = "this installation did not write it"


class StrangePayloadError(ValueError):
    """Where a value of ours is expected stands something that this installation cannot believe."""


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of a payload that is not ours, where no value of ours is expected."""


class EncryptingCodec(PayloadCodec):
    """AES-256-GCM over whole payloads: neither Temporal nor its UI sees who leaves."""

    def __init__(self, ring: Keyring) -> None:
        self._ring = ring

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={"encoding": ENCODING},
                data=self._ring.encrypt(payload.SerializeToString(), context=_CONTEXT),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt; marks what it cannot open, and never fails.

        A failure here would fail the whole workflow task, now and at every repetition.
        """
        return [self._open(payload) for payload in payloads]

    def _open(self, payload: Payload) -> Payload:
        if payload.metadata.get("encoding") != ENCODING:
            return _marked(_NOT_OURS)
        try:
            return Payload.FromString(self._ring.decrypt(payload.data, context=_CONTEXT))
        except KeyringError as error:
            return _marked(str(error))


class _UnreadConverter(EncodingPayloadConverter):
    """Decides what becomes of a payload that the codec marked."""

    @property
    def encoding(self) -> str:
        return _UNREAD

    def to_payload(self, value: Any) -> Payload | None:
        return _marked(_NOT_OURS) if isinstance(value, Unread) else None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        if type_hint is None:
            return Unread()
        why = payload.metadata.get(_WHY, b"").decode(errors="replace")
        raise StrangePayloadError(f"a payload that cannot be believed: {why}")


class CautiousConverter(CompositePayloadConverter):
    """JSON for what is ours; see the module for the rest."""

    def __init__(self) -> None:
        usual = DefaultPayloadConverter().converters.values()
        super().__init__(_UnreadConverter(), *usual)


def data_converter(ring: Keyring) -> DataConverter:
    """JSON, encrypted, error texts included: they can carry what a vendor said."""
    return dataclasses.replace(
        DataConverter.default,
        payload_converter_class=CautiousConverter,
        payload_codec=EncryptingCodec(ring),
        failure_converter_class=DefaultFailureConverterWithEncodedAttributes,
    )


def _marked(why: str) -> Payload:
    return Payload(metadata={"encoding": _UNREAD.encode(), _WHY: why.encode()})

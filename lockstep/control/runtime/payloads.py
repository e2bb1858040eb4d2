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
from typing import Any, Self

from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    ActivitySerializationContext,
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    PayloadCodec,
    SerializationContext,
    WithSerializationContext,
    WorkflowSerializationContext,
)

from lockstep.storage.keys.keyring import Keyring, KeyringError

ENCODING = b"binary/lockstep-aes256gcm-2"
UNBOUND = b"binary/lockstep-aes256gcm"
"""The form of 0.1: no place, no padding. See `Keyring.unbound`."""
_CONTEXT = b"temporal-payload"
_SIZE_BYTES = 4
_LEAST = 256
_UNREAD = "lockstep/unread"
_WHY = "why"
_NOT_OURS = "this installation did not write it"


class StrangePayloadError(ValueError):
    """Where a value of ours is expected stands something that this installation cannot believe."""


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of a payload that is not ours, where no value of ours is expected."""


class EncryptingCodec(PayloadCodec, WithSerializationContext):
    """AES-256-GCM over whole payloads: neither Temporal nor its UI sees who leaves.

    Their sizes say little either: each is filled up to a power of two.
    """

    def __init__(self, ring: Keyring, place: SerializationContext | None = None) -> None:
        self._ring = ring
        self._context = _context(place)

    def with_context(self, context: SerializationContext) -> Self:
        """The same for payloads that belong there."""
        return type(self)(self._ring, context)

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        return [
            Payload(
                metadata={"encoding": ENCODING},
                data=self._ring.encrypt(
                    _padded(payload.SerializeToString()), context=self._context
                ),
            )
            for payload in payloads
        ]

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt; marks what it cannot open, and never fails.

        A failure here would fail the whole workflow task, now and at every repetition.
        """
        return [self._open(payload) for payload in payloads]

    def _open(self, payload: Payload) -> Payload:
        encoding = payload.metadata.get("encoding")
        try:
            if encoding == ENCODING:
                plain = self._ring.decrypt(payload.data, context=self._context)
                return Payload.FromString(_unpadded(plain))
            if encoding == UNBOUND and self._ring.may_be_unbound(payload.data):
                return Payload.FromString(self._ring.decrypt(payload.data, context=_CONTEXT))
        except KeyringError as error:
            return _marked(str(error))
        return _marked(_NOT_OURS)


def _context(place: SerializationContext | None) -> bytes:
    """Where a payload belongs, as what AES-GCM authenticates.

    The run is not among it: no side of the SDK says it, and a case that is started anew keeps its
    workflow's id.
    """
    match place:
        case WorkflowSerializationContext():
            parts = ["workflow", place.namespace, place.workflow_id]
        case ActivitySerializationContext():
            parts = [
                "activity",
                place.namespace,
                place.workflow_id or "",
                place.activity_type or "",
                place.activity_id or "",
            ]
        case _:
            parts = []
    return b"\x00".join([_CONTEXT, *(part.encode() for part in parts)])


def _padded(plain: bytes) -> bytes:
    """Its size, itself, and zeros up to a power of two."""
    size = _SIZE_BYTES + len(plain)
    return (len(plain).to_bytes(_SIZE_BYTES) + plain).ljust(
        max(_LEAST, 1 << (size - 1).bit_length()), b"\0"
    )


def _unpadded(padded: bytes) -> bytes:
    size = int.from_bytes(padded[:_SIZE_BYTES])
    return padded[_SIZE_BYTES : _SIZE_BYTES + size]


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
        super().__init__(*_CONVERTERS)


_CONVERTERS = (_UnreadConverter(), *DefaultPayloadConverter().converters.values())
"""They keep nothing, so all share them: the SDK makes a converter anew for every task."""


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

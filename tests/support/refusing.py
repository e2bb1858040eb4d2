"""The codec of the first release, which failed on every payload that it had not written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter

from lockstep.control.runtime.payloads import ENCODING, UNBOUND, EncryptingCodec, data_converter
from lockstep.storage.keys.keyring import Keyring, KeyringError


class RefusingCodec(EncryptingCodec):
    """Fails a whole workflow task for one payload that Temporal's server wrote."""

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        for payload in payloads:
            if payload.metadata.get("encoding") not in {ENCODING, UNBOUND}:
                raise KeyringError("a payload that this installation did not write")
        return await super().decode(payloads)


def refusing_converter(ring: Keyring) -> DataConverter:
    """The whole converter with that codec; to plant the fault."""
    return dataclasses.replace(data_converter(ring), payload_codec=RefusingCodec(ring))

"""Anchor ``witness``: others sign the head, and sign one line of history only (C2SP tlog-witness).

Each of n witnesses is shown the new head and a proof that it continues the one it signed last; k
of them must sign. The receipt is their signature lines, by which a pack is WITNESSED.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

from connectors.anchors.base import (
    ANSWER_S,
    CA_FILE,
    CONNECT_S,
    LOOPBACK,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    tls_context,
)
from connectors.anchors.posting import post_bounded
from connectors.base import OptionSpec
from connectors.http import require_safe_url
from lockstep.evidence.format.notes import NoteError, split_note
from lockstep.evidence.verify.heads.heads import WitnessKey, cosignatures
from lockstep.evidence.verify.report import RefutedError, UnusableError

KIND = "witness"
_MAX_ANSWER = 64 * 1024
_MOST = 32
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,17})\n?")
_PASSING = frozenset({408, 425, 429})
_WHY = {
    400: "it cannot read what we sent",
    403: "it does not know our key: give its operator the ledger's",
    404: "it does not know this ledger, or the address is wrong",
}


@dataclass(slots=True)
class _Witness:
    """One witness, and how large the last head is that it is known to have signed."""

    key: WitnessKey
    url: str
    size: int = field(default=0)

    @classmethod
    def parse(cls, text: str) -> _Witness:
        key_text, _, url = text.partition(" ")
        try:
            key = WitnessKey.parse(key_text)
        except UnusableError as error:
            raise ValueError(f"witnesses: {error}") from None
        if not key.is_timed:
            raise ValueError(f"witnesses: {key.name}: give a cosignature key (type 4)")
        return cls(key, require_safe_url(url.strip(), option="witnesses"))


class WitnessAnchor:
    """So many witnesses of so many. None of them sees more than heads and hashes."""

    def __init__(self, options: AnchorOptions) -> None:
        self._witnesses = [_Witness.parse(text) for text in options.texts("witnesses")]
        if len(self._witnesses) > _MOST:
            raise ValueError(f"witnesses: at most {_MOST}")
        if len({one.key.public for one in self._witnesses}) != len(self._witnesses):
            raise ValueError("witnesses: one key is there twice, and counts once")
        self._needed = options.number("needed", low=1, high=len(self._witnesses))
        is_local = all(httpx.URL(one.url).host in LOOPBACK for one in self._witnesses)
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,
            verify=tls_context(options.file("ca_file")),
            trust_env=not is_local,
            headers={"User-Agent": "lockstep", "Accept-Encoding": "identity"},
        )

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """The signature lines of all that signed; the same head again is signed again."""
        answers = await asyncio.gather(
            *(self._signed(witness, checkpoint) for witness in self._witnesses)
        )
        lines = [answer for answer in answers if isinstance(answer, str)]
        if len(lines) >= self._needed:
            return "".join(lines).encode()
        faults = [answer for answer in answers if isinstance(answer, AnchorFault)]
        if conflicts := [fault for fault in faults if isinstance(fault, AnchorConflict)]:
            raise conflicts[0]
        says = "; ".join(fault.code for fault in faults)
        raise AnchorFault(
            f"{len(lines)} of {self._needed} needed witnesses signed; {says}",
            transient=any(fault.transient for fault in faults),
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _signed(self, witness: _Witness, checkpoint: AnchorCheckpoint) -> str | AnchorFault:
        """The witness's line, or why there is none: one must not hold up the others."""
        try:
            return await self._sign(witness, checkpoint)
        except AnchorFault as fault:
            code = f"{witness.key.name}: {fault.code}"
            if isinstance(fault, AnchorConflict):
                return AnchorConflict(code)
            return AnchorFault(code, transient=fault.transient)

    async def _sign(self, witness: _Witness, checkpoint: AnchorCheckpoint) -> str:
        old = min(witness.size, checkpoint.size)
        status, raw = await self._ask(witness, checkpoint, old)
        if status == httpx.codes.CONFLICT:
            old = _size_of(raw, old, checkpoint)
            status, raw = await self._ask(witness, checkpoint, old)
        if status == httpx.codes.CONFLICT:
            raise AnchorFault("it signs another head at the same time")
        if status == httpx.codes.UNPROCESSABLE_ENTITY:
            raise AnchorConflict("it says that this head does not continue the one that it signed")
        if status != httpx.codes.OK:
            passing = status in _PASSING or httpx.codes.is_server_error(status)
            why = _WHY.get(status)
            raise AnchorFault(f"status {status}{f': {why}' if why else ''}", transient=passing)
        line = _line(raw, witness.key, checkpoint)
        witness.size = checkpoint.size
        return line

    async def _ask(
        self, witness: _Witness, checkpoint: AnchorCheckpoint, old: int
    ) -> tuple[int, bytes]:
        """Status and body of one answer (tlog-witness, ``add-checkpoint``)."""
        proof: Sequence[bytes] = ()
        if 0 < old < checkpoint.size:
            proof = await checkpoint.grown_from(old)
        head = [f"old {old}", *(base64.b64encode(node).decode() for node in proof), "", ""]
        body = "\n".join(head).encode() + checkpoint.note
        url = f"{witness.url}/add-checkpoint"
        status, raw = await post_bounded(self._client, url, body, most=_MAX_ANSWER)
        if len(raw) > _MAX_ANSWER:
            raise AnchorFault("the answer is too large", transient=False)
        return status, raw


def _size_of(raw: bytes, old: int, checkpoint: AnchorCheckpoint) -> int:
    """The size of the head that the witness signed last, from its 409.

    Raises:
        AnchorConflict: if it holds another head of the same size.
        AnchorFault: if no proof leads from there to this head.
    """
    match = _SIZE.fullmatch(raw)
    if match is None:
        raise AnchorFault("status 409 without a size", transient=False)
    size = int(match[1])
    if size == old == checkpoint.size:
        raise AnchorConflict(f"it has signed another head of {size} entries")
    if size > checkpoint.size:
        raise AnchorFault(f"it has signed a head of {size} entries already", transient=False)
    if size == old:
        raise AnchorFault(f"it refuses the size {size} that it names", transient=False)
    return size


def _line(raw: bytes, key: WitnessKey, checkpoint: AnchorCheckpoint) -> str:
    """The witness's own line of its answer, once it is verified.

    Raises:
        AnchorFault: if there is none, or it is not the witness's over this head.
    """
    try:
        text, note = raw.decode(), checkpoint.note.decode()
        _, signatures = split_note(f"{split_note(note)[0]}\n{text}")
        own = [
            f"\N{EM DASH} {name} {base64.b64encode(signature).decode()}\n"
            for name, signature in signatures
            if (name, signature[:4]) == (key.name, key.id)
        ]
        signed = cosignatures(f"{split_note(note)[0]}\n{''.join(own)}", [key]) if own else []
    except (UnicodeDecodeError, NoteError, RefutedError):
        signed, own = [], []
    if len(signed) != 1 or len(own) != 1:
        raise AnchorFault("its answer is not its signature over this head", transient=False)
    return own[0]


MANIFEST = AnchorManifest(
    kind=KIND,
    build=WitnessAnchor,
    options=(
        OptionSpec(
            "witnesses",
            'a list of "KEY URL": a cosignature key, got from the witness itself, and its address',
            default="witness.example+1a2b3c4d+BA... https://witness.example",
        ),
        OptionSpec("needed", "how many of them must sign", default=1),
        CA_FILE,
    ),
    proves="witnesses that sign one history only have signed this head: nobody was shown another",
)

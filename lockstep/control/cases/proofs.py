"""A case's entries as exact bytes, each with a proof that it lies under the newest signed head."""

from __future__ import annotations

import base64
from datetime import UTC

from lockstep.storage.board.file import CaseFiles
from lockstep.storage.ledger.checkpoints import Checkpoints
from lockstep.storage.ledger.proofs import Proofs

MOST = 2000


class NoHeadError(Exception):
    """No head is signed yet; the text says when there will be one."""


class CaseProofs:
    """Documents of proofs. Whoever calls has found the case in somebody's scope."""

    def __init__(self, files: CaseFiles, heads: Checkpoints, proofs: Proofs) -> None:
        self._files = files
        self._heads = heads
        self._proofs = proofs

    async def of(self, case_id: str) -> dict[str, object]:
        """All entries of a case; of those that wait for their place or a head, only the bytes.

        Raises:
            NoHeadError: before the first head.
            BrokenOrderError: if the ledger does not lead to its own head.
        """
        head = await self._heads.latest()
        if head is None:
            raise NoHeadError("The ledger has no signed head yet: look again in a minute.")
        entries = await self._files.entries(case_id, limit=MOST)
        placed = [(entry.leaf, entry.leaf_hash) for entry in entries if entry.leaf is not None]
        proofs = {proof.leaf: proof for proof in await self._proofs.of(placed, head)}
        rows = []
        for entry in entries:
            proof = proofs.get(entry.leaf) if entry.leaf is not None else None
            rows.append(
                {
                    "leaf": entry.leaf,
                    "entry": entry.body.decode(),
                    "leaf_hash": entry.leaf_hash.hex(),
                    "proof": [_text(step) for step in proof.path] if proof else None,
                }
            )
        return {
            "case": case_id,
            "format": "Leaf hash: SHA-256(0x00 || entry). Proof: RFC 6962, section 2.1.1.",
            "checkpoint": {
                "size": head.size,
                "root": _text(head.root),
                "note": head.note,
                "signed_at": head.signed_at.astimezone(UTC).isoformat(timespec="milliseconds"),
            },
            "entries": rows,
        }


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()

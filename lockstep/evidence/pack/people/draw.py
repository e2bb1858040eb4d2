"""The sample: who is shown in detail. Anybody with the population and the seed draws the same.

Only the standard library: the verifier draws again.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Sequence

from lockstep.evidence.pack.text_files import Row


def draw_hash(seed: str, case_id: str) -> str:
    """SHA-256 over seed, newline and case id, in hex: what decides who is drawn."""
    return hashlib.sha256(f"{seed}\n{case_id}".encode()).hexdigest()


def draw_sample(case_ids: Iterable[str], n: int, seed: str) -> list[str]:
    """The ``n`` cases with the smallest hashes, smallest first; all where there are not more.

    Anybody who has the population and the seed draws the same; who fixes the seed before the
    population is known cannot choose whom it draws.
    """
    drawn = heapq.nsmallest(n, ((draw_hash(seed, case_id), case_id) for case_id in case_ids))
    return [case_id for _, case_id in drawn]


def sample_rows(drawn: Sequence[str], n: int, seed: str) -> Iterator[Row]:
    """The sample and how it was drawn."""
    for position, case_id in enumerate(drawn, start=1):
        yield {
            "position": position,
            "case_id": case_id,
            "draw_hash": draw_hash(seed, case_id),
            "n": n,
            "seed": seed,
        }

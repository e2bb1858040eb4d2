"""Packs that earlier releases made: each verifies by the rules of its own format, for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from lockstep.evidence.format.notes import VerifierKey
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import verify_pack

EARLIER = Path(__file__).parent / "earlier"


@pytest.mark.parametrize("version", sorted(layout.READABLE_FORMATS - {layout.FORMAT}))
def test_a_pack_of_an_earlier_format_verifies(version: int) -> None:
    """No rule that came later refutes what was sound on its day."""
    key = VerifierKey.parse((EARLIER / f"format-{version}.vkey").read_text())
    report = verify_pack(EARLIER / f"format-{version}.zip", keys=[key])

    assert report.is_verified
    assert [step.verdict.value for step in report.steps if step.verdict.value == "WARN"] == []

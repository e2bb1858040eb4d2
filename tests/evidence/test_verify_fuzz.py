"""Hostile packs in short; `python -m tests.evidence.fuzz_verify --minutes 10` is the long run."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.evidence.fuzz_verify import Fuzzer


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Fuzzer:
    return Fuzzer(tmp_path_factory.mktemp("fuzz"))


@settings(
    max_examples=80, deadline=20_000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_whatever_a_pack_is_there_is_a_verdict(fuzzer: Fuzzer, seed: int) -> None:
    """No exception, no hang; and what is untouched is verified."""
    raw = fuzzer.pack(random.Random(seed))
    said = fuzzer.verdict(raw)
    assert said in {"verified", "unusable"} or said.startswith("refuted by ")


def test_the_fuzzer_makes_packs_that_reach_every_step(fuzzer: Fuzzer) -> None:
    """Otherwise it would test the first step only."""
    said = {fuzzer.verdict(fuzzer.pack(random.Random(seed))) for seed in range(250)}
    assert {f"refuted by {step}" for step in (1, 2, 3, 5, 7, 9, 10)} <= said

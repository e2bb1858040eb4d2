"""How much to run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of every pattern. ``attempts`` bounds how often noisy pairs are run again."""

    systems: int = 8
    warm_up: int = 30
    pairs: int = 3
    attempts: int = 4
    low_cases: int = 30
    full_cases: int = 200
    in_flight: int = 30
    answer_ms: int = 100
    slow_cases: int = 40
    slow_in_flight: int = 1
    slow_pairs: int = 2
    slow_attempts: int = 5
    queued: int = 600
    urgent: int = 3
    workers: tuple[int, ...] = (1, 2, 3)
    many_cases: int = 240
    many_in_flight: int = 80
    many_answer_ms: int = 300
    wave_cases: int = 200
    wave_ahead_s: float = 60.0


FULL = Plan()
QUICK = Plan(
    warm_up=10,
    pairs=1,
    attempts=1,
    low_cases=15,
    full_cases=60,
    in_flight=20,
    slow_cases=8,
    slow_pairs=1,
    slow_attempts=1,
    queued=100,
    urgent=2,
    workers=(1, 2),
    many_cases=60,
    many_in_flight=40,
    wave_cases=40,
    wave_ahead_s=20.0,
)
"""About a minute: shows that everything works, not how fast it is."""

"""From runs to numbers, and from numbers to verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.accounting import percentile
from bench.growth import Growth
from bench.load import Run
from bench.patterns import Pair, Pairs, Slow, Urgent
from bench.waves import Slowed, Wave

LATENCY_AT_MOST = 1.5
THROUGHPUT_AT_LEAST = 0.6
OVERHEAD_MS_AT_MOST = 250.0
URGENT_MS_AT_MOST = 1000.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the result: both sides, what is judged, and its target."""

    name: str
    bare: str
    ours: str
    judged: str
    target: str
    passed: bool
    noisy: bool = False

    @property
    def verdict(self) -> str:
        word = "pass" if self.passed else "FAIL"
        return f"{word} (provisional)" if self.noisy else word


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that one invocation measured."""

    low: Pairs
    saturated: Pairs
    slow: Slow
    urgent: Sequence[Urgent]
    low_inside: Pairs
    saturated_inside: Pairs
    measures: list[Measure] = field(default_factory=list)
    growth: Sequence[Growth] = ()
    slowed: Slowed | None = None
    wave: Wave | None = None


def judge(
    low: Pairs,
    saturated: Pairs,
    slow: Slow,
    urgent: Sequence[Urgent],
    *,
    low_inside: Pairs,
    saturated_inside: Pairs,
) -> Outcome:
    """Compute every measure from what was run."""
    measures = [
        _latency(low_inside, 50, "systems inside"),
        _throughput(saturated_inside, "systems inside"),
        _latency(low, 50, "systems over HTTP"),
        _throughput(saturated, "systems over HTTP"),
        _overhead(slow),
        _urgency(urgent, noisy=saturated.noisy),
    ]
    return Outcome(low, saturated, slow, urgent, low_inside, saturated_inside, measures)


def ratios(pairs: Pairs, value: Callable[[Run], float]) -> tuple[float, float, float]:
    """Medians of both sides and of the ratio ours / bare, pair by pair."""
    bare = [value(pair.bare) for pair in pairs.kept]
    ours = [value(pair.ours) for pair in pairs.kept]
    each = [mine / base for mine, base in zip(ours, bare, strict=True)]
    return statistics.median(bare), statistics.median(ours), statistics.median(each)


def cpu_per_case(pairs: Pairs, side: Callable[[Pair], Run]) -> dict[str, float]:
    """Median CPU milliseconds per case by group of processes."""
    rows = [side(pair).usage.per_case_ms(side(pair).cases) for pair in pairs.kept]
    return {group: statistics.median(row[group] for row in rows) for group in rows[0]}


def _latency(pairs: Pairs, share: int, how: str) -> Measure:
    bare, ours, ratio = ratios(pairs, lambda run: percentile(run.latencies_ms, share))
    return Measure(
        f"latency p{share}, one case at a time, {how}",
        f"{bare:.1f} ms",
        f"{ours:.1f} ms",
        f"x{ratio:.2f}",
        f"at most x{LATENCY_AT_MOST}",
        ratio <= LATENCY_AT_MOST,
        pairs.noisy,
    )


def _throughput(pairs: Pairs, how: str) -> Measure:
    bare, ours, ratio = ratios(pairs, lambda run: run.cases_per_s)
    return Measure(
        f"throughput, saturated, {how}",
        f"{bare:.1f} cases/s",
        f"{ours:.1f} cases/s",
        f"x{ratio:.2f}",
        f"at least x{THROUGHPUT_AT_LEAST}",
        ratio >= THROUGHPUT_AT_LEAST,
        pairs.noisy,
    )


def _overhead(slow: Slow) -> Measure:
    def over(runs: Sequence[Run]) -> float:
        every = [value - slow.system_ms for run in runs for value in run.latencies_ms]
        return percentile(every, 95)

    bare = over([pair.bare for pair in slow.pairs.kept])
    ours = over([pair.ours for pair in slow.pairs.kept])
    return Measure(
        f"overhead p95 over systems that take {slow.system_ms:.0f} ms",
        f"{bare:.0f} ms",
        f"{ours:.0f} ms",
        f"{ours:.0f} ms",
        f"at most {OVERHEAD_MS_AT_MOST:.0f} ms",
        ours <= OVERHEAD_MS_AT_MOST,
        slow.pairs.noisy,
    )


def _urgency(urgent: Sequence[Urgent], *, noisy: bool) -> Measure:
    worst = max(urgent, key=lambda each: each.seen_ms)
    middle = statistics.median(each.seen_ms for each in urgent)
    return Measure(
        f"urgent case behind {urgent[0].ahead} open ones, post to first ATTEMPT",
        "-",
        f"median {middle:.0f} ms",
        f"worst {worst.seen_ms:.0f} ms",
        f"at most {URGENT_MS_AT_MOST:.0f} ms",
        worst.seen_ms <= URGENT_MS_AT_MOST,
        noisy,
    )

"""The benchmark's judgement, and the whole harness once, as small as it can be."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.__main__ import compare
from bench.accounting import Usage, percentile
from bench.load import Run
from bench.patterns import Pair, Pairs, Slow, Urgent, choose
from bench.plan import Plan
from bench.report import print_outcome, write_results
from bench.verdicts import judge

TINY = Plan(
    systems=2,
    warm_up=2,
    pairs=1,
    attempts=1,
    low_cases=2,
    full_cases=6,
    in_flight=3,
    answer_ms=20,
    slow_cases=2,
    slow_in_flight=2,
    slow_pairs=1,
    slow_attempts=1,
    queued=4,
    urgent=1,
    workers=(2,),
    many_cases=4,
    many_in_flight=4,
    many_answer_ms=20,
    wave_cases=10,
    wave_ahead_s=8.0,
)


def a_run(*latencies_ms, wall_s=1.0, other=0.0):
    return Run(list(latencies_ms), Usage(wall_s, {"our-worker": 0.2}, other))


def pair(bare, ours):
    return Pair(a_run(*bare), a_run(*ours))


def judged(*, ours_ms=60.0, ours_wall=1.5, slow_ms=1400.0, urgent_ms=900.0):
    low = Pairs([pair([40.0], [ours_ms])])
    saturated = Pairs([Pair(a_run(40.0, 40.0), a_run(60.0, 60.0, wall_s=ours_wall))])
    slow = Slow(Pairs([pair([1240.0], [slow_ms])]), system_ms=1200.0)
    urgent = [Urgent(600, 5.0, 20.0, urgent_ms - 9, urgent_ms)]
    return judge(low, saturated, slow, urgent, low_inside=low, saturated_inside=saturated)


def test_targets_that_are_met_pass():
    """Results at or inside every target are passed."""
    assert all(row.passed for row in judged().measures)


@pytest.mark.parametrize(
    ("worse", "failing"),
    [
        ({"ours_ms": 61.0}, ["latency p50", "latency p50"]),
        ({"ours_wall": 1.7}, ["throughput", "throughput"]),
        ({"slow_ms": 1451.0}, ["overhead"]),
        ({"urgent_ms": 1001.0}, ["urgent"]),
    ],
)
def test_each_target_can_be_missed(worse, failing):
    """Just beyond a target its own measure fails, and no other."""
    missed = [row.name for row in judged(**worse).measures if not row.passed]
    assert [name[: len(word)] for name, word in zip(missed, failing, strict=True)] == failing


def test_noisy_pairs_are_rejected_and_counted():
    """A pair with a busy neighbour does not count while enough quiet ones are there."""
    quiet, noisy = Pair(a_run(1.0), a_run(1.0)), Pair(a_run(1.0), a_run(1.0, other=0.5))
    found = choose([noisy, quiet], 1)
    assert (found.kept, found.rejected, found.noisy) == ([quiet], 1, False)


def test_without_quiet_pairs_the_result_says_so():
    """Where the neighbour never was quiet, the quietest pairs are taken and called provisional."""
    worse, better = (Pair(a_run(1.0), a_run(1.0, other=cores)) for cores in (0.9, 0.3))
    found = choose([worse, better], 1)
    assert (found.kept, found.rejected, found.noisy) == ([better], 2, True)


def test_percentiles_are_measured_values():
    """The nearest rank is taken: never a value between two that were measured."""
    assert [percentile([4.0, 1.0, 3.0, 2.0], share) for share in (1, 50, 90, 100)] == [1, 2, 4, 4]


async def test_the_harness_runs(tmp_path):
    """Real servers, workers and web carry both sides through every pattern to a written result."""
    console = Console(file=io.StringIO(), width=140)
    outcome = await compare(TINY, console)
    print_outcome(outcome, console)
    write_results(outcome, TINY, tmp_path / "RESULTS.md")

    assert len(outcome.measures) == 6
    assert outcome.slow.system_ms == 3 * TINY.answer_ms
    assert min(outcome.slow.pairs.kept[0].ours.latencies_ms) > outcome.slow.system_ms
    [urgent] = outcome.urgent
    assert 0 < urgent.opened_ms < urgent.written_ms < urgent.seen_ms
    used = outcome.saturated.kept[0].ours.usage.cpu_s
    assert {"client", "postgres", "temporal", "sandbox", "our-worker", "web"} <= set(used)
    assert used["our-worker"] > used["bare-worker"]
    [room] = outcome.growth
    assert room.memory_mib["our-worker"] > room.memory_mib["web"] > 10
    assert room.database_kib > 0
    assert outcome.slowed is not None
    assert outcome.wave is not None
    assert outcome.wave.urgent_s > 0
    written = (tmp_path / "RESULTS.md").read_text()
    assert "| workers | cases/s | worker MiB |" in written
    assert "| throughput, saturated, systems inside |" in written
    assert "at least x0.6" in written
    assert "| one cutoff, " in written

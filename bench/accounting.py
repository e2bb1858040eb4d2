"""Who used the processor during a run: our groups of processes, and everybody else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds by group, and cores that strangers kept busy meanwhile."""

    wall_s: float
    cpu_s: Mapping[str, float]
    other_cores: float

    def per_case_ms(self, cases: int) -> dict[str, float]:
        return {group: seconds * 1000 / cases for group, seconds in self.cpu_s.items()}


class Meter:
    """Started when it is made; `read` tells what was used since.

    A group counts the processes named, their children, and children that ended meanwhile.
    """

    def __init__(self, groups: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in groups.items()}
        self._before = {name: _seconds(process) for name, process in self._processes.items()}
        self._busy = _busy_seconds()
        self._began = time.perf_counter()

    def read(self) -> Usage:
        wall = time.perf_counter() - self._began
        used = {
            name: _seconds(process) - self._before[name]
            for name, process in self._processes.items()
        }
        # The bench's own process is the client; its children are measured by themselves.
        others = _busy_seconds() - self._busy - sum(used.values())
        return Usage(wall, used, max(0.0, others / wall))


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: a value that was measured, not one between two."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share / 100 * len(ordered)) - 1)]


def _seconds(process: psutil.Process) -> float:
    if process.pid == os.getpid():
        times = process.cpu_times()
        return float(times.user + times.system)
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        try:
            times = each.cpu_times()
        except psutil.NoSuchProcess:  # it ended: its parent has its time now
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait)

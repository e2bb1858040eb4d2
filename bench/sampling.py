"""A sampling profiler that counts CPU time, not wall time: where a worker's processor time goes.

Each sample gives a thread's CPU time since the last one to the frames it is in now. Waiting costs
nothing and so does not show. Time in native threads (Temporal's core) is read from the kernel.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

OURS = ("lockstep", "activities", "workflows", "connectors")
_ROOT = str(Path(__file__).resolve().parents[1]) + os.sep


@dataclass(slots=True)
class Profile:
    """Seconds of CPU by place."""

    own: Counter[str] = field(default_factory=Counter)
    inclusive: Counter[str] = field(default_factory=Counter)
    package: Counter[str] = field(default_factory=Counter)
    owner: Counter[str] = field(default_factory=Counter)
    threads: dict[str, float] = field(default_factory=dict)


class CpuSampler(threading.Thread):
    """Samples every Python thread but its own."""

    def __init__(self, interval_s: float = 0.002) -> None:
        super().__init__(name="cpu-sampler", daemon=True)
        self._interval = interval_s
        self._ended = threading.Event()
        self._names: dict[CodeType, tuple[str, str]] = {}
        self.profile = Profile()

    def run(self) -> None:
        last: dict[int, float] = {}
        while not self._ended.wait(self._interval):
            for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way
                if ident == self.ident:
                    continue
                now = time.clock_gettime(time.pthread_getcpuclockid(ident))
                spent = now - last.get(ident, now)
                last[ident] = now
                if spent > 0:
                    self._count(frame, spent)

    def write(self, path: Path) -> None:
        """End, and write what was seen."""
        self._ended.set()
        self.join(timeout=5)
        seen = self.profile
        seen.threads = thread_seconds()
        document = {
            "own": dict(seen.own.most_common(80)),
            "inclusive": dict(seen.inclusive.most_common(120)),
            "package": dict(seen.package.most_common(30)),
            "owner": dict(seen.owner.most_common(60)),
            "threads": seen.threads,
        }
        path.write_text(json.dumps(document, indent=1))

    def _count(self, frame: FrameType | None, spent: float) -> None:
        place, package = self._name(frame.f_code) if frame else ("?", "?")
        self.profile.own[place] += spent
        self.profile.package[package] += spent
        seen: set[str] = set()
        owner = ""
        while frame is not None:
            place, package = self._name(frame.f_code)
            if package in OURS:
                owner = owner or place
                seen.add(place)
            frame = frame.f_back
        self.profile.owner[owner or "(none of ours)"] += spent
        for place in seen:
            self.profile.inclusive[place] += spent

    def _name(self, code: CodeType) -> tuple[str, str]:
        known = self._names.get(code)
        if known is None:
            known = self._names[code] = describe(code)
        return known


def describe(code: CodeType) -> tuple[str, str]:
    """A place for people, and the package that it belongs to."""
    path = code.co_filename
    if "site-packages" + os.sep in path:
        path = path.partition("site-packages" + os.sep)[2]
    elif path.startswith(_ROOT):
        path = path.removeprefix(_ROOT)
    else:
        path = "python/" + Path(path).name
    package = path.partition(os.sep)[0]
    return f"{path}:{code.co_firstlineno} {code.co_qualname}", package


def thread_seconds() -> dict[str, float]:
    """CPU seconds of this process by name of thread, as Linux keeps them."""
    tick = os.sysconf("SC_CLK_TCK")
    found: Counter[str] = Counter()
    for task in Path("/proc/self/task").iterdir():
        try:
            text = (task / "stat").read_text()
        except OSError:  # the thread ended in this moment
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        rest = text[text.rindex(")") + 2 :].split()
        found[name.rstrip("0123456789-")] += (int(rest[11]) + int(rest[12])) / tick
    return {name: round(seconds, 2) for name, seconds in found.most_common()}

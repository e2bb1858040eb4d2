"""A sampling profiler that counts CPU time, not wall time: where a worker's processor time goes.

Each sample gives a thread's CPU time since the last one to the frames it is in now. Waiting costs
nothing and so does not show. Time in native threads (Temporal's core) is read from the kernel.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

_SHOWN = 120
_STANDARD = "python"
_IMPORTING = "<frozen importlib._bootstrap"
OURS = ("lockstep", "activities", "workflows", "connectors")
_ROOT = str(Path(__file__).resolve().parents[1]) + os.sep


def _seconds() -> defaultdict[str, float]:
    return defaultdict(float)


@dataclass(slots=True)
class Profile:
    """Seconds of CPU by place."""

    own: defaultdict[str, float] = field(default_factory=_seconds)
    inclusive: defaultdict[str, float] = field(default_factory=_seconds)
    package: defaultdict[str, float] = field(default_factory=_seconds)
    owner: defaultdict[str, float] = field(default_factory=_seconds)
    threads: dict[str, float] = field(default_factory=dict)


class CpuSampler(threading.Thread):
    """Samples every Python thread but its own; start it in the main thread.

    The main thread, where the event loop runs, is sampled by a signal: between two bytecodes, so
    that a call into C counts for the function that made it. Other threads are looked at from
    here, which only works while they let go of the interpreter.
    """

    def __init__(self, interval_s: float = 0.002) -> None:
        super().__init__(name="cpu-sampler", daemon=True)
        self._interval = interval_s
        self._ended = threading.Event()
        self._main = threading.main_thread().ident
        self._main_spent = 0.0
        self._names: dict[CodeType, tuple[str, str]] = {}
        self.profile = Profile()

    def start(self) -> None:
        sys.setswitchinterval(self._interval / 4)
        self._main_spent = time.thread_time()
        signal.signal(signal.SIGPROF, self._on_signal)
        signal.setitimer(signal.ITIMER_PROF, self._interval, self._interval)
        super().start()

    def _on_signal(self, _number: int, frame: FrameType | None) -> None:
        now = time.thread_time()
        spent, self._main_spent = now - self._main_spent, now
        self._count(frame, spent)

    def run(self) -> None:
        last: dict[int, float] = {}
        while not self._ended.wait(self._interval):
            for ident, frame in sys._current_frames().items():  # noqa: SLF001 - the documented way
                if ident in (self.ident, self._main):
                    continue
                now = time.clock_gettime(time.pthread_getcpuclockid(ident))
                spent = now - last.get(ident, now)
                last[ident] = now
                if spent > 0:
                    self._count(frame, spent)

    def write(self, path: Path) -> None:
        """End, and write what was seen."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._ended.set()
        self.join(timeout=5)
        seen = self.profile
        seen.threads = thread_seconds()
        document = {
            "own": _most(seen.own),
            "inclusive": _most(seen.inclusive),
            "package": _most(seen.package),
            "owner": _most(seen.owner),
            "threads": seen.threads,
        }
        path.write_text(json.dumps(document, indent=1))

    def _count(self, frame: FrameType | None, spent: float) -> None:
        place, package = self._place(frame.f_code) if frame else ("?", "?")
        self.profile.own[place] += spent
        self.profile.package[package] += spent
        seen: set[str] = set()
        owner = library = ""
        importing = False
        while frame is not None:
            place, package = self._place(frame.f_code)
            importing = importing or _IMPORTING in place
            if package in OURS:
                owner = owner or place
                seen.add(place)
            elif package not in (_STANDARD, "bench"):
                library = library or f"(in {package}, called by none of ours)"
            frame = frame.f_back
        if importing:  # after the start that can only be the workflow sandbox
            owner = "(importing modules into the workflow sandbox)"
        self.profile.owner[owner or library or "(event loop, standard library)"] += spent
        for place in seen:
            self.profile.inclusive[place] += spent

    def _place(self, code: CodeType) -> tuple[str, str]:
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
        path = f"{_STANDARD}/{Path(path).name}"
    package = path.partition(os.sep)[0]
    return f"{path}:{code.co_firstlineno} {code.co_qualname}", package


def thread_seconds() -> dict[str, float]:
    """CPU seconds of this process by name of thread, as Linux keeps them."""
    tick = os.sysconf("SC_CLK_TCK")
    found = _seconds()
    for task in Path("/proc/self/task").iterdir():
        try:
            text = (task / "stat").read_text()
        except OSError:  # the thread ended in this moment
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        rest = text[text.rindex(")") + 2 :].split()
        found[name.rstrip("0123456789-")] += (int(rest[11]) + int(rest[12])) / tick
    return {name: round(seconds, 2) for name, seconds in _most(found).items()}


def _most(seconds: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(seconds.items(), key=lambda item: -item[1])[:_SHOWN])

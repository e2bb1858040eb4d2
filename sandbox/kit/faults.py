"""Faults on demand, bounded and repeatable.

A fault says where (endpoint, person), what (kind) and how often (`limit`, `per_user`,
`probability`). Whether a request is hit depends on the seed, the fault, the person, the endpoint
and how often that was called, never on how requests of different people interleave. So a run of
two hundred cases at once can be repeated.
"""

import fnmatch
import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from hashlib import blake2b
from typing import Any, Final

from sandbox.kit.clock import now

__all__ = ["Fault", "FaultError", "FaultKind", "Faults", "Plan"]


class FaultKind(StrEnum):
    """What a fault does to a request that it hits."""

    RATE_LIMIT = "rate_limit"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    APPLIED_REPLY_LOST = "applied_reply_lost"
    SUCCESS_NOT_DONE = "success_not_done"
    EVENTUALLY_CONSISTENT = "eventually_consistent"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    LATENCY = "latency"
    ECHO_SECRET = "echo_secret"  # noqa: S105 - the name of a fault
    THROTTLE = "throttle"


# These leave the system able to settle however often they hit, so they need no bound.
SETTLING: Final = frozenset(
    {FaultKind.EVENTUALLY_CONSISTENT, FaultKind.LATENCY, FaultKind.THROTTLE}
)
EFFECT_ONLY: Final = frozenset({FaultKind.APPLIED_REPLY_LOST, FaultKind.SUCCESS_NOT_DONE})
NUMBERS: Final = frozenset(
    {
        *("probability", "after", "limit", "per_user", "status", "seconds"),
        *("delay_ms", "jitter_ms", "reset_after", "per_second", "seed"),
    }
)
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class FaultError(ValueError):
    """A fault was described in a way that cannot be carried out."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: what happens.
        endpoint: `"*"`, or a method and a path with wildcards: `"DELETE /api/v1/users/*/sessions"`.
            The method may be `*`. The query is not looked at.
        user: only requests about this person: any key of the account. Empty: anybody.
        probability: share of the matching requests that is hit.
        after: let this many matching requests of a person pass first.
        limit: hit at most this many requests in all.
        per_user: hit at most this many requests about one person.
        unbounded: needed when neither `limit` nor `per_user` is given, so that a system that can
            never settle is somebody's decision.
        status: the answer's status (`server_error`, `echo_secret`); 0 takes the kind's own.
        seconds: how long `timeout` hangs before the connection is dropped.
        delay_ms: how long (`latency`, `eventually_consistent`).
        jitter_ms: added to `latency`, evenly spread from 0.
        reset_header: whether `rate_limit` tells when to come back.
        reset_after: seconds until then.
        per_second: requests per caller and second that `throttle` lets pass.
        seed: changes which requests are hit.
        id: given by the engine.
    """

    kind: FaultKind
    endpoint: str = "*"
    user: str = ""
    probability: float = 1.0
    after: int = 0
    limit: int | None = None
    per_user: int | None = None
    unbounded: bool = False
    status: int = 0
    seconds: float = 30.0
    delay_ms: int = 300
    jitter_ms: int = 0
    reset_header: bool = True
    reset_after: int = 1
    per_second: int = 5
    seed: int = 0
    id: str = ""

    def __post_init__(self) -> None:
        """Refuse a fault that can never end unless that was asked for."""
        bounded = self.limit is not None or self.per_user is not None
        if self.kind not in SETTLING and not bounded and not self.unbounded:
            raise FaultError(f"{self.kind}: give limit or per_user, or say unbounded")

    @classmethod
    def from_json(cls, value: Any) -> "Fault":
        """Read a fault; unknown names are errors, because a misspelt bound is a test that lies.

        Raises:
            FaultError: when the value does not describe a fault.
        """
        if not isinstance(value, dict):
            raise FaultError("a fault is a JSON object")
        unknown = set(value) - {item.name for item in fields(cls)}
        if unknown:
            raise FaultError(f"unknown fields: {', '.join(sorted(unknown))}")
        for name in NUMBERS & set(value):
            if value[name] is not None and not isinstance(value[name], int | float):
                raise FaultError(f"{name} is a number")
        try:
            kind = FaultKind(value.get("kind", ""))
        except ValueError:
            raise FaultError(f"kind is one of: {', '.join(FaultKind)}") from None
        return cls(**{**value, "kind": kind})


@dataclass(frozen=True, slots=True)
class Plan:
    """What the faults do to one request."""

    fault: Fault | None = None
    delay: float = 0.0
    show_late_ms: int = 0
    read_late: bool = False

    @property
    def kind(self) -> FaultKind | None:
        """The kind of the fault that decides the answer, when there is one."""
        return self.fault.kind if self.fault else None


UNTOUCHED: Final = Plan()


@dataclass(slots=True)
class _Armed:
    """A fault and what it has done so far."""

    fault: Fault
    pattern: re.Pattern[str]
    method: str
    hits: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    by_user: Counter[str] = field(default_factory=Counter)
    recent: dict[str, deque[float]] = field(default_factory=dict)

    @property
    def always(self) -> bool:
        """Whether every matching request is hit, so that nobody needs to be remembered."""
        fault = self.fault
        bounded = fault.limit is not None or fault.per_user is not None
        return not bounded and not fault.after and fault.probability >= 1

    def concerns(self, method: str, path: str, keys: list[str]) -> bool:
        fault = self.fault
        if self.method not in ("*", method):
            return False
        if fault.kind in EFFECT_ONLY and method in SAFE_METHODS:
            return False
        if fault.user and fault.user.lower() not in keys:
            return False
        return self.pattern.match(path) is not None

    def chance(self, *what: object) -> float:
        """A number in [0, 1) that depends on the seed and the arguments only."""
        text = ":".join(map(str, (self.fault.seed, self.fault.id, *what)))
        digest = blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def hit(self, method: str, path: str, who: str) -> bool:
        """Decide about one matching request and remember it."""
        fault = self.fault
        if self.always:
            self.hits += 1
            return True
        call = f"{who} {method} {path}"
        self.seen[call] += 1
        self.seen[who] += 1
        if self.seen[who] <= fault.after:
            return False
        if fault.limit is not None and self.hits >= fault.limit:
            return False
        if fault.per_user is not None and self.by_user[who] >= fault.per_user:
            return False
        if fault.probability < 1 and self.chance(call, self.seen[call]) >= fault.probability:
            return False
        self.hits += 1
        self.by_user[who] += 1
        return True

    def over_rate(self, caller: str) -> bool:
        """Whether this caller used up the current second."""
        recent = self.recent.setdefault(caller, deque())
        at = now()
        while recent and recent[0] <= at - 1:
            recent.popleft()
        if len(recent) >= self.fault.per_second:
            self.hits += 1
            return True
        recent.append(at)
        return False


class Faults:
    """The faults of one vendor."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._count = 0

    @property
    def active(self) -> bool:
        """Whether there is any fault; the vendors skip the rest when there is none."""
        return bool(self._armed)

    def add(self, fault: Fault) -> Fault:
        """Arm one more fault; it gets an id when it has none."""
        self._count += 1
        values = asdict(fault)
        named = Fault(**{**values, "id": fault.id or f"fault-{self._count}"})
        method, _, glob = named.endpoint.strip().partition(" ")
        if not glob:
            method, glob = "*", method
        pattern = re.compile(fnmatch.translate(glob.strip()))
        self._armed.append(_Armed(named, pattern, method.upper()))
        return named

    def replace(self, faults: Iterable[Fault]) -> list[Fault]:
        """Arm exactly these."""
        wanted = list(faults)
        self._armed.clear()
        return [self.add(fault) for fault in wanted]

    def remove(self, fault_id: str = "") -> int:
        """Disarm one fault, or all when none is named; return how many."""
        kept = [armed for armed in self._armed if fault_id and armed.fault.id != fault_id]
        removed = len(self._armed) - len(kept)
        self._armed = kept
        return removed

    def dump(self) -> list[dict[str, Any]]:
        """Every fault with what it has done, as JSON values."""
        return [
            {**asdict(a.fault), "hits": a.hits, "by_user": dict(a.by_user), "seen": dict(a.seen)}
            for a in self._armed
        ]

    def load(self, values: Iterable[dict[str, Any]]) -> None:
        """Arm what `dump` wrote, with its counts, so that a bound survives a restart."""
        self._armed.clear()
        for value in values:
            rest = {k: v for k, v in value.items() if k not in ("hits", "by_user", "seen")}
            self.add(Fault.from_json(rest))
            armed = self._armed[-1]
            armed.hits = value["hits"]
            armed.by_user.update(value["by_user"])
            armed.seen.update(value["seen"])

    def plan(self, method: str, path: str, *, keys: list[str], caller: str) -> Plan:
        """Decide what happens to one request.

        Args:
            method: its method.
            path: its path, without the query.
            keys: the keys of the account it is about; empty when it is about nobody.
            caller: whose credential it carries, for `throttle`.
        """
        who = keys[0] if keys else ""
        delay, read_late = 0.0, False
        decided: Fault | None = None
        for armed in self._armed:
            if not armed.concerns(method, path, keys):
                continue
            fault = armed.fault
            match fault.kind:
                case FaultKind.EVENTUALLY_CONSISTENT:
                    read_late = read_late or method in SAFE_METHODS
                case FaultKind.THROTTLE:
                    if decided is None and armed.over_rate(caller):
                        decided = fault
                case FaultKind.LATENCY:
                    if armed.hit(method, path, who):
                        jitter = armed.chance("jitter", armed.hits) * fault.jitter_ms
                        delay += (fault.delay_ms + jitter) / 1000
                case _:
                    if decided is None and armed.hit(method, path, who):
                        decided = fault
        return Plan(decided, delay, self._late_ms(method, keys), read_late)

    def _late_ms(self, method: str, keys: list[str]) -> int:
        """How long the effect of this request stays hidden from delayed reads."""
        if method in SAFE_METHODS:
            return 0
        delays = []
        for armed in self._armed:
            fault = armed.fault
            about = not fault.user or fault.user.lower() in keys
            if fault.kind is FaultKind.EVENTUALLY_CONSISTENT and about:
                delays.append(fault.delay_ms)
        return max(delays, default=0)

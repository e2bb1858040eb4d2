"""A host in memory that answers as `deploy/ssh-fleet/lockstep-access` does.

It is held to the real program by `test_ssh_fleet.py`, which asks both the same.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field

from connectors.ssh_fleet.channel import PROGRAM, VERSION, Request


@dataclass(slots=True)
class Person:
    """An account."""

    uid: int
    gecos: str
    is_locked: bool = False
    sessions: list[int] = field(default_factory=list)


@dataclass(slots=True)
class MemoryHost:
    """Accounts, whose files hold which keys, and a revocation list."""

    people: dict[str, Person] = field(default_factory=dict)
    keys: dict[str, list[str]] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    pids: itertools.count[int] = field(default_factory=lambda: itertools.count(100))

    def create(self, name: str, gecos: str) -> Person:
        made = Person(1001 + len(self.people), gecos)
        self.people[name] = made
        return made

    async def ask(self, request: Request) -> str:
        rows = [(PROGRAM, VERSION, str(int(time.time())))]
        rows += getattr(self, f"_{request.verb}")(request)
        return "".join("\t".join(row) + "\n" for row in [*rows, ("end",)])

    def _about(self, _: Request) -> list[tuple[str, ...]]:
        return [("krl", "good"), ("authorities", "some"), ("pam", "yes"), ("command", "none")]

    def _user(self, name: str) -> tuple[str, ...]:
        one = self.people[name]
        return ("user", name, str(one.uid), "locked" if one.is_locked else "open", one.gecos)

    def _list(self, _: Request) -> list[tuple[str, ...]]:
        return [self._user(name) for name in self.people]

    def _see(self, request: Request) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        if one := self.people.get(request.name):
            rows.append(self._user(request.name))
            rows += [("session", str(pid)) for pid in one.sessions]
        for owner, held in self.keys.items():
            rows += [("key", owner, key) for key in held if _theirs(owner, key, request)]
        rows += [("krl", "good"), ("authorities", "some")]
        return rows + [("unrevoked", spec) for spec in request.specs if spec not in self.revoked]

    def _lock(self, request: Request) -> list[tuple[str, ...]]:
        one = self.people.get(request.name)
        if one is None or one.is_locked:
            return []
        one.is_locked = True
        return [("done", "lock")]

    def _end(self, request: Request) -> list[tuple[str, ...]]:
        one = self.people.get(request.name)
        if one is None or not one.sessions:
            return []
        one.sessions.clear()
        return [("done", "end")]

    def _take(self, request: Request) -> list[tuple[str, ...]]:
        kept = {
            owner: [key for key in held if not _theirs(owner, key, request)]
            for owner, held in self.keys.items()
        }
        changed = [("done", "take") for owner in kept if kept[owner] != self.keys[owner]]
        self.keys = kept
        return [*changed]

    def _revoke(self, request: Request) -> list[tuple[str, ...]]:
        due = set(request.specs) - self.revoked
        self.revoked |= due
        return [("done", "revoke")] if due else []


def _theirs(owner: str, key: str, request: Request) -> bool:
    return owner == request.name or key in request.specs

"""What hosts say of an account: what stands there, and what hinders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from connectors.base import ConnectorFault
from connectors.ssh_fleet.channel import Rows
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Observation,
    Problem,
    ProblemSeverity,
    Unread,
)
from lockstep.domain.systems.faults import rule_for

OPERATIONS: Final = {
    "about": "hosts.about",
    "list": "accounts.list",
    "see": "accounts.see",
    "lock": "accounts.lock",
    "end": "sessions.end",
    "take": "keys.take",
    "revoke": "keys.revoke",
}
KINDS: Final = (AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.TOKEN, AccessKind.SECRET)
UNASKED: Final = tuple(Unread(kind) for kind in KINDS if kind is not AccessKind.SIGN_IN)
_MOST_NAMED: Final = 5
_USER_WORDS: Final = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """An account as one host has it."""

    is_locked: bool
    gecos: str = field(default="", repr=False)

    @property
    def called(self) -> str:
        return self.gecos.partition(",")[0].strip()

    @property
    def last(self) -> str:
        """The last part; of one that has but a name, nothing."""
        parts = [part.strip() for part in self.gecos.split(",") if part.strip()]
        return parts[-1] if len(parts) > 1 or (parts and " " not in parts[0]) else ""


def door(host: str) -> Access:
    """The account is let in on a host."""
    return Access(AccessKind.SIGN_IN, host)


def host_of(way: Access) -> str:
    """The host where a way in stands."""
    return way.ref.rpartition("@")[2]


def _entry(row: tuple[str, ...]) -> Entry:
    return Entry(row[3] == "locked", row[4] if len(row) >= _USER_WORDS else "")


def accounts(
    looks: Mapping[str, Rows | ConnectorFault], *, also: Iterable[str]
) -> Mapping[str, Mapping[str, Entry]]:
    """Every account, by name and host; ``also`` names who has keys, and maybe no account."""
    found: dict[str, dict[str, Entry]] = {}
    for host, rows in looks.items():
        for row in rows if isinstance(rows, list) else ():
            if row[0] == "user" and len(row) >= _USER_WORDS - 1:
                found.setdefault(row[1], {})[host] = _entry(row)
    for name in also:
        found.setdefault(name, {})
    return found


_STANDING: Final = {
    ("session", 2): AccessKind.SESSION,
    ("process", 2): AccessKind.SESSION,
    ("key", 3): AccessKind.SECRET,
    ("unrevoked", 2): AccessKind.TOKEN,
}
_REPORTS: Final = frozenset({"krl", "authorities"})


def seen(host: str, name: str, rows: Rows) -> Observation | None:
    """What stands on one host; None where it says something that the program never says."""
    standing: list[Access] = []
    exists = False
    for row in rows:
        kind = _STANDING.get((row[0], len(row)))
        if row[0] == "user" and len(row) >= _USER_WORDS - 1 and row[1] == name:
            exists = True
            standing += [] if _entry(row).is_locked else [door(host)]
        elif kind is not None:
            standing.append(Access(kind, "/".join(row[1:]) + f"@{host}"))
        elif row[0] not in _REPORTS:
            return None
    return Observation(name, exists=exists or bool(standing), standing=tuple(standing))


def outliving(rows: Rows, specs: Iterable[str]) -> frozenset[str]:
    """What outlives a revocation on one host, of whom these keys and certificates are."""
    said = {row[0]: row[1] for row in rows if row[0] in _REPORTS and len(row) > 1}
    left = {"shared_account_session" for spec in specs if spec.startswith("SHA256:")}
    if said.get("authorities") != "none" and said.get("krl") != "good":
        left |= {"certificate" for spec in specs if spec.startswith("id:")}
    return frozenset(left)


def _named(hosts: list[str]) -> str:
    more = f" and {len(hosts) - _MOST_NAMED} more" if len(hosts) > _MOST_NAMED else ""
    return ", ".join(hosts[:_MOST_NAMED]) + more


_HINDERS: Final = {
    "krl_broken": (
        "the revocation list cannot be read: sshd refuses every key there",
        "Put a list in its place that `ssh-keygen -Q -l -f` reads, or an empty file.",
        ProblemSeverity.BLOCKS,
    ),
    "krl_plain": (
        "RevokedKeys is a plain list of keys: nothing is added to it",
        "Make it a list of `ssh-keygen -k`, or an empty file.",
        ProblemSeverity.LIMITS,
    ),
    "krl_none": (
        "certificates are trusted, and no RevokedKeys is set: they work until they expire",
        "Set RevokedKeys to an empty file that root owns.",
        ProblemSeverity.LIMITS,
    ),
    "keys_command": (
        "AuthorizedKeysCommand hands out keys that are not seen here",
        "Close that source as a system of its own.",
        ProblemSeverity.LIMITS,
    ),
}


def _hinders(rows: Rows) -> Iterator[str]:
    said = {row[0]: row[1] if len(row) > 1 else "" for row in rows}
    krl = said.get("krl", "broken")
    if krl in {"broken", "plain"} or (krl == "none" and said.get("authorities") != "none"):
        yield f"krl_{krl}"
    if said.get("command") not in {"none", ""}:
        yield "keys_command"


def problems(looks: Mapping[str, Rows | ConnectorFault]) -> Iterator[Problem]:
    """What hinders, each with the hosts where it does."""
    where: dict[str, list[str]] = {}
    faults = [found for found in looks.values() if isinstance(found, ConnectorFault)]
    severity = ProblemSeverity.LIMITS if len(faults) < len(looks) else ProblemSeverity.BLOCKS
    for fault in faults:
        fix = rule_for(fault.category).suggestion
        yield Problem(fault.category.value, str(fault), fix, severity)
    for host, rows in looks.items():
        for code in _hinders(rows) if isinstance(rows, list) else ():
            where.setdefault(code, []).append(host)
    for code, hosts in where.items():
        summary, fix, weight = _HINDERS[code]
        yield Problem(code, f"{_named(hosts)}: {summary}", fix, weight)

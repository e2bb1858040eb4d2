"""One interface, and whose its peers are."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from connectors.base import ConnectorFault, Transcript
from connectors.kit.lines.line import LineServer
from connectors.wireguard import device
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Action,
    Problem,
    ProblemSeverity,
)
from lockstep.domain.systems.faults import rule_for


@dataclass(frozen=True, slots=True)
class Gateway:
    """One interface, and the file from which it is set up."""

    name: str
    line: LineServer
    config: str

    async def live(self, transcript: Transcript) -> tuple[device.LivePeer, ...]:
        async with self.line.opened(transcript) as line:
            return await device.peers(line)

    async def remove(self, ways: Iterable[Access], transcript: Transcript) -> tuple[Action, ...]:
        async with self.line.opened(transcript) as line:
            done = [(way, await device.remove(line, key_of(way))) for way in ways]
        return tuple(Action(way, each.answered_at, each.operation) for way, each in done)


def key_of(way: Access) -> str:
    """The public key that a reference names."""
    return way.ref.rpartition("@")[0]


def account_id(name: str) -> str:
    """The id of whoever has this name, without the name in it."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def people_of(names: Mapping[str, str]) -> Mapping[str, Collection[str]]:
    """Keys by whose they are: somebody with two devices is one person."""
    people: dict[str, list[str]] = {}
    for key, name in names.items():
        if name:
            people.setdefault(name, []).append(key)
    return people


def doors(live: Iterable[device.LivePeer], keys: Collection[str], at: str) -> tuple[Access, ...]:
    return tuple(
        Access(AccessKind.SIGN_IN, f"{peer.key}@{at}") for peer in live if peer.key in keys
    )


def of_fault(fault: ConnectorFault) -> Problem:
    """Something that does not answer, or could not be read."""
    return Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)


def nameless(number: int) -> Problem:
    """Peers of whom nobody is told."""
    return Problem(
        "peer_without_a_name",
        f"{number} peers are named by nothing: whose they are is not known",
        "Write `# name: …` above each [Peer], or name its key in the file of `names`.",
        ProblemSeverity.LIMITS,
    )


def not_writable(path: str) -> Problem:
    """We could not take anybody out."""
    return Problem(
        "permission_missing.write",
        f"{path} cannot be replaced: its folder is not ours to write",
        "Let the account that runs Lockstep write there.",
    )

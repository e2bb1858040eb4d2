"""What a vendor of the sandbox says of itself, once.

Whoever starts it, gives people access in it, writes Lockstep's settings for it or asks it what is
still open reads its description: none of them knows a vendor by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.kit.accounts import Item
from sandbox.kit.admin import Simulated

__all__ = ["Accepted", "Description", "Program"]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A credential that opens the vendor. Published, so no secret.

    Attributes:
        name: as `Description.simulate` and `Program.command` are given it.
        usual: its value, unless the environment says another.
        variable: of the environment, where it may be changed there.
    """

    name: str
    usual: str
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Program:
    """A real server that stands in for the vendor, in a process of its own.

    Attributes:
        command: its command line for a port and the credentials; the first word is a script beside
            the running Python.
        hire: gives a person access, by the vendor's own API: the address, the credentials, the
            person's record. Blocks.
        environment: what it needs in its environment.
    """

    command: Callable[[int, Mapping[str, str]], Sequence[str]]
    hire: Callable[[str, Mapping[str, str], Item], None]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """One vendor of the sandbox.

    Attributes:
        kind: the name of its connector.
        title: for people.
        port: where it listens unless told otherwise.
        accepts: credentials that open it.
        simulate: builds the simulation from the credentials by name, or
        program: what is started in its place.
        settings: the table of `lockstep.toml` that makes it one of Lockstep's systems, with `{url}`
            where its address belongs; empty, where it is none of the sample systems.
        secrets: by file below Lockstep's data folder, the credential that it holds.
        doors: of what is said to stand for a person, what opens anything.
        ways_in: how many ways in of each kind a person has, counted in the vendor's own records
            and so without any connector.
        held_by: the jobs whose people have an account, in the made-up company; empty: all.
        demo: by place in the list of the demonstration's people, what is unusual there.
    """

    kind: str
    title: str
    port: int
    accepts: tuple[Accepted, ...]
    simulate: Callable[[Mapping[str, str]], Simulated] | None = None
    program: Program | None = None
    settings: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)
    doors: tuple[str, ...] = ()
    ways_in: Callable[[Item], Mapping[str, int]] | None = None
    held_by: frozenset[str] = frozenset()
    demo: Mapping[int, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.simulate is None) == (self.program is None):
            raise ValueError(f"{self.kind}: give either a simulation or a program")

    def held(self, job: str) -> bool:
        """Whether somebody of the made-up company with this job has an account."""
        return not self.held_by or job in self.held_by

    def build(self, credentials: Mapping[str, str]) -> Simulated:
        """The simulation; an error for what is none."""
        if self.simulate is None:
            raise ValueError(f"{self.kind} is a program")
        return self.simulate(credentials)

    @property
    def usual(self) -> dict[str, str]:
        """The credentials by name, as they are unless told otherwise."""
        return {each.name: each.usual for each in self.accepts}

    def credentials(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The credentials by name; what the environment does not say keeps its usual value."""
        return {each.name: environment.get(each.variable) or each.usual for each in self.accepts}

"""Histories of leavers as plain data, which hypothesis can make and shrink.

`tests.agreement.stage` plays them on a database.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.policy import Policy, SystemPolicy, Tier
from lockstep.domain.systems.access import Category
from lockstep.storage.cases.rows import PinnedPolicy, pin

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
NEAR = 150
"""A cutoff so many milliseconds ahead lets a case be scheduled and overtaken by its cutoff."""
PARTNERS = ("northwind", "contoso", "")
SITES = ("cebu", "manila")


def _system(name: str, category: Category, tier: Tier, *, required: bool = True) -> SystemPolicy:
    return SystemPolicy(name, "memory", category, tier, required=required, accept_single_key=True)


_IDP = _system("idp", Category.IDENTITY, Tier.ZERO)
_CRM = _system("crm", Category.SAAS, Tier.ONE)
_VPN = _system("vpn", Category.VPN, Tier.ZERO, required=False)
_BADGE = _system("badge", Category.BADGE, Tier.MANUAL)
_WIKI = _system("wiki", Category.SAAS, Tier.ONE, required=False)
_STRICT = {
    (TerminationKind.VOLUNTARY, Tier.ZERO): timedelta(minutes=30),
    (TerminationKind.INVOLUNTARY, Tier.ONE): timedelta(seconds=7),
}
POLICIES: tuple[PinnedPolicy, ...] = (
    pin(Policy("1", (_IDP, _CRM, _BADGE, _WIKI))),
    pin(Policy("2", (_IDP, _VPN, _CRM), sla=_STRICT)),
    pin(Policy("3", (_VPN, _WIKI))),
)
"""Tier 0, tier 1, manual and optional systems; one policy that requires nothing of anybody."""


# --- what may happen ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Amend:
    """HR, or one of our people, maybe with a second one, moves the cutoff, and corrects the rest.

    ``kind``, ``partner`` and ``site`` are None where they are said again as they were.
    """

    by_ms: int
    person: bool = False
    second: bool = False
    kind: TerminationKind | None = None
    partner: int | None = None
    site: int | None = None


@dataclass(frozen=True, slots=True)
class Rescind:
    """HR takes it back."""


@dataclass(frozen=True, slots=True)
class Pass:
    """The cutoff comes, if it is near."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The workflow wakes up."""


@dataclass(frozen=True, slots=True)
class Close:
    """The workflow closes the case."""


@dataclass(frozen=True, slots=True)
class Rehearse:
    system: int
    accounts: int


@dataclass(frozen=True, slots=True)
class Attempt:
    system: int
    accounts: int


@dataclass(frozen=True, slots=True)
class Fault:
    system: int


@dataclass(frozen=True, slots=True)
class Ask:
    """The system needs a person."""

    system: int


@dataclass(frozen=True, slots=True)
class Prove:
    """Access is proved gone, at ``part`` thousandths of the SLA and ``by_ms`` after the cutoff.

    Never later than now. ``record``: the vendor's own log says when. ``stood``: something did.
    """

    system: int
    part: int
    by_ms: int = 0
    accounts: int = 1
    record: bool = True
    stood: bool = True


@dataclass(frozen=True, slots=True)
class Attest:
    """``strong``: with an artefact and a second person."""

    system: int
    strong: bool


@dataclass(frozen=True, slots=True)
class Waive:
    """``until_ms`` counts from now; None is without an end."""

    system: int
    second: bool
    until_ms: int | None


@dataclass(frozen=True, slots=True)
class Retry:
    system: int


@dataclass(frozen=True, slots=True)
class Return:
    """A later look finds access again."""

    system: int


DoorAct = Rehearse | Attempt | Fault | Ask | Prove | Attest | Waive | Retry | Return
Act = Amend | Rescind | Pass | Begin | Close | DoorAct


@dataclass(frozen=True, slots=True)
class Leaver:
    """One termination and what becomes of it.

    Args:
        worker: number of the person, who may leave more than once.
        spell: the same spell again opens a case only if HR took the first one back.
        due_ms: the cutoff, from now.
        lag_ms: when HR recorded it, from the cutoff.
        heard_ms: how long ago we heard of it.
    """

    worker: int
    spell: int
    kind: TerminationKind
    due_ms: int
    lag_ms: int = -DAY
    heard_ms: int = 0
    policy: int = 0
    partner: int = 0
    site: int = 0
    tombstone: bool = False
    acts: tuple[Act, ...] = ()


@dataclass(frozen=True, slots=True)
class Listened:
    """A source of HR: for how long it is expected, and how long ago it sent a heartbeat."""

    source: str
    expected_ms: int
    heard_ms: int | None


@dataclass(frozen=True, slots=True)
class Story:
    """Some leavers, and when the ledger is sealed.

    Args:
        feeds: the sources of HR that are expected; cases are reported by "hr".
        sealed: after how many rounds of acts it is sealed for the first time; the sequencer then
            begins anew from what is stored.
        at: which of the instants ahead (cutoffs and due times) the last head is signed at, and
            how many milliseconds beside it; None for now.
    """

    leavers: tuple[Leaver, ...]
    feeds: tuple[Listened, ...] = ()
    sealed: int = 0
    at: tuple[int, int] | None = None

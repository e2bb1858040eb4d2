"""Statements of NIST SP 800-53 that a pack can judge, and the figures that judge them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lockstep.evidence.pack.model import CaseLine


@dataclass(slots=True)
class Tally:
    """What is counted over the population.

    Only leavers that are scored are counted beyond ``leavers``; ``systems`` are theirs.
    ``external`` are those with a partner, ``told_late`` those of them that HR recorded after the
    cutoff, ``by_word`` systems that rest on one person's word (grade D).
    """

    leavers: int = 0
    scored: int = 0
    late: int = 0
    overdue: int = 0
    external: int = 0
    told_late: int = 0
    systems: int = 0
    systems_overdue: int = 0
    by_word: int = 0
    slowest_ms: int = 0

    def add(self, line: CaseLine) -> None:
        facts, result = line.facts, line.result
        self.leavers += 1
        if not result.scored:
            return
        self.scored += 1
        self.late += result.within_sla is False
        self.overdue += result.state == "overdue"
        self.external += bool(facts.partner)
        self.told_late += bool(facts.partner) and result.hr_lag_ms > 0
        self.systems += len(result.items)
        self.systems_overdue += sum(item.is_open and item.late_ms > 0 for item in result.items)
        self.by_word += sum(item.facts.grade == "D" for item in result.items)
        self.slowest_ms = max(self.slowest_ms, result.ttr_ms)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a control, and the figure that decides whether it is satisfied.

    Args:
        control: its id in the catalogue; ``id`` is the statement's.
        misses: how many of those ``tested`` missed the criterion.
        also: frameworks and ids of requirements that ask for much the same.
        about_time: whether leavers that missed their time are what misses it.
    """

    control: str
    id: str
    title: str
    criterion: str
    misses: Callable[[Tally], int]
    tested: Callable[[Tally], int]
    also: tuple[tuple[str, str], ...]
    about_time: bool = False


STATEMENTS = (
    Statement(
        "ps-4",
        "ps-4_smt.a",
        "Access is disabled within the time allowed",
        "Not satisfied when access of any leaver outlived the time that the pinned policy allows.",
        lambda tally: tally.late,
        lambda tally: tally.scored,
        (
            ("soc2", "CC6.2"),
            ("soc2", "CC6.3"),
            ("soc2", "CC6.4"),
            ("iso27001", "A.5.18"),
            ("iso27001", "A.7.2"),
            ("pci-dss", "8.2.5"),
            ("hipaa", "164.308(a)(3)(ii)(C)"),
            ("cis", "6.2"),
        ),
        about_time=True,
    ),
    Statement(
        "ps-4",
        "ps-4_smt.b",
        "Authenticators and credentials are revoked",
        "Not satisfied when any system is open past its time at the instant of the checkpoint.",
        lambda tally: tally.systems_overdue,
        lambda tally: tally.systems,
        (("soc2", "CC6.2"), ("iso27001", "A.5.16"), ("iso27001", "A.8.2")),
    ),
    Statement(
        "ps-7",
        "ps-7_smt.d",
        "Providers report their leavers in time",
        "Not satisfied when a partner's leaver was recorded after the cutoff. Leavers without a"
        " partner are not counted.",
        lambda tally: tally.told_late,
        lambda tally: tally.external,
        (("iso27001", "A.6.5"),),
    ),
    Statement(
        "ac-2",
        "ac-2_smt.f",
        "Accounts are disabled and removed by policy",
        "Not satisfied when any system is open past its time, or rests on one person's word alone.",
        lambda tally: tally.systems_overdue + tally.by_word,
        lambda tally: tally.systems,
        (("soc2", "CC6.3"), ("iso27001", "A.5.18"), ("iso27001", "A.8.2")),
    ),
    Statement(
        "ac-2.3",
        "ac-2.3_smt.b",
        "Accounts without an owner are disabled in time",
        "Not satisfied when any leaver's account outlived the time that the pinned policy allows.",
        lambda tally: tally.late,
        lambda tally: tally.scored,
        (("cis", "6.2"), ("pci-dss", "8.2.5")),
        about_time=True,
    ),
)

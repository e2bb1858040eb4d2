"""The comparison notices Lockstep that is wrong in one way each, and says where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from lockstep.domain.cases.terminations import TerminationKind
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.storage.keys.keyring import Keyring
from tests.agreement.checks import Asked
from tests.agreement.everything import everything_agrees
from tests.agreement.lies import LIES
from tests.agreement.mutants import MUTANTS, Mutant
from tests.agreement.places import staged
from tests.agreement.stage import Stage
from tests.support.histories import (
    DAY,
    MINUTE,
    Amend,
    Attest,
    Begin,
    Close,
    Leaver,
    Listened,
    Pass,
    Prove,
    Rescind,
    Return,
    Story,
    Waive,
)

IDP, CRM, BADGE, WIKI = range(4)
YEAR = datetime.now(UTC).year
EVERYTHING = Asked(date(YEAR - 4, 1, 1), date(YEAR + 4, 1, 1))


def proved(*systems: int, part: int = 1, accounts: int = 1) -> tuple[Prove, ...]:
    """Access proved gone from these, so many thousandths of the SLA after the cutoff."""
    return tuple(Prove(system, part, accounts=accounts) for system in systems)


def corrected(kind: str) -> Amend:
    """The kind alone."""
    return Amend(0, kind=TerminationKind(kind))


def leaver(worker: int, due_ms: int, *acts: object, spell: int = 1, site: int = 0) -> Leaver:
    """A voluntary leaver; a cutoff that has passed has begun."""
    begun = () if due_ms > 0 else (Pass(), Begin())
    kind = TerminationKind.VOLUNTARY
    return Leaver(worker, spell, kind, due_ms, site=site, acts=(*begun, *acts))


def dismissed(worker: int, due_ms: int, *acts: object) -> Leaver:
    """Somebody who is sent away, later."""
    return Leaver(worker, 1, TerminationKind.INVOLUNTARY, due_ms, acts=acts)


def gone_before(*systems: int) -> tuple[Prove, ...]:
    """Access had ended before the cutoff, by the systems' own records; we found it so."""
    return tuple(Prove(system, -300, stood=False) for system in systems)


JUST = -5 * MINUTE
STORY = Story(
    (
        leaver(
            1, JUST, *proved(IDP, CRM, BADGE, WIKI), Close(), Return(IDP), *proved(IDP), Close()
        ),
        leaver(2, JUST, *proved(IDP, CRM), Waive(BADGE, second=True, until_ms=60 * DAY), site=1),
        leaver(3, -3 * DAY, *proved(IDP, CRM), Waive(BADGE, second=True, until_ms=2 * DAY)),
        leaver(4, 3 * DAY, Amend(30 * DAY, person=True)),
        leaver(5, -9 * DAY, *proved(IDP, CRM, BADGE), *proved(WIKI, part=4000)),
        leaver(6, -3 * DAY, *proved(IDP, CRM, BADGE, WIKI, part=-300)),
        leaver(7, -3 * DAY, *proved(IDP, CRM, BADGE, WIKI, part=300, accounts=2), site=1),
        leaver(8, -9 * DAY, *proved(CRM, BADGE, WIKI), site=1),
        leaver(9, -400 * DAY, *proved(CRM, BADGE, WIKI)),
        leaver(9, JUST, *proved(IDP, CRM), Attest(BADGE, strong=False), spell=2),
        leaver(10, 3 * DAY, Rescind()),
        leaver(11, 40 * DAY),
        leaver(12, 3 * DAY, Amend(30 * DAY, person=True, second=True)),
        leaver(13, 3 * DAY, Amend(0, kind=TerminationKind.INVOLUNTARY, partner=1)),
        leaver(15, 400, Pass(), Rescind(), Rescind()),
        dismissed(16, 7000, Amend(1000), Pass(), Begin(), *proved(IDP, CRM, BADGE, WIKI)),
        leaver(17, 3000, Rescind()),
        leaver(17, 5000, Pass(), Begin(), *proved(IDP, CRM, BADGE, WIKI), spell=2),
        leaver(18, -3 * DAY, *proved(IDP, CRM, WIKI, accounts=0), Attest(BADGE, strong=True)),
        leaver(19, -3 * DAY, *gone_before(IDP, CRM, BADGE), *proved(WIKI, accounts=0)),
        leaver(14, -5 * DAY, *map(corrected, ("involuntary", "voluntary"))),
        # Numbers of policies: what they call the same system is at another place of theirs.
        replace(leaver(20, -3 * DAY, *proved(0, 1, 2)), policy=1),
    ),
    sealed=3,
    feeds=(Listened("hr", 30 * DAY, None), Listened("agency", 30 * DAY, DAY)),
)
"""Corrected in time and too late, reopened, waived in time and in vain, moved by one person and
by two, late where it does not matter, early, with two accounts, open and overdue, open for
longer than a year, a second spell on one person's word, taken back, and still to come; called off
too late, a dismissal put off, one reported anew, two of whom nothing was left to take, one under
another policy; one source of HR is heard by its heartbeat alone.
"""


@pytest.fixture(scope="module")
async def played(postgres: EmbeddedPostgres, ring: Keyring) -> AsyncIterator[Stage]:
    """The story, as it happened to Lockstep without a mistake."""
    async with staged(postgres, ring) as stage:
        await stage.play(STORY)
        yield stage


async def test_without_a_mistake_everything_agrees(played: Stage):
    """The control: so it is the mistake that fails below. No lie is left out either."""
    told = await everything_agrees(played, EVERYTHING, identified=True)

    assert told == list(LIES)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.plant.__name__)
async def test_a_mistake_is_noticed(
    played: Stage,
    postgres: EmbeddedPostgres,
    ring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Mutant,
):
    """The check that is there for it fails, and names the figure."""
    says = f"^they disagree:\n{mutant.noticed}"
    mutant.plant(monkeypatch)
    if not mutant.is_written:
        with pytest.raises(AssertionError, match=says):
            await everything_agrees(played, EVERYTHING, identified=True)
        return
    async with staged(postgres, ring) as stage:
        await stage.play(STORY)
        with pytest.raises(AssertionError, match=says):
            await everything_agrees(stage, EVERYTHING, identified=True)

"""The pages of every subject; each is given what it shows, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from lockstep.web.console.cases.now import NowRoom
from lockstep.web.console.cases.page import CaseRoom
from lockstep.web.console.front import Front
from lockstep.web.console.intake.brake import BrakeRoom
from lockstep.web.console.intake.sheet import HrRoom
from lockstep.web.console.live import LiveRoom
from lockstep.web.console.packs.page import PacksRoom
from lockstep.web.console.people.access import AccessRoom
from lockstep.web.console.people.sign_in import SignIn
from lockstep.web.console.score.page import ScoreRoom
from lockstep.web.console.systems.page import SystemsRoom
from lockstep.web.console.systems.seats import SeatsRoom
from lockstep.web.console.systems.settings import SettingsRoom


@dataclass(frozen=True, slots=True)
class Console:
    """One room for each subject."""

    front: Front
    sign_in: SignIn
    now: NowRoom
    live: LiveRoom
    cases: CaseRoom
    hr: HrRoom
    brake: BrakeRoom
    systems: SystemsRoom
    packs: PacksRoom
    score: ScoreRoom
    seats: SeatsRoom
    access: AccessRoom
    settings: SettingsRoom

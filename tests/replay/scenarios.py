"""The scenarios whose histories are kept: together they reach every command of a case."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle

from lockstep.contracts import names, policies
from lockstep.contracts import payloads as p
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.outcomes import Outcome
from lockstep.domain.systems.faults import FaultCategory
from tests.workflows.doubles import Always, Doubles, Later, World

SYSTEMS = ("badge", "okta", "vpn")


@dataclass(frozen=True)
class Stage:
    """One running case and the one person who acts on it."""

    world: World
    handle: WorkflowHandle[Any, p.CaseResult]

    async def decide(self, system: str, kind: DecisionKind, **more: Any) -> None:
        asked = p.Decision(
            f"d-{system}-{kind}", kind, system, "operator-1", "recorded scenario", **more
        )
        await self.handle.execute_update(
            names.DECIDE, asked, id=f"d-{uuid.uuid4().hex[:8]}", result_type=p.DecisionResult
        )

    async def change(self, event_id: str) -> None:
        await self.handle.signal(names.TERMINATION_CHANGED, p.TerminationChanged(event_id))

    async def asked(self, system: str, times: int = 1) -> None:
        await self.world.until_asked(p.NeedsPersonInput, system, times)


def _nothing(_: datetime) -> None:
    """It begins."""


def _amid(cutoff: datetime) -> p.CaseSoFar:
    """One system is settled and was looked at, one waits for a person, one has been tried."""
    return p.CaseSoFar(
        [
            p.DoorSoFar("badge", round=1, waits=True),
            p.DoorSoFar("okta", 2, outcome=Outcome.REVOKED, settled_at=cutoff, guarded=1, looks=1),
            p.DoorSoFar("vpn", round=3, overdue=True),
        ]
    )


def _watched(cutoff: datetime) -> p.CaseSoFar:
    """Closed twice, and looked at once; the second look was missed."""
    doors = [
        p.DoorSoFar(name, 2, 2, Outcome.REVOKED, settled_at=cutoff, looks=4)
        for name in ("okta", "vpn")
    ]
    looked_at = cutoff + timedelta(milliseconds=1)
    return p.CaseSoFar(doors, 2, closed_at=cutoff, looked_at=looked_at)


async def _watch_only(_: Stage) -> None:
    """Nobody needs to act."""


@dataclass(frozen=True)
class Scenario:
    """A case as it is opened, what its doubles answer, and what people do meanwhile."""

    summary: str
    plans: tuple[p.SystemPlan, ...]
    ahead: timedelta = timedelta(0)
    watch_s: tuple[int, ...] = ()
    script: dict[str, Any] = field(default_factory=dict)
    act: Callable[[Stage], Awaitable[None]] = _watch_only
    so_far: Callable[[datetime], p.CaseSoFar | None] = _nothing
    """By the cutoff: of a case that is taken up again."""


def _plan(system: str, **changes: Any) -> p.SystemPlan:
    values = {
        "required": True,
        "manual": False,
        "warn_s": 1800,
        "due_s": 3600,
        "start_to_close_s": 60,
    }
    return p.SystemPlan(system, **{**values, **changes})


ALL = tuple(_plan(system) for system in SYSTEMS)
OKTA_VPN = (_plan("okta"), _plan("vpn"))


async def _move_twice(stage: Stage) -> None:
    await stage.world.until_asked(p.RehearseInput, "vpn")
    stage.world.cutoff += timedelta(seconds=1)
    await stage.change("e2")
    await stage.world.until_asked(p.BeginInput)
    stage.world.cutoff -= timedelta(milliseconds=500)
    await stage.change("e3")


async def _rescind(stage: Stage) -> None:
    await stage.world.until_asked(p.RehearseInput, "vpn")
    stage.world.rescinded = True
    await stage.change("e2")


async def _retry_then_attest(stage: Stage) -> None:
    await stage.asked("okta")
    await stage.decide("okta", DecisionKind.RETRY)
    await stage.asked("okta", times=2)
    await stage.decide(
        "okta", DecisionKind.ATTEST, second_person="operator-2", artefact_digest="ab" * 32
    )


async def _attest_while_retrying(stage: Stage) -> None:
    await stage.world.until_asked(p.RevokeInput, "okta", times=2)
    await stage.decide("okta", DecisionKind.ATTEST)


async def _settle_by_hand(stage: Stage) -> None:
    await stage.asked("badge")
    await stage.asked("vpn")
    until = stage.world.cutoff + timedelta(days=30)
    await stage.decide("badge", DecisionKind.WAIVE, until=until, second_person="operator-2")
    await stage.world.until_asked(p.CloseInput)
    await stage.decide("vpn", DecisionKind.ATTEST)


async def _search_again(stage: Stage) -> None:
    await stage.asked("okta")
    await stage.decide("okta", DecisionKind.RETRY)


async def _attest_unknown(stage: Stage) -> None:
    await stage.asked("okta")
    await stage.decide("okta", DecisionKind.ATTEST)


async def _mend_the_reopened(stage: Stage) -> None:
    await stage.world.until_asked(p.CloseInput)
    stage.world.steps["okta"] = [FaultCategory.MANAGED_ELSEWHERE]
    await stage.asked("okta")
    await stage.decide("okta", DecisionKind.RETRY)


async def _correct_while_at_work(stage: Stage) -> None:
    await stage.world.until_asked(p.RevokeInput, "okta", times=2)
    stage.world.corrected = [p.SystemTimes("okta", 60, 120), p.SystemTimes("vpn", 60, 120)]
    stage.world.priority = 1
    stage.world.partner = "partner-2"
    await stage.change("e2")
    await stage.world.until_asked(p.BeginInput)
    await stage.decide("okta", DecisionKind.ATTEST)


async def _rehire(stage: Stage) -> None:
    await stage.world.until_asked(p.WatchInput, "vpn")
    await stage.handle.signal(names.REHIRED, p.TerminationChanged("e2"))


async def _add_keys(stage: Stage) -> None:
    await stage.asked("okta")
    stage.world.again = ["okta"]
    await stage.change("e2")


async def _pick_in_the_watch(stage: Stage) -> None:
    for system in ("okta", "vpn"):
        await stage.world.until_asked(p.WatchInput, system, times=2)
    await asyncio.sleep(1)  # until the workflow has heard of what both have answered
    await stage.decide("vpn", DecisionKind.PICK, others=["a-1"])
    await stage.decide("okta", DecisionKind.PICK, accounts=["a-2"], others=["a-3"])


async def _answer_by_hand(stage: Stage) -> None:
    await stage.world.until_asked(p.RevokeInput, "vpn")
    await stage.decide("badge", DecisionKind.ATTEST)


async def _attest_late(stage: Stage) -> None:
    await stage.world.until_asked(p.RevokeInput, "okta", times=2)
    await asyncio.sleep(policies.FRESH.total_seconds() + 1)
    await stage.decide("vpn", DecisionKind.ATTEST)


async def _add_keys_late(stage: Stage) -> None:
    await stage.world.until_asked(p.CloseInput, times=3)
    await asyncio.sleep(1)  # until the workflow has heard that it is closed
    stage.world.look = ["okta"]
    await stage.change("e2")
    await stage.world.until_asked(p.WatchInput, "okta", times=2)


NOBODY = {"okta": [Outcome.NOT_FOUND], "vpn": [Outcome.NOT_FOUND]}
SCENARIOS = {
    "immediate": Scenario("begins at once, three systems, two looks", ALL, watch_s=(1, 2)),
    "moved": Scenario(
        "sleeps, rehearses, is moved later and earlier, begins",
        ALL,
        ahead=timedelta(seconds=2),
        act=_move_twice,
    ),
    "rescinded": Scenario(
        "is taken back before its cutoff", OKTA_VPN, ahead=timedelta(hours=1), act=_rescind
    ),
    "retried-and-attested": Scenario(
        "a permanent fault twice: retry, then attest",
        OKTA_VPN,
        script={
            "steps": {"okta": [FaultCategory.PERMISSION_MISSING, FaultCategory.PROTECTED_ACCOUNT]}
        },
        act=_retry_then_attest,
    ),
    "overdue": Scenario(
        "the vendor's retry time lies past the warning: people are told, the machine goes on",
        OKTA_VPN,
        script={"steps": {"okta": [Later(FaultCategory.RATE_LIMITED, timedelta(hours=2))]}},
    ),
    "attested-while-retrying": Scenario(
        "a decision cancels the retrying activity",
        OKTA_VPN,
        script={"steps": {"okta": [Always(FaultCategory.UNREACHABLE)]}},
        act=_attest_while_retrying,
    ),
    "by-hand": Scenario(
        "a manual system is waived, an optional one attested after closing",
        (_plan("badge", manual=True), _plan("okta"), _plan("vpn", required=False, manual=True)),
        act=_settle_by_hand,
    ),
    "unknown-then-found": Scenario(
        "nobody knew the person: a retry opens every system again",
        OKTA_VPN,
        script={"steps": NOBODY},
        act=_search_again,
    ),
    "unknown-and-attested": Scenario(
        "nobody knew the person: a person attests, the rest is watched",
        OKTA_VPN,
        watch_s=(1,),
        script={"steps": NOBODY},
        act=_attest_unknown,
    ),
    "returned": Scenario(
        "access returned: reopened, asked, retried, closed again; one look is blind",
        OKTA_VPN,
        watch_s=(1, 2),
        script={"returned": {"okta": {1}}, "blind": {"vpn": {2}}},
        act=_mend_the_reopened,
    ),
    "corrected": Scenario(
        "HR corrects kind and partner while revocation is under way",
        OKTA_VPN,
        script={"steps": {"okta": [Always(FaultCategory.UNREACHABLE)]}},
        act=_correct_while_at_work,
    ),
    "rehired": Scenario(
        "hired again amid the watch: one more look, and no other",
        OKTA_VPN,
        watch_s=(1, 600, 1200),
        act=_rehire,
    ),
    "guarded": Scenario(
        "watched while another system is open, revoked again, and read once more before closing",
        (_plan("okta"), _plan("vpn", manual=True)),
        watch_s=(1,),
        script={"returned": {"okta": {1}}},
        act=_attest_late,
    ),
    "new-keys": Scenario(
        "keys that were asked for have come: what waited for them is tried again by itself",
        OKTA_VPN,
        script={"steps": {"okta": [FaultCategory.UNKNOWN_WORKER]}},
        act=_add_keys,
    ),
    "close-refused": Scenario(
        "the database does not agree that it is done: one is tried again, then one is looked at;"
        " keys that come while it is watched are searched at once",
        OKTA_VPN,
        watch_s=(4,),
        script={
            "still_open": [[p.StillOpen("okta", 2)], [p.StillOpen("vpn", 1, unsearched=True)]],
        },
        act=_add_keys_late,
    ),
    "picked": Scenario(
        "accounts in doubt at the last look: the watch waits, one is picked, looked at and taken",
        OKTA_VPN,
        watch_s=(1, 2),
        script={"doubtful": {"okta": {2}, "vpn": {2}}, "returned": {"okta": {3}}},
        act=_pick_in_the_watch,
    ),
    "at-home": Scenario(
        "the first tries within the workflow task: one settles, one goes on in its queue",
        (_plan("badge", at_home=True), _plan("okta", at_home=True), _plan("vpn")),
        script={"steps": {"okta": [FaultCategory.VENDOR_ERROR]}},
    ),
    "taken-up": Scenario(
        "taken up again: what is settled stays so, who was asked answers, what was tried goes on",
        (_plan("badge", manual=True), *OKTA_VPN),
        ahead=timedelta(seconds=-30),
        watch_s=(1,),
        act=_answer_by_hand,
        so_far=_amid,
    ),
    "taken-up-closed": Scenario(
        "taken up again amid the watch: one look was had, of two missed ones the last is made",
        OKTA_VPN,
        ahead=timedelta(seconds=-30),
        watch_s=(0, 10, 20, 32),
        so_far=_watched,
    ),
    "at-home-asked": Scenario(
        "a first try at home that only a person can mend",
        (_plan("okta", at_home=True),),
        script={"steps": {"okta": [FaultCategory.PERMISSION_MISSING]}},
        act=_search_again,
    ),
}


async def play(name: str, client: Client, doubles: Doubles, queue: str) -> Any:
    """Run one scenario to its end and return its history."""
    scenario = SCENARIOS[name]
    case_id = f"c-{name}"
    cutoff = datetime.now(UTC) + scenario.ahead
    world = World(case_id, cutoff)
    for key, answers in scenario.script.items():
        if isinstance(answers, list):
            getattr(world, key).extend(answers)
        else:
            getattr(world, key).update({system: answers[system].copy() for system in answers})
    doubles.worlds[case_id] = world
    given = p.CaseInput(
        case_id,
        cutoff,
        scenario.ahead <= timedelta(0),
        list(scenario.plans),
        watch_s=list(scenario.watch_s),
        partner="partner-1",
        so_far=scenario.so_far(cutoff),
    )
    handle = await client.start_workflow(
        names.CASE_WORKFLOW, given, id=case_id, task_queue=queue, result_type=p.CaseResult
    )
    await scenario.act(Stage(world, handle))
    await handle.result()
    return await handle.fetch_history()

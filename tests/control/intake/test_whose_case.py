"""Whose case an event is about, from the inbox to the cases: sources and employments."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.control.intake.events import EventError, local_body, read_event, to_termination
from lockstep.control.intake.whose_case import WhoseCase
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.intake.numbering import LOCAL_SOURCE, Numbering
from lockstep.storage.cases.rows import PinnedPolicy, pin
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.intake.refused_events import RefusedEvents, Trouble
from tests.support.casework import TENANT, Casework

SOURCES = ("hr-a", "hr-b", "hr-c")
HOUR = timedelta(hours=1)


class Starter:
    """Notes which workflows would be started, woken and told of a rehiring."""

    def __init__(self) -> None:
        self.did: list[tuple[str, str]] = []

    async def start(self, case) -> None:
        self.did.append(("start", case.case_id))

    async def wake(self, case, event_id: str) -> None:
        self.did.append(("wake", case.case_id))

    async def end_watch(self, case, event_id: str) -> None:
        self.did.append(("end_watch", case.case_id))


class Intake:
    """Sources that send, and the dispatcher behind the inbox."""

    def __init__(self, work: Casework, policy: PinnedPolicy, sources=SOURCES) -> None:
        self.work = work
        self.starter = Starter()
        self.numbering = Numbering(tuple(sources), policy.policy.same_people)
        self.whose = WhoseCase(work.cases, work.inbox, self.numbering)
        brakes = Brakes(work.engine, work.ring, TENANT)
        self.dispatcher = Dispatcher(
            inbox=work.inbox,
            cases=work.cases,
            starter=self.starter,  # type: ignore[arg-type] # the methods that are called
            policy=policy,
            brake=Brake(brakes, work.ring, BrakeRule(per_hour=0, dismissals_per_hour=0)),
            sources=sources,
        )
        self._sent = 0

    async def send(self, source: str = "hr-a", *, dispatch: bool = True, **said) -> str:
        """Put an event into the inbox and carry it out; its state and verdict."""
        self._sent += 1
        key = f"evt_{self._sent}"
        document = event(**said)
        if source == LOCAL_SOURCE:
            numbered_by = said.get("numbered_by", "")
            body = local_body(
                read_event(document), actor="kim", reason="told", numbered_by=numbered_by
            )
        else:
            body = json.dumps(document).encode()
        await self.work.inbox.store(
            tenant=TENANT,
            source=source,
            dedupe_key=key,
            received_at=datetime.now(UTC),
            body=body,
            priority=4,
        )
        if dispatch:
            await self.drain()
        return await self.became(key)

    async def drain(self) -> None:
        while await self.dispatcher.drain_once():
            pass

    async def became(self, key: str) -> str:
        query = text("select state, verdict from inbox where dedupe_key = :k")
        async with self.work.engine.connect() as connection:
            row = (await connection.execute(query, {"k": key})).one()
        return f"{row.state} {row.verdict or ''}".strip()

    async def cases(self) -> list[tuple]:
        query = text(
            "select numbered_by, employment, status, revision from cases order by opened_at"
        )
        async with self.work.engine.connect() as connection:
            return [tuple(row) for row in await connection.execute(query)]

    async def close(self) -> None:
        """Every open case closes."""
        query = text("select case_id from cases where status = 'revoking'")
        async with self.work.engine.connect() as connection:
            ids = list(await connection.scalars(query))
        for case_id in ids:
            await self.work.close(case_id, 1)


def event(
    worker: str | dict[str, object] = "1005",
    *,
    ends: timedelta = timedelta(0),
    email: str = "a@example.com",
    **more: object,
) -> dict[str, object]:
    more.pop("numbered_by", None)
    now = datetime.now(UTC)
    return {
        "revision": 1,
        "recorded_at": now.isoformat(),
        "kind": "voluntary",
        "worker": worker if isinstance(worker, dict) else {"id": worker, "emails": [email]},
        "dates": {"zone": "Asia/Manila", "access_ends_at": (now + ends).isoformat()},
        **more,
    }


@pytest.fixture
async def intake(work) -> Intake:
    await work.adopt()
    return Intake(work, work.policy)


@pytest.fixture
async def sharing(work) -> Intake:
    """The first two sources number the same people."""
    policy = pin(replace(work.policy.policy, same_people=(("hr-a", "hr-b"),)))
    await work.adopt(policy)
    return Intake(work, policy)


async def test_one_number_of_two_sources_is_two_people(intake):
    """Neither opens, amends nor calls off the case of the other, whatever its revision."""
    assert await intake.send("hr-a", ends=HOUR) == "done open"
    assert await intake.send("hr-b", email="b@example.com") == "done open"
    assert await intake.send("hr-b", email="b@example.com", revision=7, action="rescinded") == (
        "done too_late"
    )
    assert await intake.send("hr-c", revision=9, action="rescinded") == "done tombstone"

    assert await intake.cases() == [
        ("hr-a", 1, "scheduled", 1),
        ("hr-b", 1, "revoking", 7),
        ("hr-c", 1, "rescinded", 9),
    ]


async def test_two_sources_in_one_batch_open_a_case_each(intake):
    """What is taken together is told apart too."""
    await intake.send("hr-a", dispatch=False)
    await intake.send("hr-b", dispatch=False)
    await intake.drain()

    assert [row[:3] for row in await intake.cases()] == [
        ("hr-a", 1, "revoking"),
        ("hr-b", 1, "revoking"),
    ]


async def test_sources_that_number_the_same_people_speak_of_one_case(sharing):
    """By policy; a third one does not, and a second spell is of the same person."""
    assert await sharing.send("hr-a", ends=HOUR) == "done open"
    assert await sharing.send("hr-b", ends=2 * HOUR, revision=2) == "done amend"
    assert await sharing.send("hr-c") == "done open"
    assert await sharing.send("hr-b", spell="2") == "done open"

    assert [row[0] for row in await sharing.cases()] == ["hr-a", "hr-c", "hr-a"]


async def test_a_report_by_hand_finds_whom_a_source_reported(intake):
    """The one under which the number is known; who is known under two must be named."""
    await intake.send("hr-b", ends=HOUR)
    assert await intake.send(LOCAL_SOURCE, ends=HOUR, action="rescinded") == "done rescind"
    await intake.send("hr-a", ends=HOUR)
    assert await intake.send(LOCAL_SOURCE, ends=2 * HOUR, action="amended") == "refused"
    named = {"ends": 2 * HOUR, "action": "amended", "numbered_by": "hr-a"}
    assert await intake.send(LOCAL_SOURCE, **named) == "done amend"

    assert await intake.cases() == [("hr-b", 1, "rescinded", 1), ("hr-a", 1, "scheduled", 1)]


def said_by_hand(worker: str = "1005"):
    read = read_event(event(worker))
    return to_termination(read, tenant=TENANT, source=LOCAL_SOURCE, event_id="")


async def test_whom_nobody_knows_must_be_said_to_be_somebodys(intake):
    """The sources are named; the only one need not be."""
    with pytest.raises(EventError, match="hr-a, hr-b, hr-c"):
        await intake.whose.number(said_by_hand())
    with pytest.raises(EventError, match="none named so"):
        await intake.whose.number(said_by_hand(), "hr-x")
    assert (await intake.whose.number(said_by_hand(), "hr-c")).numbered_by == "hr-c"
    assert (await intake.whose.number(said_by_hand(), LOCAL_SOURCE)).numbered_by == LOCAL_SOURCE
    alone = WhoseCase(intake.work.cases, intake.work.inbox, Numbering(("hr-a",)))
    assert (await alone.number(said_by_hand())).numbered_by == "hr-a"
    nobody = WhoseCase(intake.work.cases, intake.work.inbox, Numbering())
    assert (await nobody.number(said_by_hand())).numbered_by == LOCAL_SOURCE


async def test_the_only_source_finds_whom_somebody_reported_by_hand(work):
    """Whose else could they be; with a second source nobody could tell."""
    await work.adopt()
    before = Intake(work, work.policy, sources=())
    await before.send(LOCAL_SOURCE, ends=HOUR)
    alone = Intake(work, work.policy, sources=("hr-a",))
    alone._sent = 100

    assert await alone.send("hr-a", ends=HOUR, revision=2, action="rescinded") == "done rescind"
    assert await alone.cases() == [(LOCAL_SOURCE, 1, "rescinded", 2)]


async def test_a_revision_that_says_another_thing_is_kept_for_people(intake):
    """Equal and with another content it is a conflict; with the same it is a repetition."""
    ends = {"zone": "UTC", "last_working_day": datetime.now(UTC).date().isoformat()}
    assert await intake.send(dates=ends, revision=2) == "done open"
    assert await intake.send(dates=ends, revision=2) == "done duplicate"
    assert await intake.send(dates=ends, revision=2, kind="involuntary") == "refused conflict"
    assert await intake.send(dates=ends, revision=2, action="rescinded") == "refused conflict"
    assert await intake.send(dates=ends, revision=1, kind="involuntary") == "done outdated"

    assert [row[2:] for row in await intake.cases()] in ([("revoking", 2)], [("scheduled", 2)])


async def test_a_conflict_with_what_came_in_the_same_batch_is_seen(intake):
    """Two first statements that contradict each other: one opens, the other is kept."""
    await intake.send(dispatch=False)
    await intake.send(dispatch=False, kind="contract_end")
    await intake.drain()

    assert sorted([await intake.became("evt_1"), await intake.became("evt_2")]) == [
        "done open",
        "refused conflict",
    ]


async def test_repeating_hr_after_a_person_moved_the_dates_is_a_repetition(intake):
    """A person's word stands beside HR's revision; what HR said by it is still known."""
    ends = {"zone": "UTC", "access_ends_at": (datetime.now(UTC) + HOUR).isoformat()}
    await intake.send(dates=ends)
    named = {"ends": 2 * HOUR, "action": "amended", "numbered_by": "hr-a"}
    assert await intake.send(LOCAL_SOURCE, **named) == "done amend"
    assert await intake.send(dates=ends) == "done duplicate"


async def test_a_second_termination_needs_another_employment(intake):
    """Without one it is refused and seen, by revision 1 as by any other; with one a case opens."""
    await intake.send()
    await intake.close()
    assert await intake.send() == "refused closed"
    assert await intake.send(revision=2) == "refused closed"
    assert await intake.send(hired_at="2020-01-01") == "refused closed"
    today = datetime.now(UTC).date() + timedelta(days=1)
    assert await intake.send(hired_at=today.isoformat()) == "done open"
    assert await intake.send(spell="2") == "done open"

    assert [row[:2] for row in await intake.cases()] == [("hr-a", 1), ("hr-a", 2), ("hr-a", 1)]


async def test_an_amendment_is_of_the_employment_that_it_names(intake):
    """The second moves while it waits; what is said of the first does not touch it."""
    await intake.send()
    await intake.close()
    hired = (datetime.now(UTC)).isoformat()
    assert await intake.send(hired_at=hired, ends=HOUR) == "done open"
    assert await intake.send(hired_at=hired, ends=2 * HOUR, revision=2, action="amended") == (
        "done amend"
    )
    assert await intake.send(hired_at="2020-01-01", revision=9, action="amended") == "done amend"

    assert [row[1:] for row in await intake.cases()] == [(1, "closed", 9), (2, "scheduled", 2)]


async def test_a_rehiring_ends_the_watch_of_its_own_source(intake):
    """Once for any number of times; nobody else's, nor before they have left."""
    assert await intake.send(revision=2, action="rehired") == "refused nobody"
    await intake.send(ends=HOUR, spell="later")
    assert await intake.send(spell="later", revision=2, action="rehired") == "refused not_left"
    await intake.send()
    assert await intake.send(revision=2, action="rehired") == "refused still_open"
    await intake.close()
    assert await intake.send("hr-b", revision=2, action="rehired") == "refused nobody"
    intake.starter.did.clear()
    assert await intake.send(revision=2, action="rehired") == "done rehired"
    assert await intake.send(revision=2, action="rehired") in {
        "done duplicate",
        "refused conflict",  # its dates are another instant
    }
    assert await intake.send(revision=3, action="rehired") == "done rehired"

    assert [did for did, _ in intake.starter.did].count("end_watch") >= 2
    assert {did for did, _ in intake.starter.did} == {"end_watch"}
    assert await intake.send(revision=4) == "done open"  # and now they leave again


async def test_an_old_termination_takes_nothing_from_who_was_rehired(intake):
    """It came late, and a later revision had been heard before it."""
    await intake.send(revision=2)
    await intake.close()
    await intake.send(revision=3, action="rehired")

    assert await intake.send(revision=1, ends=30 * 24 * HOUR) == "done outdated"
    assert len(await intake.cases()) == 1


async def test_what_is_known_of_erased_people_is_not_guessed(intake, work):
    """The body that a revision had is destroyed: nothing says that this one differs."""
    await intake.send()
    async with work.engine.begin() as connection:
        await connection.execute(text("update inbox set body = ''"))

    assert await intake.send(kind="contract_end") == "done duplicate"


@pytest.mark.parametrize(
    ("watch", "told"), [((), 1), ((timedelta(hours=1),), 0)], ids=["after it", "during it"]
)
async def test_keys_after_the_last_look_are_told(work, watch, told):
    """Nobody searches by them any more, so people hear of it; while looks go on, they are used."""
    policy = pin(replace(work.policy.policy, watch=watch))
    await work.cases.adopt(policy, TENANT)
    intake = Intake(work, policy)
    left = {"zone": "Asia/Manila", "access_ends_at": datetime.now(UTC).isoformat()}
    await intake.send(dates=left)
    await intake.close()
    same = {"id": "1005", "emails": ["a@example.com"]}
    assert await intake.send(revision=2, worker=same, dates=left) == "done amend"
    assert await RefusedEvents(work.engine).newest() == []

    more = {"id": "1005", "emails": ["a@example.com", "b@example.com"]}
    assert await intake.send(revision=3, worker=more, dates=left) == "done amend"

    found = await RefusedEvents(work.engine).newest()
    assert [one.trouble for one in found] == [Trouble.IN_PART] * told
    assert all("after the last look" in one.why for one in found)

"""The hook tells a sender at once what will not be carried out, and keeps it for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.intake.brake import Brake
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.storage.intake.brakes import Brakes
from tests.support.casework import TENANT, Casework
from tests.web.conftest import Hook, event, signed

NOW = datetime.now(UTC)


class Starter:
    """No workflow is needed here."""

    async def start(self, case) -> None: ...

    async def wake(self, case, event_id: str) -> None: ...

    async def end_watch(self, case, event_id: str) -> None: ...


class Sender:
    """An HR system, and the worker behind the inbox."""

    def __init__(self, hook: Hook, work: Casework) -> None:
        self.hook = hook
        self.work = work
        brakes = Brakes(work.engine, work.ring, TENANT)
        self.dispatcher = Dispatcher(
            inbox=work.inbox,
            cases=work.cases,
            starter=Starter(),  # type: ignore[arg-type] # the methods that are called
            policy=work.policy,
            brake=Brake(brakes, work.ring, BrakeRule(per_hour=0, dismissals_per_hour=0)),
            sources=("hr", "hr-b"),
        )

    async def send(
        self, event_id: str, *, source: str = "hr", ends: datetime = NOW, **said
    ) -> tuple[int, str]:
        """Deliver an event and carry out what was taken; status and word of the answer."""
        dates = {"zone": "Asia/Manila", "access_ends_at": ends.isoformat()}
        raw = json.dumps(event(dates=dates, **said)).encode()
        answer = await self.hook.deliver(raw, signed(raw, event_id=event_id), source=source)
        while await self.dispatcher.drain_once():
            pass
        body = answer.json()
        return answer.status_code, body.get("error") or body["status"]

    async def close(self) -> None:
        async with self.work.engine.connect() as connection:
            ids = await connection.exec_driver_sql("select case_id from cases")
            for (case_id,) in ids.all():
                await self.work.close(case_id, 1)


@pytest.fixture
async def sender(hook: Hook, engine, ring) -> Sender:
    work = Casework(engine, ring)
    await work.adopt()
    return Sender(hook, work)


async def test_one_id_for_two_people_is_refused_and_kept(sender: Sender):
    """The second is not lost with a 200; told again, it is kept once; the first goes on."""
    other = {"worker": {"id": "W-B", "emails": ["b@example.com"]}}
    assert await sender.send("msg-7") == (202, "accepted")
    assert await sender.send("msg-7", **other) == (409, "webhook_id_was_used")
    assert await sender.send("msg-7", **other) == (409, "webhook_id_was_used")

    assert await sender.send("msg-7") == (200, "duplicate")
    assert await sender.hook.counts() == {"done": 1, "refused": 1}
    assert await sender.send("msg-8", **other) == (202, "accepted")
    assert await sender.work.count("cases") == 2


async def test_one_id_for_two_people_at_once_is_refused_too(sender: Sender):
    """Before anybody has looked at the first."""
    for worker, status in (("W-A", 202), ("W-B", 409)):
        raw = json.dumps(event(worker={"id": worker, "emails": ["a@example.com"]})).encode()
        assert (await sender.hook.deliver(raw)).status_code == status
    assert await sender.hook.counts() == {"pending": 1, "refused": 1}


async def test_two_sources_may_use_one_id_and_one_number(sender: Sender):
    """They know nothing of each other."""
    assert await sender.send("msg-1") == (202, "accepted")
    assert await sender.send("msg-1", source="hr-b", kind="contract_end") == (202, "accepted")
    assert await sender.work.count("cases") == 2


async def test_revisions_that_contradict_or_come_late_are_told(sender: Sender):
    """A conflict, a superseded one, and a repetition under a new id."""
    assert await sender.send("e-2", revision=2) == (202, "accepted")
    assert await sender.send("e-3", revision=2, kind="contract_end") == (409, "conflict")
    assert await sender.send("e-3", revision=2, kind="contract_end") == (409, "conflict")
    assert await sender.send("e-1", revision=1, kind="contract_end") == (202, "superseded")
    assert await sender.send("e-1", revision=1, kind="contract_end") == (200, "superseded")
    assert await sender.send("e-4", revision=2) == (202, "accepted")
    assert await sender.send("e-5", revision=3, action="rescinded") == (202, "too_late")
    assert await sender.hook.counts() == {"done": 4, "refused": 1}


async def test_what_was_refused_is_taken_once_it_fits(sender: Sender):
    """Corrected under the old id, as after any other refusal."""
    await sender.send("e-1")
    assert (await sender.send("e-2", kind="contract_end"))[0] == 409
    assert await sender.send("e-2", kind="contract_end", revision=2) == (202, "accepted")
    assert await sender.hook.counts() == {"done": 2}


async def test_what_is_found_to_contradict_only_later_is_told_when_asked(sender: Sender):
    """Two that cross are both stored; delivering the loser again says what became of it."""
    first = json.dumps(event()).encode()
    second = json.dumps(event(kind="contract_end")).encode()
    for event_id, raw in (("e-1", first), ("e-2", second)):
        answer = await sender.hook.deliver(raw, signed(raw, event_id=event_id))
        assert answer.status_code == 202
    while await sender.dispatcher.drain_once():
        pass
    assert await sender.hook.counts() == {"done": 1, "refused": 1}
    again = [
        (await sender.hook.deliver(raw, signed(raw, event_id=name))).status_code
        for name, raw in (("e-1", first), ("e-2", second))
    ]
    assert again == [200, 409]


async def test_a_second_termination_is_never_taken_for_nothing(sender: Sender):
    """Refused with what to do; with another beginning it opens a case."""
    await sender.send("e-1")
    await sender.close()
    later = NOW + timedelta(days=30)
    assert await sender.send("e-2", ends=later) == (409, "closed")
    assert await sender.send("e-3", ends=later, revision=5) == (409, "closed")
    hired = (NOW + timedelta(days=2)).date().isoformat()
    assert await sender.send("e-4", ends=later, hired_at=hired) == (202, "accepted")
    assert await sender.work.count("cases") == 2


async def test_a_rehiring_is_answered_for_what_it_is(sender: Sender):
    """Taken for a closed case; refused for nobody and for who has not left."""
    assert await sender.send("e-0", action="rehired") == (409, "nobody")
    await sender.send("e-1", ends=NOW + timedelta(days=1))
    assert await sender.send("e-2", revision=2, action="rehired") == (409, "not_left")
    await sender.close()
    assert await sender.send("e-3", revision=2, action="rehired") == (202, "accepted")
    assert await sender.send("e-3", revision=2, action="rehired") == (200, "duplicate")


async def test_the_older_names_of_the_headers_are_accepted(sender: Sender):
    """All three together; a mixture of two families is not signed."""
    raw = json.dumps(event()).encode()
    good = signed(raw, event_id="msg_1")
    older = {name.replace("webhook-", "svix-"): value for name, value in good.items()}
    mixed = {**older, "webhook-id": "msg_1"}

    assert (await sender.hook.deliver(raw, mixed)).status_code == 401
    assert (await sender.hook.deliver(raw, older)).status_code == 202
    assert (await sender.hook.deliver(raw, good)).status_code == 200

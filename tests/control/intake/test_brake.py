"""The brake: a mass waits, what is urgent passes, and only an approver lets go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, text

from lockstep.control.intake.brake import Approver, Brake, BrakeDesk
from lockstep.control.intake.dispatch import Dispatcher
from lockstep.control.intake.events import TerminationEvent, local_body
from lockstep.control.people.one_person import OnePerson
from lockstep.control.people.pairs import Pairs
from lockstep.control.refusals import RefusedError
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.intake.brakes import BrakeRule, BrakeState
from lockstep.domain.intake.numbering import LOCAL_SOURCE
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.storage.cases.keys import key_indexes
from lockstep.storage.intake.brake_rows import Decided
from lockstep.storage.intake.brakes import Brakes
from lockstep.storage.intake.inbox import Disposition
from lockstep.storage.intake.refused_events import RefusedEvents
from lockstep.storage.records import CaseRow
from lockstep.storage.tables.intake import inbox
from tests.support.casework import TENANT, Casework

RULE = BrakeRule(per_hour=3, dismissals_per_hour=2)
APPROVER = Approver("uaaaabbbbcccc", "Ana Approver")
RELEASED, REFUSED = BrakeState.RELEASED, BrakeState.REFUSED


@dataclass
class Starter:
    """Stands for the starting of workflows: says which cases were started or woken."""

    started: list[str] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)

    async def start(self, case: CaseRow) -> None:
        self.started.append(case.case_id)

    async def wake(self, case: CaseRow, event_id: str) -> None:
        self.woken.append(case.case_id)


class Hall:
    """An inbox with its dispatcher and brake, on a real database."""

    def __init__(self, work: Casework, rule: BrakeRule = RULE) -> None:
        self.work = work
        self.brakes = Brakes(work.engine, work.ring, TENANT)
        self.desk = BrakeDesk(
            self.brakes,
            work.stores.log,
            tenant=TENANT,
            pairs=Pairs(),
            one_person=OnePerson(work.stores.identities, work.stores.users),
        )
        self.starter = Starter()
        self.rule = rule
        self.apart: dict[str, set[str]] = {}
        self.dispatcher = self.another_worker()

    def another_worker(self) -> Dispatcher:
        return Dispatcher(
            inbox=self.work.inbox,
            cases=self.work.cases,
            starter=self.starter,  # type: ignore[arg-type] # the two methods that are called
            policy=self.work.policy,
            brake=Brake(self.brakes, self.work.ring, self.rule, self.apart),
        )

    async def send(
        self, worker: str, *, source: str = "hr", actor: str = "", reporter: str = "", **said
    ) -> str:
        """Put an event into the inbox; return its key."""
        event = event_of(worker, **said)
        key = f"{worker}-{event.revision}-{event.action.value}"
        body = event.model_dump_json().encode()
        if source == LOCAL_SOURCE:
            body = local_body(event, actor=actor, reason="told by phone")
        assert await self.work.inbox.store(
            tenant=TENANT,
            source=source,
            dedupe_key=key,
            received_at=datetime.now(UTC),
            body=body,
            priority=event.kind.priority,
            reporter=reporter,
        )
        return key

    async def mass(self, number: int, **said) -> list[str]:
        return [await self.send(f"W-{i:05}", **said) for i in range(number)]

    async def dispatch(self) -> None:
        while await self.dispatcher.drain_once():
            pass

    async def states(self) -> dict[str, int]:
        return await self.work.inbox.counts()

    async def state(self, key: str) -> str:
        return str((await self.ask("select state from inbox where dedupe_key = :k", k=key))[0][0])

    async def ask(self, query: str, **given) -> Sequence:
        async with self.work.engine.connect() as connection:
            return (await connection.execute(text(query), given)).all()

    async def entries(self, kind: str) -> list[dict]:
        rows = await self.ask(
            "select convert_from(body, 'UTF8')::jsonb from ledger_entries"
            " where kind = :kind order by id",
            kind=kind,
        )
        return [row[0] for row in rows]

    async def the_brake(self, who: Approver = APPROVER):
        [view] = await self.desk.standing(who)
        return view

    async def ids(self, view, who: Approver = APPROVER) -> list[int]:
        return [row.inbox_id for row in await self.desk.held(view.brake_id, who)]


def event_of(worker_id: str, **said) -> TerminationEvent:
    now = datetime.now(UTC)
    document = {
        "revision": 1,
        "recorded_at": now,
        "kind": "voluntary",
        "worker": {
            "id": worker_id,
            "name": f"Leaver {worker_id}",
            "emails": [f"{worker_id}@example.com"],
        },
        "dates": {"zone": "UTC", "access_ends_at": now + timedelta(days=3)},
        "partner": "northwind",
        **said,
    }
    return TerminationEvent.model_validate(document)


@pytest.fixture
async def hall(engine, ring) -> Hall:
    work = Casework(engine, ring)
    await work.adopt()
    return Hall(work)


async def test_a_mass_waits_and_a_dismissal_passes(hall):
    """A mistaken import is stopped; a real dismissal of the same source is not."""
    await hall.mass(10)
    await hall.dispatch()
    dismissed = await hall.send("W-bad", kind="involuntary")
    await hall.dispatch()

    assert await hall.states() == {"done": 4, "held": 7}
    assert await hall.state(dismissed) == "done"
    view = await hall.the_brake()
    assert (view.source, view.count, view.limit) == ("hr", 7, (4, 3))
    [entry] = await hall.entries("brake:set")
    assert entry["data"] == {"brake": view.brake_id, "source": "hr", "observed": 4, "allowed": 3}


async def test_a_mass_of_dismissals_waits_too(hall):
    """Their own limit ends somewhere, and another source is not held for it."""
    await hall.mass(5, kind="involuntary")
    await hall.dispatch()
    other = await hall.send("W-other", source="hr-two")
    await hall.dispatch()

    assert await hall.states() == {"done": 3, "held": 3}
    assert await hall.state(other) == "done"


async def test_what_changes_a_known_case_passes(hall):
    """Amendments and rescissions are not terminations."""
    await hall.mass(10)
    await hall.dispatch()
    known = (await hall.ask("select dedupe_key from inbox where state = 'done'"))[0][0]
    worker = known.split("-1-")[0]
    amended = await hall.send(worker, revision=2, action="amended")
    rescinded = await hall.send(worker, revision=3, action="rescinded")
    await hall.dispatch()

    assert [await hall.state(key) for key in (amended, rescinded)] == ["done", "done"]


async def test_resignations_that_become_dismissals_count_as_these(hall):
    """A mass of corrections waits like a mass of dismissals, also when they come one by one."""
    keys = await hall.mass(3)
    await hall.dispatch()
    turned = []
    for key in keys:
        worker = key.split("-1-")[0]
        again = await hall.send(worker, revision=2, action="amended", kind="involuntary")
        await hall.dispatch()
        turned.append(await hall.state(again))

    assert turned == ["done", "done", "held"]
    view = await hall.the_brake()
    await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="all true")
    await hall.dispatch()
    kinds = await hall.ask("select distinct kind from cases")
    assert [row[0] for row in kinds] == ["involuntary"]


async def test_a_rescission_of_what_is_held_is_not_lost(hall):
    """HR takes back what still waits: released later, it opens nothing."""
    keys = await hall.mass(4)
    await hall.dispatch()
    held = keys[-1].split("-1-")[0]
    await hall.send(held, revision=2, action="rescinded")
    await hall.dispatch()
    view = await hall.the_brake()
    await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="all true")
    await hall.dispatch()

    rows = await hall.ask("select verdict from inbox where dedupe_key = :k", k=keys[-1])
    assert rows[0][0] == "outdated"
    assert await hall.ask("select 1 from cases where status <> 'rescinded' offset 3") == []


async def test_our_own_people_are_held_only_in_a_mass(hall):
    """Single reports pass below the limit of dismissals, a file of thousands does not."""
    for number in range(6):
        await hall.send(f"W-{number}", source=LOCAL_SOURCE, actor="os:kim")
    await hall.dispatch()

    assert await hall.states() == {"done": 3, "held": 3}


@pytest.mark.parametrize(("kind", "most"), [("voluntary", 3), ("involuntary", 2)])
async def test_one_partners_flood_holds_that_partners_leavers_only(hall, kind, most):
    """Where a source speaks for several, and the settings name them."""
    hall.apart["hr"] = {"northwind", "contoso"}
    hall.dispatcher = hall.another_worker()
    await hall.mass(6, partner="northwind", kind=kind)
    await hall.dispatch()
    others = [await hall.send(f"C-{number}", partner="contoso", kind=kind) for number in range(2)]
    others.append(await hall.send("S-1", partner="southgate", kind=kind))
    hall.dispatcher = hall.another_worker()
    await hall.dispatch()

    assert [await hall.state(key) for key in others] == ["done"] * 3
    assert await hall.states() == {"done": most + 3, "held": 6 - most}
    view = await hall.the_brake()
    assert (view.source, view.channel.partner) == ("hr", "northwind")
    [entry] = await hall.entries("brake:set")
    assert (entry["data"]["source"], entry["data"]["partner"]) == ("hr", "northwind")


async def test_partners_that_the_settings_do_not_name_are_counted_together(hall):
    """Else whoever has the source's secret would make room by a new name for each leaver."""
    hall.apart["hr"] = {"northwind", "contoso"}
    hall.dispatcher = hall.another_worker()
    for number in range(6):
        await hall.send(f"W-{number}", partner=f"partner {number}")
    await hall.dispatch()

    assert await hall.states() == {"done": 3, "held": 3}


async def test_single_reports_pass_a_brake_that_a_mass_has_left_on(hall):
    """An hour later, before anybody has decided: the mass waits on, a few more do not."""
    for number in range(6):
        await hall.send(f"W-{number}", source=LOCAL_SOURCE, actor="os:kim")
    await hall.dispatch()
    before = text("update cases set opened_at = opened_at - interval '2 hours'")
    async with hall.work.engine.begin() as connection:
        await connection.execute(before)
    hall.dispatcher = hall.another_worker()
    for number in range(6, 9):
        await hall.send(f"W-{number}", source=LOCAL_SOURCE, actor="os:kim")
    await hall.dispatch()

    assert await hall.states() == {"done": 3 + 2, "held": 3 + 1}


async def test_released_events_open_cases_and_are_not_held_again(hall):
    """A release is the approver's word: what was held opens at once, and the count begins anew."""
    await hall.mass(10)
    await hall.dispatch()
    view = await hall.the_brake()
    events = await hall.desk.decide(
        view.brake_id, RELEASED, APPROVER, reason="the site closes", up_to=view.newest
    )
    await hall.dispatch()
    later = await hall.send("W-later")
    await hall.dispatch()

    assert (events.events, events.asked) == (7, 0)
    assert await hall.states() == {"done": 11}
    assert await hall.state(later) == "done"
    assert await hall.desk.standing(APPROVER) == []
    [entry] = await hall.entries("brake:decided")
    assert entry["data"] == {
        "brake": view.brake_id,
        "source": "hr",
        "decision": "released",
        "events": 7,
    }
    assert entry["actor"] == {"type": "person", "ref": "uaaaabbbbcccc"}
    assert "site closes" not in str(entry)
    [said] = await hall.desk.decided(APPROVER)
    assert (said.name, said.reason, said.events) == ("Ana Approver", "the site closes", 7)


async def test_a_hold_stops_no_clock(hall):
    """Cutoff and hearing of a released leaver are those of the report, however long it was held."""
    await hall.mass(10)
    await hall.dispatch()
    view = await hall.the_brake()
    await hall.desk.decide(
        view.brake_id, RELEASED, APPROVER, reason="the site closes", up_to=view.newest
    )
    released = (await hall.ask("select now()"))[0][0]
    await hall.dispatch()
    rows = await hall.ask(
        "select c.received_at, i.received_at, c.cutoff_at, i.brake_id from cases c"
        " join inbox i on i.case_id = c.case_id"
    )

    assert len(rows) == 10
    assert all(heard <= released for heard, *_ in rows)
    assert all(abs((heard - sent).total_seconds()) < 0.001 for heard, sent, *_ in rows)
    ahead = [cutoff - sent for _, sent, cutoff, _ in rows]
    assert max(ahead) - min(ahead) < timedelta(seconds=1)


async def test_refused_events_say_why_and_open_nothing(hall):
    """HR sees the reason; the same event sent again comes before the brake again."""
    keys = await hall.mass(10)
    await hall.dispatch()
    view = await hall.the_brake()
    await hall.desk.decide(view.brake_id, REFUSED, APPROVER, reason="test data")
    await hall.dispatch()

    assert await hall.states() == {"done": 3, "refused": 7}
    [row] = await hall.ask("select error from inbox where dedupe_key = :k", k=keys[-1])
    assert row[0] == "refused at the brake: test data"
    await hall.send(keys[-1].split("-1-")[0])
    await hall.dispatch()
    assert await hall.state(keys[-1]) == "held", "the hour's limit is used up"


async def test_what_is_refused_after_its_release_is_told_and_the_approvers_word_is_not(hall):
    """Whoever refused at the brake knows; of what was let go, and then refused, nobody did."""
    keys = await hall.mass(6)
    await hall.dispatch()
    view = await hall.the_brake()
    held = await hall.desk.held(view.brake_id, APPROVER)
    [one, *others] = [row.inbox_id for row in held]
    await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="true", chosen=[one])
    await hall.desk.decide(view.brake_id, REFUSED, APPROVER, reason="test data", chosen=others)
    await hall.work.inbox.finish(
        [Disposition(one, "refused", verdict="conflict", error="the revision is known")]
    )
    assert await hall.states() == {"done": 3, "refused": 3}

    told = await RefusedEvents(hall.work.engine).read(EVERYTHING, limit=10)
    assert told.total == 1
    assert [(row.id, row.verdict) for row in told.newest] == [(one, "conflict")]
    assert told.newest[0].event_id in keys


async def test_chosen_events_are_released_and_the_rest_waits(hall):
    """A brake is on until everything is decided."""
    await hall.mass(6)
    await hall.dispatch()
    view = await hall.the_brake()
    first, *rest = await hall.ids(view)
    done = await hall.desk.decide(
        view.brake_id, RELEASED, APPROVER, reason="this one is true", chosen=[first]
    )
    assert done.events == 1
    await hall.dispatch()

    assert await hall.states() == {"done": 4, "held": 2}
    assert await hall.ids(await hall.the_brake()) == rest
    await hall.desk.decide(view.brake_id, REFUSED, APPROVER, reason="these not", chosen=rest)
    assert await hall.desk.standing(APPROVER) == []
    assert (await hall.ask("select state from brakes"))[0][0] == "refused"
    assert [row.decision for row in await hall.desk.decided(APPROVER)] == ["refused", "released"]


async def test_nobody_decides_about_what_they_have_not_seen(hall):
    """What came after the page was made waits for another look."""
    await hall.mass(5)
    await hall.dispatch()
    view = await hall.the_brake()
    await hall.send("W-late")
    await hall.dispatch()
    await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="these two", up_to=view.newest)

    assert (await hall.the_brake()).count == 1


async def test_of_two_approvers_one_wins_and_the_other_is_told(hall):
    """The same events are not both released and refused."""
    await hall.mass(8)
    await hall.dispatch()
    view = await hall.the_brake()
    other = Approver("uother", "Otto Other")
    answers = await asyncio.gather(
        hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="yes"),
        hall.desk.decide(view.brake_id, REFUSED, other, reason="no"),
        return_exceptions=True,
    )

    assert {type(answer) for answer in answers} == {Decided, RefusedError}
    assert len(await hall.entries("brake:decided")) == 1


async def test_nobody_decides_about_their_own_reports(hall):
    """Who reported an event is not its second person, whatever they call themselves; on record."""
    for number in range(6):
        await hall.send(
            f"W-{number}",
            source=LOCAL_SOURCE,
            actor="Ana Former-Name (uzzzzzzzzzzzz)",
            reporter="uaaaabbbbcccc",
        )
    await hall.dispatch()
    view = await hall.the_brake()
    with pytest.raises(RefusedError, match="you have reported"):
        await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="I need it")

    [denied] = await hall.entries("access:denied")
    assert denied["data"] == {"act": "brake.release", "user": "uaaaabbbbcccc", "why": "own_events"}
    assert await hall.states() == {"done": 3, "held": 3}


async def test_nobody_releases_what_no_brake_of_theirs_holds(hall):
    """Also where a brake counts for everybody, as those of earlier releases: each event tells."""
    for number in range(6):
        await hall.send(f"W-{number}", source=LOCAL_SOURCE, actor="uaaaabbbbcccc")
    await hall.dispatch()
    view = await hall.the_brake()
    with pytest.raises(RefusedError, match="you have reported"):
        await hall.desk.decide(view.brake_id, RELEASED, APPROVER, reason="I need it")

    assert await hall.states() == {"done": 3, "held": 3}


async def test_what_is_out_of_scope_is_not_there(hall):
    """Partner, secret and one's own person: not counted, not listed, not decided."""
    await hall.mass(4)
    for number in range(2):
        await hall.send(f"W-south-{number}", partner="southgate")
    for number in range(3):
        await hall.send(f"W-sealed-{number}", kind="involuntary")
    await hall.dispatch()
    own = key_indexes(hall.work.ring, TENANT, [Key(KeyKind.WORKER_ID, "W-south-0")])
    south = Approver("u1", "S", Scope(frozenset({"southgate"})))
    north = Approver("u2", "N", Scope(frozenset({"northwind"})))
    all_but_sealed = Approver("u3", "A", Scope(None))
    myself = Approver("u4", "M", Scope(None, sealed=True, own_keys=own))

    counts = {
        who.user_id: (await hall.the_brake(who)).count
        for who in (south, north, all_but_sealed, myself, APPROVER)
    }
    assert counts == {"u1": 2, "u2": 1, "u3": 3, "u4": 3, "uaaaabbbbcccc": 4}
    view = await hall.the_brake(south)
    assert view.limit is None
    sealed = set(await hall.ids(view)) - set(await hall.ids(view, all_but_sealed))
    assert len(sealed) == 1
    with pytest.raises(RefusedError):
        await hall.desk.decide(
            view.brake_id, RELEASED, all_but_sealed, reason="guessed", chosen=sealed
        )
    assert (await hall.desk.decide(view.brake_id, RELEASED, south, reason="ours")).events == 2
    assert await hall.desk.standing(south) == []
    assert (await hall.the_brake()).count == 2
    assert await hall.desk.decided(south) == []


async def test_a_brake_of_dismissals_shows_nothing_to_whoever_may_not_know(hall):
    """Neither the brake nor its figures, while the cutoffs are to come."""
    await hall.mass(9, kind="involuntary")
    await hall.dispatch()

    assert await hall.desk.standing(Approver("u3", "A", Scope(None))) == []
    view = await hall.the_brake()
    assert (view.count, view.limit) == (7, (3, 2))
    await hall.desk.decide(view.brake_id, REFUSED, APPROVER, reason="wrong file")
    assert await hall.desk.decided(Approver("u3", "A", Scope(None))) == []


async def test_two_workers_set_one_brake(hall):
    """The database decides which; both hold under the same one."""
    await hall.mass(40)
    workers = [hall.dispatcher, hall.another_worker(), hall.another_worker()]
    await asyncio.gather(*(drain(worker) for worker in workers))

    assert len(await hall.ask("select 1 from brakes")) == 1
    states = await hall.states()
    assert sum(states.values()) == 40
    assert states["done"] <= hall.rule.per_hour + 10 * len(workers)


async def drain(worker: Dispatcher) -> None:
    while await worker.drain_once():
        pass


async def test_five_thousand_are_held_within_seconds(hall):
    """Holding is cheap, and so is letting go of all of them."""
    began = time.monotonic()
    await store_many(hall, 5000)
    stored = time.monotonic() - began
    began = time.monotonic()
    await hall.dispatch()
    spent = time.monotonic() - began
    view = await hall.the_brake()
    began = time.monotonic()
    await hall.desk.decide(view.brake_id, REFUSED, APPROVER, reason="mistaken", up_to=view.newest)
    decided = time.monotonic() - began

    assert await hall.states() == {"done": 3, "refused": 4997}
    # On a quiet machine six times and a quarter of what it takes to put them into the inbox.
    assert spent < max(30, 30 * stored)
    assert decided < max(5, 5 * stored)


async def store_many(hall: Hall, number: int) -> None:
    """As the inbox stores them, in one statement."""
    rows = [
        {
            "tenant": TENANT,
            "source": "hr",
            "dedupe_key": f"evt-{i}",
            "received_at": datetime.now(UTC),
            "priority": 4,
            "body": hall.work.ring.encrypt(
                event_of(f"W-{i:05}").model_dump_json().encode(),
                context=f"inbox\x00hr\x00evt-{i}".encode(),
            ),
        }
        for i in range(number)
    ]
    async with hall.work.engine.begin() as connection:
        await connection.execute(insert(inbox), rows)


async def test_no_limit_is_no_brake(engine, ring):
    """0 switches it off."""
    work = Casework(engine, ring)
    await work.adopt()
    hall = Hall(work, BrakeRule(per_hour=0, dismissals_per_hour=1))
    await hall.mass(20, kind="involuntary")
    await hall.dispatch()

    assert await hall.states() == {"done": 20}

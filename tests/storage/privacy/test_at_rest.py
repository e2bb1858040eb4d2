"""Nobody who reads the database's files, dumps or replicas learns who left."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from lockstep.contracts.payloads import Decision, DecisionInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.outcomes import reckon
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Exchange,
    Location,
    Match,
    Observation,
    Proof,
    Search,
)
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Finding, Judged, Reason, Verdict
from lockstep.storage.keys.keyring import unseal
from lockstep.storage.privacy.holds import Holds
from lockstep.storage.systems.revocations import Progress
from lockstep.storage.systems.snapshots import Snapshot
from tests.support.casework import (
    EMAIL,
    NAME,
    OTHER,
    SYSTEM,
    WORKER,
    everything_stored,
    leaver_keys,
    revised,
    termination,
)
from tests.support.endings import ACTOR, ASKED, LONG_AGO, REASON, set_back

VENDOR_ID = "00u-maria-evangelista"
PLANTED = [
    *(NAME, EMAIL, WORKER, VENDOR_ID, ACTOR, REASON),
    *("Evangelista", "evangelista", "Olivia", "m.married@example.com"),
]


async def a_full_life(work) -> str:
    """Use every column that a case can fill."""
    account = Account(VENDOR_ID, EMAIL)
    access = Access(AccessKind.DEVICE, f"{NAME}'s phone")
    now = datetime.now(UTC)
    match = Match(
        replace(account, known_keys=(Key(KeyKind.EMAIL, EMAIL),)),
        KeyKind.EMAIL,
        name=NAME,
        created_at=now,
    )
    location = Location((match,), (Search(KeyKind.EMAIL, EMAIL, Proof.PROVED),))
    doubt = Finding((Judged(match, Verdict.IN_DOUBT, Reason.SEVERAL),))
    done = Action(access, now, "memory.close")
    snapshot = Snapshot((account,), {VENDOR_ID: (access,)}, (done,))
    progress = Progress(snapshot, location, doubt, contained_at=now)
    calls = [Exchange("memory.revoke", 200, now, "req-1")]
    await work.inbox.store(
        tenant="acme",
        source="hr",
        dedupe_key="evt-1",
        received_at=now,
        body=f'{{"worker": {{"id": "{WORKER}", "name": "{NAME}", "e": "{EMAIL}"}}}}'.encode(),
        priority=1,
    )
    case = await work.open()
    keys = leaver_keys(email="m.married@example.com")
    case = await work.cases.amend(case, revised(termination(), 2, keys=keys), case.cutoff_at)
    item = await work.revocations.load(case.case_id, SYSTEM, 1)
    await work.revocations.attempt(item, round_=1, attempt=1, work=progress)
    await work.revocations.fault(
        item,
        round_=1,
        attempt=1,
        category=FaultCategory.TIMEOUT,
        text="memory revoke: timeout",
        retry_at=now,
        exchanges=calls,
        work=progress,
    )
    await work.revocations.needs_person(
        item, round_=1, category=FaultCategory.TIMEOUT, overdue=True
    )
    closing = reckon(
        before=[access],
        after=[Observation(VENDOR_ID, exists=True, standing=())],
        actions=[Action(access, now, "memory.close")],
        confirmed_at=now,
    )
    await work.revocations.outcome(
        item,
        round_=1,
        attempt=2,
        closing=closing,
        work=progress,
        exchanges=calls,
        dropped=0,
    )
    decision = Decision("d1", DecisionKind.ATTEST, OTHER, ACTOR, REASON, ACTOR, "ab" * 32)
    await work.cases.decide(DecisionInput(case.case_id, 1, decision))
    await work.close(case.case_id, 1)
    await Holds(work.engine, work.ring).place(case.case_id, actor=ACTOR, reason=REASON)
    return case.case_id


def sightings(stored: dict[str, bytes], wanted: list[str]) -> list[str]:
    return [
        f"{column} holds {secret!r}"
        for column, raw in stored.items()
        for secret in wanted
        if secret.encode() in raw
    ]


async def test_no_column_of_any_table_shows_the_person(work, database):
    """Names, e-mails, worker ids, vendor ids and free text are in no column, text or binary."""
    await a_full_life(work)
    stored = everything_stored(database.superuser_url)
    filled = {column.partition(".")[0] for column, raw in stored.items() if raw}

    assert {
        *("inbox", "subjects", "cases", "revocations", "decisions", "holds", "ledger_entries")
    } <= filled
    assert sightings(stored, PLANTED) == []


async def opened_with_the_keyring(work) -> bytes:
    """Every ciphertext of the database that the keyring opens, directly or by a person's key."""
    found: list[bytes] = []
    async with work.engine.connect() as connection:
        for row in await connection.execute(text("select * from inbox where body <> ''")):
            context = f"inbox\x00{row.source}\x00{row.dedupe_key}".encode()
            found.append(work.ring.decrypt(row.body, context=context))
        people = (await connection.execute(text("select * from subjects"))).all()
        for row in people:
            if row.wrapped_key is None:
                continue
            key = work.ring.decrypt(row.wrapped_key, context=row.subject_id.bytes)
            found.append(unseal(key, row.private, row.subject_id.bytes))
            for table, context in (
                ("decisions", "decision_id"),
                ("holds", "hold_id"),
                ("revocations", "case_id || '/' || system"),
            ):
                query = text(f"select private, {context} from {table} where private is not null")
                for private, named in await connection.execute(query):
                    found.append(unseal(key, private, named.encode()))
    return b"\n".join(found)


async def test_nobody_learns_of_an_erased_person_even_with_the_keyring(work, database):
    """Whoever has the whole database and the keyring finds the person before, and nothing after."""
    case_id = await a_full_life(work)
    async with work.engine.begin() as connection:
        done = "update inbox set state = 'done', case_id = :c"
        await connection.execute(text(done), {"c": case_id})
    secrets = [NAME, WORKER, VENDOR_ID, ACTOR, REASON, "m.married@example.com"]
    before = await opened_with_the_keyring(work)
    [wrapped] = [
        raw
        for name, raw in everything_stored(database.superuser_url).items()
        if name == "subjects.wrapped_key"
    ]
    holds = Holds(work.engine, work.ring)
    [hold] = await holds.of([case_id])
    await holds.release(case_id, hold.hold_id, actor=ACTOR, reason=REASON)
    await set_back(work, case_id, LONG_AGO)
    erasure = work.stores.erasure
    done = await erasure.erase(await erasure.due(datetime.now(UTC)), ASKED)
    after = everything_stored(database.superuser_url)

    assert [secret for secret in secrets if secret.encode() not in before] == []
    assert len(done.spells) == 1
    assert await opened_with_the_keyring(work) == b""
    assert [name for name, raw in after.items() if wrapped in raw] == []
    assert sightings(after, PLANTED) == []


async def test_the_search_would_find_them(work, database):
    """The search above sees text, binary and JSON columns alike."""
    await a_full_life(work)
    async with work.engine.begin() as connection:
        await connection.execute(text("update inbox set error = :x"), {"x": f"bad: {EMAIL}"})
        await connection.execute(text("update inbox set body = :x"), {"x": NAME.encode()})
        await connection.execute(
            text("update revocations set rehearsal_problems = cast(:x as jsonb)"),
            {"x": f'[{{"code": "{WORKER}"}}]'},
        )
    found = sightings(everything_stored(database.superuser_url), [EMAIL, NAME, WORKER])

    assert sorted(line.partition(" ")[0] for line in found) == [
        "inbox.body",
        "inbox.error",
        "revocations.rehearsal_problems",
    ]


@pytest.mark.parametrize("secret", [WORKER, EMAIL, VENDOR_ID])
async def test_a_short_key_cannot_be_guessed_from_the_ledger(work, secret):
    """References differ between two leavers with the same vendor id: they are salted."""
    first = await a_full_life(work)
    raw = b"".join(await work.ledger.entries(first))

    assert secret.encode() not in raw
    async with work.engine.connect() as connection:
        private = bytes(await connection.scalar(text("select private from subjects")))
    assert secret.encode() not in private


async def test_errors_of_the_database_show_no_parameters(work):
    """A refused statement, as it would reach a log, names no value."""
    said = termination(partner="bad\x00partner")
    with pytest.raises(Exception, match="NUL") as caught:
        await work.open(said)

    for secret in (NAME, EMAIL, WORKER):
        assert secret not in str(caught.value)
        assert secret not in repr(caught.value)

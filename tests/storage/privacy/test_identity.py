"""Who a leaver is stands in the ledger as a commitment, and can be disclosed one by one."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.storage.cases.reads import UnknownCaseError
from lockstep.storage.cases.rows import Opening
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.privacy import identity
from lockstep.storage.privacy.identity import Disclosed, disclose
from tests.support.casework import EMAIL, NAME, WORKER, leaver_keys, revised, termination
from tests.support.endings import ASKED, ended, spells

TOMORROW = timedelta(days=1)


async def disclosed(work, *case_ids: str) -> list[Disclosed]:
    return [row async for row in disclose(work.engine, work.ring, case_ids)]


async def committed(work, case_id: str) -> list[str]:
    """The commitments of a case's entries, oldest first."""
    data = [entry["data"] for entry in await work.entries(case_id)]
    return [row["identity"] for row in data if "identity" in row]


def test_the_document_and_its_commitment_are_as_documented():
    """A known person, a known salt: bytes and digests that a second implementation must reach."""
    keys = (
        Key(KeyKind.WORKER_ID, "W-1"),
        Key(KeyKind.EMAIL, "ann@example.com"),
        Key(KeyKind.ACCOUNT_ID, "00u1", "okta-prod"),
    )
    salt = bytes(range(32))
    subject = Subject(UUID(int=1), b"k" * 32, salt, LeaverKeys(keys), "Ann Ó Briain", "2")
    document = (
        '{"display_name":"Ann Ó Briain","keys":[["account_id","00u1","okta-prod"],'
        '["email","ann@example.com",""],["worker_id","W-1",""]],"spell":"2","worker_id":"W-1"}'
    ).encode()
    opening = hmac.new(salt, b"lockstep-identity/1", hashlib.sha256).digest()

    assert subject.identity() == document
    assert subject.opening() == opening
    assert subject.commitment() == hmac.new(opening, document, hashlib.sha256).hexdigest()
    assert subject.commitment() == (
        "5ad7bd57d044c6504b36ef15203a9172856c3fdea7dabf6183d1c40445c4e930"
    )


def test_the_order_in_which_hr_gives_keys_does_not_matter():
    """The same person is the same document."""
    keys = leaver_keys().keys
    made = [
        Subject(UUID(int=1), b"k" * 32, b"s" * 32, LeaverKeys(order), NAME, "1").commitment()
        for order in (keys, keys[::-1])
    ]

    assert made[0] == made[1]


async def test_a_disclosure_answers_the_entry_that_opened_the_case(work):
    """Name, worker id, spell and keys, and the opening with which anybody can reckon it again."""
    case = await work.open()
    [row] = await disclosed(work, case.case_id)
    [commitment] = await committed(work, case.case_id)
    person = json.loads(row.identity)

    assert (person["display_name"], person["worker_id"], person["spell"]) == (NAME, WORKER, "1")
    assert ["email", EMAIL, ""] in person["keys"]
    assert row.answers(commitment)
    assert not row.answers(commitment[::-1])
    assert (row.case_id, row.subject, row.erased) == (case.case_id, str(case.subject_id), False)


async def test_no_printed_disclosure_names_anybody(work):
    """It may come by a log or an error; the texts are not in its repr."""
    case = await work.open()
    [row] = await disclosed(work, case.case_id)

    for secret in (NAME, WORKER, EMAIL, row.opening):
        assert secret not in repr(row)


async def test_two_leavers_of_one_name_have_nothing_in_common(work):
    """Commitment and opening hang on the salt: neither links two spells of one person."""
    cases = [await work.open(termination(spell=spell)) for spell in ("1", "2")]
    [first, second] = await disclosed(work, *(case.case_id for case in cases))
    marks = [await committed(work, case.case_id) for case in cases]

    assert first.opening != second.opening
    assert marks[0] != marks[1]
    assert not first.answers(marks[1][0])


async def test_after_an_amendment_the_latest_entry_answers(work):
    """HR corrected the e-mail: the newest text answers the newest commitment, not the first."""
    case = await work.open(due=TOMORROW)
    said = revised(termination(), 2, keys=leaver_keys(email="m.new@example.com"))
    await work.cases.amend(case, said, case.cutoff_at)
    [row] = await disclosed(work, case.case_id)
    first, latest = await committed(work, case.case_id)

    assert [row.answers(first), row.answers(latest)] == [False, True]
    assert "m.new@example.com" in row.identity


async def test_an_amendment_without_a_name_keeps_the_name(work):
    """What HR does not repeat still stands in the document that the entry is about."""
    case = await work.open(due=TOMORROW)
    await work.cases.amend(case, revised(termination(), 2, display_name=""), case.cutoff_at)
    [row] = await disclosed(work, case.case_id)

    assert json.loads(row.identity)["display_name"] == NAME
    assert row.answers((await committed(work, case.case_id))[-1])


async def test_a_rescission_that_came_first_is_committed_too(work):
    """A tombstone is an entry about a person like any other."""
    now = datetime.now(UTC)
    opening = Opening(termination(), now, now + TOMORROW, tombstone=True)
    [case] = await work.cases.open([opening], work.policy)
    [row] = await disclosed(work, case.case_id)

    assert row.answers((await committed(work, case.case_id))[0])


async def test_the_opening_does_not_open_the_other_commitments(work):
    """Actors and accounts are committed under the salt, which no disclosure shows."""
    case = await work.open()
    [row] = await disclosed(work, case.case_id)
    query = "select wrapped_key, private from subjects"
    async with work.engine.connect() as connection:
        stored = (await connection.exec_driver_sql(query)).one()
    subject = Subject.open(work.ring, case.subject_id, *stored)

    assert subject.salt.hex() not in row.opening
    assert subject.salt != bytes.fromhex(row.opening)


async def test_many_are_disclosed_in_order_and_in_batches(work, monkeypatch):
    """The order is the caller's, over the bounds of the batches; nobody is left out."""
    monkeypatch.setattr(identity, "BATCH", 2)
    ids = [(await work.open(termination(f"W-{n}"))).case_id for n in range(5)]
    wanted = [*reversed(ids), ids[0]]
    rows = await disclosed(work, *wanted)

    assert [row.case_id for row in rows] == wanted
    assert [json.loads(row.identity)["worker_id"][2:] for row in rows] == list("432100")


async def test_an_unknown_case_is_an_error(work):
    """A pack that silently lacked somebody would be wrong."""
    case = await work.open()

    with pytest.raises(UnknownCaseError):
        await disclosed(work, case.case_id, "cnothing")


async def test_an_erased_leaver_cannot_be_disclosed_any_more(work):
    """The pack says that the data are gone; nothing answers the commitment."""
    case = await ended(work)
    await work.stores.erasure.erase(await spells(work, case), ASKED)
    [row] = await disclosed(work, case.case_id)

    assert (row.identity, row.opening, row.erased) == ("", "", True)
    assert not row.answers((await committed(work, case.case_id))[0])

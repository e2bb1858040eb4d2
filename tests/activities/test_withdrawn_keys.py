"""A key that was withdrawn: what was found by it, and what is not found any more."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from lockstep.contracts.payloads import Decision, DecisionInput, WatchInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.keys import WithdrawalError
from lockstep.storage.cases.closing import Closing
from lockstep.storage.cases.rows import Said
from lockstep.storage.cases.withdrawing import AloneError, Withdrawals
from tests.activities.conftest import Bench, environment
from tests.support.casework import EMAIL, SYSTEM, WORKER, leaver_keys, revised, termination

MAIL = Key(KeyKind.EMAIL, EMAIL)
THEIRS = "acc-theirs"
TWO = Said("kim", "a namesake's address", "ola")


async def withdraw(bench: Bench, key: Key = MAIL, said: Said = TWO) -> None:
    await Withdrawals(bench.work.engine, bench.work.ring).withdraw(bench.case.case_id, key, said)


async def watch(bench: Bench, look: int):
    given = WatchInput(bench.case.case_id, SYSTEM, look, 1)
    return await environment().run(bench.activities().watch_access, given)


async def taken_by_address(bench: Bench) -> None:
    """The address of the leaver finds an account that contradicts nothing: it is shut."""
    bench.connector.standing.pop(WORKER)
    bench.connector.hire(THEIRS)
    bench.connector.knows(EMAIL, THEIRS)
    assert await bench.revoke() == "revoked"


async def asked(bench: Bench, attempt: int) -> str:
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke(attempt, round_=attempt)
    return f"{caught.value.type}: {caught.value.message}"


async def test_absence_by_the_keys_that_are_left_settles_nothing(bench: Bench):
    """Two proved searches would be enough; after a withdrawal a person says that nobody is."""
    bench.connector.standing.pop(WORKER)
    await withdraw(bench)
    more = Key(KeyKind.EMAIL, "right@example.com")
    said = revised(termination(), 2, keys=LeaverKeys((*leaver_keys().keys, more)))
    await bench.work.cases.amend(bench.case, said, bench.case.cutoff_at)

    assert "key_withdrawn" in await asked(bench, 1)
    assert (await bench.work.row(bench.case.case_id)).state == "retrying"


async def test_a_withdrawn_key_finds_nobody_whatever_hr_sends(bench: Bench):
    """HR's system goes on sending it; only a person brings it back into force."""
    bench.connector.hire(THEIRS)
    bench.connector.knows(EMAIL, THEIRS)
    await withdraw(bench)
    said = revised(termination(), 2)
    case = await bench.work.cases.amend(bench.case, said, bench.case.cutoff_at)
    assert await bench.revoke() == "revoked"
    assert len(bench.connector.standing[THEIRS]) == 3

    again = revised(termination(), 3)
    await bench.work.cases.amend(case, again, bench.case.cutoff_at, Said("kim", "it was right"))
    keys = (await bench.work.revocations.load(bench.case.case_id, SYSTEM, 1)).subject.keys
    assert (keys.emails, keys.withdrawn) == ((EMAIL,), ())


async def test_what_was_found_by_it_is_asked_about_and_not_taken_again(bench: Bench):
    """A stranger was shut; people open them again, and no look takes it before a person says so."""
    await taken_by_address(bench)
    await withdraw(bench)
    bench.connector.hire(THEIRS)

    looked = await watch(bench, 1)
    assert (looked.returned, looked.in_doubt) == (False, True)
    assert len(bench.connector.standing[THEIRS]) == 3
    [found] = await bench.datas("finding:raised")
    assert [row["why"] for row in found["in_doubt"]] == ["withdrawn"]
    refused = await bench.work.cases.close(Closing(bench.case.case_id, 1))
    assert [one.unsearched for one in refused.open if one.system == SYSTEM] == [True]


@pytest.mark.parametrize("is_theirs", [True, False])
async def test_a_person_says_whose_it_is(bench: Bench, is_theirs: bool):  # noqa: FBT001 - a case
    """Theirs after all, it is taken again; not theirs, it is left alone for good."""
    await taken_by_address(bench)
    await withdraw(bench)
    bench.connector.hire(THEIRS)
    await watch(bench, 1)
    chosen = {"accounts" if is_theirs else "others": [THEIRS]}
    said = Decision("d-1", DecisionKind.PICK, SYSTEM, "ops", "asked them", **chosen)
    await bench.work.cases.decide(DecisionInput(bench.case.case_id, 1, said))

    looked = await watch(bench, 2)
    assert (looked.returned, looked.in_doubt) == (is_theirs, False)


async def test_an_account_that_another_key_proves_stays_the_leavers(bench: Bench):
    """Withdrawing a key protects nobody whom the vendor itself calls by the leaver's number."""
    bench.connector.knows(EMAIL, WORKER)
    assert await bench.revoke() == "revoked"
    await withdraw(bench)
    bench.connector.hire(WORKER)
    assert (await watch(bench, 1)).returned


async def test_after_the_cutoff_nobody_withdraws_a_key_alone(bench: Bench):
    """It is in force as before, and nothing was written."""
    before = await bench.work.kinds(bench.case.case_id)
    with pytest.raises(AloneError):
        await withdraw(bench, said=Said("kim", "because"))
    assert await bench.work.kinds(bench.case.case_id) == before


async def test_a_withdrawal_is_on_record_by_commitment_only(bench: Bench):
    """The kind in clear, the key as a commitment, both people by reference; the reason is kept."""
    await withdraw(bench)
    raw = (await bench.work.ledger.entries(bench.case.case_id))[-1]
    entry = (await bench.work.entries(bench.case.case_id))[-1]
    assert (entry["kind"], entry["data"]["by"]) == ("case:key_withdrawn", "email")
    assert entry["actor"]["ref"] != entry["data"]["second_person"]
    for secret in (EMAIL, "kim", "ola", "namesake"):
        assert secret.encode() not in raw
    assert await bench.work.count("decisions where kind = 'case:key_withdrawn'") == 1


@pytest.mark.parametrize(
    ("key", "why"),
    [
        (Key(KeyKind.WORKER_ID, WORKER), "call the case off"),
        (Key(KeyKind.EMAIL, "nobody@example.com"), "no such key"),
    ],
)
async def test_what_cannot_be_withdrawn_says_why(bench: Bench, key: Key, why: str):
    """By HR's own number the case is found; and what is not known cannot be taken back."""
    with pytest.raises(WithdrawalError, match=why):
        await withdraw(bench, key)


async def test_an_account_that_hr_named_must_be_proved_gone_by_its_id(bench: Bench):
    """Also where another was found and shut, and the newest statement names another or none."""
    named = Key(KeyKind.ACCOUNT_ID, "u-1", SYSTEM)
    bench.connector.hire("u-1")
    said = revised(termination(), 2, keys=LeaverKeys((*leaver_keys().keys, named)))
    case = await bench.work.cases.amend(bench.case, said, bench.case.cutoff_at)
    other = Key(KeyKind.ACCOUNT_ID, "u-2", SYSTEM)
    for revision, keys in ((3, (*leaver_keys().keys, other)), (4, leaver_keys().keys)):
        later = revised(termination(), revision, keys=LeaverKeys(keys))
        case = await bench.work.cases.amend(case, later, case.cutoff_at)

    bench.connector.blind_to_ids = True
    assert "named_account_not_read" in await asked(bench, 1)
    assert not bench.connector.standing[WORKER], "what was found is shut all the same"
    bench.connector.blind_to_ids = False
    assert await bench.revoke(2, round_=2) == "revoked"
    assert not bench.connector.standing["u-1"]


async def test_an_account_named_after_the_system_was_settled_keeps_the_case_open(bench: Bench):
    """Until a look has asked for it by its id; what stands is taken."""
    assert await bench.revoke() == "revoked"
    named = Key(KeyKind.ACCOUNT_ID, "u-1", SYSTEM)
    bench.connector.hire("u-1")
    said = revised(termination(), 2, keys=LeaverKeys((*leaver_keys().keys, named)))
    await bench.work.cases.amend(bench.case, said, bench.case.cutoff_at)

    bench.connector.blind_to_ids = True
    with pytest.raises(ApplicationError, match="named_account_not_read"):
        await watch(bench, 1)
    assert await is_unsearched(bench)
    bench.connector.blind_to_ids = False
    assert (await watch(bench, 2)).returned
    assert await bench.revoke(opening=2, round_=2) == "revoked"
    assert not bench.connector.standing["u-1"]
    assert not await is_unsearched(bench)


async def is_unsearched(bench: Bench) -> bool:
    refused = await bench.work.cases.close(Closing(bench.case.case_id, 1))
    return any(one.system == SYSTEM for one in refused.open)

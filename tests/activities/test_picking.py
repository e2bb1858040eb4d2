"""Accounts in doubt: what people are shown, what they say of them, and what follows."""

from __future__ import annotations

import pytest
from temporalio.exceptions import ApplicationError

from lockstep.contracts.payloads import Decision, DecisionInput, WatchInput
from lockstep.domain.cases.decisions import DecisionKind
from lockstep.storage.cases.candidates import Candidate
from tests.activities.conftest import Bench, environment
from tests.support.casework import EMAIL, SYSTEM, WORKER

OURS, THEIRS = "acc-ours", "acc-theirs"


async def in_doubt(bench: Bench) -> tuple[Candidate, ...]:
    """The leaver has no account by number; two accounts have an address of theirs."""
    bench.connector.standing.pop(WORKER)
    for account in (OURS, THEIRS):
        bench.connector.meet(account, EMAIL)
    with pytest.raises(ApplicationError) as caught:
        await bench.revoke()
    assert caught.value.type == "ambiguous_match"
    return await shown(bench)


async def shown(bench: Bench) -> tuple[Candidate, ...]:
    item = await bench.work.revocations.load(bench.case.case_id, SYSTEM, 1)
    return item.candidates


async def pick(bench: Bench, *accounts: str, others: tuple[str, ...] = ()) -> None:
    said = Decision(
        f"d-{len(accounts)}-{len(others)}",
        DecisionKind.PICK,
        SYSTEM,
        "ops",
        "asked the manager",
        accounts=list(accounts),
        others=list(others),
    )
    await bench.work.cases.decide(DecisionInput(bench.case.case_id, 1, said))


async def watch(bench: Bench, look: int):
    given = WatchInput(bench.case.case_id, SYSTEM, look, 1)
    return await environment().run(bench.activities().watch_access, given)


async def appears_in_the_watch(bench: Bench) -> None:
    """After the case has closed an account turns up that has the leaver's address."""
    bench.connector.standing.pop(WORKER)
    assert await bench.revoke() == "not_found"
    await bench.work.close(bench.case.case_id, 1)
    bench.connector.meet(OURS, EMAIL)


async def test_both_accounts_are_kept_to_be_shown_and_nobody_touches_them(bench: Bench):
    """With what the vendor holds, the name and when each was made; sealed, and no word in clear."""
    candidates = await in_doubt(bench)

    assert {one.account_id for one in candidates} == {OURS, THEIRS}
    assert all(one.in_doubt and one.created_at and one.name and one.held for one in candidates)
    assert bench.connector.effects == []
    assert await bench.work.count("revocations where candidates is not null") == 1
    hidden = "revocations where position('acc-' in encode(candidates, 'escape')) > 0"
    assert await bench.work.count(hidden) == 0


async def test_what_is_picked_is_taken_and_what_is_not_is_left(bench: Bench):
    """The pick outweighs every contradiction; the other account stands, and the entry says why."""
    await in_doubt(bench)
    await pick(bench, OURS, others=(THEIRS,))
    row = await bench.work.row(bench.case.case_id)
    assert (row.state, row.needs_person_since) == ("revoking", None)

    assert await bench.revoke(round_=2) == "revoked"
    assert bench.connector.standing[OURS] == set()
    assert len(bench.connector.standing[THEIRS]) == 3
    [outcome] = await bench.outcomes()
    assert [row["why"] for row in outcome["set_aside"]] == ["not_picked"]
    assert await shown(bench) == ()


async def test_a_pick_is_on_record_by_commitment_only(bench: Bench):
    """The same references as the attempt's accounts in doubt; nobody's id or name in clear."""
    await in_doubt(bench)
    await pick(bench, OURS, others=(THEIRS,))

    [said] = await bench.datas("decision:pick")
    [fault] = await bench.datas("revocation:fault")
    known = {row["account"] for row in fault["in_doubt"]}
    assert {*said["accounts"], *said["others"]} == known
    raw = b"".join(await bench.work.ledger.entries(bench.case.case_id))
    for secret in (OURS, THEIRS, EMAIL):
        assert secret.encode() not in raw


async def test_none_of_them_is_nobodys_account(bench: Bench):
    """All are somebody else's: the proved search settles it, and no account is taken."""
    await in_doubt(bench)
    await pick(bench, others=(OURS, THEIRS))

    assert await bench.revoke(round_=2) == "not_found"
    assert bench.connector.effects == []


async def test_a_picked_account_settles_what_only_an_address_speaks_for(bench: Bench):
    """A third one that turns up later is set aside, as beside any account that is known."""
    await in_doubt(bench)
    await pick(bench, OURS, others=(THEIRS,))
    bench.connector.meet("acc-third", EMAIL)

    assert await bench.revoke(round_=2) == "revoked"
    assert len(bench.connector.standing["acc-third"]) == 3
    [outcome] = await bench.outcomes()
    assert sorted(row["why"] for row in outcome["set_aside"]) == ["not_picked", "other_number"]


async def test_an_account_that_was_never_shown_is_asked_about(bench: Bench):
    """None of those that were shown: a later one is in doubt anew, and only it is asked about."""
    await in_doubt(bench)
    await pick(bench, others=(OURS, THEIRS))
    bench.connector.meet("acc-third", EMAIL)
    with pytest.raises(ApplicationError):
        await bench.revoke(round_=2)
    assert [one.account_id for one in await shown(bench) if one.in_doubt] == ["acc-third"]


async def test_a_later_look_that_is_in_doubt_raises_one_finding_and_keeps_what_to_show(
    bench: Bench,
):
    """Told once, however often the same account is seen; the case stays closed."""
    await appears_in_the_watch(bench)
    for look in (1, 2):
        seen = await watch(bench, look)
        assert (seen.returned, seen.in_doubt) == (False, True)

    assert await bench.work.count("findings where resolved_at is null") == 1
    assert (await bench.kinds())[-2:] == ["finding:raised", "watch:look"]
    assert [one.account_id for one in await shown(bench)] == [OURS]
    assert (await bench.work.case(bench.case.case_id))["status"] == "closed"


async def test_a_pick_in_the_watch_resolves_the_finding_and_the_look_takes_the_account(
    bench: Bench,
):
    """The settled system stays settled until the look; then it is open again."""
    await appears_in_the_watch(bench)
    await watch(bench, 1)
    await pick(bench, OURS)
    assert await bench.work.count("findings where resolved_at is null") == 0
    assert (await bench.work.row(bench.case.case_id)).outcome == "not_found"

    assert (await watch(bench, 2)).returned is True
    row = await bench.work.row(bench.case.case_id)
    assert (row.state, row.opening) == ("revoking", 2)
    assert await bench.revoke(opening=2) == "revoked"
    assert bench.connector.standing[OURS] == set()


async def test_a_doubt_outlives_the_closing_of_its_case(bench: Bench):
    """Nobody has said whose the account is: closing the case does not say it either."""
    bench.connector.standing.pop(WORKER)
    await bench.revoke()
    bench.connector.meet(OURS, EMAIL)
    await watch(bench, 1)
    await bench.work.close(bench.case.case_id, 1)
    assert await bench.work.count("findings where resolved_at is null") == 1


async def test_a_doubt_that_is_gone_is_asked_about_no_more(bench: Bench):
    """The account was deleted: the next look says so, and nobody has to pick."""
    await appears_in_the_watch(bench)
    await watch(bench, 1)
    bench.connector.namesakes.clear()
    assert (await watch(bench, 2)).in_doubt is False
    assert await shown(bench) == ()
    assert await bench.work.count("findings where resolved_at is null") == 0

"""What is outside of somebody's scope is absent from every view."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationAction, TerminationKind
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.storage.board.views import CaseViews
from lockstep.storage.cases.keys import key_indexes, searched_indexes
from tests.support.casework import EMAIL, TENANT, WORKER, revised, termination

TOMORROW = timedelta(days=1)
DISMISSAL = termination("W-1", kind=TerminationKind.INVOLUNTARY)
ALL = Scope(partners=None)


@pytest.fixture
def views(engine, ring):
    return CaseViews(engine, ring)


async def seen(views, scope) -> set[str]:
    """Case ids that ``scope`` finds, by list and one by one alike."""
    within = views.within(scope)
    listed = {view.case.case_id for view in await within.list_cases()}
    everything = {view.case.case_id for view in await views.within(EVERYTHING).list_cases()}
    shown = {case_id for case_id in everything if await within.show(case_id) is not None}
    assert listed == shown
    return listed


async def test_a_partner_sees_its_own_cases_only(work, views):
    """Somebody of one partner never finds a case of another, and without partners none."""
    ours = await work.open(termination("W-1", partner="northwind"))
    theirs = await work.open(termination("W-2", partner="contoso"))

    assert await seen(views, Scope(frozenset({"northwind"}))) == {ours.case_id}
    assert await seen(views, Scope(frozenset())) == set()
    assert await seen(views, ALL) == {ours.case_id, theirs.case_id}


async def test_a_coming_dismissal_is_absent_without_the_right(work, views):
    """Until its cutoff a dismissal is seen by whoever may see sealed cases, and nobody else."""
    coming = await work.open(DISMISSAL, due=TOMORROW)
    resignation = await work.open(termination("W-2"), due=TOMORROW)

    assert await seen(views, ALL) == {resignation.case_id}
    assert await seen(views, Scope(None, sealed=True)) == {coming.case_id, resignation.case_id}


async def test_a_resignation_that_becomes_a_dismissal_is_as_secret_as_one(work, views):
    """From that statement on, whoever may not see coming dismissals finds it nowhere."""
    case = await work.open(termination("W-3"), due=TOMORROW)
    assert await seen(views, ALL) == {case.case_id}
    said = revised(termination("W-3"), 2, kind=TerminationKind.INVOLUNTARY)
    await work.cases.amend(case, said, case.cutoff_at)

    assert await seen(views, ALL) == set()
    assert await seen(views, Scope(None, sealed=True)) == {case.case_id}


async def test_a_case_is_of_the_partner_that_hr_named_last(work, views):
    """A corrected partner's people see it, and those of the one named at first do not."""
    case = await work.open(termination("W-3", partner="northwind"), due=TOMORROW)
    said = revised(termination("W-3", partner="contoso"), 2)
    await work.cases.amend(case, said, case.cutoff_at)

    assert await seen(views, Scope(frozenset({"contoso"}))) == {case.case_id}
    assert await seen(views, Scope(frozenset({"northwind"}))) == set()


async def test_a_dismissal_whose_cutoff_has_come_is_seen(work, views):
    """A case that has begun is everybody's who may see cases."""
    begun = await work.open(DISMISSAL)

    assert await seen(views, ALL) == {begun.case_id}


async def test_a_dismissal_that_was_called_off_stays_a_secret(work, views):
    """Nobody learns afterwards that somebody was to be dismissed."""
    case = await work.open(DISMISSAL, due=TOMORROW)
    await work.cases.rescind(case, revised(DISMISSAL, 2, action=TerminationAction.RESCINDED))

    assert await seen(views, ALL) == set()
    assert await seen(views, Scope(None, sealed=True)) == {case.case_id}


@pytest.mark.parametrize(
    "key",
    [
        Key(KeyKind.WORKER_ID, WORKER),
        Key(KeyKind.EMAIL, EMAIL.upper()),
        Key(KeyKind.USERNAME, f" {EMAIL} "),
    ],
)
async def test_nobody_sees_a_case_about_themselves(work, views, ring, key):
    """Whatever else somebody may see, and however the provider writes their address."""
    await work.open()
    other = await work.open(termination("W-2", keys=termination("W-2").keys, partner="contoso"))
    mine = key_indexes(ring, TENANT, [key])

    found = await seen(views, Scope(None, sealed=True, own_keys=mine))
    if key.kind is KeyKind.WORKER_ID:  # the other leaver of these tests has the same address
        assert found == {other.case_id}
    else:
        assert found == set()


async def test_a_changed_address_hides_the_case_from_both_owners(work, views, ring):
    """Nobody knows which of two addresses is the leaver's: neither's holder sees the case."""
    first = termination()
    case = await work.open(first, due=TOMORROW)
    keys = type(first.keys)(
        (Key(KeyKind.WORKER_ID, WORKER), Key(KeyKind.EMAIL, "m.new@example.com"))
    )
    await work.cases.amend(case, revised(first, 2, keys=keys), case.cutoff_at)

    def scope(address: str) -> Scope:
        mine = key_indexes(ring, TENANT, [Key(KeyKind.EMAIL, address)])
        return Scope(None, own_keys=mine)

    assert await seen(views, scope("m.new@example.com")) == set()
    assert await seen(views, scope(EMAIL)) == set()
    assert await seen(views, scope("somebody.else@example.com")) == {case.case_id}


def test_two_spellings_of_one_address_are_one_person(ring):
    """A provider's punycode, another normal form or case is the leaver's address all the same."""
    stored = key_indexes(ring, TENANT, [Key(KeyKind.EMAIL, "José@bücher.example")])
    for spelt in ("JOSE\u0301@xn--bcher-kva.example", "josé@BÜCHER.example."):
        assert key_indexes(ring, TENANT, [Key(KeyKind.EMAIL, spelt)]) & stored


def test_a_search_reads_a_value_as_any_kind_of_key(ring):
    """One box finds a worker by id, number, address or user name."""
    found = searched_indexes(ring, TENANT, " W-7 ")

    for kind in KeyKind:
        if kind is not KeyKind.ACCOUNT_ID:
            assert key_indexes(ring, TENANT, [Key(kind, "w-7")]) <= found
    assert not searched_indexes(ring, "another-tenant", "W-7") & found

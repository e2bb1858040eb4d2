"""Lists of cases: their order, their filters, and counts that agree with them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import EVERYTHING, Scope
from lockstep.storage.board.filter import NOBODY, BoardState, Due, Wanted
from lockstep.storage.board.now import BoardReads
from lockstep.storage.cases.keys import key_indexes, searched_indexes
from lockstep.storage.records import CaseRow
from tests.support.board import HOUR, MINUTE, asks_second, came_back, many, shape, stuck
from tests.support.casework import EMAIL, OTHER, TENANT, Casework, termination
from tests.support.endings import closed, set_back

ALL = Scope(partners=None)


@pytest.fixture
def board(engine, ring):
    """Reads as somebody who may see everything that is not secret."""
    return reads(engine, ring, ALL)


async def closed_today(work: Casework, worker_id: str) -> CaseRow:
    """A case that closes in an hour: today still, if midnight comes before the question."""
    case = await closed(work, worker_id)
    await set_back(work, case.case_id, -HOUR)
    return case


def reads(engine, ring, scope, *, named=True) -> BoardReads:
    return BoardReads(engine, ring, scope, named=named)


async def ids(board: BoardReads, **wanted: object) -> list[str]:
    """Case ids of a whole list."""
    listing = await board.listing(Wanted(**wanted), limit=200)
    assert listing.more is None
    return [row.view.case.case_id for row in listing.rows]


async def test_what_is_due_first_stands_first(work, board):
    """The order is time to the SLA breach, whatever was opened first."""
    later = await stuck(work, "W-1", due=3 * HOUR)
    late = await stuck(work, "W-2", due=-HOUR)
    soon = await stuck(work, "W-3", due=HOUR)

    assert await ids(board) == [late.case_id, soon.case_id, later.case_id]


async def test_of_the_same_instant_the_tier_and_then_the_kind_decide(work, board):
    """A system of tier 0 comes before one of tier 1, a dismissal before a resignation."""
    due = datetime.now(UTC) + HOUR
    plain = await stuck(work, "W-1", due=HOUR)
    dismissal = await stuck(work, "W-2", due=HOUR, kind=TerminationKind.INVOLUNTARY)
    first_tier = await stuck(work, "W-3", due=HOUR)
    for case in (plain, dismissal, first_tier):
        await shape(work, case, due_at=due)
    await shape(work, first_tier, tier="0")

    assert await ids(board) == [first_tier.case_id, dismissal.case_id, plain.case_id]


async def test_each_state_has_its_cases(work, board):
    """A person, late, near, back, a second person, under way, scheduled and closed: as defined."""
    person = await stuck(work, "W-1", due=5 * HOUR)
    late = await stuck(work, "W-2", due=-MINUTE)
    fine = await work.open(termination("W-3"))
    near = await work.open(termination("W-4"))
    await shape(work, near, warn_at=datetime.now(UTC) - MINUTE)
    back = await work.open(termination("W-5"))
    await came_back(work, back)
    second = await work.open(termination("W-6"))
    await asks_second(work, second)
    coming = await work.open(termination("W-7"), due=HOUR)
    done = await closed_today(work, "W-8")

    assert set(await ids(board, state=BoardState.PERSON)) == {person.case_id, late.case_id}
    assert await ids(board, state=BoardState.LATE) == [late.case_id]
    assert await ids(board, state=BoardState.NEAR) == [near.case_id]
    assert await ids(board, state=BoardState.BACK) == [back.case_id]
    assert await ids(board, state=BoardState.SECOND) == [second.case_id]
    assert await ids(board, state=BoardState.SCHEDULED) == [coming.case_id]
    assert await ids(board, state=BoardState.CLOSED_TODAY) == [done.case_id]
    assert await ids(board, state=BoardState.RESCINDED) == []
    need = {person.case_id, late.case_id, near.case_id, back.case_id, second.case_id}
    assert set(await ids(board, state=BoardState.NEED)) == need
    assert set(await ids(board, state=BoardState.REVOKING)) == {*need, fine.case_id}
    assert len(await ids(board, state=BoardState.ANY)) == 8


async def test_what_is_over_needs_nobody(work, board):
    """A resolved finding, an expired request and a closed case ask for nobody."""
    case = await closed(work, "W-1")
    await came_back(work, case)
    expired = await work.open(termination("W-2"))
    await asks_second(work, expired, lasts=-MINUTE)

    assert await ids(board) == []


@pytest.mark.parametrize("state", BoardState)
@pytest.mark.parametrize(
    "filters", [{}, {"partner": "contoso"}, {"system": OTHER}, {"due": Due.OVERDUE}]
)
async def test_counts_agree_with_lists(work, board, state, filters):
    """Whatever filters are set, a tile counts exactly what its list shows."""
    await stuck(work, "W-1", due=-MINUTE)
    await stuck(work, "W-2", due=-MINUTE, partner="contoso")
    case = await work.open(termination("W-3", partner="contoso"))
    await came_back(work, case, OTHER)
    await asks_second(work, case, system=OTHER)
    await work.open(termination("W-4"), due=HOUR)
    await closed_today(work, "W-5")

    counts = await board.counts(Wanted(state=BoardState.NEED, **filters))
    if state in counts:
        assert counts[state] == len(await ids(board, state=state, **filters))


async def test_every_filter_narrows(work, board):
    """Partner, site, kind, system, due and assignee each leave only what fits."""
    one = await stuck(work, "W-1", due=30 * MINUTE, partner="contoso", site="davao")
    two = await stuck(
        work, "W-2", due=30 * HOUR, kind=TerminationKind.INVOLUNTARY, fault="unreachable"
    )
    await shape(work, two, OTHER, state="needs_person", due_at=datetime.now(UTC) + 40 * HOUR)

    assert await ids(board, partner="contoso") == [one.case_id]
    assert await ids(board, site="davao") == [one.case_id]
    assert await ids(board, kind="involuntary") == [two.case_id]
    assert await ids(board, system=OTHER) == [two.case_id]
    assert await ids(board, due=Due.HOUR) == [one.case_id]
    assert await ids(board, due=Due.OVERDUE) == []
    assert set(await ids(board, assignee=NOBODY)) == {one.case_id, two.case_id}
    assert await ids(board, assignee="u-nobody-knows") == []
    assert await ids(board, partner="nobody") == []


async def test_a_leaver_is_found_by_any_key_and_a_case_by_its_id(work, board, ring):
    """E-mail, user name and worker id are found by blind index, the id by its beginning."""
    case = await work.open(termination("W-1"))

    for text in (EMAIL.upper(), f" {EMAIL}", "w-1"):
        wanted = searched_indexes(ring, TENANT, text)
        assert await ids(board, state=BoardState.ANY, key_indexes=wanted) == [case.case_id]
    assert await ids(board, state=BoardState.ANY, case_id=case.case_id[:6]) == [case.case_id]
    assert await ids(board, state=BoardState.ANY, case_id="%") == []
    nobody = searched_indexes(ring, TENANT, "x@example.com")
    assert await ids(board, state=BoardState.ANY, key_indexes=nobody) == []


async def test_of_another_partner_nothing_is_listed_counted_found_or_suggested(work, engine, ring):
    """Somebody of partner A does not learn that partner B exists."""
    ours = await stuck(work, "W-1", due=HOUR, partner="northwind", site="cebu")
    theirs = await stuck(work, "W-2", due=HOUR, partner="contoso", site="davao")
    board = reads(engine, ring, Scope(frozenset({"northwind"})))

    assert await ids(board) == [ours.case_id]
    assert (await board.counts(Wanted()))[BoardState.NEED] == 1
    assert await ids(board, state=BoardState.ANY, case_id=theirs.case_id) == []
    assert await board.one(theirs.case_id) is None
    suggested = await board.suggestions()
    assert (suggested.partners, suggested.sites) == (("northwind",), ("cebu",))


async def test_a_coming_dismissal_is_absent_without_the_right(work, engine, ring):
    """Not listed, not counted, not found by its leaver's key; its partner is not suggested."""
    secret = termination("W-1", kind=TerminationKind.INVOLUNTARY, partner="quiet")
    case = await work.open(secret, due=HOUR)
    keys = searched_indexes(ring, TENANT, EMAIL)

    for scope, seen in ((ALL, False), (EVERYTHING, True)):
        board = reads(engine, ring, scope)
        assert await ids(board, state=BoardState.ANY) == [case.case_id] * seen
        assert await ids(board, state=BoardState.ANY, key_indexes=keys) == [case.case_id] * seen
        assert (await board.counts(Wanted()))[BoardState.SCHEDULED] == seen
        assert (await board.suggestions()).partners == ("quiet",) * seen
        assert (await board.one(case.case_id) is not None) is seen
        assert await board.is_empty() is not seen


async def test_ones_own_case_is_absent(work, engine, ring):
    """Nobody sees or counts a case about themselves."""
    case = await stuck(work, "W-1", due=HOUR)
    mine = key_indexes(ring, TENANT, [Key(KeyKind.EMAIL, EMAIL)])
    board = reads(engine, ring, Scope(None, sealed=True, own_keys=mine))

    assert await ids(board, state=BoardState.ANY) == []
    assert (await board.counts(Wanted()))[BoardState.NEED] == 0
    assert await board.one(case.case_id) is None


async def test_names_are_not_even_read_for_who_may_not_see_them(work, engine, ring):
    """An auditor's list has no leaver and no worker id."""
    await stuck(work, "W-1", due=HOUR)
    [row] = (await reads(engine, ring, ALL, named=False).listing(Wanted())).rows

    assert (row.view.leaver, row.view.worker_id) == ("", "")


@pytest.mark.parametrize("state", [BoardState.NEED, BoardState.ANY])
async def test_pages_are_stable(work, board, state):
    """A thousand cases come once each, in one order, however many a page holds."""
    await stuck(work, "W-1", due=-HOUR)
    await many(work, 1000)
    found: list[str] = []
    after = None
    while True:
        listing = await board.listing(Wanted(state=state), after=after, limit=170)
        found += [row.view.case.case_id for row in listing.rows]
        after = listing.more
        if after is None:
            break

    assert len(found) == len(set(found)) == 1001
    if state is BoardState.NEED:
        assert found[1:] == sorted(found[1:])
        assert (await board.counts(Wanted()))[BoardState.NEED] == 1001


async def test_nothing_is_an_empty_list(board):
    """An installation without any case has lists, all of them empty."""
    assert await ids(board) == []
    assert set((await board.counts(Wanted())).values()) == {0}
    assert await board.is_empty()


async def test_a_page_never_exceeds_its_bound(work, board):
    """Whoever asks for more gets what a page may hold."""
    await stuck(work, "W-1", due=-HOUR)
    await many(work, 250)

    assert len((await board.listing(Wanted(), limit=10_000)).rows) == 200


async def test_closed_yesterday_is_not_closed_today(work, board, engine):
    """Today begins at midnight UTC."""
    case = await closed(work, "W-1")
    await set_back(work, case.case_id, timedelta(days=1))

    assert await ids(board, state=BoardState.CLOSED_TODAY) == []
    assert await ids(board, state=BoardState.CLOSED) == [case.case_id]

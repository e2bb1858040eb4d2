"""The sequencer: every committed entry gets one place, in an order that never changes."""

from __future__ import annotations

import random
import threading
import time
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from lockstep.evidence.ledger.entries import EntryKind
from lockstep.storage.ledger.sequencer import BATCH, Step
from tests.support.ledgers import LedgerBook, entry, held_back, plain, settle, tree_of


def test_a_new_ledger_says_who_signs_and_what_is_measured(book):
    """The first entries of a ledger name its key and its metric, and the first head covers them."""
    settle(book.sequencer())

    assert book.kinds() == ["ledger:key_adopted", "metric:adopted"]
    assert [(size, reason) for size, _, reason in book.heads()] == [(2, "ledger:key_adopted")]


def test_what_is_said_once_is_not_said_again(book):
    """A sequencer that begins anew adopts nothing twice and signs nothing twice."""
    for _ in range(3):
        sequencer = book.sequencer()
        settle(sequencer)
        sequencer.close()

    assert book.kinds() == ["ledger:key_adopted", "metric:adopted"]
    assert len(book.heads()) == 1


def test_entries_get_their_places_in_the_order_of_their_ids(book):
    """Committed entries are placed by id, without holes, over several batches."""
    keys = [f"k{n}" for n in range(2 * BATCH + 7)]
    book.append(*(entry(key=key) for key in keys))
    sequencer = book.sequencer()

    assert sequencer.step() is Step.MORE
    settle(sequencer)

    assert book.mine() == keys
    assert book.unplaced() == 0


def test_an_entry_that_commits_late_gets_the_next_place(book):
    """A smaller id that appears after larger ones is neither lost nor squeezed in between."""
    sequencer = book.sequencer()
    with held_back(book, entry(key="late")) as late:
        book.append(entry(key="early-1"), entry(key="early-2"))
        settle(sequencer)
        settle(sequencer)
        assert book.mine() == ["early-1", "early-2"]
        late.commit()
    settle(sequencer)

    assert book.mine() == ["early-1", "early-2", "late"]


def test_an_entry_that_waited_for_a_key_is_not_passed_over(book):
    """An insert draws its id, then waits for another that used its key: long after, it appears.

    It has no transaction id while it waits, so nothing that goes by transaction ids would see it.
    """
    sequencer = book.sequencer()
    settle(sequencer)
    waiting = threading.Thread(target=book.append, args=(entry(key="wanted"),))
    with held_back(book, entry(key="wanted")) as first:
        waiting.start()
        _until(lambda: _waiting(book) == 1)
        for number in range(3):
            book.append(entry(key=f"k{number}"))
            settle(sequencer)
        first.rollback()
    waiting.join(timeout=60)
    settle(sequencer)

    assert book.mine() == ["k0", "k1", "k2", "wanted"]
    assert book.unplaced() == 0


def test_an_id_that_was_rolled_back_leaves_no_hole(book):
    """Ids that never appear cost no place, and nothing waits for them."""
    sequencer = book.sequencer()
    with held_back(book, entry(key="never")) as connection:
        book.append(entry(key="before"))
        settle(sequencer)
        connection.rollback()
    book.append(entry(key="after"))
    settle(sequencer)

    assert book.mine() == ["before", "after"]


def test_many_writers_that_commit_in_any_order_lose_nothing(book):
    """Eight writers with open transactions of any length, while the sequencer runs."""
    keys: list[str] = []
    written = threading.Lock()
    done = threading.Event()

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(plain(book.app_url)) as connection:
            for number in range(40):
                key = f"w{seed}-{number}"
                with held_back(book, entry(key=key)) as one:
                    time.sleep(chance.random() * 0.01)
                    if chance.random() < 0.2:
                        one.rollback()
                        continue
                    one.commit()
                with written:
                    keys.append(key)
            connection.rollback()

    def place() -> None:
        sequencer = book.sequencer()
        while not done.is_set():
            sequencer.step()
        settle(sequencer)

    placing = threading.Thread(target=place)
    placing.start()
    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    for each in writers:
        each.start()
    for each in writers:
        each.join(timeout=60)
    done.set()
    placing.join(timeout=60)

    assert sorted(book.mine()) == sorted(keys)
    for seed in range(8):  # what one writer wrote one after the other stays in that order
        mine = [key for key in book.mine() if key.startswith(f"w{seed}-")]
        assert mine == sorted(mine, key=lambda key: int(key.partition("-")[2]))
    book.heads()


def test_causes_come_before_effects(book):
    """What was written after an entry was seen gets the later place, whoever was slow before."""
    sequencer = book.sequencer()
    settle(sequencer)
    with held_back(book, entry(key="cause")) as slow:
        book.append(entry(key="other"))
        settle(sequencer)
        slow.commit()
    book.append(entry(key="effect"))
    settle(sequencer)

    assert book.mine() == ["other", "cause", "effect"]


def test_two_sequencers_make_one_order(book):
    """One works, the other waits; when the first ends, the second goes on from there."""
    first, second = book.sequencer(), book.sequencer()
    book.append(entry(key="a"))
    settle(first)

    assert second.step() is Step.WAITING
    book.append(entry(key="b"))
    assert second.step() is Step.WAITING
    settle(first)
    first.close()
    book.append(entry(key="c"))
    settle(second)

    assert book.mine() == ["a", "b", "c"]
    assert first.step() is Step.WAITING


def test_a_cut_connection_hands_over(book):
    """A sequencer whose session the server ended commits nothing more; another takes over."""
    first, second = book.sequencer(), book.sequencer()
    book.append(entry(key="a"))
    settle(first)
    with book.link(superuser=True) as link:
        link.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'lockstep-sequencer'"
        )
    book.append(entry(key="b"))
    with pytest.raises(psycopg.Error):
        first.step()
    settle(second)

    assert book.mine() == ["a", "b"]


@pytest.mark.parametrize(
    "kind",
    [
        EntryKind.CASE_CLOSED,
        EntryKind.METRIC_REPORTED,
        EntryKind.EVIDENCE_EXPORTED,
        EntryKind.SUBJECT_ERASED,
        EntryKind.HOLD_PLACED,
    ],
)
def test_a_head_is_signed_where_it_matters(book, kind):
    """A closing, and what changes metric, evidence or personal data, gets a head; others do not."""
    sequencer = book.sequencer()
    settle(sequencer)
    book.append(entry(key="nothing much"))
    settle(sequencer)
    assert len(book.heads()) == 1
    book.append(entry(kind))
    sequencer.close()  # a new one need not keep its distance from the last head
    settle(sequencer)

    assert [(size, reason) for size, _, reason in book.heads()][1:] == [(4, kind.value)]


def test_closings_share_a_head_and_wait_little(book):
    """A burst of closings is covered by few heads, the last within seconds of the last closing."""
    sequencer = book.sequencer()
    settle(sequencer)
    began = time.monotonic()
    for number in range(30):
        book.append(entry(EntryKind.CASE_CLOSED, key=f"closed{number}"))
        sequencer.step()
    closed = time.monotonic()
    _until(lambda: sequencer.step() is Step.IDLE and book.heads()[-1][0] == 32)

    assert time.monotonic() - closed < 10
    assert len(book.heads()) <= 2 + (time.monotonic() - began)


def test_a_heartbeat_shows_that_the_end_is_the_end(book):
    """When nothing asked for a head for so long, the sequencer does; and only then."""
    at = datetime.now(UTC)
    clock = [at]
    sequencer = book.sequencer(heartbeat=timedelta(hours=24), now=lambda: clock[0])
    settle(sequencer)
    for hours in (1, 23, 24, 25, 47, 48):
        clock[0] = at + timedelta(hours=hours)
        sequencer.close()
        settle(sequencer)
        settle(sequencer)

    assert book.kinds()[2:] == ["ledger:heartbeat", "ledger:heartbeat"]
    assert [(size, reason) for size, _, reason in book.heads()] == [
        (2, "ledger:key_adopted"),
        (3, "ledger:heartbeat"),
        (4, "ledger:heartbeat"),
    ]


def test_a_clock_that_was_ahead_does_not_stop_the_heart(book):
    """A head signed far in the future is followed by a heartbeat, once."""
    clock = [datetime.now(UTC) + timedelta(days=400)]
    sequencer = book.sequencer(now=lambda: clock[0])
    settle(sequencer)
    clock[0] = datetime.now(UTC)
    for _ in range(3):
        sequencer.close()
        settle(sequencer)
        settle(sequencer)

    assert book.kinds()[2:] == ["ledger:heartbeat"]


def test_a_backlog_gets_one_heartbeat(book):
    """After a long stop first come the places, then one heartbeat, and not one with each batch."""
    clock = [datetime.now(UTC)]
    sequencer = book.sequencer(now=lambda: clock[0])
    settle(sequencer)
    sequencer.close()
    clock[0] += timedelta(days=3)
    book.append(*(entry(key=f"k{number}") for number in range(2 * BATCH + 5)))
    settle(sequencer)
    settle(sequencer)

    assert book.kinds().count("ledger:heartbeat") == 1
    assert book.kinds()[-1] == "ledger:heartbeat"
    assert book.heads()[-1][0] == len(book.order())


def test_the_tree_is_that_of_the_bytes(book):
    """A head's root is the one that anybody computes from the stored bytes."""
    book.append(*(entry(key=f"k{n}", number=n) for n in range(100)))
    sequencer = book.sequencer()
    settle(sequencer)

    [(size, root, _)] = book.heads()
    assert size == 102
    assert tree_of(book.bodies()).root() == root


def test_an_append_is_not_held_up(book):
    """While a pass is under way, with its transaction open, entries are appended at once."""
    paused, go_on = threading.Event(), threading.Event()
    held: list[bool] = []

    def fold(*_):
        paused.set()
        held.append(go_on.wait(30))

    sequencer = book.sequencer(fold=fold)
    book.append(entry(key="a"), entry(EntryKind.CASE_BEGUN, key="c", case_id="c1"))
    placing = threading.Thread(target=settle, args=(sequencer,))
    placing.start()
    assert paused.wait(30)
    book.append(entry(key="b"))
    go_on.set()
    placing.join(timeout=30)

    assert held == [True], "the append has waited for the pass"
    settle(sequencer)
    assert book.mine() == ["a", "c", "b"]


def _waiting(book: LedgerBook) -> int:
    [row] = book.ask(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock'"
        " and datname = current_database()"
    )
    return int(row[0])


def _until(holds) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)

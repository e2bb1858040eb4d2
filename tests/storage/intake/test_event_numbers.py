"""The numbers that senders see: each event has one, and they tell nothing of any other."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lockstep.storage.intake.event_numbers import MOST, EventNumbers
from lockstep.storage.keys.keyring import Keyring

NUMBERS = EventNumbers(Keyring.generate())


@given(st.integers(min_value=0, max_value=MOST - 1))
def test_a_number_leads_back_to_its_event(row_id):
    """Whatever its place in the inbox."""
    shown = NUMBERS.shown(row_id)

    assert 1 <= shown <= MOST
    assert NUMBERS.row_id(shown) == row_id


def test_numbers_in_a_row_are_in_no_order():
    """Nobody can tell whether something came between two of them."""
    shown = [NUMBERS.shown(row_id) for row_id in range(1, 1001)]
    rising = sum(after > before for before, after in itertools.pairwise(shown))

    assert len(set(shown)) == 1000
    assert 400 < rising < 600
    assert min(abs(after - before) for before, after in itertools.pairwise(shown)) > 1


def test_another_installation_numbers_otherwise():
    """The order hangs on the keyring."""
    other = EventNumbers(Keyring.generate())

    assert [NUMBERS.shown(n) for n in range(10)] != [other.shown(n) for n in range(10)]


@given(st.integers())
def test_what_is_no_number_of_ours_is_no_event(shown):
    """Any number may be asked for; none is an error."""
    found = NUMBERS.row_id(shown)

    assert 0 <= found < MOST
    assert found == 0 or NUMBERS.shown(found) == shown

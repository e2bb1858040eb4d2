"""How often somebody may ask, and what counts as one place on the network."""

from __future__ import annotations

import pytest

from lockstep.web.allowances import Allowances, place_of


class Clock:
    """A clock that goes on when it is told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_allowance_is_for_one_key_and_refills_evenly():
    """So many at once, then by the minute; whoever waits as long as was said is let in."""
    clock = Clock()
    allowances = Allowances(6, burst=3, clock=clock)
    waits = [allowances.wait("a") for _ in range(5)]

    assert waits[:3] == [0, 0, 0]
    assert all(10 <= wait <= 11 for wait in waits[3:])
    assert allowances.wait("b") == 0
    clock.now += waits[-1]
    assert allowances.wait("a") == 0
    assert allowances.wait("a") > 0


def test_what_was_not_used_is_not_saved_up():
    """After any time it is one burst."""
    clock = Clock()
    allowances = Allowances(60, burst=2, clock=clock)
    allowances.wait("a")
    clock.now = 1e9

    assert [allowances.wait("a") > 0 for _ in range(3)] == [False, False, True]


def test_so_many_keys_are_remembered():
    """Whoever has asked least lately is forgotten first: memory is bounded."""
    allowances = Allowances(1, most_keys=2, clock=Clock())
    assert [allowances.wait(key) for key in "ab"] == [0, 0]
    assert allowances.wait("a") > 0
    assert allowances.wait("c") == 0
    assert allowances.wait("a") > 0
    assert allowances.wait("b") == 0


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::7", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("a socket", "a socket"),
        ("", ""),
        ("x" * 5000, "x" * 100),
    ],
)
def test_a_place_is_what_one_subscriber_has(host, place):
    """Of IPv6 the /64: whoever has one has all of its addresses."""
    assert place_of(host) == place

"""Keys on their way from an event, a form or a line to the fact that a case opens with."""

from __future__ import annotations

import pytest

from lockstep.control.intake.events import EventError, check_systems, parse_event, read_event
from lockstep.control.intake.reporting import event_of
from lockstep.domain.cases.leavers import Key, KeyKind
from tests.web.conftest import body, event

LINE = {"worker_id": "W-1", "kind": "voluntary", "zone": "Asia/Calcutta", "access_ends_at": "now"}


def keys_of(**worker: object) -> tuple[Key, ...]:
    raw = body(worker={"id": "W-1", **worker})
    return parse_event(raw, tenant="acme", source="hr", event_id="e1").keys.keys


def test_one_account_or_several_of_a_system_are_pinned() -> None:
    """Every id becomes a key of its own, and the same id twice is one."""
    accounts = {"okta": ["00u1", "00u2", "00u1"], "aws": "AIDA1"}
    pinned = [key for key in keys_of(accounts=accounts) if key.kind is KeyKind.ACCOUNT_ID]
    assert [(key.system, key.value) for key in pinned] == [
        ("okta", "00u1"),
        ("okta", "00u2"),
        ("aws", "AIDA1"),
    ]


def test_display_forms_become_keys() -> None:
    """What is stored is what a system can be asked for."""
    found = keys_of(emails=["Maria Santos <M.Santos@Example.com>"], usernames=["m.santos;"])
    assert Key(KeyKind.EMAIL, "M.Santos@Example.com") in found
    assert Key(KeyKind.USERNAME, "m.santos") in found


def test_an_error_is_kept_without_the_letters_that_it_shows() -> None:
    """The sender sees where the invisible character stands; the database and the log do not."""
    with pytest.raises(EventError) as refused:
        keys_of(emails=["m.san\u200btos@example.com"])
    assert "m.san<U+200B>tos@" in refused.value.problems[0]
    assert "m.san" not in str(refused.value)
    assert "U+200B" in str(refused.value)


def test_a_system_that_is_not_configured_is_named() -> None:
    """A misspelt name would leave that account open for ever."""
    said = read_event(event(worker={"id": "W-1", "accounts": {"oktaa": "1", "okta": "2"}}))
    with pytest.raises(EventError, match=r"accounts\.oktaa: .* there are aws, okta"):
        check_systems(said, {"okta", "aws"})
    check_systems(said, {"okta", "oktaa"})
    check_systems(said, None)


def test_a_line_says_accounts_too() -> None:
    """As system=id, several by semicolons."""
    said = event_of({**LINE, "accounts": "okta=00u1; okta = 00u2;aws=AIDA1"})
    assert said.worker.accounts == {"okta": ["00u1", "00u2"], "aws": ["AIDA1"]}
    with pytest.raises(EventError, match="system=id"):
        event_of({**LINE, "accounts": "00u1"})


def test_a_line_is_cleaned_like_an_event() -> None:
    """One place decides for every way in."""
    said = event_of({**LINE, "emails": "Maria <m@example.com>;mailto:n@example.com"})
    assert said.worker.emails == ["m@example.com", "n@example.com"]
    assert said.dates.zone == "Asia/Kolkata"


@pytest.mark.parametrize("revision", ["\u00b2", "1.0", "-1", "+1", "1e3", "\u0661", "9" * 17, "0"])
def test_a_revision_is_a_plain_whole_number(revision: str) -> None:
    """Python takes raised and other digits for digits; people do not mean them."""
    with pytest.raises(EventError, match="revision"):
        event_of({**LINE, "revision": revision})

"""The leaver's keys: which systems may use which."""

from __future__ import annotations

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys

KEYS = LeaverKeys(
    (
        Key(KeyKind.EMAIL, "a@example.com"),
        Key(KeyKind.ACCOUNT_ID, "okta-1", "okta"),
        Key(KeyKind.ACCOUNT_ID, "any-1"),
        Key(KeyKind.USERNAME, "a.one"),
        Key(KeyKind.EMAIL, "b@example.com"),
        Key(KeyKind.EMAIL, "a@example.com"),
    )
)


def test_an_account_id_serves_the_system_that_issued_it() -> None:
    """An id that names no system serves all; another system's id serves none."""
    assert KEYS.account_ids("okta") == ("okta-1", "any-1")
    assert KEYS.account_ids("aws") == ("any-1",)


def test_values_are_distinct_and_ranked_by_kind() -> None:
    """The order is the order of the kinds that were asked for; account ids never mix in."""
    assert KEYS.of_kind(KeyKind.USERNAME, KeyKind.EMAIL, KeyKind.ACCOUNT_ID) == (
        "a.one",
        "a@example.com",
        "b@example.com",
    )


def test_keys_do_not_show_in_a_repr() -> None:
    """Logs and tracebacks carry no personal data."""
    assert "example.com" not in repr(KEYS)

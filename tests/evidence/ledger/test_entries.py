"""Entries: exact bytes, pseudonymous, one meaning each."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Access, AccessKind, Account, Exchange, Residual
from lockstep.evidence.ledger.entries import (
    Actor,
    Entry,
    EntryKind,
    access_data,
    account_data,
    exchange_data,
    residual_data,
    sealed,
)

NOW = datetime(2026, 3, 10, 10, 0, 0, 5000, UTC)
SALT = b"0123456789abcdef"
PERSONAL = "ada.lovelace@example.com"


def _entry(**changes: object) -> Entry:
    values: dict[str, object] = {
        "kind": EntryKind.CASE_CLOSED,
        "key": "c1:case:closed:1",
        "tenant": "acme",
        "occurred_at": NOW,
        "recorded_at": NOW,
    }
    return Entry(**{**values, **changes})  # type: ignore[arg-type] # checked by the tests


def test_the_bytes_of_an_entry_are_known() -> None:
    """The format is public: these bytes never change for these facts."""
    entry = _entry(case_id="c1", subject="u-1", policy="ab", data={"closing": 1})
    assert entry.to_bytes() == (
        b'{"actor":{"type":"lockstep"},"case":"c1","data":{"closing":1},"key":"c1:case:closed:1",'
        b'"kind":"case:closed","occurred_at":"2026-03-10T10:00:00.005Z","policy":"ab",'
        b'"recorded_at":"2026-03-10T10:00:00.005Z","subject":"u-1","tenant":"acme","v":1}'
    )


def test_empty_members_are_left_out() -> None:
    """An entry without case, system or data says nothing about them."""
    document = json.loads(_entry().to_bytes())
    assert set(document) == {"v", "kind", "key", "tenant", "occurred_at", "recorded_at", "actor"}
    person = json.loads(_entry(actor=Actor("person", "r1")).to_bytes())
    assert person["actor"] == {"type": "person", "ref": "r1"}


def test_sealing_hashes_the_stored_bytes() -> None:
    """The leaf is over exactly the bytes that are stored."""
    raw, leaf = sealed(_entry())
    assert leaf == hashlib.sha256(b"\x00" + raw).digest()


@given(st.text(min_size=1), st.text(min_size=1))
def test_any_change_of_a_fact_changes_the_leaf(first: str, second: str) -> None:
    """Two different facts never share a leaf, and the same fact always does."""
    leaves = [sealed(_entry(data={"said": text}))[1] for text in (first, second)]
    assert (leaves[0] == leaves[1]) is (first == second)


def test_evidence_names_no_person() -> None:
    """A vendor's ids often carry a name: entries hold commitments to them instead."""
    account = Account(PERSONAL, PERSONAL, (Key(KeyKind.EMAIL, PERSONAL),))
    data = {
        "accounts": account_data(SALT, "okta", [account]),
        "standing": access_data(SALT, "okta", [Access(AccessKind.DEVICE, f"phone of {PERSONAL}")]),
        **exchange_data([Exchange("users.get", 200, NOW, "req-1", None, "d" * 64)], dropped=2),
    }
    raw = _entry(data=data).to_bytes().decode()
    assert "ada" not in raw
    assert "example" not in raw
    assert json.loads(raw)["data"]["standing"][0]["kind"] == "device", "kinds stay readable"
    assert json.loads(raw)["data"]["calls_dropped"] == 2


def test_a_way_in_has_another_reference_in_each_system_and_kind() -> None:
    """Equal ids in two systems cannot be linked."""
    token, secret = Access(AccessKind.TOKEN, "1"), Access(AccessKind.SECRET, "1")
    refs = {
        access_data(SALT, system, [item])[0]["ref"]
        for system in ("okta", "aws")
        for item in (token, secret)
    }
    assert len(refs) == 4


def test_a_call_is_recorded_as_the_vendor_logged_it() -> None:
    """Request id and Date header stand as they came; what a call did not have is left out."""
    date = "Tue, 10 Mar 2026 10:00:00 GMT"
    known = Exchange("users.suspend", 204, NOW, "req-1", date, skew=timedelta(0))
    assert exchange_data([known]) == {
        "calls": [
            {
                "op": "users.suspend",
                "status": 204,
                "at": "2026-03-10T10:00:00.005Z",
                "request_id": "req-1",
                "date": date,
            }
        ]
    }
    assert residual_data([Residual("access_token", 3600), Residual("session", None)]) == [
        {"what": "access_token", "bound_s": 3600},
        {"what": "session"},
    ]


@pytest.mark.parametrize("seconds", [-7200, 7200])
def test_a_clock_that_lies_is_on_record(seconds: int) -> None:
    """By how much a vendor's Date lies outside the call stands beside it."""
    call = Exchange("users.suspend", 204, NOW, skew=timedelta(seconds=seconds))
    assert exchange_data([call])["calls"] == [
        {
            "op": "users.suspend",
            "status": 204,
            "at": "2026-03-10T10:00:00.005Z",
            "skew_ms": seconds * 1000,
        }
    ]


def test_data_that_json_cannot_hold_is_no_entry() -> None:
    """An entry with a value of no JSON type is refused before it is stored."""
    with pytest.raises(Exception, match="unsupported"):
        _entry(data={"when": NOW}).to_bytes()


def test_kinds_of_entries_are_public() -> None:
    """The names in the ledger: one may be added here, none renamed or removed."""
    assert {kind.value for kind in EntryKind} >= {
        "policy:adopted",
        "case:opened",
        "case:amended",
        "case:rescinded",
        "case:rescind_refused",
        "case:begun",
        "case:closed",
        "revocation:attempt",
        "revocation:fault",
        "revocation:outcome",
        "revocation:needs_person",
        "decision:retry",
        "decision:attest",
        "decision:waive",
        "watch:look",
        "finding:raised",
    }

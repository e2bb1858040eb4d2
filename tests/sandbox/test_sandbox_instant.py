"""Instant answers for every worker key and remembers only who was switched off."""

import pytest


def test_everybody_is_signed_in_on_first_sight(instant):
    found = instant.get("/accounts", key="NW-1")
    assert found == {
        "accounts": [{"id": "acc-NW-1", "signed_in": True, "sessions": 2, "changed_at": None}]
    }


def test_off_is_remembered_with_the_time_of_the_first_call(instant):
    first = instant("POST", "/accounts/acc-NW-1/off").json
    second = instant("POST", "/accounts/acc-NW-1/off").json
    assert first == second == instant.get("/accounts/acc-NW-1")
    assert first["signed_in"] is False
    assert first["sessions"] == 0
    assert [call["applied"] for call in instant.calls("NW-1")] == [True, False]


def test_keys_with_unusual_letters_come_back_as_they_were(instant):
    key = "a b/ü@example.com"
    account = instant.get("/accounts", key=key)["accounts"][0]
    assert instant("POST", f"/accounts/{account['id']}/off").status == 200
    assert instant.get("/accounts", key=key)["accounts"][0]["signed_in"] is False
    assert instant.calls(key)[0]["applied"] is True


def test_a_wrong_token_is_refused(box, client_of):
    assert client_of(box["instant"], "Bearer no")("GET", "/accounts", key="x").status == 401


@pytest.mark.parametrize("path", ["/accounts", "/accounts/other", "/accounts/acc-a/b"])
def test_what_is_no_account_is_not_found(instant, path):
    assert instant("GET", path).status == 404


def test_a_lost_reply_leaves_the_account_off(instant):
    instant.arm(kind="applied_reply_lost", limit=1)
    assert instant.reply("POST", "/accounts/acc-NW-1/off").response is None
    assert instant.get("/accounts/acc-NW-1")["signed_in"] is False


def test_success_not_done_leaves_the_account_on(instant):
    instant.arm(kind="success_not_done", per_user=1)
    assert instant("POST", "/accounts/acc-NW-1/off").status == 200
    assert instant.get("/accounts/acc-NW-1")["signed_in"] is True
    instant("POST", "/accounts/acc-NW-1/off")
    assert instant.get("/accounts/acc-NW-1")["signed_in"] is False


def test_fixed_latency_is_a_delay_and_needs_no_memory(box, instant):
    instant.arm(kind="latency", delay_ms=300)
    assert instant.reply("GET", "/accounts", key="NW-1").delay == pytest.approx(0.3)
    assert box["instant"].faults.dump()[0]["seen"] == {}


def test_restore_and_reset_switch_accounts_on_again(instant):
    instant("POST", "/accounts/acc-NW-1/off")
    assert instant("POST", "/sandbox/restore", body={"user": "NW-1"}).status == 200
    assert instant.get("/accounts/acc-NW-1")["signed_in"] is True
    instant("POST", "/accounts/acc-NW-1/off")
    instant("POST", "/sandbox/reset")
    assert instant.get("/accounts/acc-NW-1")["signed_in"] is True

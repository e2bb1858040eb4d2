"""The control interface is for loopback, says that it is simulated, and reaches every vendor."""

import pytest

USERS = "/api/v1/users"


def test_control_answers_to_loopback_only(okta):
    assert okta("GET", "/sandbox/state", peer="192.0.2.7").status == 403
    assert okta("GET", "/sandbox/state", peer="::1").status == 200
    assert okta("GET", "/sandbox/state", peer="::ffff:127.0.0.1").status == 200


def test_the_front_page_says_simulated(okta, tailscale, kisi, instant):
    for client in (okta, tailscale, kisi, instant):
        assert "SIMULATED" in client("GET", "/").text


def test_state_is_found_by_any_key_and_404_when_nobody_is(okta, people):
    person = people[0]
    for word in (person.email, person.worker_id, person.employee_number):
        assert okta.standing(word)["status"] == "ACTIVE"
    assert okta("GET", "/sandbox/state/nobody").status == 404


def test_seeding_reaches_one_vendor_or_all(okta, kisi):
    people = [{"worker_id": "W-1", "email": "w1@example.com", "first_name": "W"}]
    answer = okta("POST", "/sandbox/seed", body={"people": people})
    assert answer.json["seeded"] == {"okta": 1}
    assert kisi("GET", "/sandbox/state/w1@example.com").status == 404
    okta("POST", "/sandbox/seed", body={"people": people}, all="true")
    assert kisi.standing("w1@example.com")["cards"] == 1


def test_a_shape_says_what_people_have(okta):
    body = {
        "people": [
            {"worker_id": "W-1", "email": "w1@example.com"},
            {"worker_id": "W-2", "email": "w2@example.com", "shape": {"okta": {"groups": 0}}},
            {"worker_id": "W-3", "email": "w3@example.com", "shape": {"okta": {"absent": True}}},
        ],
        "shape": {"okta": {"groups": 5, "sessions": 1}},
    }
    assert okta("POST", "/sandbox/seed", body=body).json["seeded"] == {"okta": 2}
    assert okta.standing("W-1")["groups"] == 5
    assert okta.standing("W-2")["groups"] == 0
    assert okta.standing("W-2")["sessions"] == 1


def test_restore_gives_access_back_or_only_some_parts(okta, people):
    email = people[0].email
    user = f"{USERS}/{okta.get(f'{USERS}/{email}')['id']}"
    okta("POST", f"{user}/lifecycle/suspend")
    okta("DELETE", f"{user}/sessions", oauthTokens="true")
    body = {"user": email, "parts": ["sessions"]}
    assert okta("POST", "/sandbox/restore", body=body).json["restored"] == {"okta": 1}
    assert (okta.standing(email)["sessions"], okta.standing(email)["status"]) == (2, "SUSPENDED")
    okta("POST", "/sandbox/restore", body={"user": email})
    assert okta.standing(email)["status"] == "ACTIVE"
    assert okta("POST", "/sandbox/restore", body={"user": "nobody"}).status == 404


def test_reset_forgets_or_starts_everybody_afresh(okta, people):
    email = people[0].email
    okta("POST", f"{USERS}/{email}/lifecycle/suspend")
    okta.arm(kind="server_error", limit=99)
    okta("POST", "/sandbox/reset", body={"keep_people": True})
    assert okta.standing(email)["status"] == "ACTIVE"
    assert okta.calls("") == []
    assert okta.get("/sandbox/faults")["faults"] == []
    okta("POST", "/sandbox/reset")
    assert okta("GET", f"/sandbox/state/{email}").status == 404


def test_faults_can_be_listed_replaced_and_removed(okta, kisi):
    okta.arm(kind="server_error", limit=1)
    okta.arm(kind="timeout", limit=1)
    assert [f["id"] for f in okta.get("/sandbox/faults")["faults"]] == ["fault-1", "fault-2"]
    okta("DELETE", "/sandbox/faults/fault-1")
    assert [f["kind"] for f in okta.get("/sandbox/faults")["faults"]] == ["timeout"]
    okta("PUT", "/sandbox/faults", body=[{"kind": "latency"}], all="true")
    assert [f["kind"] for f in kisi.get("/sandbox/faults")["faults"]] == ["latency"]
    assert okta("DELETE", "/sandbox/faults").json["removed"] == 1


def test_calls_tell_what_was_applied(okta, people):
    email = people[0].email
    okta("POST", f"{USERS}/{email}/lifecycle/suspend")
    okta("POST", f"{USERS}/{email}/lifecycle/suspend")
    okta("POST", f"{USERS}/{people[1].email}/lifecycle/suspend")
    applied = okta.get("/sandbox/calls", user=email, applied="true")["calls"]
    assert [call["path"] for call in applied] == [f"{USERS}/{email}/lifecycle/suspend"]
    assert len(okta.get("/sandbox/calls")["calls"]) == 3


@pytest.mark.parametrize("body", [[], {"persons": []}, {"people": 1}, "people"])
def test_a_malformed_body_is_refused_and_nothing_breaks(okta, body):
    assert okta("POST", "/sandbox/seed", body=body).status == 422


def test_unknown_controls_are_not_found(okta):
    assert okta("GET", "/sandbox/nothing").status == 404
    assert okta("PATCH", "/sandbox/faults").status == 405

"""The simulated Okta behaves as Okta's specification says, in what off-boarding touches."""

import time

import pytest

from sandbox import Options, Sandbox

USERS = "/api/v1/users"


@pytest.fixture
def ana(people):
    return people[0]


@pytest.fixture
def user(okta, ana):
    """Path of an ordinary active user."""
    return f"{USERS}/{okta.get(f'{USERS}/{ana.email}')['id']}"


def last_super_admin(client_of, *others):
    box = Sandbox(Options())
    admin = {"worker_id": "W-1", "email": "boss@example.com"}
    box["okta"].seed(
        [
            {**admin, "shape": {"okta": {"roles": ["SUPER_ADMIN"]}}},
            *others,
        ],
        {},
    )
    return client_of(box["okta"], "SSWS sandbox-okta-token")


def test_a_person_has_realistic_access(okta, ana):
    assert okta.standing(ana.email) == {
        "sign_in": True,
        "status": "ACTIVE",
        "sessions": 2,
        "tokens": 2,
        "grants": 2,
        "factors": 2,
        "groups": 3,
        "imported_groups": 0,
        "roles": 0,
    }


def test_a_wrong_token_is_refused_with_oktas_code(box, client_of):
    answer = client_of(box["okta"], "SSWS wrong")("GET", USERS)
    assert answer.status == 401
    assert answer.json["errorCode"] == "E0000011"
    assert answer.headers["X-Okta-Request-Id"]


def test_suspend_works_once_and_then_says_e0000001(okta, user, ana):
    assert okta("POST", f"{user}/lifecycle/suspend").status == 200
    again = okta("POST", f"{user}/lifecycle/suspend")
    assert (again.status, again.json["errorCode"]) == (400, "E0000001")
    assert okta.get(user)["status"] == "SUSPENDED"
    assert [call["applied"] for call in okta.calls(ana.email)] == [True, False]


def test_a_suspended_user_keeps_sessions_until_they_are_cleared(okta, user, ana):
    okta("POST", f"{user}/lifecycle/suspend")
    assert okta.standing(ana.email)["sessions"] == 2
    assert okta("DELETE", f"{user}/sessions", oauthTokens="true").status == 204
    assert okta.standing(ana.email)["sessions"] == 0
    assert okta.standing(ana.email)["tokens"] == 0


def test_clients_are_listed_until_tokens_and_grants_are_gone(okta, user):
    clients = okta.get(f"{user}/clients")
    for client in clients:
        path = f"{user}/clients/{client['client_id']}/tokens"
        assert len(okta.get(path)) == 1
        assert okta("DELETE", path).status == 204
    assert len(okta.get(f"{user}/clients")) == 2
    assert okta("DELETE", f"{user}/grants").status == 204
    assert okta.get(f"{user}/clients") == []


def test_factors_cannot_be_unenrolled_after_deactivation(okta, user):
    factor = okta.get(f"{user}/factors")[0]
    assert okta("POST", f"{user}/lifecycle/deactivate", sendEmail="false").status == 200
    assert okta("DELETE", f"{user}/factors/{factor['id']}").status == 403
    assert okta("POST", f"{user}/lifecycle/reset_factors").status == 403


def test_factors_can_be_reset_and_deleted_before(okta, user):
    factor = okta.get(f"{user}/factors")[1]
    assert okta("DELETE", f"{user}/factors/{factor['id']}").status == 204
    assert okta("DELETE", f"{user}/factors/{factor['id']}").status == 404
    assert okta("POST", f"{user}/lifecycle/reset_factors").status == 200
    assert okta.get(f"{user}/factors") == []


def test_deactivation_twice_is_an_error_and_ends_sessions(okta, user, ana):
    okta("POST", f"{user}/lifecycle/deactivate")
    again = okta("POST", f"{user}/lifecycle/deactivate")
    assert (again.status, again.json["errorCode"]) == (400, "E0000001")
    assert okta.standing(ana.email)["sessions"] == 0
    assert okta.get(f"{user}/appLinks") == []


def test_asynchronous_deactivation_shows_the_status_it_goes_to(box, okta, user, ana):
    account = box["okta"].named(ana.email)[0]
    account.doc["transitioningToStatus"] = "DEPROVISIONED"
    account.pending = {"at": time.time() + 60}
    assert okta.get(user)["status"] == "ACTIVE"
    account.pending = {"at": time.time() - 1}
    found = okta.get(user)
    assert found["status"] == "DEPROVISIONED"
    assert "transitioningToStatus" not in found


def test_delete_deactivates_first_and_deletes_for_ever_at_the_second_call(okta, user):
    assert okta("DELETE", user).status == 204
    assert okta.get(user)["status"] == "DEPROVISIONED"
    assert okta("DELETE", user).status == 204
    assert okta("GET", user).status == 404


def test_only_okta_groups_can_be_left(okta, people):
    imported = people[6]
    user_id = okta.get(f"{USERS}/{imported.email}")["id"]
    answers = {
        group["type"]: okta("DELETE", f"/api/v1/groups/{group['id']}/users/{user_id}").status
        for group in okta.get(f"{USERS}/{user_id}/groups")
    }
    assert answers == {"BUILT_IN": 403, "OKTA_GROUP": 204, "APP_GROUP": 403}


def test_an_admin_role_can_be_taken_away(okta, people):
    user_id = okta.get(f"{USERS}/{people[2].email}")["id"]
    role = okta.get(f"{USERS}/{user_id}/roles")[0]
    assert okta("DELETE", f"{USERS}/{user_id}/roles/{role['id']}").status == 204
    assert okta.get(f"{USERS}/{user_id}/roles") == []
    assert okta("DELETE", f"{USERS}/{user_id}/roles/{role['id']}").status == 404


def test_the_last_super_admin_is_guarded(client_of):
    okta = last_super_admin(client_of)
    user = f"{USERS}/{okta.get(f'{USERS}/boss@example.com')['id']}"
    role = okta.get(f"{user}/roles")[0]
    assert okta("DELETE", f"{user}/roles/{role['id']}").status == 403
    assert okta("POST", f"{user}/lifecycle/deactivate").status == 403
    assert okta("DELETE", user).status == 403


def test_a_super_admin_who_is_not_the_last_can_go(client_of):
    second = {
        "worker_id": "W-2",
        "email": "second@example.com",
        "shape": {"okta": {"roles": ["SUPER_ADMIN"]}},
    }
    okta = last_super_admin(client_of, second)
    user = f"{USERS}/{okta.get(f'{USERS}/boss@example.com')['id']}"
    assert okta("POST", f"{user}/lifecycle/deactivate").status == 200


def test_a_plain_list_leaves_out_the_deprovisioned(okta, user, ana):
    okta("POST", f"{user}/lifecycle/deactivate")
    assert ana.email not in {u["profile"]["email"] for u in okta.get(USERS)}
    found = okta.get(USERS, search=f'profile.email eq "{ana.email.upper()}"')
    assert [u["status"] for u in found] == ["DEPROVISIONED"]


def test_search_joins_terms_and_filter_looks_at_case(okta, people):
    first, second = people[0], people[1]
    either = f'profile.email eq "{first.email}" or profile.employeeNumber eq "100502"'
    assert len(okta.get(USERS, search=either)) == 2
    both = f'profile.email eq "{first.email}" and profile.employeeNumber eq "100502"'
    assert okta.get(USERS, search=both) == []
    assert okta.get(USERS, filter=f'profile.login eq "{second.email.upper()}"') == []
    assert okta("GET", USERS, search="profile.email eq").json["errorCode"] == "E0000031"


def test_lists_come_in_pages_with_a_link_to_the_next(okta):
    seen, query = [], {"limit": "5"}
    for _ in range(3):
        reply = okta.reply("GET", USERS, **query)
        seen += okta("GET", USERS, **query).json
        links = [value for name, value in reply.response.headers if name == "Link"]
        following = [link for link in links if 'rel="next"' in link]
        if following:
            query["after"] = following[0].partition("after=")[2].partition(">")[0].split("&")[0]
    assert len({user["id"] for user in seen}) == len(seen) == 12
    assert not following


def test_the_system_log_ties_events_to_request_ids(okta, user, ana):
    request_id = okta("POST", f"{user}/lifecycle/suspend").headers["X-Okta-Request-Id"]
    okta("DELETE", f"{user}/sessions")
    user_id = user.rpartition("/")[2]
    events = okta.get("/api/v1/logs", filter=f'target.id eq "{user_id}"')
    assert [e["eventType"] for e in events] == ["user.lifecycle.suspend", "user.session.clear"]
    assert events[0]["transaction"]["id"] == request_id
    one = okta.get("/api/v1/logs", filter='eventType eq "user.session.clear"')
    assert len(one) == 1


def test_an_ambiguous_person_has_two_accounts_with_one_number(client_of):
    box = Sandbox(Options())
    person = {"worker_id": "W-1", "email": "twice@example.com", "employee_number": "7"}
    box["okta"].seed([{**person, "shape": {"okta": {"ambiguous": True}}}], {})
    okta = client_of(box["okta"], "SSWS sandbox-okta-token")
    assert len(okta.get(USERS, search='profile.employeeNumber eq "7"')) == 2
    assert okta.get(f"{USERS}/twice@example.com")["profile"]["login"] == "twice@example.com"


def test_a_limited_token_gets_403_where_it_lacks_the_permission(box, client_of, okta, user):
    okta("POST", "/sandbox/tokens", body={"token": "weak", "lacks": ["roles", "groups:write"]})
    weak = client_of(box["okta"], "SSWS weak")
    assert weak("GET", f"{user}/roles").json["errorCode"] == "E0000006"
    groups = weak.get(f"{user}/groups")
    path = f"/api/v1/groups/{groups[1]['id']}/users/{user.rpartition('/')[2]}"
    assert weak("DELETE", path).status == 403


def test_a_session_works_until_it_is_cleared(box, client_of, okta, user, ana):
    account = box["okta"].named(ana.email)[0]
    session = client_of(box["okta"], f"Bearer {account.parts['sessions'][0]['id']}")
    token = client_of(box["okta"], f"Bearer {account.parts['tokens'][0]['access']}")
    whoami = "/sandbox/okta/whoami"
    assert session("GET", whoami).json["via"] == "session"
    assert token("GET", whoami).json["via"] == "oauth"
    okta("DELETE", f"{user}/sessions")
    assert session("GET", whoami).status == 401
    assert token("GET", whoami).status == 200
    okta("DELETE", f"{user}/sessions", oauthTokens="true")
    assert token("GET", whoami).status == 401


def test_signing_in_works_until_the_user_is_suspended(okta, user, ana):
    login = {"login": ana.email}
    first = okta("POST", "/sandbox/okta/login", body=login)
    assert first.status == 200
    assert okta.standing(ana.email)["sessions"] == 3
    okta("POST", f"{user}/lifecycle/suspend")
    assert okta("POST", "/sandbox/okta/login", body=login).json["errorCode"] == "E0000004"

"""The simulated Kisi behaves as Kisi's API description says."""

import pytest


@pytest.fixture
def ana(people):
    return people[0]


@pytest.fixture
def user_id(kisi, ana):
    return str(kisi.get("/users", query=ana.email)[0]["id"])


def test_a_person_has_roles_a_card_logins_and_a_team(kisi, ana):
    assert kisi.standing(ana.email) == {
        "sign_in": True,
        "doors": True,
        "status": "present",
        "logins": 2,
        "role_assignments": 2,
        "cards": 1,
        "team_memberships": 1,
    }


def test_a_wrong_key_is_refused(box, client_of):
    answer = client_of(box["kisi"], "KISI-LOGIN wrong")("GET", "/users")
    assert answer.status == 401
    assert set(answer.json) == {"error", "code"}


def test_users_come_in_slices_that_say_where_they_are(kisi):
    answer = kisi("GET", "/users", limit="4", offset="8")
    assert answer.headers["X-Collection-Range"] == "8-11/11"
    assert len(answer.json) == 3


def test_query_finds_parts_of_addresses_so_the_caller_must_compare(kisi, ana):
    assert len(kisi.get("/users", query="@northwind.example.com")) == 11
    assert kisi.get("/users", email=ana.email)[0]["email"] == ana.email


def test_switching_access_off_is_idempotent_and_scim_is_read_only(kisi, ana, user_id):
    off = {"user": {"access_enabled": False, "password_flow_enabled": False}}
    assert kisi("PATCH", f"/users/{user_id}", body=off).status == 204
    assert kisi("PATCH", f"/users/{user_id}", body=off).status == 204
    scim = {"user": {"scim_access_enabled": False}}
    assert kisi("PATCH", f"/users/{user_id}", body=scim).status == 204
    found = kisi.get(f"/users/{user_id}")
    assert (found["access_enabled"], found["scim_access_enabled"]) == (False, True)
    assert [c["applied"] for c in kisi.calls(ana.email)] == [True, False, False]


@pytest.mark.parametrize(
    ("part", "query", "count"),
    [
        ("logins", {"user_id": "{}"}, 2),
        ("role_assignments", {"assignee_type": "User", "assignee_id": "{}"}, 2),
        ("card_assignments", {"assignee_type": "User", "assignee_id": "{}"}, 1),
        ("team_memberships", {"member_type": "User", "member_id": "{}"}, 1),
    ],
)
def test_what_a_person_holds_can_be_listed_and_removed(kisi, user_id, part, query, count):
    query = {name: value.format(user_id) for name, value in query.items()}
    items = kisi.get(f"/{part}", **query)
    assert len(items) == count
    for item in items:
        assert kisi("DELETE", f"/{part}/{item['id']}").status == 204
        assert kisi("DELETE", f"/{part}/{item['id']}").status == 404
    assert kisi.get(f"/{part}", **query) == []


def test_a_card_is_deactivated_by_its_own_operation(kisi, ana, user_id):
    query = {"assignee_type": "User", "assignee_id": user_id, "status": "activated"}
    card = kisi.get("/card_assignments", **query)[0]
    assert kisi("POST", f"/card_assignments/{card['id']}/deactivate").status == 204
    assert kisi.get("/card_assignments", **query) == []
    assert kisi.standing(ana.email)["cards"] == 0


def test_logins_without_a_user_are_the_callers_own(kisi):
    assert kisi.get("/logins") == []


def test_team_memberships_have_no_user_id_filter_and_say_so(kisi, user_id):
    answer = kisi("GET", "/team_memberships", user_id=user_id)
    assert answer.status == 422
    assert "member_id" in answer.text


def test_an_assignee_needs_a_type(kisi, user_id):
    assert kisi("GET", "/role_assignments", assignee_id=user_id).status == 422


def test_a_deleted_user_is_not_found_and_holds_nothing(kisi, ana, user_id):
    assert kisi("DELETE", f"/users/{user_id}").status == 204
    assert kisi("GET", f"/users/{user_id}").status == 404
    assert kisi("DELETE", f"/users/{user_id}").status == 404
    assert kisi.standing(ana.email)["doors"] is False


def test_the_owner_of_the_organisation_cannot_be_deleted(box, kisi):
    owner = {"worker_id": "W-1", "email": "owner@example.com"}
    box["kisi"].seed([{**owner, "shape": {"kisi": {"owner": True}}}], {})
    user_id = box["kisi"].named("owner@example.com")[0].id
    assert kisi("DELETE", f"/users/{user_id}").status == 422

"""The Okta connector in scripted dialogues: answers that the simulated organisation never gives."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.identity.okta import MANIFEST, OktaConnector
from lockstep.domain.access import Access, AccessKind, Account, Observation, ProblemSeverity
from lockstep.domain.faults import FaultCategory
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys

BASE = "https://example.okta.test"
TOKEN = "a-token-that-must-not-show"
ID = "00u1"
USER = f"GET /api/v1/users/{ID}"
LISTS = ("clients", "factors", "roles", "groups")
SEARCH = "GET /api/v1/users"
OPEN = Observation(
    ID, exists=True, standing=(Access(AccessKind.SIGN_IN, ID), Access(AccessKind.SESSION, "all"))
)


class Dialogue(httpx.AsyncBaseTransport):
    """Answers by method and path, each list in turn and its last for ever; refuses all else."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = {
            name: list(given) if isinstance(given, list) else [given]
            for name, given in answers.items()
        }
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = f"{request.method} {request.url.path}"
        assert name in self._answers, f"unexpected call {name}"
        self.requests.append(request)
        given = self._answers[name]
        answer = given.pop(0) if len(given) > 1 else given[0]
        answer = answer(request) if callable(answer) else answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def calls(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]


def answer(body: object = None, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


def error(status: int, code: str) -> httpx.Response:
    return answer({"errorCode": code, "errorSummary": "someone@corp.example.test"}, status)


def user(status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    profile = {"login": "lea@corp.example.test", "email": "lea@corp.example.test"}
    return {"id": ID, "status": status, "profile": {**profile, **more.pop("profile", {})}, **more}


def lists(**found: object) -> dict[str, Any]:
    """The user's lists, empty unless given."""
    return {f"{USER}/{name}": found.get(name, answer([])) for name in LISTS}


def connect(dialogue: Dialogue, **settings: object) -> OktaConnector:
    options = ConnectorOptions("okta", {"base_url": BASE, **settings}, {"token": TOKEN})
    return OktaConnector(options, transport=dialogue)


async def read(dialogue: Dialogue, **settings: object) -> Observation:
    return await connect(dialogue, **settings).read_back(Account(ID), Transcript())


async def revoke_fault(dialogue: Dialogue, **settings: object) -> ConnectorFault:
    with pytest.raises(ConnectorFault) as caught:
        await connect(dialogue, **settings).revoke(Account(ID), OPEN, Transcript())
    return caught.value


def keys(*pairs: tuple[KeyKind, str]) -> LeaverKeys:
    return LeaverKeys(tuple(Key(kind, value) for kind, value in pairs))


async def test_a_running_transition_still_stands() -> None:
    """DEPROVISIONED is proved only when no transition is under way."""
    moving = user("SUSPENDED", transitioningToStatus="DEPROVISIONED")

    seen = await read(Dialogue({USER: answer(moving), **lists()}))

    assert Access(AccessKind.SIGN_IN, ID) in seen.standing
    assert seen.off_since is None


async def test_a_running_deactivation_is_not_asked_for_again() -> None:
    """While Okta deactivates, only sessions are cleared; no lifecycle call is sent."""
    moving = user("ACTIVE", transitioningToStatus="DEPROVISIONED")
    dialogue = Dialogue({USER: answer(moving), f"DELETE /api/v1/users/{ID}/sessions": answer()})

    await connect(dialogue).revoke(Account(ID), OPEN, Transcript())

    assert dialogue.calls == [USER, f"DELETE /api/v1/users/{ID}/sessions"]


async def test_an_unknown_status_counts_as_open() -> None:
    """A status that we do not know is never proof."""
    seen = await read(Dialogue({USER: answer(user("RETIRED")), **lists()}))

    assert Access(AccessKind.SIGN_IN, ID) in seen.standing


async def test_a_deactivated_users_missing_lists_are_empty() -> None:
    """Okta answers 404 for the factors of a deactivated user: nothing stands there."""
    gone = error(404, "E0000007")
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(factors=gone, clients=gone)})

    assert (await read(dialogue)).is_closed


async def test_a_404_that_is_not_oktas_proves_nothing() -> None:
    """A proxy's 404 is an unexpected answer, not a user who is gone."""
    dialogue = Dialogue({USER: httpx.Response(404, text="nothing here"), **lists()})

    with pytest.raises(ConnectorFault) as caught:
        await read(dialogue)

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


@pytest.mark.parametrize(
    "body",
    [{}, [], {"id": ID}, {"id": "00uOTHER", "status": "DEPROVISIONED"}],
    ids=["empty", "list", "no status", "another user"],
)
async def test_a_read_without_id_and_status_proves_nothing(body: object) -> None:
    """The authoritative read must name the pinned id and a status."""
    with pytest.raises(ConnectorFault) as caught:
        await read(Dialogue({USER: answer(body), **lists()}))

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


@pytest.mark.parametrize("body", [{}, {"clients": []}, ["text"], [{"client_name": "x"}], None])
async def test_a_list_that_is_no_list_is_not_empty(body: object) -> None:
    """200 with something else than a list of objects with ids is no proof of absence."""
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(clients=answer(body))})

    with pytest.raises(ConnectorFault) as caught:
        await read(dialogue)

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_what_is_not_the_users_own_is_left_out() -> None:
    """E-mail enrols itself, and a role from a group ends with the group: neither is counted."""
    dialogue = Dialogue(
        {
            USER: answer(user("SUSPENDED")),
            **lists(
                factors=answer([{"id": "f1", "factorType": "email", "status": "ACTIVE"}]),
                roles=answer([{"id": "r1", "assignmentType": "GROUP"}, {"id": "r2"}]),
            ),
        }
    )

    seen = await read(dialogue, disable="suspend")

    assert seen.standing == (Access(AccessKind.ROLE, "r2"),)


async def test_every_page_is_read_and_the_token_follows_no_link() -> None:
    """Pages follow Link by its query only: the next page is asked of our own base address."""
    link = '<https://elsewhere.test/api/v1/x?after=c2&limit=1>; rel="next"'
    pages = [
        answer([{"id": "g1", "type": "OKTA_GROUP"}], link=link),
        answer([{"id": "g2", "type": "OKTA_GROUP"}]),
    ]
    dialogue = Dialogue({USER: answer(user()), **lists(groups=pages)})

    seen = await read(dialogue)

    groups = [access.ref for access in seen.standing if access.kind is AccessKind.GROUP]
    assert groups == ["g1", "g2"]
    assert {request.url.host for request in dialogue.requests} == {"example.okta.test"}
    assert "after=c2&limit=1" in {request.url.query.decode() for request in dialogue.requests}


async def test_endless_pages_are_an_unexpected_answer() -> None:
    """A list that never ends is not taken for complete."""
    again = answer([], link=f'<{BASE}/x?after=again>; rel="next"')
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(groups=again)})

    with pytest.raises(ConnectorFault) as caught:
        await read(dialogue)

    assert caught.value.code == "too_many_pages"
    assert len(dialogue.requests) == 50 + 4


async def test_off_since_is_oktas_own_record() -> None:
    """The block is dated by statusChanged; without a zone or a date there is no date."""
    dated = user("SUSPENDED", statusChanged="2026-03-02T04:05:06.000Z")
    undated = user("SUSPENDED", statusChanged="2026-03-02T04:05:06")

    assert (await read(Dialogue({USER: answer(dated), **lists()}))).off_since == datetime(
        2026, 3, 2, 4, 5, 6, tzinfo=UTC
    )
    assert (await read(Dialogue({USER: answer(undated), **lists()}))).off_since is None


async def test_residuals_end_with_their_bound() -> None:
    """A token's residual is gone once its longest life has passed; an app session's is not yet."""
    changed = (datetime.now(UTC) - timedelta(seconds=4000)).isoformat()
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED", statusChanged=changed)), **lists()})

    seen = await read(dialogue, access_token_s=3600, app_session_s="7200")

    assert [(residual.what, residual.bound_s) for residual in seen.residuals] == [
        ("app_session", 7200)
    ]


async def test_a_rate_limit_carries_oktas_reset() -> None:
    """429 E0000047 is transient and waits until X-Rate-Limit-Reset, UTC epoch seconds."""
    limit = answer(
        {"errorCode": "E0000047"}, 429, **{"x-rate-limit-reset": str(int(time.time()) + 30)}
    )

    with pytest.raises(ConnectorFault) as caught:
        await read(Dialogue({USER: limit, **lists()}))

    assert caught.value.category is FaultCategory.RATE_LIMITED
    assert caught.value.retry_after is not None
    assert timedelta(seconds=27) < caught.value.retry_after <= timedelta(seconds=30)


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (401, "E0000011", FaultCategory.CREDENTIALS_REJECTED),
        (403, "E0000006", FaultCategory.PERMISSION_MISSING),
        (500, "E0000009", FaultCategory.VENDOR_ERROR),
    ],
)
async def test_oktas_errors_are_classified_without_their_text(
    status: int, code: str, category: FaultCategory
) -> None:
    """A fault carries category, Okta's code and request id; never its text or our token."""
    refused = answer(
        {"errorCode": code, "errorSummary": f"{TOKEN} lea@corp.example.test"},
        status,
        **{"x-okta-request-id": "req-1"},
    )

    with pytest.raises(ConnectorFault) as caught:
        await read(Dialogue({USER: refused, **lists()}))

    assert caught.value.category is category
    assert str(caught.value).startswith("okta users.get: ")
    assert (code in str(caught.value), "req-1" in str(caught.value)) == (True, True)
    assert "lea@" not in str(caught.value)
    assert TOKEN not in repr(caught.value)


async def test_our_own_refusal_ends_a_run_at_once() -> None:
    """When the block is answered with 401 nothing more is tried."""
    suspend = f"POST /api/v1/users/{ID}/lifecycle/suspend"
    dialogue = Dialogue({USER: answer(user()), suspend: error(401, "E0000011")})

    fault = await revoke_fault(dialogue)

    assert fault.category is FaultCategory.CREDENTIALS_REJECTED
    assert dialogue.calls == [USER, suspend]


async def test_a_status_that_changed_under_way_is_read_again() -> None:
    """When suspending is refused because the user was locked meanwhile, deactivating blocks."""
    path = f"POST /api/v1/users/{ID}/lifecycle"
    dialogue = Dialogue(
        {
            USER: [answer(user()), answer(user("LOCKED_OUT"))],
            f"{path}/suspend": error(400, "E0000001"),
            f"{path}/deactivate": answer({}),
            f"DELETE /api/v1/users/{ID}/sessions": answer(),
        }
    )

    actions = await connect(dialogue).revoke(Account(ID), OPEN, Transcript())

    assert [action.operation for action in actions] == [
        "users.deactivate",
        "users.sessions.clear",
        "users.deactivate",
    ]


async def test_a_directorys_user_goes_to_a_person_when_asked() -> None:
    """With ad_mastered = person an Active Directory user's sign-in is not touched in Okta."""
    owned = user(credentials={"provider": {"type": "ACTIVE_DIRECTORY"}})
    sessions = f"DELETE /api/v1/users/{ID}/sessions"
    dialogue = Dialogue({USER: answer(owned), sessions: answer()})

    fault = await revoke_fault(dialogue, ad_mastered="person")

    assert fault.category is FaultCategory.MANAGED_ELSEWHERE
    assert dialogue.calls == [USER, sessions]


async def test_a_refused_change_of_a_directorys_user_is_the_directorys() -> None:
    """By default it is tried; Okta's refusal is then MANAGED_ELSEWHERE."""
    owned = user(credentials={"provider": {"type": "LDAP"}})
    path = f"POST /api/v1/users/{ID}/lifecycle"
    dialogue = Dialogue(
        {
            USER: answer(owned),
            f"{path}/suspend": error(400, "E0000001"),
            f"{path}/deactivate": error(400, "E0000001"),
            f"DELETE /api/v1/users/{ID}/sessions": answer(),
        }
    )

    fault = await revoke_fault(dialogue)

    assert fault.category is FaultCategory.MANAGED_ELSEWHERE


async def test_search_values_are_quoted() -> None:
    """A quote or backslash in a key cannot change the search expression."""
    dialogue = Dialogue({SEARCH: answer([])})

    await connect(dialogue).locate(
        keys((KeyKind.EMPLOYEE_NUMBER, 'x" or status eq "ACTIVE\\')), Transcript()
    )

    (request,) = dialogue.requests
    assert request.url.params["search"] == (
        'profile.employeeNumber eq "x\\" or status eq \\"ACTIVE\\\\"'
    )


async def test_the_index_is_not_believed() -> None:
    """A user whom the lagging index still finds, but who has another address now, is no match."""
    stale = user(profile={"email": "old@corp.example.test"})
    dialogue = Dialogue(
        {
            SEARCH: answer([stale]),
            USER: answer(user()),
            "GET /api/v1/users/old@corp.example.test": error(404, "E0000007"),
        }
    )

    found = await connect(dialogue).locate(
        keys((KeyKind.EMAIL, "old@corp.example.test")), Transcript()
    )

    assert found.matches == ()


async def test_a_login_with_a_slash_is_searched_for() -> None:
    """Okta cannot read a login with a slash by path; search is the only way, confirmed by id."""
    odd = user(profile={"login": "corp/lea"})
    dialogue = Dialogue({SEARCH: answer([odd]), USER: answer(odd)})

    found = await connect(dialogue).locate(keys((KeyKind.USERNAME, "corp/lea")), Transcript())

    assert [match.account.id for match in found.matches] == [ID]


async def test_the_owner_of_the_token_is_not_found_by_the_word_me() -> None:
    """A leaver whose user name is "me" must not find the administrator who made our token."""
    owner = user(profile={"login": "admin@corp.example.test"})
    dialogue = Dialogue({"GET /api/v1/users/me": answer(owner)})

    found = await connect(dialogue).locate(
        keys((KeyKind.USERNAME, "me"), (KeyKind.ACCOUNT_ID, "me")), Transcript()
    )

    assert found.matches == ()


async def test_a_worker_id_is_searched_for_where_it_has_an_attribute() -> None:
    """With worker_id_attribute the worker id is a key, and becomes a known key."""
    known = user(profile={"hrId": "W-1"})
    dialogue = Dialogue({SEARCH: answer([known]), USER: answer(known)})

    found = await connect(dialogue, worker_id_attribute="hrId").locate(
        keys((KeyKind.WORKER_ID, "W-1")), Transcript()
    )

    assert found.keys_tried == (KeyKind.WORKER_ID,)
    assert Key(KeyKind.WORKER_ID, "W-1") in found.matches[0].account.known_keys


async def test_a_token_that_may_only_read_is_a_problem() -> None:
    """A token of a read-only administrator reads everything, and health still says no."""
    dialogue = Dialogue(
        {
            SEARCH: answer([user()]),
            "GET /api/v1/groups": answer([]),
            "GET /api/v1/users/me": answer(user()),
            **lists(roles=answer([{"id": "r1", "type": "READ_ONLY_ADMIN"}])),
        }
    )

    health = await connect(dialogue).health(Transcript())

    assert [problem.code for problem in health.problems] == ["token_cannot_change_users"]
    assert health.problems[0].severity is ProblemSeverity.BLOCKS


async def test_no_answer_at_all_is_not_reachable() -> None:
    """A refused connection is health without reach, not an exception."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    health = await connect(Dialogue({SEARCH: refuse})).health(Transcript())

    assert not health.reachable
    assert [problem.code for problem in health.problems] == ["unreachable"]


@pytest.mark.parametrize(
    ("settings", "secrets", "named"),
    [
        ({}, {"token": TOKEN}, "base_url"),
        ({"base_url": "http://example.okta.test"}, {"token": TOKEN}, "base_url"),
        ({"base_url": BASE}, {}, "token"),
        ({"base_url": BASE, "disable": "delete"}, {"token": TOKEN}, "disable"),
        ({"base_url": BASE, "ad_mastered": "no"}, {"token": TOKEN}, "ad_mastered"),
        ({"base_url": BASE, "strip_roles": "maybe"}, {"token": TOKEN}, "strip_roles"),
        ({"base_url": BASE, "access_token_s": -1}, {"token": TOKEN}, "access_token_s"),
        ({"base_url": BASE, "worker_id_attribute": "a b"}, {"token": TOKEN}, "worker_id_attribute"),
        ({"base_url": BASE, "disabel": "suspend"}, {"token": TOKEN}, "disabel"),
    ],
)
def test_a_wrong_option_is_named(
    settings: dict[str, object], secrets: dict[str, str], named: str
) -> None:
    """A missing, wrong or misspelt option is a ValueError that begins with its name."""
    with pytest.raises(ValueError, match=f"^{named}: "):
        MANIFEST.build(ConnectorOptions("okta", settings, secrets))


def test_the_manifest_describes_what_is_parsed() -> None:
    """Every option's default in the manifest is one that the connector accepts."""
    defaults = {spec.name: spec.default for spec in MANIFEST.options if spec.default is not None}

    MANIFEST.build(ConnectorOptions("okta", {"base_url": BASE, **defaults}, {"token": TOKEN}))

    assert [spec.name for spec in MANIFEST.options if spec.required] == ["base_url", "token"]

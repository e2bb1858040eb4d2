"""The Okta connector in scripted dialogues: answers that the simulated organisation never gives."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.base import ConnectorFault, Transcript
from lockstep.domain.systems.access import Access, AccessKind, Account
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.okta.dialogue import (
    BASE,
    ID,
    LISTS,
    OPEN,
    TOKEN,
    USER,
    Dialogue,
    answer,
    connect,
    error,
    lists,
    read,
    revoke_fault,
    user,
)
from tests.connectors.revoking import revoke


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

    await revoke(connect(dialogue), Account(ID), OPEN, Transcript())

    assert dialogue.calls == [USER, USER, f"DELETE /api/v1/users/{ID}/sessions"]


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

    seen = await read(dialogue)

    assert not seen.is_closed
    assert [(row.kind, row.category) for row in seen.unread] == [
        (AccessKind.TOKEN, FaultCategory.UNEXPECTED_ANSWER)
    ]


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
    numbers = itertools.count()

    def endless(_: httpx.Request) -> httpx.Response:
        return answer([], link=f'<{BASE}/x?after={next(numbers)}>; rel="next"')

    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(groups=endless)})

    seen = await read(dialogue)

    assert [row.code for row in seen.unread] == ["too_many_pages"]
    assert len(dialogue.requests) == 50 + 4


async def test_a_page_that_follows_itself_is_asked_for_once_more() -> None:
    """A list whose next page is the same page for ever ends at once, and is not complete."""
    again = answer([], link=f'<{BASE}/x?after=again>; rel="next"')
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(groups=again)})

    seen = await read(dialogue)

    assert [row.code for row in seen.unread] == ["page_repeated"]
    assert len(dialogue.requests) == 2 + 4


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
    assert timedelta(seconds=15) < caught.value.retry_after <= timedelta(seconds=30)


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

    with pytest.raises(ConnectorFault) as caught:
        await connect(dialogue).contain(Account(ID), OPEN, Transcript())

    assert caught.value.category is FaultCategory.CREDENTIALS_REJECTED
    assert dialogue.calls == [USER, suspend]


async def test_a_status_that_changed_under_way_is_read_again() -> None:
    """When suspending is refused because the user was locked meanwhile, deactivating blocks."""
    path = f"POST /api/v1/users/{ID}/lifecycle"
    dialogue = Dialogue(
        {
            USER: [answer(user()), answer(user("LOCKED_OUT")), answer(user("DEPROVISIONED"))],
            f"{path}/suspend": error(400, "E0000001"),
            f"{path}/deactivate": answer({}),
            f"DELETE /api/v1/users/{ID}/sessions": answer(),
        }
    )

    actions = await revoke(connect(dialogue), Account(ID), OPEN, Transcript())

    assert [action.operation for action in actions] == [
        "users.deactivate",
        "users.deactivate",
        "users.sessions.clear",
    ]


async def test_a_directorys_user_goes_to_a_person_when_asked() -> None:
    """With ad_mastered = person an Active Directory user's sign-in is not touched in Okta."""
    owned = user(credentials={"provider": {"type": "ACTIVE_DIRECTORY"}})
    sessions = f"DELETE /api/v1/users/{ID}/sessions"
    dialogue = Dialogue({USER: answer(owned), sessions: answer()})

    fault = await revoke_fault(dialogue, ad_mastered="person")

    assert fault.category is FaultCategory.MANAGED_ELSEWHERE
    assert dialogue.calls == [USER, USER, sessions]


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


LISTING_FAULTS = {
    "forbidden": lambda _: error(403, "E0000006"),
    "broken": lambda _: error(500, "E0000009"),
    "missing": lambda _: error(404, "E0000007"),
    "a proxy": lambda _: httpx.Response(404, text="nothing here"),
    "silent": None,
}


def _silence(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("hangs", request=request)


@pytest.mark.parametrize("fault", LISTING_FAULTS)
@pytest.mark.parametrize("name", LISTS)
async def test_whatever_list_fails_the_sign_in_is_shut_and_the_rest_closed(
    name: str, fault: str
) -> None:
    """The block is the first write, after the user's own record only; one list stays unread."""
    path = f"POST /api/v1/users/{ID}/lifecycle"
    suspended = answer(user("SUSPENDED"))
    held = {
        "clients": answer([{"client_id": "c1"}]),
        "factors": answer([{"id": "f1", "status": "ACTIVE"}]),
        "roles": answer([{"id": "r1"}]),
        "groups": answer([{"id": "g1", "type": "OKTA_GROUP"}]),
    }
    dialogue = Dialogue(
        {
            USER: [answer(user()), answer(user()), suspended],
            f"{path}/suspend": answer({}),
            f"{path}/deactivate": answer({}),
            f"{path}/reset_factors": answer({}),
            **lists(**{**held, name: LISTING_FAULTS[fault] or _silence}),
            f"DELETE /api/v1/users/{ID}/sessions": answer(),
            f"DELETE /api/v1/users/{ID}/grants": answer(),
            f"DELETE /api/v1/users/{ID}/clients/c1/tokens": answer(),
            f"DELETE /api/v1/users/{ID}/roles/r1": answer(),
            f"DELETE /api/v1/groups/g1/users/{ID}": answer(),
        }
    )
    connector, account = connect(dialogue), Account(ID)

    door = await connector.look(account, Transcript())
    shut = await connector.contain(account, door, Transcript())
    assert dialogue.calls == [USER, USER, f"{path}/suspend"]
    seen = await connector.read_back(account, Transcript())
    due = replace(seen, standing=(*door.standing[1:], *seen.standing))
    done = await connector.strip(account, due, Transcript())

    assert [action.access.kind for action in shut] == [AccessKind.SIGN_IN]
    (row,) = seen.unread
    assert row.kind is dict(zip(LISTS, KINDS, strict=True))[name]
    assert row.operation == f"users.{name}.list"
    closed = {action.access.kind for action in done}
    assert closed == {AccessKind.SESSION, AccessKind.ASSIGNMENT, *KINDS} - {row.kind}


KINDS = (AccessKind.TOKEN, AccessKind.FACTOR, AccessKind.ROLE, AccessKind.GROUP)


async def test_a_refusal_half_way_says_what_was_closed() -> None:
    """One group that cannot be left stops nothing, and its fault carries all that was done."""
    groups = [{"id": one, "type": "OKTA_GROUP"} for one in ("g1", "g2", "g3")]
    leave = f"DELETE /api/v1/groups/%s/users/{ID}"
    dialogue = Dialogue(
        {
            USER: answer(user("SUSPENDED")),
            **lists(groups=answer(groups)),
            f"DELETE /api/v1/users/{ID}/sessions": answer(),
            leave % "g1": answer(),
            leave % "g2": error(500, "E0000009"),
            leave % "g3": answer(),
        }
    )
    connector = connect(dialogue, disable="suspend")
    before = await connector.read_back(Account(ID), Transcript())

    with pytest.raises(ConnectorFault) as caught:
        await connector.strip(Account(ID), before, Transcript())

    assert caught.value.category is FaultCategory.VENDOR_ERROR
    assert {action.access.ref for action in caught.value.actions} == {"all", "g1", "g3"}


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("E0000001", FaultCategory.PROTECTED_ACCOUNT),
        ("E0000038", FaultCategory.UNEXPECTED_ANSWER),
        ("E0000006", FaultCategory.PERMISSION_MISSING),
        ("E0000047", FaultCategory.RATE_LIMITED),
    ],
)
async def test_a_used_up_window_makes_no_limit_of_a_refusal(
    code: str, category: FaultCategory
) -> None:
    """Okta tells on every answer what is left: a 403 of another code does not pass by itself."""
    refused = answer({"errorCode": code}, 403, **{"x-rate-limit-remaining": "0"})
    path = f"POST /api/v1/users/{ID}/lifecycle"
    dialogue = Dialogue(
        {USER: answer(user()), f"{path}/suspend": refused, f"{path}/deactivate": refused}
    )
    with pytest.raises(ConnectorFault) as caught:
        await connect(dialogue).contain(Account(ID), OPEN, Transcript())

    assert caught.value.category is category

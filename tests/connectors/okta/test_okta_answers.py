"""The Okta connector in scripted dialogues: answers that the simulated organisation never gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.okta.connector import MANIFEST
from lockstep.domain.systems.access import Access, AccessKind, Account, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.okta.dialogue import (
    BASE,
    ID,
    LISTS,
    OPEN,
    SEARCH,
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
from tests.connectors.okta.people import People
from tests.connectors.revoking import revoke

LIFECYCLE = f"POST /api/v1/users/{ID}/lifecycle"
SESSIONS = f"DELETE /api/v1/users/{ID}/sessions"
GONE = error(404, "E0000007")
PROXY = httpx.Response(404, text="nothing here")
DIRECTORY = {"credentials": {"provider": {"type": "ACTIVE_DIRECTORY"}}}
LDAP = {"credentials": {"provider": {"type": "LDAP"}}}
KINDS = (AccessKind.TOKEN, AccessKind.FACTOR, AccessKind.ROLE, AccessKind.GROUP)
SIGN_IN = Access(AccessKind.SIGN_IN, ID)
ODD, PROTECTED = FaultCategory.UNEXPECTED_ANSWER, FaultCategory.PROTECTED_ACCOUNT
ELSEWHERE, LACKS = FaultCategory.MANAGED_ELSEWHERE, FaultCategory.PERMISSION_MISSING


# The user's own record


@pytest.mark.parametrize(
    ("shown", "stands"),
    [
        (user("SUSPENDED", transitioningToStatus="DEPROVISIONED"), True),
        (user("RETIRED"), True),
        (user("DEPROVISIONED"), False),
        (user("SUSPENDED"), False),
    ],
    ids=["a running transition", "an unknown status", "deactivated", "suspended"],
)
async def test_what_is_not_known_to_be_shut_is_open(shown: dict[str, Any], *, stands: bool) -> None:
    """A transition under way and a status that we do not know are never proof."""
    seen = await read(Dialogue({USER: answer(shown), **lists()}))

    assert (SIGN_IN in seen.standing) is stands
    assert seen.off_since is None


@pytest.mark.parametrize(
    "said",
    [
        PROXY,
        *map(answer, ({}, [], {"id": ID}, {"id": "00uOTHER", "status": "DEPROVISIONED"})),
    ],
    ids=["a proxy's 404", "empty", "list", "no status", "another user"],
)
async def test_a_read_without_id_and_status_proves_nothing(said: httpx.Response) -> None:
    """The authoritative read must name the pinned id and a status, or be Okta's own 404."""
    with pytest.raises(ConnectorFault) as caught:
        await read(Dialogue({USER: said, **lists()}))

    assert caught.value.category is ODD


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("2026-03-02T04:05:06.000Z", datetime(2026, 3, 2, 4, 5, 6, tzinfo=UTC)),
        ("2026-03-02T04:05:06", None),
    ],
)
async def test_off_since_is_oktas_own_record(text: str, since: datetime | None) -> None:
    """The block is dated by statusChanged; without a zone there is no date."""
    shut = answer(user("SUSPENDED", statusChanged=text))

    assert (await read(Dialogue({USER: shut, **lists()}))).off_since == since


async def test_residuals_end_with_their_bound() -> None:
    """A token's residual is gone once its longest life has passed; an app session's is not yet."""
    changed = (datetime.now(UTC) - timedelta(seconds=4000)).isoformat()
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED", statusChanged=changed)), **lists()})
    seen = await read(dialogue, access_token_s=3600, app_session_s="7200")

    assert [(each.what, each.bound_s) for each in seen.residuals] == [("app_session", 7200)]


# The user's lists


async def test_a_deactivated_users_missing_lists_are_empty() -> None:
    """Okta answers 404 for the factors of a deactivated user: nothing stands there."""
    dialogue = Dialogue({USER: answer(user("DEPROVISIONED")), **lists(factors=GONE, clients=GONE)})

    assert (await read(dialogue)).is_closed


@pytest.mark.parametrize("body", [{}, {"clients": []}, ["text"], [{"client_name": "x"}], None])
async def test_a_list_that_is_no_list_is_not_empty(body: object) -> None:
    """200 with something else than a list of objects with ids is no proof of absence."""
    seen = await read(
        Dialogue({USER: answer(user("DEPROVISIONED")), **lists(clients=answer(body))})
    )

    assert not seen.is_closed
    assert [(row.kind, row.category) for row in seen.unread] == [(AccessKind.TOKEN, ODD)]


async def test_what_is_not_the_users_own_is_left_out() -> None:
    """E-mail enrols itself, a role from a group ends with it, an app's group is the app's."""
    shown = {
        "factors": [
            {"id": "f1", "factorType": "email", "status": "ACTIVE"},
            {"status": "NOT_SETUP"},
        ],
        "roles": [{"id": "r1", "assignmentType": "GROUP"}, {"id": "r2"}],
        "groups": [{"id": "g1", "type": "APP_GROUP"}, {"id": "g2", "type": "BUILT_IN"}],
    }
    found = lists(**{name: answer(items) for name, items in shown.items()})
    seen = await read(Dialogue({USER: answer(user("SUSPENDED")), **found}), disable="suspend")

    assert seen.standing == (Access(AccessKind.ROLE, "r2"),)
    assert seen.unread == ()


async def test_every_page_is_read_and_the_token_follows_no_link() -> None:
    """Pages follow Link by its query only: the next page is asked of our own base address."""
    link = '<https://elsewhere.test/api/v1/x?after=c2&limit=1>; rel="next"'
    pages = [answer([{"id": "g1"}], link=link), answer([{"id": "g2"}])]
    dialogue = Dialogue({USER: answer(user()), **lists(groups=pages)})
    seen = await read(dialogue)

    assert [way.ref for way in seen.standing if way.kind is AccessKind.GROUP] == ["g1", "g2"]
    assert {request.url.host for request in dialogue.requests} == {"example.okta.test"}
    assert "after=c2&limit=1" in {request.url.query.decode() for request in dialogue.requests}


# Refusals


@pytest.mark.parametrize(
    ("status", "code", "category"),
    [
        (401, "E0000011", FaultCategory.CREDENTIALS_REJECTED),
        (403, "E0000006", LACKS),
        (403, "E0000001", PROTECTED),
        (403, "E0000038", ODD),
        (403, "E0000047", FaultCategory.RATE_LIMITED),
        (429, "E0000047", FaultCategory.RATE_LIMITED),
        (500, "E0000009", FaultCategory.VENDOR_ERROR),
    ],
)
async def test_oktas_errors_are_classified_without_their_text(
    status: int, code: str, category: FaultCategory
) -> None:
    """A fault carries category, code and request id, never text or token.

    Okta tells on every answer what is left of the window: a used up one makes no limit of a 403.
    """
    reset = int(datetime.now(UTC).timestamp()) + 30
    refused = answer(
        {"errorCode": code, "errorSummary": f"{TOKEN} lea@corp.example.test"},
        status,
        **{
            "x-okta-request-id": "req-1",
            "x-rate-limit-remaining": "0",
            "x-rate-limit-reset": str(reset),
        },
    )
    with pytest.raises(ConnectorFault) as caught:
        await read(Dialogue({USER: refused, **lists()}))
    fault = caught.value

    assert fault.category is category
    assert str(fault).startswith("okta users.get: ")
    assert (code in str(fault), fault.request_id) == (True, "req-1")
    assert "lea@" not in str(fault)
    assert TOKEN not in repr(fault)
    waits = fault.retry_after is not None and fault.retry_after > timedelta(seconds=15)
    assert waits is (category is FaultCategory.RATE_LIMITED)


@pytest.mark.parametrize(
    ("held", "answers", "settings", "category", "calls"),
    [
        ({}, {"suspend": error(401, "E0000011")}, {}, FaultCategory.CREDENTIALS_REJECTED, 2),
        (DIRECTORY, {}, {"ad_mastered": "person"}, ELSEWHERE, 1),
        (LDAP, dict.fromkeys(("suspend", "deactivate"), error(400, "E0000001")), {}, ELSEWHERE, 5),
        (LDAP, dict.fromkeys(("suspend", "deactivate"), error(403, "E0000006")), {}, LACKS, 5),
        ({}, {"suspend": error(400, "E0000001")}, {"disable": "suspend"}, ODD, 3),
    ],
    ids=["rejected", "a person's", "the directory's", "a right is missing", "suspend only"],
)
async def test_why_the_sign_in_could_not_be_shut(
    held: dict[str, Any],
    answers: dict[str, httpx.Response],
    settings: dict[str, str],
    category: FaultCategory,
    calls: int,
) -> None:
    """What a directory owns is the directory's to change; nothing is tried that policy forbids."""
    effects = {f"{LIFECYCLE}/{verb}": said for verb, said in answers.items()}
    dialogue = Dialogue({USER: answer(user(**held)), **effects})
    with pytest.raises(ConnectorFault) as caught:
        await connect(dialogue, **settings).contain(Account(ID), OPEN, Transcript())

    assert caught.value.category is category
    assert len(dialogue.calls) == calls


async def test_a_status_that_changed_under_way_is_read_again() -> None:
    """When suspending is refused because the user was locked meanwhile, deactivating blocks."""
    dialogue = Dialogue(
        {
            USER: [answer(user()), answer(user("LOCKED_OUT")), answer(user("DEPROVISIONED"))],
            f"{LIFECYCLE}/suspend": error(400, "E0000001"),
            f"{LIFECYCLE}/deactivate": answer({}),
            SESSIONS: answer(),
        }
    )
    actions = await revoke(connect(dialogue), Account(ID), OPEN, Transcript())

    assert [action.operation for action in actions] == [
        "users.deactivate",
        "users.deactivate",
        "users.sessions.clear",
    ]


async def test_what_okta_has_on_the_way_is_not_asked_for_again() -> None:
    """While Okta deactivates, and for a directory's user who is a person's, sessions are ended."""
    moving = user("ACTIVE", transitioningToStatus="DEPROVISIONED")
    dialogue = Dialogue({USER: answer(moving), SESSIONS: answer()})
    await revoke(connect(dialogue), Account(ID), OPEN, Transcript())
    owned = Dialogue({USER: answer(user(**DIRECTORY)), SESSIONS: answer()})
    fault = await revoke_fault(owned, ad_mastered="person")

    assert dialogue.calls == owned.calls == [USER, USER, SESSIONS]
    assert fault.category is ELSEWHERE


def _silence(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("hangs", request=request)


LISTING_FAULTS: dict[str, Any] = {
    "forbidden": error(403, "E0000006"),
    "broken": error(500, "E0000009"),
    "missing": GONE,
    "a proxy": PROXY,
    "silent": _silence,
}


@pytest.mark.parametrize("fault", LISTING_FAULTS)
@pytest.mark.parametrize("name", LISTS)
async def test_whatever_list_fails_the_sign_in_is_shut_and_the_rest_closed(
    name: str, fault: str
) -> None:
    """The block is the first write, after the user's own record only; one list stays unread."""
    held = {
        "clients": answer([{"client_id": "c1"}]),
        "factors": answer([{"id": "f1", "status": "ACTIVE"}]),
        "roles": answer([{"id": "r1"}]),
        "groups": answer([{"id": "g1", "type": "OKTA_GROUP"}]),
    }
    paths = ("sessions", "grants", "clients/c1/tokens", "roles/r1")
    dialogue = Dialogue(
        {
            USER: [answer(user()), answer(user()), answer(user("SUSPENDED"))],
            **{
                f"{LIFECYCLE}/{verb}": answer({})
                for verb in ("suspend", "deactivate", "reset_factors")
            },
            **lists(**{**held, name: LISTING_FAULTS[fault]}),
            **{f"DELETE /api/v1/users/{ID}/{path}": answer() for path in paths},
            f"DELETE /api/v1/groups/g1/users/{ID}": answer(),
        }
    )
    connector, account = connect(dialogue), Account(ID)
    door = await connector.look(account, Transcript())
    shut = await connector.contain(account, door, Transcript())
    assert dialogue.calls == [USER, USER, f"{LIFECYCLE}/suspend"]
    seen = await connector.read_back(account, Transcript())
    due = replace(seen, standing=(*door.standing[1:], *seen.standing))
    done = await connector.strip(account, due, Transcript())

    assert [action.access.kind for action in shut] == [AccessKind.SIGN_IN]
    (row,) = seen.unread
    assert row.kind is dict(zip(LISTS, KINDS, strict=True))[name]
    assert row.operation == f"users.{name}.list"
    needs = "okta.roles.read" if name == "roles" else "okta.users.read"
    assert row.missing == (needs if fault == "forbidden" else None)
    closed = {action.access.kind for action in done}
    assert closed == {AccessKind.SESSION, AccessKind.ASSIGNMENT, *KINDS} - {row.kind}


async def test_a_refusal_half_way_says_what_was_closed() -> None:
    """One group that cannot be left stops nothing, and its fault carries all that was done."""
    leave = {one: f"DELETE /api/v1/groups/{one}/users/{ID}" for one in ("g1", "g2", "g3")}
    dialogue = Dialogue(
        {
            USER: answer(user("SUSPENDED")),
            **lists(groups=answer([{"id": one} for one in leave])),
            SESSIONS: answer(),
            **{call: answer() for call in leave.values()},
            leave["g2"]: error(403, "E0000006"),
        }
    )
    connector = connect(dialogue, disable="suspend")
    before = await connector.read_back(Account(ID), Transcript())
    with pytest.raises(ConnectorFault) as caught:
        await connector.strip(Account(ID), before, Transcript())

    assert caught.value.missing == "okta.groups.manage"
    assert {action.access.ref for action in caught.value.actions} == {"all", "g1", "g3"}


async def test_a_list_that_is_lost_on_a_second_run_is_neither_closed_nor_gone() -> None:
    """With an old snapshot groups are listed again; where that fails the strip says so."""
    before = replace(OPEN, standing=(*OPEN.standing, Access(AccessKind.GROUP, "g1")))
    found = lists(groups=error(500, "E0000009"))
    dialogue = Dialogue({USER: answer(user("SUSPENDED")), SESSIONS: answer(), **found})
    with pytest.raises(ConnectorFault) as caught:
        await connect(dialogue, disable="suspend").strip(Account(ID), before, Transcript())

    assert caught.value.operation == "users.groups.list"
    assert [action.access.ref for action in caught.value.actions] == ["all"]


# Health and options


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


ONLY_READS = answer([{"id": "r1", "type": "READ_ONLY_ADMIN", "assignmentType": "GROUP"}])
FORBIDDEN = error(403, "E0000006")
BLOCKS, LIMITS = ProblemSeverity.BLOCKS, ProblemSeverity.LIMITS


@pytest.mark.parametrize(
    ("odd", "code", "severity"),
    [
        ({}, None, None),
        ({f"{USER}/roles": ONLY_READS}, "token_cannot_change_users", BLOCKS),
        ({SEARCH: _refuse}, "unreachable", BLOCKS),
        ({SEARCH: error(401, "E0000011")}, "token_rejected", BLOCKS),
        ({SEARCH: FORBIDDEN}, "users_forbidden", BLOCKS),
        ({"GET /api/v1/groups": FORBIDDEN}, "groups_forbidden", BLOCKS),
        ({"GET /api/v1/groups": answer({})}, "groups_unexpected", LIMITS),
        ({"GET /api/v1/users/me": answer({})}, None, None),
        *(({f"{USER}/{name}": FORBIDDEN}, f"{name}_forbidden", BLOCKS) for name in LISTS),
        *(({f"{USER}/{name}": GONE}, None, None) for name in LISTS),
        ({f"{USER}/factors": error(503, "E0000009")}, "factors_unchecked", LIMITS),
        ({f"{USER}/clients": answer({})}, "clients_unexpected", LIMITS),
    ],
)
async def test_health_says_what_hinders_a_revocation(
    odd: dict[str, Any], code: str | None, severity: ProblemSeverity | None
) -> None:
    """Each refused question is one problem with a fix; only a clear refusal blocks."""
    usual: dict[str, Any] = {
        SEARCH: answer([user()]),
        "GET /api/v1/users/LEA@CORP.EXAMPLE.TEST": answer(user()),
        "GET /api/v1/groups": answer([]),
        "GET /api/v1/users/me": answer(user()),
        **lists(roles=answer([{"id": "r1", "type": "ORG_ADMIN"}])),
    }
    health = await connect(Dialogue({**usual, **odd})).health(Transcript())

    assert [(one.code, one.severity) for one in health.problems] == (
        [(code, severity)] if code else []
    )
    assert health.reachable is (code != "unreachable")
    fixes = [one.fix for one in health.problems if one.code.endswith("_forbidden")]
    assert all("okta." in fix for fix in fixes)


async def test_a_search_that_does_not_find_a_known_user_is_a_problem() -> None:
    """Health asks for a listed user by each key; an attribute that finds nobody is named."""
    shown = {"login": "a@a.example", "email": "a@a.example", "employeeNumber": "1"}
    people = People({"00u1": shown}, unknown=frozenset({"employeeNumber"}))
    health = await connect(people).health(Transcript())

    named = {one.code: one.severity for one in health.problems if "not_proved" in one.code}
    assert named == {"search_not_proved.profile.employeeNumber": LIMITS}


@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("base_url", ""),
        ("base_url", "http://example.okta.test"),
        ("token", None),
        ("disable", "delete"),
        ("ad_mastered", "no"),
        ("strip_roles", "maybe"),
        ("access_token_s", -1),
        ("worker_id_attribute", "a b"),
        ("disabel", "suspend"),
    ],
)
def test_a_wrong_option_is_named(wrong: str, value: object) -> None:
    """A missing, wrong or misspelt option is a ValueError that begins with its name."""
    secrets = {"token": TOKEN} if wrong != "token" else {}
    settings = {"base_url": BASE, **({wrong: value} if secrets else {})}
    with pytest.raises(ValueError, match=f"^{wrong}: "):
        MANIFEST.build(ConnectorOptions("okta", settings, secrets))

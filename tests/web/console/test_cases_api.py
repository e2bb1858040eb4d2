"""Cases by API: the same lists as the page, within the token's scope."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import httpx
import pytest

from lockstep.control.cases.wording import NOT_OF_THIS_CASE
from lockstep.control.people.api_tokens import ApiTokenDesk, Wish
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.domain.stalled import TaskFault
from lockstep.storage.runtime.stalled import StalledCases
from tests.support.board import HOUR, asks_second, came_back, many, shape, stuck
from tests.support.casework import EMAIL, NAME, OTHER, SYSTEM, termination
from tests.web.console.conftest import Site, text_of

NAMELESS = frozenset({Permission.SEE_CASES})


@pytest.fixture
def token(site: Site):
    """A client with a new token of these permissions."""

    async def make(
        *roles: Role,
        partners: Collection[str] | None = None,
        more: Collection[Permission] = (),
        keys: tuple[Key, ...] = (),
    ) -> httpx.AsyncClient:
        admin = await site.sign_in(*Role, more=[Permission.SEALED])
        wish = Wish(
            "test",
            frozenset(roles),
            None if partners is None else frozenset(partners),
            frozenset(more),
            keys=keys,
        )
        desk = ApiTokenDesk(site.stores)
        text, _ = await desk.make(wish, by=admin.principal)
        client = await site.visitor()
        client.headers["authorization"] = f"Bearer {text}"
        return client

    return make


async def test_a_case_is_told_as_data(work, token):
    """Clocks, each system with reason and suggestion, what came back and what waits."""
    case = await stuck(work, "W-1", due=-HOUR)
    await came_back(work, case)
    await asks_second(work, case)
    operator = await token(Role.OPERATOR)
    answer = await operator.get("/api/cases")
    [told] = answer.json()["cases"]

    assert answer.json()["counts"]["late"] == 1
    assert answer.json()["next"] is None
    assert (told["case_id"], told["leaver"], told["worker_id"]) == (case.case_id, NAME, "W-1")
    assert told["is_late"]
    assert told["needs_person"]
    door, done = told["systems"]
    assert (door["system"], door["state"], door["fault"]) == (
        "memory-1",
        "needs_person",
        "permission_missing",
    )
    assert door["suggestion"] == "Grant the missing permission, then retry."
    assert (door["access_is_back"], door["waits_for_second"]) == (True, "waive")
    assert (done["state"], done["reason"], done["is_late"]) == (
        "settled",
        "Revoked, and read back.",
        False,
    )
    one = (await operator.get(f"/api/cases/{case.case_id}")).json()
    for each in (one, *one["systems"]):  # what acts take as `seen` is told of one case only
        each.update({name: None for name in each if name.endswith("seen") or name == "candidates"})
    assert one == told


async def test_without_the_right_to_names_there_are_none(work, token):
    """Null, not empty; and no search by a key, which would say whose case it is."""
    case = await stuck(work, "W-1", due=HOUR)
    nameless = await token(more=NAMELESS)
    told = (await nameless.get(f"/api/cases/{case.case_id}")).json()
    refused = await nameless.post("/api/cases/search", json={"key": EMAIL})

    assert (told["leaver"], told["worker_id"]) == (None, None)
    assert refused.status_code == 403
    assert NAME not in (await nameless.get("/api/cases?state=any")).text


async def test_a_leaver_is_found_by_key(work, token):
    """By the body of a request, in whatever state the case is."""
    case = await work.open(termination("W-1"), due=HOUR)
    operator = await token(Role.OPERATOR)

    found = await operator.post("/api/cases/search", json={"key": EMAIL})
    assert [row["case_id"] for row in found.json()["cases"]] == [case.case_id]
    nobody = await operator.post("/api/cases/search", json={"key": "x@example.com"})
    assert nobody.json()["cases"] == []


async def test_what_is_out_of_scope_is_absent(work, token):
    """Another partner's, a coming dismissal and one's own: not listed, counted, found or shown."""
    theirs = await stuck(work, "W-1", due=HOUR, partner="contoso")
    secret = await work.open(termination("W-2", kind=TerminationKind.INVOLUNTARY), due=HOUR)
    clients = {
        theirs.case_id: [await token(Role.OPERATOR, partners=["northwind"])],
        secret.case_id: [
            await token(Role.OPERATOR),
            await token(
                Role.OPERATOR, more=[Permission.SEALED], keys=(Key(KeyKind.WORKER_ID, "W-2"),)
            ),
        ],
    }
    for case_id, tokens in clients.items():
        for client in tokens:
            listed = (await client.get("/api/cases?state=any")).json()
            found = (await client.post("/api/cases/search", json={"key": "W-2"})).json()
            assert case_id not in [row["case_id"] for row in listed["cases"] + found["cases"]]
            assert (await client.get(f"/api/cases/{case_id}")).status_code == 404
            assert listed["counts"]["scheduled"] == 0
    sealed = await token(Role.OPERATOR, more=[Permission.SEALED])
    assert (await sealed.get(f"/api/cases/{secret.case_id}")).status_code == 200


async def test_pages_lead_through_all(work, token):
    """`next` is given as `after`; nothing is missing and nothing comes twice."""
    await stuck(work, "W-1", due=-HOUR)
    await many(work, 25)
    operator = await token(Role.OPERATOR)
    seen: list[str] = []
    after = ""
    while after is not None:
        page = (await operator.get("/api/cases", params={"limit": 10, "after": after})).json()
        seen += [row["case_id"] for row in page["cases"]]
        after = page["next"]

    assert len(seen) == len(set(seen)) == 26


@pytest.mark.parametrize(
    "query",
    [
        "state=x",
        "limit=0",
        "limit=201",
        "limit=a",
        "after=AAAA",
        "after=%00",
        "partner=a%00",
        "case=%25",
        "unknown=1",
        "due=soon",
        "assignee=" + "x" * 300,
        "partner=nonsense",
        "site=nonsense",
        "system=nonsense",
        "assignee=unonsense",
        "state=closed&system=nonsense",
    ],
)
async def test_a_filter_that_cannot_be_is_named(token, query):
    """422 with the name of the parameter, quoting nothing."""
    answer = await (await token(Role.OPERATOR)).get(f"/api/cases?{query}")

    assert answer.status_code == 422
    assert query.split("&")[-1].split("=")[0] in answer.json()["problems"][0]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b'{"key": ""}', 422),
        (b'{"key": "a\\u0000"}', 422),
        (b'{"key": 3}', 422),
        (b'{"key": "a", "<b>": 1}', 422),
        (b"[]", 422),
        (b'{"key": "' + b"a" * 70_000 + b'"}', 413),
    ],
)
async def test_a_search_that_cannot_be_is_refused(token, body, status):
    """By what is wrong with it; nothing that was sent comes back."""
    operator = await token(Role.OPERATOR)
    headers = {"content-type": "application/json"}
    answer = await operator.post("/api/cases/search", content=body, headers=headers)

    assert answer.status_code == status
    assert "<b>" not in answer.text


async def test_an_unknown_case_is_not_there(token):
    """Nor is one whose id cannot be."""
    operator = await token(Role.OPERATOR)
    for case_id in ("cabcdefghijkl", "%00", "c%25", "..%2Fx"):
        assert (await operator.get(f"/api/cases/{case_id}")).status_code == 404


async def test_only_who_may_see_cases_reads_them(token, site):
    """Each other right is refused; so is no token."""
    viewer = await token(Role.VIEWER)
    nobody = await site.visitor()
    for client, status in ((viewer, 403), (nobody, 401)):
        assert (await client.get("/api/cases")).status_code == status
        assert (await client.get("/api/cases/c1")).status_code == status
        assert (await client.post("/api/cases/search", json={"key": "a"})).status_code == status


async def test_a_case_that_cannot_go_on_says_so_wherever_it_is_told(site, work, token):
    """By API, in the list and on its page; and that it is not known where nobody has looked."""
    case = await stuck(work, "W-1", due=HOUR)
    kept, operator = StalledCases(site.engine), await token(Role.OPERATOR)
    olivia = await site.sign_in(Role.OPERATOR)
    address, page = f"/api/cases/{case.case_id}", f"/console/cases/{case.case_id}"
    told = (await operator.get(address)).json()
    assert (told["stalled"], told["stalled_known"]) == (None, True)
    assert "cannot go on" not in text_of(await olivia.get(page))

    now, _ = await kept.clock()
    await kept.looked({case.case_id: TaskFault.WORKER}, at=now, total=1)
    listed = (await operator.get("/api/cases")).json()["cases"]
    for found in ((await operator.get(address)).json(), *listed):
        assert found["stalled"]["reason"] == TaskFault.WORKER.reason
        assert found["stalled"]["suggestion"] == TaskFault.WORKER.suggestion
    shown = text_of(await olivia.get(page))
    assert "This case cannot go on" in shown
    assert TaskFault.WORKER.reason in shown

    await kept.looked({}, at=now + HOUR, total=0, problem="too old")
    await kept.looked({}, at=now + 2 * HOUR, total=0, problem="too old")
    assert not (await operator.get(address)).json()["stalled_known"]
    other = await stuck(work, "W-2", due=HOUR)
    shown = text_of(await olivia.get(f"/console/cases/{other.case_id}"))
    assert "Whether this case goes on is not known." in shown


async def test_a_shut_sign_in_is_told_and_no_more_is_claimed(site, work, token):
    """On the page and by API while the rest is open; not of what is settled."""
    case = await stuck(work, "W-1", due=HOUR)
    address, page = f"/api/cases/{case.case_id}", f"/console/cases/{case.case_id}"
    olivia, operator = await site.sign_in(Role.OPERATOR), await token(Role.OPERATOR)
    assert "Sign-in shut" not in text_of(await olivia.get(page))
    await shape(work, case, contained_at=datetime(2026, 11, 30, 9, 30, tzinfo=UTC))
    shown = text_of(await olivia.get(page))
    shut = "Sign-in shut at 2026-11-30 09:30:00 UTC, read back."
    assert f"{shut} Everything else is not proved gone." in shown
    told = {row["system"]: row for row in (await operator.get(address)).json()["systems"]}
    assert told[SYSTEM]["contained_at"] == "2026-11-30T09:30:00.000Z"
    assert told[SYSTEM]["outcome"] is None
    assert told[OTHER]["contained_at"] is None
    await shape(work, case, state="settled", outcome="revoked")
    assert "Sign-in shut" not in text_of(await olivia.get(page))


async def test_an_account_that_no_system_of_the_case_holds_is_told(site, work):
    """HR named it, and nothing closes it: the case says so for as long as it is there."""
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "W-1"), Key(KeyKind.ACCOUNT_ID, "00u1", "gone")))
    case = await stuck(work, "W-1", due=HOUR, keys=keys)
    olivia = await site.sign_in(Role.OPERATOR)
    shown = text_of(await olivia.get(f"/console/cases/{case.case_id}"))
    assert f"gone : {NOT_OF_THIS_CASE}" in shown

"""Rows by which an account's own record, and the vendor's own 404, decide what a list says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Dialect
from connectors.kit.calls import Wire
from connectors.kit.holdings import Holding
from connectors.kit.pages import Shape
from connectors.kit.residuals import Outlives
from connectors.kit.rest import RestConnector
from connectors.kit.spec import Door, RestSpec
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.systems.access import Access, AccessKind, Account
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.kit.test_kit_rows import ACCOUNT, BOUND, HARD, SPEC, Club, club, seen

OWN = Wire(Dialect("club", error_code=("code",)), gone=frozenset({"G7"}))
__all__ = ["club"]


def of(record: str, value: object) -> Callable[[dict[str, Any]], bool]:
    return lambda item: bool(item.get(record) == value)


def rows(**changes: object) -> RestSpec:
    """The vendor with another row for its teams."""
    teams, *others = SPEC.holdings
    changed: Holding = replace(teams, **changes)  # type: ignore[arg-type] # a row's own fields
    return replace(SPEC, wire=OWN, holdings=(changed, *others))


def scripted(spec: RestSpec, club: Club, answers: dict[str, httpx.Response]) -> RestConnector:
    """Some calls are answered so; all else by the club."""

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(request.url.path)
        return httpx.Response(found.status_code, content=found.content) if found else club(request)

    given = ConnectorOptions("club-test", {}, {"key": "synthetic"})
    return RestConnector(spec, given, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("body", [{"code": "X1"}, {}, [], "text"])
async def test_a_404_without_the_vendors_code_proves_nothing(club: Club, body: object) -> None:
    """A proxy's 404 says neither that the account is gone nor that its thing is closed."""
    foreign = httpx.Response(404, json=body)
    connector = scripted(replace(SPEC, wire=OWN), club, {"/people/p1": foreign})
    with pytest.raises(ConnectorFault) as caught:
        await connector.look(ACCOUNT, Transcript())
    assert (caught.value.category, caught.value.code) == (
        FaultCategory.UNEXPECTED_ANSWER,
        "404.not_club",
    )

    before = await seen(club.connector())
    closing = scripted(replace(SPEC, wire=OWN), club, {"/sessions/s1": foreign})
    with pytest.raises(ConnectorFault) as caught:
        await closing.strip(ACCOUNT, before, Transcript())
    assert caught.value.code == "404.not_club"


async def test_the_vendors_own_404_says_that_it_is_gone(club: Club) -> None:
    """With one of its codes the account is no more, and its thing is closed already."""
    own = httpx.Response(404, json={"code": "G7"})
    spec = replace(SPEC, wire=OWN)

    assert not (await scripted(spec, club, {"/people/p1": own}).look(ACCOUNT, Transcript())).exists
    connector = scripted(spec, club, {"/sessions/s1": own})
    done = await connector.strip(ACCOUNT, await seen(connector), Transcript())
    assert AccessKind.SESSION not in {action.access.kind for action in done}


@pytest.mark.parametrize(
    ("active", "code", "unread"),
    [(False, "G7", []), (False, "X1", ["404.X1"]), (True, "G7", ["404.G7"])],
    ids=["ended", "another 404", "not ended"],
)
async def test_a_404_is_an_empty_list_where_the_record_says_so(
    club: Club, *, active: bool, code: str, unread: list[str]
) -> None:
    """Only of such an account, and only the vendor's own."""
    assert club.person is not None
    club.person["active"] = active
    lost = {"/teams": httpx.Response(404, json={"code": code})}
    observed = await seen(scripted(rows(ended=of("active", False)), club, lost))

    assert [row.code for row in observed.unread] == unread


async def test_what_is_moot_is_neither_unread_nor_standing(club: Club) -> None:
    """A list that says nothing of such an account is not waited for, and opens nothing."""
    assert club.person is not None
    connector = club.connector(rows(moot=of("active", False)))
    before = await connector.look(ACCOUNT, Transcript())
    club.person["active"] = False
    after = await connector.look(ACCOUNT, Transcript())
    read = await seen(connector)
    club.refused["GET /teams"] = 500

    assert {row.kind for row in before.unread} - {row.kind for row in after.unread} == {
        AccessKind.GROUP
    }
    assert AccessKind.GROUP not in {access.kind for access in read.standing}
    assert (await seen(connector)).unread == ()


async def test_what_the_settings_leave_alone_is_not_asked_for(club: Club) -> None:
    """A row that they do not want is neither read, nor told, nor closed."""
    spec = rows(where=lambda values: values[HARD] == "hard")
    transcript = Transcript()
    left = await club.connector(spec).read_back(ACCOUNT, transcript)
    wanted = await seen(club.connector(spec, how="hard"))

    assert "teams.list" not in {each.operation for each in transcript.exchanges}
    assert {way.kind for way in wanted.standing} - {way.kind for way in left.standing} == {
        AccessKind.GROUP
    }


@pytest.mark.parametrize("said", [None, 7, ["p"]])
async def test_a_record_without_what_each_says_is_none(club: Club, said: object) -> None:
    """The right id alone proves nothing of the account."""
    assert club.person is not None
    club.person["email"] = said
    connector = club.connector(replace(SPEC, record=replace(SPEC.record, says=("email",))))
    with pytest.raises(ConnectorFault) as caught:
        await connector.look(ACCOUNT, Transcript())

    assert caught.value.code == "no_record"


async def test_doors_beside_the_sign_in_stand_by_themselves(club: Club) -> None:
    """One that is no sign-in may stand behind a shut one, where the settings want it shut."""
    assert club.person is not None
    apps = Door(
        of("level", "none"),
        shut=True,
        ref="apps",
        kind=AccessKind.ASSIGNMENT,
        where=lambda values: values[HARD] == "hard",
    )
    sign_in = replace(SPEC.sign_in, doors=(*SPEC.sign_in.doors, apps), off_since=("left",))
    spec = replace(SPEC, sign_in=sign_in)
    club.person |= {"active": False, "level": "some", "left": "2026-11-01T00:00:00Z"}
    observed = await club.connector(spec, how="hard").look(ACCOUNT, Transcript())

    assert observed.standing == (Access(AccessKind.ASSIGNMENT, "apps"),)
    assert (observed.signs_in, observed.off_since is not None) == (False, True)
    assert {each.what for each in observed.residuals} == {"cache"}
    assert (await club.connector(spec).look(ACCOUNT, Transcript())).standing == ()
    club.person["level"] = "none"
    assert (await club.connector(spec, how="hard").look(ACCOUNT, Transcript())).standing == ()


@pytest.mark.parametrize(
    ("left", "told"),
    [
        (timedelta(seconds=59), True),
        (timedelta(seconds=60), False),
        (None, True),
    ],
)
async def test_a_residual_ends_with_its_bound_by_the_vendors_clock(
    club: Club, left: timedelta | None, *, told: bool
) -> None:
    """Where nobody says since when, it has not ended."""
    assert club.person is not None
    now = datetime.now(UTC).replace(microsecond=0)
    since = (now - left).isoformat() if left is not None else "some day"
    club.person |= {"active": False, "left": since}
    spec = replace(
        SPEC,
        sign_in=replace(SPEC.sign_in, off_since=("left",)),
        outlives=(Outlives("cache", BOUND, ends=True),),
    )
    stamped = {"date": now.strftime("%a, %d %b %Y %H:%M:%S GMT")}

    def answer(request: httpx.Request) -> httpx.Response:
        said = club(request)
        return httpx.Response(said.status_code, headers=stamped, content=said.content)

    given = ConnectorOptions("club-test", {"bound": "60"}, {"key": "synthetic"})
    connector = RestConnector(spec, given, transport=httpx.MockTransport(answer))

    assert bool((await seen(connector)).residuals) is told


async def test_an_entry_that_does_not_count_may_lack_everything(club: Club) -> None:
    """It is left out before its id is asked for; one that counts must have one."""
    club.lists["teams"] += [{"kind": "shadow"}]
    (teams, *_) = SPEC.holdings
    shape = Shape(at=("teams",), counts=lambda item: item.get("kind") != "shadow")
    lenient = rows(listed=replace(teams.listed, shape=shape))

    assert (await seen(club.connector(lenient))).unread == ()
    assert [row.code for row in (await seen(club.connector(rows()))).unread] == ["no_id"]


async def test_every_call_carries_the_headers_of_the_wire(club: Club) -> None:
    """Beside the credential's, on reads and changes."""
    sent: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append((request.headers["accept"], request.headers["authorization"]))
        return club(request)

    spec = replace(SPEC, wire=replace(SPEC.wire, headers={"Accept": "application/json"}))
    given = ConnectorOptions("club-test", {}, {"key": "synthetic"})
    connector = RestConnector(spec, given, transport=httpx.MockTransport(answer))
    await connector.contain(ACCOUNT, await seen(connector), Transcript())

    assert set(sent) == {("application/json", "Bearer synthetic")}


async def test_a_number_as_a_number_is_text(club: Club) -> None:
    """A key that JSON holds as 7.0, or with room around it, is the one that HR sends."""
    assert club.person is not None
    connector = club.connector()
    for said, held in ((7.0, "7"), (7, "7"), (" 7 ", "7"), (True, ""), (7.5, "")):
        club.person["email"] = said
        match = connector._records.match(club.person, KeyKind.EMAIL)
        assert [key.value for key in match.account.known_keys] == [held]


async def test_so_many_calls_at_a_time_and_no_more(club: Club) -> None:
    """A vendor that bounds concurrent calls is never asked for more, over all of a system's."""
    under_way, most = 0, 0

    async def answer(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return club(request)

    async def most_of(at_once: int) -> int:
        nonlocal most
        most = 0
        spec = replace(SPEC, wire=replace(SPEC.wire, at_once=at_once), at_once=True)
        given = ConnectorOptions("club-test", {}, {"key": "synthetic"})
        connector = RestConnector(spec, given, transport=httpx.MockTransport(answer))
        await asyncio.gather(*(connector.read_back(Account("p1"), Transcript()) for _ in range(4)))
        return most

    assert await most_of(0) > 2
    assert await most_of(2) == 2


async def test_record_and_lists_read_together_agree_that_it_is_gone(club: Club) -> None:
    """The lists of an account that is no more stand for nothing, whatever they show."""
    club.person = None
    observed = await seen(club.connector(replace(SPEC, at_once=True)))

    assert (observed.exists, observed.standing, observed.unread) == (False, (), ())

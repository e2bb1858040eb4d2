"""The rows of abilities notice a connector that tells, lists or contains wrongly in one way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest

from connectors.abilities import Contained
from connectors.base import Connector, Transcript
from connectors.instant.connector import InstantConnector
from connectors.kit.rest import RestConnector
from lockstep.domain.systems.access import Account, Observation
from lockstep.domain.systems.active import ActivePage, ListEnd
from lockstep.domain.systems.activity import Activity, UseKind
from lockstep.domain.systems.owned import Belongings
from tests.connectors import test_conformance_abilities as rows
from tests.connectors.conftest import Scene
from tests.connectors.harness import FaultKind
from tests.connectors.instant.harness import harness as instant
from tests.connectors.kisi.harness import harness as kisi

Plant = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Planted:
    """One mistake in a built connector, and the row that is there for it."""

    check: Callable[..., Awaitable[None]]
    plant: Plant
    kind: FaultKind | None = None


def pages(change: Callable[[ActivePage], ActivePage | None]) -> Plant:
    """A list whose pages are changed, or left out."""

    def plant(connector: RestConnector) -> None:
        honest = connector.list_active

        async def wrong(transcript: Transcript) -> AsyncIterator[ActivePage]:
            async for page in honest(transcript):
                changed = change(page)
                if changed is not None:
                    yield changed

        connector.list_active = wrong

    return plant


def told(change: Callable[[Activity], Activity]) -> Plant:
    def plant(connector: RestConnector) -> None:
        honest = connector.activity_since

        async def wrong(account: Account, since: datetime, transcript: Transcript) -> Activity:
            return change(await honest(account, since, transcript))

        connector.activity_since = wrong

    return plant


def owned(change: Callable[[Belongings], Belongings]) -> Plant:
    def plant(connector: RestConnector) -> None:
        honest = connector.list_owned

        async def wrong(account: Account, transcript: Transcript) -> Belongings:
            return change(await honest(account, transcript))

        connector.list_owned = wrong

    return plant


def remembers(connector: RestConnector) -> None:
    """Everybody who was ever listed stays in the list."""
    seen: dict[str, Any] = {}
    honest = connector.list_active

    async def wrong(transcript: Transcript) -> AsyncIterator[ActivePage]:
        async for page in honest(transcript):
            seen.update({one.account.id: one for one in page.accounts})
            yield replace(page, accounts=()) if page.end is None else page
            if page.end is None:
                continue
        yield ActivePage(tuple(seen.values()), ListEnd(len(seen)))

    connector.list_active = wrong


def _complete(page: ActivePage) -> ActivePage:
    return replace(page, end=replace(page.end, gaps=())) if page.end else page


def _without_the_last(page: ActivePage) -> ActivePage:
    return replace(page, accounts=page.accounts[:-1])


def _without_keys(page: ActivePage) -> ActivePage:
    bare = (replace(one, account=replace(one.account, known_keys=())) for one in page.accounts)
    return replace(page, accounts=tuple(bare))


KISI = {
    "a broken list that is called complete": Planted(
        rows.test_a_list_that_breaks_off_is_not_called_complete,
        pages(_complete),
        FaultKind.SERVER_ERROR,
    ),
    "a list that does not say how it ended": Planted(
        rows.test_a_leaver_is_listed_until_contained_and_a_colleague_stays,
        pages(lambda page: replace(page, end=None)),
    ),
    "a list that leaves people out": Planted(
        rows.test_a_leaver_is_listed_until_contained_and_a_colleague_stays,
        pages(_without_the_last),
    ),
    "a list without the vendor's keys": Planted(
        rows.test_a_leaver_is_listed_until_contained_and_a_colleague_stays,
        pages(_without_keys),
    ),
    "a list of those who were there once": Planted(
        rows.test_a_leaver_is_listed_until_contained_and_a_colleague_stays, remembers
    ),
    "a log that nobody reads": Planted(
        rows.test_a_use_after_the_cutoff_is_seen, told(lambda seen: replace(seen, uses=()))
    ),
    "a log that is believed to reach back for ever": Planted(
        rows.test_none_is_not_said_of_a_time_that_the_log_does_not_reach,
        told(lambda seen: replace(seen, reaches_from=seen.since)),
    ),
    "a log that cannot be read and is called empty": Planted(
        rows.test_a_log_that_cannot_be_read_proves_nothing,
        told(lambda seen: replace(seen, gaps=(), reaches_from=seen.since)),
        FaultKind.FORBIDDEN,
    ),
    "a refused try that is called a use": Planted(
        rows.test_a_refused_try_is_told_as_one,
        told(
            lambda seen: replace(
                seen, uses=tuple(replace(use, kind=UseKind.USED) for use in seen.uses)
            )
        ),
    ),
    "owned things that are not told": Planted(
        rows.test_what_is_owned_is_told_and_a_colleagues_is_not,
        owned(lambda told: replace(told, things=())),
    ),
    "a forbidden list of owned things that is called empty": Planted(
        rows.test_a_list_of_what_is_owned_that_is_forbidden_is_unread,
        owned(lambda told: replace(told, gaps=())),
    ),
}


def many(change: Callable[[Contained], Contained]) -> Plant:
    def plant(connector: InstantConnector) -> None:
        honest = connector.contain_many

        async def wrong(
            due: Sequence[tuple[Account, Observation]], transcript: Transcript
        ) -> tuple[Contained, ...]:
            return tuple(change(one) for one in await honest(due, transcript))

        vars(connector)["contain_many"] = wrong

    return plant


def one_by_one(connector: InstantConnector) -> None:
    """Many calls for many people, which is no ability."""

    async def wrong(
        due: Sequence[tuple[Account, Observation]], transcript: Transcript
    ) -> tuple[Contained, ...]:
        done = [await connector.contain(*each, transcript) for each in due]
        return tuple(
            Contained(account.id, actions) for (account, _), actions in zip(due, done, strict=True)
        )

    vars(connector)["contain_many"] = wrong


INSTANT = {
    "a failure of many that is told of none": Planted(
        rows.test_many_of_whom_nothing_is_known_are_not_called_contained,
        many(lambda one: replace(one, fault=None)),
        FaultKind.DONE_NOT,
    ),
    "people who are contained one by one": Planted(
        rows.test_many_are_contained_at_once_and_each_is_told, one_by_one
    ),
}
ALL = [(kisi, name, each) for name, each in KISI.items()] + [
    (instant, name, each) for name, each in INSTANT.items()
]


@asynccontextmanager
async def scene_with(
    harness: Callable[[], AbstractAsyncContextManager[Any]], plant: Plant | None
) -> AsyncIterator[Scene]:
    """A scene whose connectors are wrong in the planted way."""
    async with harness() as made:
        honest = made.connector

        def connector(*, secret: str | None = None) -> Connector:
            built: Connector = honest(secret=secret)
            if plant is not None:
                plant(built)
            return built

        made.connector = connector
        scene = Scene(made)
        scene.quiet()
        try:
            yield scene
        finally:
            for opened in scene.opened:
                await opened.aclose()


@pytest.mark.parametrize(
    ("harness", "planted"), [(where, each) for where, _, each in ALL], ids=[one[1] for one in ALL]
)
async def test_a_planted_mistake_fails_and_its_absence_passes(
    harness: Callable[[], AbstractAsyncContextManager[Any]], planted: Planted
) -> None:
    """The row fails with the mistake and passes without, so it was the mistake that failed."""
    arguments = {} if planted.kind is None else {"kind": planted.kind}
    async with scene_with(harness, None) as scene:
        await planted.check(scene, **arguments)
    async with scene_with(harness, planted.plant) as scene:
        with pytest.raises(AssertionError):
            await planted.check(scene, **arguments)

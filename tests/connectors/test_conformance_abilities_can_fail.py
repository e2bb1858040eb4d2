"""The rows of abilities notice a connector or a manifest that is wrong in one way each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest

from connectors.base import ConnectorManifest
from connectors.registry import MANIFESTS
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import AccessKind
from tests.connectors import test_conformance_abilities as rows
from tests.connectors.conftest import Scene
from tests.connectors.test_docs import ExampleHarness, example

Check = Callable[[Scene], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Planted:
    """One untrue word in a manifest, and the row that is there for it."""

    check: Check
    mutate: Callable[[ConnectorManifest], ConnectorManifest]


PLANTED = {
    "an ability that is not there": Planted(
        rows.test_what_is_declared_is_there_and_nothing_else,
        lambda one: replace(one, abilities={**one.abilities, Ability.CONTAIN_MANY: "many"}),
    ),
    "many places that are not read": Planted(
        rows.test_where_a_block_takes_hold_is_declared_as_it_is_read,
        lambda one: replace(one, enforced_at=EnforcedAt(Enforcement.EACH_READ, "gateways")),
    ),
    "many places, and no residual": Planted(
        rows.test_where_a_block_takes_hold_is_declared_as_it_is_read,
        lambda one: replace(
            one, enforced_at=EnforcedAt(Enforcement.NOT_READ, "gateways"), residual_s={}
        ),
    ),
    "a grade that is too good": Planted(
        rows.test_the_grade_is_the_one_that_is_reached,
        lambda one: replace(one, grade=EvidenceGrade.A),
    ),
    "a block that is called a kill": Planted(
        rows.test_what_an_unblock_revives_is_what_a_block_leaves,
        lambda one: replace(one, revives_on_unblock=frozenset()),
    ),
    "a block that revives something else": Planted(
        rows.test_what_an_unblock_revives_is_what_a_block_leaves,
        lambda one: replace(one, revives_on_unblock=frozenset({AccessKind.GROUP})),
    ),
}


async def run(check: Check, manifest: ConnectorManifest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MANIFESTS.loaded, "desk", manifest)
    scene = Scene(ExampleHarness(manifest))
    try:
        await check(scene)
    finally:
        for connector in scene.opened:
            await connector.aclose()


@pytest.mark.parametrize("name", PLANTED)
async def test_an_untrue_manifest_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted untruth is caught by the row that is there for it."""
    planted = PLANTED[name]
    with pytest.raises(AssertionError):
        await run(planted.check, planted.mutate(example().MANIFEST), monkeypatch)


@pytest.mark.parametrize("name", PLANTED)
async def test_the_true_manifest_passes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it the same row passes, so it was the untruth that failed."""
    await run(PLANTED[name].check, example().MANIFEST, monkeypatch)

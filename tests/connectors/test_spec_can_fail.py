"""The conformance suite notices specs that are wrong in one row each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from connectors.kit.calls import Call, Listed
from connectors.kit.holdings import Close, Holding
from connectors.kit.rest import manifest_of
from connectors.kit.spec import Door, RestSpec
from connectors.registry import MANIFESTS
from lockstep.domain.cases.leavers import KeyKind
from tests.connectors import test_conformance as suite
from tests.connectors import test_conformance_law as law
from tests.connectors.conftest import Scene
from tests.connectors.test_docs import ExampleHarness, example

Check = Callable[[Scene], Awaitable[None]]
Mutation = Callable[[RestSpec], RestSpec]

closes = suite.test_revoked_is_closed_for_us_and_for_the_peer


def keys(spec: RestSpec, **changes: object) -> RestSpec:
    (row,) = spec.holdings
    changed: Holding = replace(row, **changes)  # type: ignore[arg-type] # a mutation
    return replace(spec, holdings=(changed,))


def door(spec: RestSpec, wrong: Door) -> RestSpec:
    return replace(spec, sign_in=replace(spec.sign_in, doors=(wrong,)))


def block(spec: RestSpec, *calls: Call) -> RestSpec:
    return replace(spec, sign_in=replace(spec.sign_in, block=Close(calls)))


def finding(spec: RestSpec, **changes: object) -> RestSpec:
    return replace(spec, finding=replace(spec.finding, **changes))  # type: ignore[arg-type] # as above


def _filtered(everybody: Listed) -> Listed:
    call = replace(everybody.call, params={"email": "nobody@lockstep.invalid"})
    return replace(everybody, call=call)


MUTANTS: dict[str, tuple[Mutation, Check]] = {
    "a list that is forgotten": (lambda spec: replace(spec, holdings=()), closes),
    "a list whose entries never stand": (lambda spec: keys(spec, stands=lambda _: False), closes),
    "a list of which nothing is the account's": (
        lambda spec: keys(spec, mine=lambda _item, _words: False),
        closes,
    ),
    "a thing that is closed by no call": (lambda spec: keys(spec, close=Close(())), closes),
    "a thing that is closed by a call that closes nothing": (
        lambda spec: keys(spec, close=Close((Call("GET", "/people", "keys.delete"),))),
        closes,
    ),
    "a door that is never shut": (lambda spec: door(spec, Door(("locked",), shut=True)), closes),
    "a door that counts as shut": (lambda spec: door(spec, Door(("blocked",), shut=False)), closes),
    "a block that only looks": (
        lambda spec: block(spec, Call("GET", "/people/{id}", "people.block")),
        closes,
    ),
    "a block that is none": (block, closes),
    "a key that is compared with another field": (
        lambda spec: finding(spec, compared={KeyKind.EMAIL: ("name",)}),
        closes,
    ),
    "a list of everybody that is filtered": (
        lambda spec: finding(spec, everybody=_filtered(spec.finding.everybody)),
        law.test_a_blind_search_proves_nothing,
    ),
}


def scene_of(spec: RestSpec, monkeypatch: pytest.MonkeyPatch) -> Scene:
    manifest = manifest_of(spec)
    monkeypatch.setitem(MANIFESTS.loaded, "desk", manifest)
    return Scene(ExampleHarness(manifest))


async def run(check: Check, scene: Scene) -> None:
    try:
        await check(scene)
    finally:
        for connector in scene.opened:
            await connector.aclose()


@pytest.mark.parametrize("name", MUTANTS)
async def test_a_wrong_row_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each planted mistake is caught by a check of the suite."""
    mutate, check = MUTANTS[name]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run(check, scene_of(mutate(example().SPEC), monkeypatch))


@pytest.mark.parametrize("name", MUTANTS)
async def test_the_right_rows_pass(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mistake the same check passes, so it was the mistake that failed."""
    await run(MUTANTS[name][1], scene_of(example().SPEC, monkeypatch))

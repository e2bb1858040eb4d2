"""What a connector declares beyond containing, stripping and reading back, and what it can do.

The third part of the conformance suite (`test_conformance`): abilities, the grade, what comes back
on an unblock, and where a block takes hold. A connector without an ability passes its rows by not
having it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from connectors.abilities import ContainsMany, ListsActive, ListsOwned, TellsActivity, offered
from connectors.base import Connector, Transcript
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability, Enforcement
from lockstep.domain.systems.access import AccessKind, Account
from lockstep.domain.systems.active import ActiveList
from lockstep.domain.systems.activity import UseKind
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.conftest import Scene
from tests.connectors.harness import FaultKind, HiresOwners, Injected, LogsUses
from tests.connectors.revoking import revoke
from tests.connectors.test_conformance import manifest_of

ALWAYS = 60
BREAKS = (
    FaultKind.UNAUTHORIZED,
    FaultKind.FORBIDDEN,
    FaultKind.SERVER_ERROR,
    FaultKind.LOST_BEFORE,
    FaultKind.NOT_JSON,
)


async def test_what_is_declared_is_there_and_nothing_else(scene: Scene) -> None:
    """The manifest's abilities are the built connector's, each with a word on what it sees."""
    declared = manifest_of(scene).abilities

    assert set(declared) == offered(scene.connect())
    assert all(declared.values())


async def test_where_a_block_takes_hold_is_declared_as_it_is_read(scene: Scene) -> None:
    """Many places are each read back, or a residual says that they lag."""
    manifest = manifest_of(scene)
    reads_each = Ability.READ_EACH_PLACE in manifest.abilities

    assert manifest.enforced_at.places
    assert reads_each is (manifest.enforced_at.how is Enforcement.EACH_READ)
    assert not manifest.enforced_at.needs_residual(manifest.residual_s)


async def test_the_grade_is_the_one_that_is_reached(scene: Scene) -> None:
    """Only a vendor's own record of the shutting makes A; a connector reaches no C and no D."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    after = await connector.read_back(leaver.account, scene.transcript)
    recorded = after.exists and after.off_since is not None

    assert manifest_of(scene).grade is (EvidenceGrade.A if recorded else EvidenceGrade.B)


async def test_what_an_unblock_revives_is_what_a_block_leaves(scene: Scene) -> None:
    """What still stands behind the shut front door comes back with it: a block is not a kill."""
    revives = manifest_of(scene).revives_on_unblock
    if revives is None:
        return
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await connector.contain(leaver.account, leaver.before, scene.transcript)
    left = await connector.read_back(leaver.account, scene.transcript)

    assert left.standing or not revives
    assert {way.kind for way in left.standing} <= revives
    assert AccessKind.SIGN_IN not in revives


async def test_seats_are_declared_where_they_are_seen(scene: Scene) -> None:
    """A seat that stood is gone by the read-back, and the manifest says that seats are counted."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    after = await connector.read_back(leaver.account, scene.transcript)
    seats = {way for way in leaver.before.standing if way.kind is AccessKind.SEAT}

    assert manifest_of(scene).counts_seats or not seats
    assert not seats & set(after.standing)


# Who can sign in.


async def listed(connector: Connector, transcript: Transcript) -> ActiveList | None:
    """The whole list; None where the connector has none."""
    if not isinstance(connector, ListsActive):
        return None
    pages = [page async for page in connector.list_active(transcript)]
    ends = [page.end for page in pages]
    assert ends[-1] is not None
    assert ends[:-1] == [None] * (len(pages) - 1)
    return ActiveList(tuple(one for page in pages for one in page.accounts), ends[-1])


async def test_a_leaver_is_listed_until_contained_and_a_colleague_stays(scene: Scene) -> None:
    """Whoever can sign in is in the list with the keys that a search shows, and nobody else."""
    connector = scene.connect()
    if not isinstance(connector, ListsActive):
        return
    leaver, colleague = await scene.leaver(connector), await scene.leaver(connector)
    before = await listed(connector, scene.transcript)
    await connector.contain(leaver.account, leaver.before, scene.transcript)
    after = await listed(connector, scene.transcript)

    assert before is not None
    assert before.is_complete
    [shown] = [one for one in before.accounts if one.account.id == leaver.account.id]
    assert set(shown.account.known_keys) == set(leaver.account.known_keys)
    assert after is not None
    assert after.is_complete
    left = {one.account.id for one in after.accounts}
    assert leaver.account.id not in left
    assert colleague.account.id in left
    assert len(left) == len(after.accounts)


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_list_that_breaks_off_is_not_called_complete(scene: Scene, kind: FaultKind) -> None:
    """Whichever call fails, the list ends with a reason, and what was seen before it counts."""
    connector = scene.connect()
    if not isinstance(connector, ListsActive):
        return
    await scene.stayer()
    scene.quiet()
    everybody = await listed(connector, scene.transcript)
    assert everybody is not None
    whole, breaks = {one.account.id for one in everybody.accounts}, 0
    for number in range(len(scene.harness.script.calls)):
        scene.quiet()
        scene.harness.script.inject(Injected(kind, after=number))
        broken = await listed(connector, scene.transcript)
        assert broken is not None
        seen = {one.account.id for one in broken.accounts}
        breaks += not broken.is_complete
        # A call that the list can do without may fail: then it is whole all the same.
        assert seen == whole if broken.is_complete else seen <= whole
    assert breaks


# What was done.

MOMENT = timedelta(seconds=1)
"""So long ago is a cutoff whose uses are looked for: what lies ahead is in no log."""


def log_of(scene: Scene) -> LogsUses:
    assert isinstance(scene.harness, LogsUses), "the harness lacks `use`"
    return scene.harness


async def test_a_use_after_the_cutoff_is_seen(scene: Scene) -> None:
    """Before it, "none" is proved; an earlier use, a colleague's and our own revoking are none."""
    connector = scene.connect()
    if not isinstance(connector, TellsActivity):
        return
    log, leaver, colleague = log_of(scene), await scene.leaver(connector), await scene.hire()
    cutoff = datetime.now(UTC) - MOMENT
    await log.use(leaver.keys, refused=False, at=cutoff - timedelta(minutes=5))
    await log.use(colleague, refused=False, at=cutoff + timedelta(milliseconds=1))
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    quiet = await connector.activity_since(leaver.account, cutoff, scene.transcript)
    await log.use(leaver.keys, refused=False, at=cutoff + timedelta(milliseconds=2))
    used = await connector.activity_since(leaver.account, cutoff, scene.transcript)

    assert quiet.proves_none
    assert [use.kind for use in used.uses] == [UseKind.USED]
    assert all(use.at >= cutoff and use.what for use in used.uses)
    assert not used.proves_none


async def test_a_refused_try_is_told_as_one(scene: Scene) -> None:
    """A vendor that logs what it turned away shows it, and never as a use."""
    connector = scene.connect()
    if not isinstance(connector, TellsActivity):
        return
    log, leaver = log_of(scene), await scene.leaver(connector)
    cutoff = datetime.now(UTC) - MOMENT
    await log.use(leaver.keys, refused=True, at=cutoff + timedelta(milliseconds=1))
    seen = await connector.activity_since(leaver.account, cutoff, scene.transcript)

    expected = [UseKind.REFUSED] if log.logs_refusals else []
    assert [use.kind for use in seen.uses] == expected


async def test_none_is_not_said_of_a_time_that_the_log_does_not_reach(scene: Scene) -> None:
    """Asked about years ago, the log says from when on it reaches, and proves nothing before."""
    connector = scene.connect()
    if not isinstance(connector, TellsActivity):
        return
    leaver = await scene.standing(connector)
    long_ago = datetime.now(UTC) - timedelta(days=3650)
    seen = await connector.activity_since(leaver.account, long_ago, scene.transcript)

    assert not seen.proves_none
    assert seen.reaches_from is None or seen.reaches_from > long_ago


@pytest.mark.parametrize("kind", BREAKS)
async def test_a_log_that_cannot_be_read_proves_nothing(scene: Scene, kind: FaultKind) -> None:
    """Where all calls of the log fail, there is a gap with its reason."""
    connector = scene.connect()
    if not isinstance(connector, TellsActivity):
        return
    leaver = await scene.standing(connector)
    scene.quiet()
    scene.harness.script.inject(Injected(kind, times=ALWAYS))
    seen = await connector.activity_since(leaver.account, datetime.now(UTC), scene.transcript)

    assert not seen.proves_none
    assert [one for one in seen.gaps if one.operation]


# What is owned.


async def test_what_is_owned_is_told_and_a_colleagues_is_not(scene: Scene) -> None:
    """Every kind is found by its owner; whoever owns nothing is known to own nothing."""
    connector = scene.connect()
    if not isinstance(connector, ListsOwned):
        return
    owner, colleague = await owner_of(scene, connector), await scene.leaver(connector)
    theirs = await connector.list_owned(owner, scene.transcript)
    nothing = await connector.list_owned(colleague.account, scene.transcript)

    assert theirs.is_whole
    assert isinstance(scene.harness, HiresOwners)
    assert {thing.kind for thing in theirs.things} == set(scene.harness.owned_kinds)
    assert len({(thing.kind, thing.ref) for thing in theirs.things}) == len(theirs.things)
    assert nothing.is_whole
    assert nothing.things == ()


async def test_a_list_of_what_is_owned_that_is_forbidden_is_unread(scene: Scene) -> None:
    """With half of the permissions, what they show is told, and the rest is named as not read."""
    connector = scene.connect()
    if not isinstance(connector, ListsOwned):
        return
    owner = await owner_of(scene, connector)
    scene.quiet()
    whole = await connector.list_owned(owner, scene.transcript)
    assert whole.is_whole
    for number in range(len(scene.harness.script.calls)):
        scene.quiet()
        scene.harness.script.inject(Injected(FaultKind.FORBIDDEN, after=number))
        half = await connector.list_owned(owner, scene.transcript)
        unread = {gap.what for gap in half.gaps}
        assert unread
        assert all(gap.category is FaultCategory.PERMISSION_MISSING for gap in half.gaps)
        seen = {thing.kind.value for thing in half.things}
        assert seen | unread >= {thing.kind.value for thing in whole.things}


async def owner_of(scene: Scene, connector: Connector) -> Account:
    """Somebody who has made things that stay."""
    assert isinstance(scene.harness, HiresOwners), "the harness lacks `hire_owner`"
    keys = await scene.harness.hire_owner(f"w{uuid4().hex[:12]}")
    [match] = (await connector.locate(keys, scene.transcript)).matches
    return match.account


# Many at once.


async def test_many_are_contained_at_once_and_each_is_told(scene: Scene) -> None:
    """All whose sign-in stood are shut, with fewer calls than people; a colleague stays in."""
    connector = scene.connect()
    if not isinstance(connector, ContainsMany):
        return
    leavers = [await scene.leaver(connector) for _ in range(3)]
    colleague = await scene.leaver(connector)
    scene.quiet()
    due = [(one.account, one.before) for one in leavers]
    told = await connector.contain_many(due, scene.transcript)

    assert connector.contains_at_once > 1
    assert [one.account_id for one in told] == [one.account.id for one in leavers]
    assert all(one.actions and one.fault is None for one in told)
    assert len(scene.effects) < len(leavers)
    for one in leavers:
        assert not (await connector.look(one.account, scene.transcript)).signs_in
    assert (await connector.look(colleague.account, scene.transcript)).signs_in


@pytest.mark.parametrize("kind", [FaultKind.LOST_AFTER, FaultKind.SERVER_ERROR, FaultKind.DONE_NOT])
async def test_many_of_whom_nothing_is_known_are_not_called_contained(
    scene: Scene, kind: FaultKind
) -> None:
    """A call that failed, or did nothing, is a fault of each; taken again it settles."""
    connector = scene.connect()
    if not isinstance(connector, ContainsMany):
        return
    leavers = [await scene.leaver(connector) for _ in range(2)]
    due = [(one.account, one.before) for one in leavers]
    scene.quiet()
    scene.harness.script.inject(Injected(kind, effects_only=True))
    failed = await connector.contain_many(due, scene.transcript)
    again = await connector.contain_many(due, scene.transcript)

    assert all(one.fault is not None and not one.actions for one in failed)
    assert all(one.fault is None for one in again)
    for one in leavers:
        assert not (await connector.look(one.account, scene.transcript)).signs_in

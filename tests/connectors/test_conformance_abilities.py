"""What a connector declares beyond containing, stripping and reading back, and what it can do.

The third part of the conformance suite (`test_conformance`): abilities, the grade, what comes back
on an unblock, and where a block takes hold. A connector without an ability passes its rows by not
having it.
"""

from __future__ import annotations

from connectors.abilities import offered
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability, Enforcement
from lockstep.domain.systems.access import AccessKind
from tests.connectors.conftest import Scene
from tests.connectors.revoking import revoke
from tests.connectors.test_conformance import manifest_of


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

"""What every connector owes the law: it tells and does not decide, and proves what it says.

The second half of the conformance suite (`test_conformance`): whose account it is, "nobody", the
front door first, and what an attempt that failed has done. The law itself is decided in one place
(`lockstep.domain.systems.finding`, tests/domain/systems/test_finding.py).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from connectors.base import Connector, ConnectorFault
from connectors.kit.questions import flaws
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Location, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.finding import Absence, Verdict, absence, judge
from lockstep.domain.systems.keys import comparable
from tests.connectors.conftest import Leaver, Scene
from tests.connectors.harness import FaultKind, Injected
from tests.connectors.revoking import revoke
from tests.connectors.test_conformance import KNOWS_EVERYBODY, fault_of, matched_ids

LATER = timedelta(days=1)
_PROVES = frozenset({Proof.PROVED, Proof.LISTED, Proof.BY_ID})


def searchable(keys: LeaverKeys) -> tuple[Key, ...]:
    """Every key but the ids that the vendor gave."""
    return tuple(key for key in keys.keys if key.kind is not KeyKind.ACCOUNT_ID)


async def two_people(scene: Scene, connector: Connector) -> tuple[Leaver, Leaver]:
    return await scene.standing(connector), await scene.standing(connector, 1)


async def test_every_account_is_told_and_none_is_decided(scene: Scene) -> None:
    """Keys of two people find both accounts: nothing is dropped, refused or chosen."""
    connector = scene.connect()
    one, other = await two_people(scene, connector)
    both = LeaverKeys((*searchable(one.keys), *searchable(other.keys)))
    location = await connector.locate(both, scene.transcript)

    assert {one.account.id, other.account.id} == set(matched_ids(location))
    assert len(location.matches) == 2


async def test_an_account_is_told_with_the_key_that_found_it(scene: Scene) -> None:
    """What the vendor itself holds is told, so that the law can judge it."""
    connector, keys = scene.connect(), await scene.stayer()
    [match] = (await connector.locate(LeaverKeys(searchable(keys)), scene.transcript)).matches
    ours = {comparable(key.kind, key.value) for key in searchable(keys)}
    held = {comparable(key.kind, key.value) for key in match.account.known_keys}

    assert held & ours
    assert match.found_by is not KeyKind.ACCOUNT_ID


async def test_a_named_account_settles_whose_an_address_is(scene: Scene) -> None:
    """HR named one account, and an address of the leaver is another one's by now: not touched."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector = scene.connect()
    one, other = await two_people(scene, connector)
    weak = [key for key in other.keys.keys if key.kind in {KeyKind.USERNAME, KeyKind.EMAIL}]
    keys = LeaverKeys((Key(KeyKind.ACCOUNT_ID, one.account.id), *weak))
    location = await connector.locate(keys, scene.transcript)
    finding = judge(location.matches, keys, system="any", cutoff=datetime.now(UTC) + LATER)

    assert [match.account.id for match in finding.leavers] == [one.account.id]
    assert [aside.match.account.id for aside in finding.set_aside] == [other.account.id]


async def test_addresses_of_two_people_ask_a_person(scene: Scene) -> None:
    """An old and a new address find two accounts: neither is taken."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector = scene.connect()
    people = await two_people(scene, connector)
    weak = {
        key
        for one in people
        for key in one.keys.keys
        if key.kind in {KeyKind.USERNAME, KeyKind.EMAIL}
    }
    keys = LeaverKeys(tuple(sorted(weak, key=lambda key: key.value)))
    location = await connector.locate(keys, scene.transcript)
    finding = judge(location.matches, keys, system="any", cutoff=datetime.now(UTC) + LATER)

    assert {one.verdict for one in finding.judged} == {Verdict.IN_DOUBT}
    assert len(finding.judged) == 2


async def nobody(scene: Scene, connector: Connector) -> Location:
    """The search for somebody who has no account, while other people have."""
    keys = await scene.stayer()
    strange = LeaverKeys(tuple(Key(key.kind, f"nobody.{key.value}") for key in searchable(keys)))
    return await connector.locate(strange, scene.transcript)


async def test_nobody_is_proved(scene: Scene) -> None:
    """An absence says of each key how it is known that the search could have found it."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    location = await nobody(scene, scene.connect())

    assert {search.proof for search in location.searches} <= _PROVES | {Proof.NOT_HELD}
    assert not flaws.nobody_flaw(location)


async def test_what_is_written_in_two_ways_is_not_proved_by_plain_letters(scene: Scene) -> None:
    """A search that finds plain addresses may be blind for é as two letters, or for a domain."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    await scene.stayer()
    keys = LeaverKeys((Key(KeyKind.EMAIL, "jos\u00e9.cruz@b\u00fccher.example"),))
    location = await scene.connect().locate(keys, scene.transcript)

    assert location.matches == ()
    assert location.searches
    assert Proof.PROVED not in {search.proof for search in location.searches}


async def test_a_blind_search_proves_nothing(scene: Scene) -> None:
    """The vendor's search finds nobody although they are there: a list answers, or nobody does."""
    blind = getattr(scene.harness, "blind", None)
    if blind is None:  # the connector lists, and makes no search that could be blind
        location = await nobody(scene, scene.connect())
        by_list = {search.proof for search in location.searches} <= {Proof.LISTED, Proof.BY_ID}
        assert by_list or scene.harness.kind in KNOWS_EVERYBODY
        return
    connector, keys = scene.connect(), await scene.stayer()
    scene.harness.script.instead = blind
    location = await connector.locate(LeaverKeys(searchable(keys)), scene.transcript)

    found = bool(location.matches)
    assert found or absence(location, accept_single_key=True) is not Absence.PROVED


async def test_a_search_that_fails_hides_nobody(scene: Scene) -> None:
    """HR named the account, and every search of the vendor's fails: it is told, and so are they."""
    blind = getattr(scene.harness, "blind", None)
    if blind is None:  # no searches beside the list, which tells of everybody or of nobody
        return
    connector = scene.connect()
    leaver = await scene.standing(connector)

    def down(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(503, request=request) if blind(request) is not None else None

    scene.harness.script.instead = down
    named = Key(KeyKind.ACCOUNT_ID, leaver.account.id)
    keys = LeaverKeys((named, *searchable(leaver.keys)))
    location = await connector.locate(keys, scene.transcript)

    assert matched_ids(location) == [leaver.account.id]
    assert {row.category for row in location.unread} == {FaultCategory.VENDOR_ERROR}
    assert {search.proof for search in location.searches} == {Proof.BY_ID, Proof.FAILED}


async def test_an_account_that_is_not_theirs_is_nobody(scene: Scene) -> None:
    """A person said so of the only one found: that there is no other is proved all the same."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector = scene.connect()
    other = await scene.standing(connector)
    named = [key for key in other.keys.keys if key.kind is KeyKind.EMAIL]
    keys = LeaverKeys((*named, *(Key(key.kind, f"nobody.{key.value}") for key in named)))
    location = await connector.locate(keys, scene.transcript, not_theirs={other.account.id})

    assert matched_ids(location) == [other.account.id]
    assert absence(location, accept_single_key=False) is Absence.PROVED


async def test_the_first_write_shuts_the_sign_in(scene: Scene) -> None:
    """Containing reads the account's own record at most, writes, and the sign-in is shut."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    scene.transcript.exchanges.clear()
    door = await connector.look(leaver.account, scene.transcript)
    own = {exchange.operation for exchange in scene.transcript.exchanges}
    scene.transcript.exchanges.clear()
    scene.quiet()
    actions = await connector.contain(leaver.account, door, scene.transcript)
    first = scene.harness.script.calls.index(True)
    made = [exchange.operation for exchange in scene.transcript.exchanges]

    assert door.signs_in
    assert set(made[:first]) <= own
    assert any(action.access.kind is AccessKind.SIGN_IN for action in actions)
    assert not (await connector.read_back(leaver.account, scene.transcript)).signs_in


@pytest.mark.parametrize("kind", [FaultKind.FORBIDDEN, FaultKind.SERVER_ERROR, FaultKind.NOT_JSON])
async def test_a_list_that_cannot_be_read_is_unread(scene: Scene, kind: FaultKind) -> None:
    """Each read of a read-back in turn fails: a fault of the account's own record, else unread."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    scene.quiet()
    await connector.read_back(leaver.account, scene.transcript)
    number = len(scene.harness.script.calls)
    unread = 0

    for place in range(number):
        scene.quiet()
        scene.harness.script.inject(Injected(kind, reads_only=True, after=place))
        try:
            seen = await connector.read_back(leaver.account, scene.transcript)
        except ConnectorFault:
            continue
        # A second question may have answered what the first could not.
        unread += bool(seen.unread)
        assert seen.unread or seen.is_closed
        assert all(row.category and row.operation for row in seen.unread)
    assert unread or number <= 1


async def test_what_was_done_before_a_fault_is_told(scene: Scene) -> None:
    """The last effect of a revocation is refused: all before it stand in the fault."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    scene.quiet()
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    number = scene.harness.script.calls.count(True)
    another = await scene.leaver(connector)
    scene.quiet()
    refusal = Injected(FaultKind.FORBIDDEN, effects_only=True, after=number - 1)
    scene.harness.script.inject(refusal)
    fault = await fault_of(revoke(connector, another.account, another.before, scene.transcript))

    if number > 1:
        assert fault is not None
        assert any(action.access.kind is AccessKind.SIGN_IN for action in fault.actions)

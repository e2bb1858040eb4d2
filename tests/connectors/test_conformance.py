"""What every connector owes Lockstep, asked of each one against its peer.

A connector joins by one harness file, `tests/connectors/<kind>/harness.py`; nothing here knows a
vendor, except the tables of differences right below, each with its reason.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits

import pytest

from connectors.base import Connector, ConnectorFault, ConnectorManifest, Transcript
from connectors.kit.questions import flaws
from connectors.registry import MANIFESTS
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Observation, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.conftest import Leaver, Scene
from tests.connectors.harness import FaultKind, Injected
from tests.connectors.revoking import revoke

# More than the calls of any step: the vendor keeps refusing.
ALWAYS = 60

# Instant opens an account for any key that it is asked for.
KNOWS_EVERYBODY = frozenset({"instant"})
# Instant builds its account ids from worker keys; nobody in the simulation is real.
# A user of MariaDB, an account of a host: they have no id but their name.
ID_NAMES_WORKER = frozenset({"instant", "mariadb_users", "ssh_fleet"})
# A database, directory, host or socket says that it is busy, and never until when.
TELLS_NO_TIME = frozenset(
    {"postgresql_roles", "mariadb_users", "openvpn", "ldap", "ssh_fleet", "wireguard"}
    | {"active_directory"}
)
# Nothing is told of when a role, user, key or account was made; by Slack, in its lists alone.
KEEPS_NO_AGE = frozenset(
    {"postgresql_roles", "mariadb_users", "openvpn", "ssh_fleet", "wireguard", "slack_enterprise"}
)
# A directory tells its clock in no answer that everybody's server gives; a socket has none to tell.
TELLS_NO_CLOCK = frozenset({"ldap", "wireguard"})
# Whoever may open the socket is asked for nothing.
ASKS_NO_CREDENTIAL = frozenset({"wireguard"})


class Step(StrEnum):
    """The calls of a revocation that must not go on without an answer."""

    LOCATE = "locate"
    LOOK = "look"
    CONTAIN = "contain"
    READ_BACK = "read_back"
    REVOKE = "revoke"
    """Contain, then strip."""


async def take(step: Step, connector: Connector, leaver: Leaver, transcript: Transcript) -> object:
    match step:
        case Step.LOCATE:
            return await connector.locate(leaver.keys, transcript)
        case Step.LOOK:
            return await connector.look(leaver.account, transcript)
        case Step.CONTAIN:
            return await connector.contain(leaver.account, leaver.before, transcript)
        case Step.READ_BACK:
            return await connector.read_back(leaver.account, transcript)
        case Step.REVOKE:
            return await revoke(connector, leaver.account, leaver.before, transcript)


async def refused(scene: Scene, step: Step, fault: Injected) -> ConnectorFault:
    """The fault that a step ends with while the peer misbehaves."""
    connector = scene.connect()
    leaver = await scene.standing(connector)
    scene.quiet()
    scene.harness.script.inject(fault)
    with pytest.raises(ConnectorFault) as caught:
        await take(step, connector, leaver, scene.transcript)
    scene.quiet()
    assert_speaks_properly(caught.value, scene, leaver.keys)
    return caught.value


def everything_told(fault: BaseException) -> str:
    """All text that a log, a payload or a person could get out of an exception."""
    told, waiting, seen = [repr(vars(fault))], [fault], set[int]()
    while waiting:
        error = waiting.pop()
        if id(error) in seen:
            continue
        seen.add(id(error))
        told += [str(error), repr(error), repr(error.args)]
        told += getattr(error, "__notes__", [])
        told += traceback.format_exception(error)
        waiting += [one for one in (error.__cause__, error.__context__) if one is not None]
        waiting += getattr(error, "exceptions", ())
    return "\n".join(told)


async def fault_of(work: Awaitable[object]) -> ConnectorFault | None:
    """The fault of a step that may end either way."""
    try:
        await work
    except ConnectorFault as fault:
        return fault
    return None


def personal(keys: LeaverKeys) -> Iterator[str]:
    """Values that name a person and are long enough not to turn up by chance."""
    kinds = {KeyKind.WORKER_ID, KeyKind.USERNAME, KeyKind.EMAIL, KeyKind.EXTERNAL_ID}
    return (key.value for key in keys.keys if key.kind in kinds)


def assert_speaks_properly(fault: ConnectorFault, scene: Scene, keys: LeaverKeys) -> None:
    assert fault.operation
    assert str(fault).startswith(f"{scene.harness.kind} {fault.operation}:")
    told = everything_told(fault)
    assert scene.harness.secret not in told
    assert not [value for value in personal(keys) if value in told]


# Every digit and every letter becomes another of its kind, so that the vendor still parses the id.
TURNED = str.maketrans(
    digits + ascii_lowercase + ascii_uppercase,
    digits[5:]
    + digits[:5]
    + ascii_lowercase[13:]
    + ascii_lowercase[:13]
    + ascii_uppercase[13:]
    + ascii_uppercase[:13],
)


def gone(account: Account) -> Account:
    """An account that looks like ``account`` and does not exist."""

    def other(text: str) -> str:
        return text[:-8] + text[-8:].translate(TURNED)

    return replace(account, id=other(account.id), locator=other(account.locator))


def shape(observation: Observation) -> tuple[object, ...]:
    """What must be the same however often and with whatever interruptions we revoke."""
    kinds = Counter(way.kind for way in observation.standing)
    return observation.exists, kinds, {residual.what for residual in observation.residuals}


def manifest_of(scene: Scene) -> ConnectorManifest:
    """Of the kind, or of the one system that a file of its own describes."""
    own = getattr(scene.harness, "manifest", None)
    return own or MANIFESTS[scene.harness.kind]


def matched_ids(location: Location) -> list[str]:
    return [match.account.id for match in location.matches]


def test_every_built_in_connector_is_here() -> None:
    """Whoever adds a connector to the registry adds its harness, and none is left of an old one."""
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/harness.py")}

    assert folders == set(MANIFESTS)


async def test_kind_is_the_registry_name(scene: Scene) -> None:
    """The harness, the connector and the manifest speak of the same kind."""
    kind = scene.harness.kind

    assert kind == scene.connect().kind == MANIFESTS[kind].kind


async def test_finds_the_person_by_each_key(scene: Scene) -> None:
    """Every kind of key that the connector says it tried finds the account on its own."""
    connector, keys = scene.connect(), await scene.stayer()
    whole = await connector.locate(keys, scene.transcript)

    assert len(matched_ids(whole)) == 1
    assert whole.keys_tried
    assert {match.found_by for match in whole.matches} <= set(whole.keys_tried)
    for key in keys.keys:
        alone = await connector.locate(LeaverKeys((key,)), scene.transcript)
        found = matched_ids(whole) if key.kind in whole.keys_tried else []
        assert found == matched_ids(alone), key.kind
        assert alone.keys_tried == ((key.kind,) if found else ()), key.kind


async def test_pins_the_same_id_again(scene: Scene) -> None:
    """Another connector finds the same id, and the id alone is enough to read back."""
    keys = await scene.stayer()
    first = await scene.connect().locate(keys, scene.transcript)
    connector = scene.connect()
    again = await connector.locate(keys, scene.transcript)
    account = again.matches[0].account

    assert matched_ids(first) == matched_ids(again)
    assert account.id
    observed = await connector.read_back(account, scene.transcript)
    assert observed.exists
    assert account.id == observed.account_id


async def test_unknown_person_is_not_found(scene: Scene) -> None:
    """Nobody is found for keys that nobody has, and the kinds that were tried are named."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector, keys = scene.connect(), await scene.stayer()
    tried = (await connector.locate(keys, scene.transcript)).keys_tried
    strange = LeaverKeys(
        tuple(
            Key(key.kind, f"nobody.{key.value}")
            for key in keys.keys
            if key.kind is not KeyKind.ACCOUNT_ID
        )
    )
    location = await connector.locate(strange, scene.transcript)

    assert location.matches == ()
    assert {kind for kind in tried if kind is not KeyKind.ACCOUNT_ID} == set(location.keys_tried)
    assert location.keys_tried


async def test_looking_changes_nothing(scene: Scene) -> None:
    """Locating, the snapshot and the health check have no effect on the peer."""
    connector = scene.connect()
    leaver = await scene.standing(connector)
    await connector.health(scene.transcript)

    assert scene.effects == []
    assert await scene.harness.still_in(leaver.keys)


async def test_snapshot_shows_what_stands(scene: Scene) -> None:
    """A hired person has ways in; each is listed once, with a reference."""
    leaver = await scene.standing(scene.connect())

    assert not leaver.before.is_closed
    assert not flaws.snapshot_flaw(leaver.before)


async def test_revoked_is_closed_for_us_and_for_the_peer(scene: Scene) -> None:
    """After revoking, the read-back shows nothing and the peer's own truth agrees."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    actions = await revoke(connector, leaver.account, leaver.before, scene.transcript)
    after = await connector.read_back(leaver.account, scene.transcript)

    assert after.is_closed
    assert not await scene.harness.still_in(leaver.keys)
    assert actions
    made = {exchange.operation for exchange in scene.transcript.exchanges}
    assert {action.operation for action in actions} <= made
    assert all(action.accepted_at.tzinfo for action in actions)
    assert after.off_since is None or after.off_since.tzinfo
    assert not flaws.closed_flaw(after, manifest_of(scene).residual_s)


async def test_revoking_twice_changes_nothing_more(scene: Scene) -> None:
    """A second revocation that looks first finds everything closed: no action, no effect."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    closed = await connector.read_back(leaver.account, scene.transcript)
    scene.quiet()
    actions = await revoke(connector, leaver.account, closed, scene.transcript)

    assert actions == ()
    assert scene.effects == []
    assert shape(closed) == shape(await connector.read_back(leaver.account, scene.transcript))


async def test_repeating_with_an_old_snapshot_is_harmless(scene: Scene) -> None:
    """The same arguments again, as after a crash, by another connector: the same end state."""
    leaver = await scene.leaver(scene.connect())
    connector = scene.connect()
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    once = await connector.read_back(leaver.account, scene.transcript)
    another = scene.connect()
    await revoke(another, leaver.account, leaver.before, scene.transcript)

    assert shape(once) == shape(await another.read_back(leaver.account, scene.transcript))


async def test_already_absent_has_no_effect(scene: Scene) -> None:
    """An id that the peer does not know exists not, and revoking it does nothing."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector = scene.connect()
    absent = gone((await scene.standing(connector)).account)
    observed = await connector.read_back(absent, scene.transcript)
    actions = await revoke(connector, absent, observed, scene.transcript)

    assert not observed.exists
    assert observed.is_closed
    assert actions == ()
    assert scene.effects == []


async def test_absent_since_the_snapshot_is_success(scene: Scene) -> None:
    """What stood in the snapshot and is gone by now raises nothing."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    absent = gone(leaver.account)
    await revoke(connector, absent, leaver.before, scene.transcript)

    assert not (await connector.read_back(absent, scene.transcript)).exists
    assert (await connector.read_back(leaver.account, scene.transcript)).exists


async def test_access_given_back_stands_again(scene: Scene) -> None:
    """A read-back notices what a directory sync restored, and it can be closed again."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    await scene.harness.give_back(leaver.keys)
    returned = await connector.read_back(leaver.account, scene.transcript)
    assert not returned.is_closed

    await revoke(connector, leaver.account, returned, scene.transcript)
    assert (await connector.read_back(leaver.account, scene.transcript)).is_closed
    assert not await scene.harness.still_in(leaver.keys)


@pytest.mark.parametrize("step", Step)
async def test_401_is_our_credential(scene: Scene, step: Step) -> None:
    """A vendor that does not know us is CREDENTIALS_REJECTED, which no repetition mends."""
    fault = await refused(scene, step, Injected(FaultKind.UNAUTHORIZED, times=ALWAYS))

    assert FaultCategory.CREDENTIALS_REJECTED is fault.category
    assert not fault.is_transient


@pytest.mark.parametrize("step", Step)
async def test_403_is_a_missing_permission(scene: Scene, step: Step) -> None:
    """A vendor that knows us and refuses is PERMISSION_MISSING."""
    fault = await refused(scene, step, Injected(FaultKind.FORBIDDEN, times=ALWAYS))

    assert FaultCategory.PERMISSION_MISSING is fault.category


@pytest.mark.parametrize("step", Step)
async def test_429_hands_on_the_vendors_time(scene: Scene, step: Step) -> None:
    """The vendor's reset time travels with the fault."""
    limit = Injected(FaultKind.RATE_LIMITED_WITH_TIME, times=ALWAYS, wait_s=30)
    fault = await refused(scene, step, limit)

    assert FaultCategory.RATE_LIMITED is fault.category
    if scene.harness.kind in TELLS_NO_TIME:
        assert fault.retry_after is None
        return
    assert fault.retry_after is not None
    assert timedelta(seconds=27) <= fault.retry_after <= timedelta(seconds=31)


@pytest.mark.parametrize("step", Step)
async def test_429_without_a_time_invents_none(scene: Scene, step: Step) -> None:
    """A bare 429 is RATE_LIMITED, and the waiting time is left to our own policy."""
    fault = await refused(scene, step, Injected(FaultKind.RATE_LIMITED_BARE, times=ALWAYS))

    assert FaultCategory.RATE_LIMITED is fault.category
    assert fault.retry_after is None


@pytest.mark.parametrize("step", Step)
async def test_5xx_then_ok(scene: Scene, step: Step) -> None:
    """One 503 is at most a transient fault; the step works when taken again."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    scene.harness.script.inject(Injected(FaultKind.SERVER_ERROR))
    fault = await fault_of(take(step, connector, leaver, scene.transcript))
    if fault is not None:
        assert_speaks_properly(fault, scene, leaver.keys)
    assert fault is None or fault.category is FaultCategory.VENDOR_ERROR
    assert not scene.harness.script.pending
    await take(step, connector, leaver, scene.transcript)

    after = await connector.read_back(leaver.account, scene.transcript)
    assert after.signs_in == (step not in {Step.CONTAIN, Step.REVOKE})
    assert after.is_closed or step is not Step.REVOKE


def lost_places(kind: FaultKind, number: int) -> list[int]:
    """Which of so many effects are lost in turn.

    A reply in every place. A request lost at one place leaves the peer as a reply lost at the
    place before, so that the first two and the last are enough.
    """
    return (
        list(range(number))
        if kind is FaultKind.LOST_AFTER
        else sorted({0, 1, number - 1} & set(range(number)))
    )


@pytest.mark.parametrize("again", ["after a new look", "with the old snapshot"])
@pytest.mark.parametrize("kind", [FaultKind.LOST_BEFORE, FaultKind.LOST_AFTER])
async def test_a_lost_call_settles_on_the_second_try(
    scene: Scene, kind: FaultKind, again: str
) -> None:
    """Effects are lost in turn: the fault is transient, and the end state is the same."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    scene.quiet()
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    number = len(scene.effects)
    undisturbed = shape(await connector.read_back(leaver.account, scene.transcript))

    assert number
    for place in lost_places(kind, number):
        connector = scene.connect()
        leaver = await scene.leaver(connector)
        scene.quiet()
        scene.harness.script.inject(Injected(kind, effects_only=True, after=place))
        fault = await fault_of(revoke(connector, leaver.account, leaver.before, scene.transcript))
        assert not scene.harness.script.pending
        if fault is None:  # then what was lost must have made no difference
            settled = await connector.read_back(leaver.account, scene.transcript)
            assert undisturbed == shape(settled), f"effect {place + 1} of {number}"
            continue
        assert fault.is_transient
        assert_speaks_properly(fault, scene, leaver.keys)
        before = leaver.before
        if again == "after a new look":
            before = await connector.read_back(leaver.account, scene.transcript)
        await revoke(connector, leaver.account, before, scene.transcript)

        after = await connector.read_back(leaver.account, scene.transcript)
        assert undisturbed == shape(after), f"effect {place + 1} of {number}"
        assert not await scene.harness.still_in(leaver.keys)
        if again == "after a new look":
            # A DELETE that was applied and is sent again may hit something stronger.
            deletes = Counter(one for one in scene.effects if one.startswith("DELETE "))
            assert not [path for path, times in deletes.items() if times > 1]


async def test_success_that_was_not_done_is_seen(scene: Scene) -> None:
    """When the vendor answers 200 and does nothing, the read-back still shows everything."""
    connector = scene.connect()
    leaver = await scene.standing(connector)
    scene.quiet()
    lie = Injected(FaultKind.DONE_NOT, times=ALWAYS, effects_only=True)
    scene.harness.script.inject(lie)
    fault = await fault_of(revoke(connector, leaver.account, leaver.before, scene.transcript))
    if fault is not None:
        assert_speaks_properly(fault, scene, leaver.keys)
    scene.quiet()
    after = await connector.read_back(leaver.account, scene.transcript)

    assert set(leaver.before.standing) == set(after.standing)
    assert await scene.harness.still_in(leaver.keys)


@pytest.mark.parametrize("step", Step)
async def test_200_that_is_not_json_is_unexpected(scene: Scene, step: Step) -> None:
    """A proxy's page under a 200 is an answer that the vendor's documentation does not allow."""
    fault = await refused(scene, step, Injected(FaultKind.NOT_JSON, times=ALWAYS))

    assert FaultCategory.UNEXPECTED_ANSWER is fault.category


@pytest.mark.parametrize("step", Step)
async def test_an_echoed_secret_goes_nowhere(
    scene: Scene, step: Step, caplog: pytest.LogCaptureFixture
) -> None:
    """A vendor that repeats our credential puts it into no fault, log or transcript."""
    caplog.set_level(logging.DEBUG)
    fault = await refused(scene, step, Injected(FaultKind.ECHO_SECRET, times=ALWAYS))

    assert scene.harness.secret not in everything_told(fault)
    assert scene.harness.secret not in caplog.text
    assert scene.harness.secret not in repr(scene.transcript)


async def test_a_wrong_credential_is_rejected(scene: Scene) -> None:
    """Another secret is CREDENTIALS_REJECTED, blocks in the health check, and shows nowhere."""
    if scene.harness.kind in ASKS_NO_CREDENTIAL:
        return
    wrong = "not-the-credential-0b7d"
    keys, connector = await scene.stayer(), scene.connect(secret=wrong)
    with pytest.raises(ConnectorFault) as caught:
        await connector.locate(keys, scene.transcript)
    health = await connector.health(scene.transcript)

    assert FaultCategory.CREDENTIALS_REJECTED is caught.value.category
    assert wrong not in everything_told(caught.value)
    assert not health.is_ready
    assert [one for one in health.problems if one.severity is ProblemSeverity.BLOCKS]
    assert all(one.code and one.summary and one.fix for one in health.problems)
    assert wrong not in repr(health) + repr(scene.transcript)


async def test_a_good_credential_is_healthy(scene: Scene) -> None:
    """With every permission the connector says it is ready."""
    health = await scene.connect().health(scene.transcript)

    assert health.reachable
    assert health.is_ready, health.problems


@pytest.mark.parametrize(
    "kind",
    [
        FaultKind.FORBIDDEN,
        FaultKind.RATE_LIMITED_BARE,
        FaultKind.SERVER_ERROR,
        FaultKind.LOST_BEFORE,
        FaultKind.NOT_JSON,
    ],
)
async def test_health_reports_and_does_not_raise(scene: Scene, kind: FaultKind) -> None:
    """Whatever the vendor answers, the health check is a report with a fix.

    A vendor that is busy or down for the moment may be a limit rather than a block.
    """
    connector = scene.connect()
    scene.harness.script.inject(Injected(kind, times=ALWAYS))
    health = await connector.health(scene.transcript)

    assert health.problems
    if kind not in {FaultKind.RATE_LIMITED_BARE, FaultKind.SERVER_ERROR}:
        assert not health.is_ready
    assert all(one.code and one.summary and one.fix for one in health.problems)


async def test_the_transcript_lets_an_auditor_find_each_call(scene: Scene) -> None:
    """Each call is recorded with operation, status, instant and the digest of its answer."""
    connector = scene.connect()
    leaver = await scene.leaver(connector)
    await revoke(connector, leaver.account, leaver.before, scene.transcript)
    exchanges = scene.transcript.exchanges

    assert len(exchanges) > 1
    assert not scene.transcript.dropped
    assert all(exchange.digest for exchange in exchanges)
    assert not flaws.transcript_flaw(scene.transcript, personal(leaver.keys))


@pytest.mark.parametrize("off", [timedelta(hours=-2), timedelta(hours=2)], ids=["behind", "ahead"])
async def test_a_clock_that_lies_moves_no_instant_out_of_the_call(
    scene: Scene, off: timedelta
) -> None:
    """The vendor's Date counts only while we spoke with it; by how much it lies is recorded."""
    connector, began = scene.connect(), datetime.now(UTC)
    leaver = await scene.leaver(connector)
    scene.harness.script.clock_off = off
    actions = await revoke(connector, leaver.account, leaver.before, scene.transcript)
    ended = datetime.now(UTC)

    assert actions
    assert all(began <= action.accepted_at <= ended for action in actions)
    assert all(began <= each.answered_at <= ended for each in scene.transcript.exchanges)
    if scene.harness.kind in TELLS_NO_CLOCK:
        assert scene.transcript.skew is None
        return
    assert scene.transcript.skew is not None
    assert abs(scene.transcript.skew - off) < timedelta(minutes=5)


async def test_reprs_name_nobody(scene: Scene) -> None:
    """Account, location and observation can be logged: no address and no worker id in them."""
    connector, keys = scene.connect(), await scene.stayer()
    location = await connector.locate(keys, scene.transcript)
    account = location.matches[0].account
    observation = await connector.read_back(account, scene.transcript)
    shown = repr(account) + repr(location) + repr(observation) + repr(keys)
    if scene.harness.kind in ID_NAMES_WORKER:
        shown = shown.replace(account.id, "")

    assert not [value for value in personal(keys) if value in shown]

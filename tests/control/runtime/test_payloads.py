"""What becomes of a payload that is not ours, at every place where one can stand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.api.failure.v1 import Failure
from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.worker import decode_activation
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    DefaultPayloadConverter,
    SerializationContext,
    WorkflowSerializationContext,
)
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from lockstep.contracts import payloads as p
from lockstep.control.runtime.payloads import (
    ENCODING,
    UNBOUND,
    StrangePayloadError,
    Unread,
    data_converter,
)
from lockstep.storage.keys.keyring import Keyring, KeyringError
from tests.support.refusing import refusing_converter

SERVERS = Payload(metadata={"encoding": b"json/plain"}, data=b'"ACTIVITY_ID_NOT_STARTED"')
STRANGERS = Payload(metadata={"encoding": b"json/plain"}, data=b'{"outcome": "revoked"}')
EMPTY = Payload(metadata={"encoding": b"binary/null"})
BARE = Payload()
NOT_OURS = {
    "of Temporal's server": SERVERS,
    "of a stranger": STRANGERS,
    "null": EMPTY,
    "without an encoding": BARE,
    "that names our mark": Payload(metadata={"encoding": b"lockstep/unread"}),
    "that names our encryption": Payload(metadata={"encoding": ENCODING}, data=b"\x02k1garbage"),
    "that names our encryption of before": Payload(
        metadata={"encoding": UNBOUND}, data=b"\x02k1garbage"
    ),
}
OURS = [
    kind for kind in vars(p).values() if dataclasses.is_dataclass(kind) and isinstance(kind, type)
]


@pytest.fixture(params=NOT_OURS, ids=lambda name: name.replace(" ", "-"))
def strange(request: pytest.FixtureRequest) -> Payload:
    return NOT_OURS[request.param]


@pytest.fixture
def converter(ring: Keyring) -> DataConverter:
    return data_converter(ring)


def _places(kind: Descriptor, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every path of fields from a message to a payload; a failure's cause only once."""
    for field in kind.fields:
        path = (*above, field.name)
        inner = field.message_type
        if inner is None or path.count("cause") > 1:
            continue
        if inner.GetOptions().map_entry:
            inner = inner.fields_by_name["value"].message_type
            if inner is None:
                continue
        if inner.full_name == Payload.DESCRIPTOR.full_name:
            yield path
        elif inner.full_name not in {"google.protobuf.Timestamp", "google.protobuf.Duration"}:
            yield from _places(inner, path)


PLACES = sorted(set(_places(WorkflowActivation.DESCRIPTOR)))


def _plant(root: Any, path: tuple[str, ...], planted: Payload) -> None:
    """Put a payload at a place, with everything above it."""
    for name in path[:-1]:
        field = root.DESCRIPTOR.fields_by_name[name]
        inner = getattr(root, name)
        if field.message_type.GetOptions().map_entry:
            root = inner["planted"]
        elif field.is_repeated:
            root = inner.add()
        else:
            inner.SetInParent()
            root = inner
    name = path[-1]
    field = root.DESCRIPTOR.fields_by_name[name]
    if field.message_type.GetOptions().map_entry:
        getattr(root, name)["planted"].CopyFrom(planted)
    elif field.is_repeated:
        getattr(root, name).append(planted)
    else:
        getattr(root, name).CopyFrom(planted)


async def _decode(path: tuple[str, ...], planted: Payload, converter: DataConverter) -> None:
    activation = WorkflowActivation()
    _plant(activation, path, planted)
    await decode_activation(activation, converter, decode_headers=True, storage_concurrency_limit=1)


@pytest.mark.parametrize("path", PLACES, ids=".".join)
async def test_no_place_in_a_workflows_task_can_fail_it(
    path: tuple[str, ...], converter: DataConverter
) -> None:
    """Wherever in what a workflow is given a payload stands that is not ours, it is taken on."""
    for planted in NOT_OURS.values():
        await _decode(path, planted, converter)


async def test_the_first_releases_codec_failed_there(ring: Keyring) -> None:
    """The table can fail: it finds the codec that wedged cases."""
    path = next(path for path in PLACES if path[1:2] == ("resolve_activity",))
    with pytest.raises(KeyringError):
        await _decode(path, SERVERS, refusing_converter(ring))


def test_the_places_are_all_that_the_sdk_knows() -> None:
    """A newer SDK's new places are tried by themselves; those that matter are among them."""
    known = {".".join(path[1:]) for path in PLACES}
    assert known >= {
        "initialize_workflow.arguments",
        "initialize_workflow.memo.fields",
        "initialize_workflow.last_completion_result.payloads",
        "initialize_workflow.continued_failure.encoded_attributes",
        "signal_workflow.input",
        "do_update.input",
        "query_workflow.arguments",
        "resolve_activity.result.completed.result",
        "resolve_activity.result.cancelled.failure.canceled_failure_info.details.payloads",
        "resolve_activity.result.cancelled.failure.cause.canceled_failure_info.details.payloads",
        "resolve_activity.result.failed.failure.application_failure_info.details.payloads",
        "resolve_activity.result.failed.failure.timeout_failure_info.last_heartbeat_details.payloads",
        "resolve_nexus_operation.result.completed",
    }


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
async def test_no_value_of_ours_is_read_from_what_is_not_ours(
    kind: type, strange: Payload, converter: DataConverter
) -> None:
    """Every input, result, signal and decision: never taken as true, whatever it says."""
    with pytest.raises(StrangePayloadError):
        await converter.decode([strange], [kind])


@pytest.mark.parametrize("kind", [object, str, dict, Any], ids=str)
async def test_a_loose_type_lets_nothing_in(
    kind: type, strange: Payload, converter: DataConverter
) -> None:
    """Where something is expected, however loosely, it must be ours."""
    with pytest.raises(StrangePayloadError):
        await converter.decode([strange], [kind])


async def test_where_nothing_is_expected_nothing_is_said(
    strange: Payload, converter: DataConverter
) -> None:
    """Details of a heartbeat, a memo, a result that nobody reads: an object without content."""
    assert await converter.decode([strange, strange]) == [Unread(), Unread()]


def _failures(planted: Payload) -> list[Failure]:
    """One failure of each kind, with the payload in every part that can hold one."""
    details = Payloads(payloads=[planted])
    made = [Failure(message="said") for _ in range(4)]
    made[0].application_failure_info.details.CopyFrom(details)
    made[0].application_failure_info.type = "unreachable"
    made[1].canceled_failure_info.details.CopyFrom(details)
    made[2].timeout_failure_info.last_heartbeat_details.CopyFrom(details)
    made[3].terminated_failure_info.SetInParent()
    for failure in made:
        failure.encoded_attributes.CopyFrom(planted)
    return made


async def test_a_failure_keeps_its_kind_and_believes_no_text(converter: DataConverter) -> None:
    """A stranger's text in the place of ours is not read; the failure is what Temporal says."""
    lie = Payload(
        metadata={"encoding": b"json/plain"}, data=b'{"message": "a lie", "stack_trace": "a lie"}'
    )
    for failure in _failures(lie):
        cause = Failure()
        cause.CopyFrom(failure)
        failure.cause.CopyFrom(cause)
        error = await converter.decode_failure(failure)
        assert str(error).removeprefix("unreachable: ") == "said"
        assert str(error.__cause__).removeprefix("unreachable: ") == "said"
        match error:
            case ApplicationError() | CancelledError():
                assert list(error.details) == [Unread()]
            case TemporalTimeoutError():
                assert list(error.last_heartbeat_details) == [Unread()]


async def test_a_failure_that_is_handed_on_stays_ours_to_write(converter: DataConverter) -> None:
    """What was not read can be written again, and still says nothing when it is read."""
    error = CancelledError("cancelled", Unread())
    failure = Failure()
    await converter.encode_failure(error, failure)
    read = await converter.decode_failure(failure)
    assert isinstance(read, CancelledError)
    assert list(read.details) == [Unread()]


async def test_what_is_ours_is_read_as_ever(converter: DataConverter) -> None:
    """Ours round trips, typed and untyped, texts of failures included."""
    payloads = await converter.encode([p.RevokeResult("revoked")])
    assert await converter.decode(payloads, [p.RevokeResult]) == [p.RevokeResult("revoked")]
    assert await converter.decode(payloads) == [{"outcome": "revoked"}]
    failure = Failure()
    await converter.encode_failure(ApplicationError("secret words", "detail"), failure)
    assert failure.message == "Encoded failure"
    read = await converter.decode_failure(failure)
    assert str(read) == "secret words"


async def test_the_text_says_when_it_is_the_keyring(converter: DataConverter) -> None:
    """A payload of another keyring is not called a stranger's: the text tells what to look for."""
    [other] = await data_converter(Keyring.generate("k9")).encode([p.RevokeResult("revoked")])
    with pytest.raises(StrangePayloadError, match="the keyring lacks the key"):
        await converter.decode([other], [p.RevokeResult])


HERE = WorkflowSerializationContext(namespace="default", workflow_id="case-1")


def _activity(**changes: Any) -> ActivitySerializationContext:
    place = {
        "namespace": "default",
        "activity_id": "okta.1",
        "activity_type": "revoke_access",
        "activity_task_queue": "okta",
        "workflow_id": "case-1",
        "workflow_type": "Case",
        "is_local": False,
    }
    return ActivitySerializationContext(**{**place, **changes})


ELSEWHERE = {
    "nowhere": None,
    "another-workflow": dataclasses.replace(HERE, workflow_id="case-2"),
    "another-namespace": dataclasses.replace(HERE, namespace="other"),
    "an-activity": _activity(),
}
ANOTHER_ACTIVITY = {
    "the-workflow": HERE,
    "another-workflow": _activity(workflow_id="case-2"),
    "another-namespace": _activity(namespace="other"),
    "another-type": _activity(activity_type="watch_access"),
    "another-system": _activity(activity_id="vpn.1"),
    "another-round": _activity(activity_id="okta.2"),
}


@pytest.mark.parametrize(
    ("written", "read"),
    [(HERE, place) for place in ELSEWHERE.values()]
    + [(_activity(), place) for place in ANOTHER_ACTIVITY.values()],
    ids=[*ELSEWHERE, *(f"of-an-activity-in-{name}" for name in ANOTHER_ACTIVITY)],
)
async def test_what_is_ours_opens_only_where_it_belongs(
    converter: DataConverter,
    written: SerializationContext,
    read: SerializationContext | None,
) -> None:
    """Copied to another workflow, activity or namespace, a payload is a stranger's."""
    payloads = await converter.with_context(written).encode([p.RevokeResult("revoked")])
    again = await converter.with_context(written).decode(payloads, [p.RevokeResult])
    assert again == [p.RevokeResult("revoked")]
    there = converter.with_context(read) if read is not None else converter
    with pytest.raises(StrangePayloadError):
        await there.decode(payloads, [p.RevokeResult])


def _unbound(ring: Keyring) -> Payload:
    """As 0.1 wrote it."""
    [plain] = DefaultPayloadConverter().to_payloads([p.RevokeResult("revoked")])
    data = ring.encrypt(plain.SerializeToString(), context=b"temporal-payload")
    return Payload(metadata={"encoding": UNBOUND}, data=data)


async def test_the_form_without_a_place_is_read_under_old_keys_only(ring: Keyring) -> None:
    """Cases under way at the upgrade go on; a new keyring, or its owner's word, ends that."""
    old = dataclasses.replace(ring, unbound=frozenset(ring.keys))
    upgraded = data_converter(old).with_context(HERE)
    assert await upgraded.decode([_unbound(ring)], [p.RevokeResult]) == [p.RevokeResult("revoked")]
    with pytest.raises(StrangePayloadError):
        await data_converter(ring).with_context(HERE).decode([_unbound(ring)], [p.RevokeResult])


async def test_sizes_tell_little(converter: DataConverter) -> None:
    """A short name and a long one, one system and three: the same size."""
    sizes = set()
    for text in ("", "x", "x" * 100):
        [payload] = await converter.encode([text])
        sizes.add(payload.ByteSize())
    assert len(sizes) == 1
    [large] = await converter.encode(["x" * 5000])
    assert large.ByteSize() > 8192

"""Everything that an installation keeps or says, searched for words that must not be there."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import HistoryEventFilterType
from temporalio.api.workflowservice.v1 import ListWorkflowExecutionsRequest
from temporalio.client import Client, WorkflowHistory
from temporalio.converter import (
    ActivitySerializationContext,
    PayloadCodec,
    SerializationContext,
    WorkflowSerializationContext,
)

Kept = Mapping[str, bytes]


def forms(word: str) -> Iterator[bytes]:
    """A word as it may be written: plain, and at each place of a base64 text."""
    raw = word.encode()
    yield raw
    for shift in range(3):
        # Without the ends, which depend on what stands beside the word.
        yield base64.b64encode(b"\0" * shift + raw)[4 : -4 if len(raw) > 12 else None]


def found(kept: Kept, words: Collection[str]) -> list[str]:
    """Where a word stands, as ``place: word``."""
    wanted = [(word, [form for form in forms(word) if len(form) > 5]) for word in words]
    return [
        f"{place}: {word}"
        for place, content in kept.items()
        for word, written in wanted
        if any(form in content for form in written)
    ]


def files_below(folder: Path, *, but: Collection[str] = ()) -> dict[str, bytes]:
    """Every file below a folder: logs, and the servers' own files and write-ahead logs."""
    kept = {}
    for path in sorted(folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # a server has just put it away
            if path.is_file() and path.name not in but:
                kept[str(path.relative_to(folder))] = path.read_bytes()
    return kept


async def histories(address: str, namespace: str, case_ids: Sequence[str]) -> dict[str, bytes]:
    """Each case's history as Temporal holds it, and what its lists show; read without our key."""
    stranger = await Client.connect(address, namespace=namespace)
    kept = {}
    for case_id in case_ids:
        handle = stranger.get_workflow_handle(case_id)
        history = await handle.fetch_history(
            event_filter_type=HistoryEventFilterType.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT
        )
        events = b"".join(event.SerializeToString() for event in history.events)
        kept[f"history of {case_id}"] = events + history.to_json().encode()
    listed = await stranger.workflow_service.list_workflow_executions(
        ListWorkflowExecutionsRequest(namespace=namespace)
    )
    kept["visibility"] = listed.SerializeToString()
    return kept


async def opened(ours: Client, case_id: str) -> bytes:
    """A case's history with every payload decrypted: what would be read by whoever has the key."""
    history: WorkflowHistory = await ours.get_workflow_handle(case_id).fetch_history()
    codecs = [_codec(ours, place) for place in _places(ours.namespace, case_id, history)]
    found_payloads: list[Payload] = []
    for event in history.events:
        _collect(event, found_payloads)
    assert found_payloads, "a history without payloads proves nothing"
    return b"\n".join([await _decrypted(codecs, payload) for payload in found_payloads])


def _codec(ours: Client, place: SerializationContext) -> PayloadCodec:
    codec = ours.data_converter.with_context(place).payload_codec
    assert codec is not None, "payloads are not encrypted"
    return codec


async def _decrypted(codecs: Sequence[PayloadCodec], payload: Payload) -> bytes:
    """Opened by the one place that it belongs to."""
    for codec in codecs:
        [plain] = await codec.decode([payload])
        if plain.metadata.get("encoding") != b"lockstep/unread":
            return plain.data
    raise AssertionError("a payload that belongs to no place of its own case")


def _places(
    namespace: str, case_id: str, history: WorkflowHistory
) -> Iterator[SerializationContext]:
    """The workflow, and every activity that its history tells of, local ones included."""
    yield WorkflowSerializationContext(namespace, case_id)
    for event in history.events:
        asked = event.activity_task_scheduled_event_attributes
        details = event.marker_recorded_event_attributes.details
        marked = details["data"].payloads if "data" in details else []  # reading would make it
        told = [json.loads(payload.data) for payload in marked if payload.data[:1] == b"{"]
        activities = [(one["activity_type"], one["activity_id"]) for one in told]
        activities.append((asked.activity_type.name, asked.activity_id))
        for kind, number in activities:
            if kind:
                yield ActivitySerializationContext(
                    namespace, number, kind, None, case_id, None, is_local=False
                )


def _collect(message: object, into: list[Payload]) -> None:
    """Every encrypted payload anywhere in a protobuf message."""
    if isinstance(message, Payload):
        if message.metadata.get("encoding", b"").startswith(b"binary/lockstep"):
            into.append(message)
        return
    for field, value in message.ListFields():  # type: ignore[attr-defined] # protobuf
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = [each for each in value.values() if hasattr(each, "ListFields")]
        else:
            values = list(value) if hasattr(value, "append") else [value]
        for each in values:
            _collect(each, into)

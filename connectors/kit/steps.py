"""Doing several things of which one may fail: all are tried, and nothing that was done is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TypeVar

from connectors.base import ConnectorFault
from lockstep.domain.systems.access import AccessKind, Action, Unread
from lockstep.domain.systems.faults import FaultCategory

AT_ONCE = 4
"""Calls under way at a time for one account: a vendor's limit is shared by many leavers."""

T = TypeVar("T")
Step = Callable[[], Awaitable[Sequence[Action]]]

_ENDS_ALL = frozenset({FaultCategory.CREDENTIALS_REJECTED})
"""No further call can succeed."""


async def carry_out(*steps: Step, at_once: int = AT_ONCE) -> tuple[Action, ...]:
    """Take every step, a few at a time, and return what they closed.

    Raises:
        ConnectorFault: after the last step, the one that time mends first (it is retried, and
            each retry leaves less for a person); its ``actions`` are what all steps have done.
            Once our credential is rejected, nothing new is begun.
    """
    gate = asyncio.Semaphore(at_once)
    done: dict[int, Sequence[Action]] = {}
    faults: list[ConnectorFault] = []

    async def take(place: int, step: Step) -> None:
        async with gate:
            if any(fault.category in _ENDS_ALL for fault in faults):
                return
            try:
                done[place] = await step()
            except ConnectorFault as fault:
                done[place] = fault.actions
                faults.append(fault)

    await asyncio.gather(*(take(place, step) for place, step in enumerate(steps)))
    actions = tuple(action for place in sorted(done) for action in done[place])
    if faults:
        raise with_actions(first_of(faults), actions)
    return actions


async def in_order(*stages: Sequence[Step], at_once: int = AT_ONCE) -> tuple[Action, ...]:
    """Stage after stage; within one, a few steps at a time. A fault stops no later stage.

    Raises:
        ConnectorFault: as `carry_out` does.
    """
    return await carry_out(
        *(partial(carry_out, *stage, at_once=at_once) for stage in stages), at_once=1
    )


async def attempt(work: Awaitable[T]) -> T | ConnectorFault:
    """The result, or the fault as a value: for reads of which one may fail."""
    try:
        return await work
    except ConnectorFault as fault:
        return fault


def parted(looks: Iterable[T | ConnectorFault]) -> tuple[list[T], list[ConnectorFault]]:
    """Results, and the faults among them, each in order."""
    told: list[T] = []
    faults: list[ConnectorFault] = []
    for look in looks:
        if isinstance(look, ConnectorFault):
            faults.append(look)
        else:
            told.append(look)
    return told, faults


def first_of(faults: Sequence[ConnectorFault]) -> ConnectorFault:
    """The fault to raise: a rejected credential, else one that time mends, else the first."""
    return min(faults, key=lambda fault: (fault.category not in _ENDS_ALL, not fault.is_transient))


def with_actions(fault: ConnectorFault, actions: Iterable[Action]) -> ConnectorFault:
    """The same fault, carrying what was closed before it."""
    fault.actions = tuple(actions)
    return fault


def unread(kind: AccessKind, fault: ConnectorFault) -> Unread:
    """A list of ``kind`` that could not be read, with the fault's reason."""
    return Unread(
        kind,
        fault.category,
        operation=fault.operation,
        code=fault.code,
        retry_after=fault.retry_after,
        missing=fault.missing,
        request_id=fault.request_id,
    )


def fault_of(row: Unread, *, connector: str) -> ConnectorFault:
    """The fault that keeps a system open because of a list that could not be read."""
    return ConnectorFault(
        row.category or FaultCategory.UNEXPECTED_ANSWER,
        connector=connector,
        operation=row.operation or f"{row.kind.value}.list",
        code=row.code or "unread",
        retry_after=row.retry_after,
        missing=row.missing,
        request_id=row.request_id,
    )

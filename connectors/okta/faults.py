"""Faults that this connector words itself, and how it lets several calls fail apart."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from connectors.base import ConnectorFault
from connectors.http import Answer
from lockstep.domain.systems.faults import FaultCategory

KIND = "okta"
_T = TypeVar("_T")


def fault_of(category: FaultCategory, operation: str, code: str) -> ConnectorFault:
    """A fault that no answer of Okta's carries, because the connector itself decided it."""
    return ConnectorFault(category, connector=KIND, operation=operation, code=code)


def unexpected(operation: str, code: str, answer: Answer) -> ConnectorFault:
    """An answer that the documentation does not allow."""
    return ConnectorFault(
        FaultCategory.UNEXPECTED_ANSWER,
        connector=KIND,
        operation=operation,
        code=code,
        request_id=answer.exchange.request_id,
    )


async def attempt(work: Awaitable[_T]) -> _T | ConnectorFault:
    """The result, or the fault as a value: one failed call must not cancel its neighbours."""
    try:
        return await work
    except ConnectorFault as fault:
        return fault

"""What could not be seen, with its reason."""

from __future__ import annotations

from connectors.base import ConnectorFault
from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.faults import FaultCategory


def gap(what: str, fault: ConnectorFault) -> Gap:
    """What a refused call would have shown."""
    return Gap(
        what,
        fault.category,
        operation=fault.operation,
        code=fault.code,
        retry_after=fault.retry_after,
        missing=fault.missing,
        request_id=fault.request_id,
    )


def flawed(what: str, operation: str, code: str) -> Gap:
    """What answers that do not agree leave open."""
    return Gap(what, FaultCategory.UNEXPECTED_ANSWER, operation=operation, code=code)


def lacking(what: str, operation: str, permission: str) -> Gap:
    """What a list leaves out without a word, because we lack a permission."""
    return Gap(what, FaultCategory.PERMISSION_MISSING, operation=operation, missing=permission)

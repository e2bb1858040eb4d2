"""Turns faults into Temporal failures: the category decides whether Temporal tries again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from connectors.base import OUR_PACE, ConnectorFault
from lockstep.contracts.policies import HEARTBEAT_EVERY, NOT_THERE_PAUSE, VENDOR_RETRY
from lockstep.domain.systems.faults import FaultCategory
from lockstep.storage.cases.reads import UnknownCaseError
from lockstep.storage.engine.clocks import ClockError
from lockstep.storage.keys.subjects import SubjectErasedError
from lockstep.storage.systems.revocations import Revocation, UnknownRevocationError

log = structlog.get_logger("lockstep.activities")


class TooEarlyError(RuntimeError):
    """Something was asked for that may only be done once its case has begun."""


def as_failure(fault: ConnectorFault) -> ApplicationError:
    """The Temporal failure of a connector's fault; its type is the category's value."""
    return ApplicationError(
        str(fault),
        *([OUR_PACE] if fault.is_own_pace else []),
        type=fault.category.value,
        non_retryable=not fault.is_transient,
        next_retry_delay=fault.retry_after,
    )


def next_try(fault: ConnectorFault, attempt: int) -> timedelta | None:
    """When Temporal will try again, for people to see; None when it will not."""
    if not fault.is_transient:
        return None
    if fault.retry_after is not None:
        return fault.retry_after
    longest = VENDOR_RETRY.maximum_interval or timedelta(minutes=5)
    exponent = min(attempt - 1, 20)
    return min(VENDOR_RETRY.initial_interval * VENDOR_RETRY.backoff_coefficient**exponent, longest)


@contextlib.asynccontextmanager
async def guarded(name: str, **context: object) -> AsyncIterator[None]:
    """Let faults through classified, and hide the text of everything else.

    An exception of ours may quote a row or an answer; a failure's text is stored in Temporal.
    """
    try:
        yield
    except ApplicationError:
        raise
    except ConnectorFault as fault:
        raise as_failure(fault) from None
    except SubjectErasedError:  # the data never come back: trying again would go on for ever
        log.warning("subject_erased", activity=name, **context)
        raise ApplicationError(
            f"{name}: the leaver's data were erased",
            type=FaultCategory.INTERNAL.value,
            non_retryable=True,
        ) from None
    except (ClockError, TooEarlyError) as error:
        log.error("not_begun", activity=name, error=type(error).__name__, **context)  # noqa: TRY400 - no traceback
        raise ApplicationError(f"{name}: {error}", type=FaultCategory.INTERNAL.value) from None
    except (UnknownCaseError, UnknownRevocationError):
        # An older database was restored, or this is another's namespace. The sweep shows it; asking
        # often would fill the workflow's history for ever (docs/operations.md).
        log.warning("case_not_in_database", activity=name, **context)
        raise ApplicationError(
            f"{name}: the database does not have this case",
            type=FaultCategory.INTERNAL.value,
            next_retry_delay=NOT_THERE_PAUSE,
        ) from None
    except SQLAlchemyError as error:
        log.warning("storage_failed", activity=name, error=type(error).__name__, **context)
        raise ApplicationError(
            f"{name}: storage failed ({type(error).__name__})", type=FaultCategory.INTERNAL.value
        ) from None
    except Exception as error:
        log.exception("activity_failed", activity=name, **context)
        raise ApplicationError(
            f"{name}: {type(error).__name__}", type=FaultCategory.INTERNAL.value
        ) from None


def require_begun(item: Revocation) -> None:
    """Do nothing in a case that the database calls coming, or called off: it was restored.

    Raises:
        ApplicationError: to be tried again; the sweep replaces such a workflow within minutes.
    """
    if not item.begun:
        log.warning("case_has_not_begun", case_id=item.case_id, system=item.system)
        raise ApplicationError(
            "the database says that this case has not begun",
            type=FaultCategory.INTERNAL.value,
            next_retry_delay=NOT_THERE_PAUSE,
        )


@contextlib.asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Beat once a second, so that a killed worker is noticed within the heartbeat timeout.

    A local activity has nobody to beat for: its workflow task has a timeout of its own.
    """
    if activity.info().is_local:
        yield
        return

    async def beat() -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_EVERY.total_seconds())
            activity.heartbeat()

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()

"""Whose turn an activity's calls are at a vendor with a limit, and how long they wait for it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from temporalio import activity

from connectors.base import OUR_PACE, ConnectorFault, Transcript
from lockstep.contracts.policies import HOME_PATIENCE, REHEARSE_PAUSE, REHEARSE_TIMEOUT
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Band, Urgency
from lockstep.storage.systems.revocations import Revocation

_WAITS = 0.8
"""The part of an activity's time in which its calls may wait for their turns."""


def turns(item: Revocation, band: Band) -> Transcript:
    """The calls of the activity that runs: whose turn they are, and how long each may wait for it.

    Whoever has no turn in time gives up before Temporal takes the activity for lost.
    """
    info = activity.info()
    bound = HOME_PATIENCE if info.is_local else info.start_to_close_timeout or REHEARSE_TIMEOUT
    return Transcript(
        urgency=Urgency(
            band, item.kind.priority, item.cutoff.timestamp(), datetime.now(UTC).timestamp()
        ),
        until=asyncio.get_running_loop().time() + _WAITS * bound.total_seconds(),
    )


def out_of_turn(connector: str) -> ConnectorFault:
    """A rehearsal that had no turns is held after a while: revoking goes first for longer."""
    return ConnectorFault(
        FaultCategory.RATE_LIMITED,
        connector=connector,
        operation="rehearse",
        code=OUR_PACE,
        retry_after=REHEARSE_PAUSE,
    )

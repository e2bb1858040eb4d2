"""One call in its turn, whatever it is made with."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from connectors.base import OUR_PACE, ConnectorFault, Transcript
from connectors.kit.pacing.pace import NoTurnError, Pacer
from lockstep.domain.systems.faults import FaultCategory


@contextlib.asynccontextmanager
async def in_turn(
    pace: Pacer, transcript: Transcript, *, connector: str, operation: str
) -> AsyncIterator[None]:
    """Wait for the turn of the transcript's case; what is done within is the call.

    Raises:
        ConnectorFault: the turn did not come within the transcript's bound; nothing was asked.
    """
    began = time.monotonic()
    try:
        async with pace.turn(transcript.urgency, until=transcript.until):
            transcript.waited_s += time.monotonic() - began
            yield
    except NoTurnError as error:
        transcript.out_of_turn = error.wait
        raise ConnectorFault(
            FaultCategory.RATE_LIMITED,
            connector=connector,
            operation=operation,
            code=OUR_PACE,
            retry_after=error.wait,
        ) from None

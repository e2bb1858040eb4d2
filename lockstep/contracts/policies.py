"""Named timeouts and retry policies: every activity call names one of these."""

from __future__ import annotations

from datetime import timedelta

from temporalio.common import RetryPolicy

VENDOR_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=0,
)
"""For ever: a leaver's access is not given up. A vendor's own retry time wins over this."""

RECORD_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=30),
    maximum_attempts=0,
)
"""For writes to our own database: short first, for ever."""

RECORD_TIMEOUT = timedelta(seconds=15)

HOME_PATIENCE = timedelta(seconds=4)
"""The first try of a system, within the workflow task: who needs longer goes to the queue."""

HOME_TIMEOUT = timedelta(seconds=6)
"""All first tries of a case together, and their waiting for a turn."""

ONCE = RetryPolicy(maximum_attempts=1)
"""What fails at home is tried again from the system's own queue."""

WORKFLOW_TASK_TIMEOUT = timedelta(seconds=5)
"""A worker that was killed within a workflow task is noticed after this; the default costs 10 s."""

LOCAL_RETRY = timedelta(seconds=5)
"""A local activity that must wait longer than this for its next try waits on a durable timer."""

HEARTBEAT_TIMEOUT = timedelta(seconds=5)
"""A killed worker is noticed after this; activities beat every second."""

HEARTBEAT_EVERY = timedelta(seconds=1)

REHEARSE_TIMEOUT = timedelta(seconds=60)
REHEARSE_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=5),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=10),
    maximum_attempts=6,
)
"""A rehearsal that cannot be held is itself a finding, and is reported after these."""

REHEARSE_PAUSE = timedelta(minutes=5)
"""Before a rehearsal that had no turn at a vendor with a limit: its six tries must not be spent."""

REHEARSE_SOON = timedelta(hours=1)
NEAR_REHEARSAL, FAR_REHEARSAL = 4, 5
"""Temporal priority keys of rehearsals, the last there are: whatever revokes goes before them."""

WATCH_PATIENCE = timedelta(hours=24)
"""How long a later look is tried; a vendor that is gone must not stop the looks after it."""

LAST_LOOK_PATIENCE = timedelta(minutes=2)
"""How long the look is tried that tells what stood when a rehire was said: later it tells less."""

DOUBT_PATIENCE = timedelta(days=90)
"""How long a watch that is over waits for a person to pick accounts; the finding stays after it."""

PICK_PAUSE = timedelta(minutes=10)
"""After a look at picked accounts that could not be had."""

CLOSE_PAUSE = timedelta(seconds=10)
MOST_CLOSE_PAUSE = timedelta(minutes=5)
"""Before a case asks again whether it may close: doubled from the second refusal on, up to this."""

NOT_THERE_PAUSE = timedelta(minutes=10)
"""Between two tries of what concerns a case that the database does not have, or has not begun."""

FRESH = timedelta(seconds=5)
"""A system whose read-back is older when its case would close is read back once more."""

CLOCK_SKEW_PAUSE = timedelta(seconds=1)
"""Between two questions whether a case may begin, when two clocks disagree about the cutoff."""

STICKY_TIMEOUT = timedelta(seconds=2)
"""How long a workflow task waits for a worker that may be dead; the default costs 10 s."""

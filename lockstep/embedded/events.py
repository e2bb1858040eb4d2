"""What a supervisor tells its caller, as values and as lines for people."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What happened."""

    RECOVERED = "recovered"
    STARTING = "starting"
    START_FAILED = "start_failed"
    READY = "ready"
    DIED = "died"
    EXITED = "exited"
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLED = "killed"


_LINES = {
    EventKind.RECOVERED: "{detail}",
    EventKind.STARTING: "{child} starting",
    EventKind.START_FAILED: "{child} did not start, next try in {time}: {detail}",
    EventKind.READY: "{child} ready in {time}",
    EventKind.DIED: "{child} ended with {detail}; starting again in {time}",
    EventKind.EXITED: "{child} ended with {detail}",
    EventKind.STOPPING: "{child} stopping",
    EventKind.STOPPED: "{child} stopped in {time}",
    EventKind.KILLED: "{child} did not stop and was killed after {time}",
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a child.

    Attributes:
        kind: what happened.
        child: the child's name; `supervisor` for RECOVERED.
        seconds: how long it took (READY, STOPPED, KILLED), or the wait before the next start
            (DIED, START_FAILED); 0 for the others.
        detail: exit code or error text, may be empty.
    """

    kind: EventKind
    child: str
    seconds: float = 0.0
    detail: str = ""

    def __str__(self) -> str:
        """The event as one line for people."""
        return _LINES[self.kind].format(
            child=self.child, time=f"{self.seconds:.1f} s", detail=self.detail
        )

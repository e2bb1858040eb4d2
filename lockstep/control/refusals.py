"""How a use case says no, the same in every way in: command line, console and API."""

from __future__ import annotations

from lockstep.domain.errors import Kind, LockstepError


class RefusedError(LockstepError, ValueError):
    """Something that a person asked for and that cannot be done; the text says why."""

    kind = Kind.CANNOT_BE_DONE


class ReusedKeyError(RefusedError):
    """Something else was sent before under the same key."""

    kind = Kind.REUSED_KEY


class UnansweredError(RefusedError):
    """Temporal or the worker gave no answer: it may still be done, so ask again by the same id.

    ``act_id``: the act that stands on record and can be sent again; "" where none was recorded.
    """

    kind = Kind.UNANSWERED

    def __init__(self, text: str, *, act_id: str = "") -> None:
        super().__init__(text)
        self.act_id = act_id


class ConflictError(RefusedError):
    """Somebody was faster, or what was looked at is no more; the text says who or what."""

    kind = Kind.FASTER


class NotThereError(LockstepError, LookupError):
    """There is no such case, system, request or file, or it is not theirs to know of."""

    kind = Kind.NOT_THERE


class NotAllowedError(LockstepError):
    """Somebody may not do this; the text says why. It was recorded."""

    kind = Kind.NOT_ALLOWED

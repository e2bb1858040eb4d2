"""The one error of this package."""

from __future__ import annotations

from lockstep.domain.errors import Kind, LockstepError


class EmbeddedError(LockstepError):
    """A server of the single-machine shape could not be placed, started or kept.

    The message says what happened and what the operator can do about it, and is meant
    to be printed as it is.
    """

    kind = Kind.UNFIT

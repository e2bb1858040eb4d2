"""The root of all errors that somebody is told: the text says what is wrong, where, what to do.

What an error means is state on it, never read out of its text: the command line makes an exit code
of it (`lockstep.cli.context`), the API an answer (`lockstep.web.api.auth`), each in one place.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Kind(StrEnum):
    """What an error means for whoever asked; its value is the API's word for it."""

    NOT_VALID = "not_valid"
    """What was said cannot be used as it is."""
    CANNOT_BE_DONE = "cannot_be_done"
    CANNOT_BE_ORDERED = "cannot_be_ordered"
    NOT_ALLOWED = "not_allowed"
    NOT_THERE = "not_there"
    NO_SUCH_PARTNER = "no_such_partner"
    FASTER = "somebody_was_faster"
    REUSED_KEY = "key_was_used"
    TOO_LARGE = "too_large"
    UNANSWERED = "no_answer"
    """It may still be done: ask again."""
    BUSY = "still_computing"
    SETTINGS = "settings"
    """The settings cannot be used: whoever runs Lockstep mends them."""
    UNFIT = "unfit"
    """A server that we stand on is not there, or not fit for use."""


class LockstepError(Exception):
    """Something that somebody is told."""

    kind: ClassVar[Kind] = Kind.CANNOT_BE_DONE
    is_of_option: ClassVar[bool] = False
    """Whether the text begins with the name of what was asked by, as an option is called."""
    act_id: str = ""
    """The act that stands on record without an answer; else ""."""

    def told(self) -> list[str]:
        """What to mend, one by one."""
        return [str(self)]

"""What a use case says no by has one root, and says what it means by its kind, not by its text."""

from __future__ import annotations

import pytest

from lockstep.control.packs.orders import FileGoneError, PackNotAllowedError
from lockstep.control.people.sessions import SignInError
from lockstep.domain.errors import Kind, LockstepError


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (PackNotAllowedError("sealed"), Kind.NOT_ALLOWED),
        (FileGoneError("Order it again."), Kind.NOT_THERE),
        (SignInError("This account has ended."), Kind.NOT_ALLOWED),
    ],
)
def test_a_refusal_is_of_the_one_root(error: LockstepError, kind: Kind) -> None:
    """So that command line, console and API answer it where they answer all others."""
    assert isinstance(error, LockstepError)
    assert error.kind is kind

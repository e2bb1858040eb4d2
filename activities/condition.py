"""What a worker learns of a system while it works on it, for people to see."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class Condition:
    """One system as this worker knows it (UTC).

    Args:
        limited_until: the reset time that the vendor's last "too many requests" gave.
        rests_until: until then nothing is tried at home, because the last try there was slow or
            failed; the system's own queue goes on.
        doubted_at: when a fault of the system last came that no machine mends: its health is
            looked at soon, so that it is seen to be bad, and later to be good again.
    """

    limited_until: datetime | None = None
    rests_until: datetime | None = None
    doubted_at: datetime | None = None

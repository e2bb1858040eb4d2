"""Names of what newer cases do otherwise than those that began under an older release."""

from __future__ import annotations

FOLLOWS = "follow-amendments"
"""Patch: a case that has begun reads the database again when HR has said something new."""
HEARS = "rehired-ends-watch"
"""Patch: whoever was hired again is watched no more."""
GUARDS = "guard-while-open"
"""Patch: a settled system is looked at again while others are open, and before the case closes."""
DOUBTS = "watch-until-picked"
"""Patch: the watch does not end while a person has to pick accounts."""
KEYS = "again-with-new-keys"
"""Patch: what waited for better keys of the leaver is tried again when there are some."""

"""One file, `lockstep.toml`; environment variables win; secrets come by reference only.

``LOCKSTEP_DATABASE__URL`` overrides ``[database] url``, and so on. A secret is ``env:NAME`` or
``file:PATH``; a literal in the file is refused, because files get copied.
"""

from __future__ import annotations

from lockstep.settings.checking import Part, check_settings
from lockstep.settings.errors import SettingsError
from lockstep.settings.loading import DEFAULT_FILE, load_settings
from lockstep.settings.root import Settings

__all__ = [
    "DEFAULT_FILE",
    "Part",
    "Settings",
    "SettingsError",
    "check_settings",
    "load_settings",
]

"""Changing `lockstep.toml` for somebody: their comments and their order stay."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile

import tomlkit

from lockstep.settings.errors import SettingsError


def with_system(text: str, name: str, table: Mapping[str, object]) -> str:
    """The settings file with these keys in ``[systems.<name>]``; what else stands there stays.

    Raises:
        SettingsError: if it is no TOML, or has no place for such a table.
    """
    try:
        document = tomlkit.parse(text)
        if "systems" not in document:
            document.add("systems", tomlkit.table(is_super_table=True))
        systems = document["systems"]
        if name not in systems:
            systems[name] = tomlkit.table()
        is_new = not systems[name]
        for key, value in table.items():
            systems[name][key] = value
        if is_new:
            systems[name].add(tomlkit.nl())
    except (tomlkit.exceptions.TOMLKitError, TypeError) as error:
        raise SettingsError([f"the settings file cannot be changed: {error}"]) from None
    return tomlkit.dumps(document)


def beside(path: Path, text: str) -> Path:
    """A new file in the folder of ``path``, with its rights: tried out, then put in its place."""
    with NamedTemporaryFile(
        "w", dir=path.parent, prefix=f".{path.name}.", suffix=".new", delete=False
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    made = Path(file.name)
    made.chmod(path.stat().st_mode & 0o777)
    return made

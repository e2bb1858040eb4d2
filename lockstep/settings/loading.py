"""Reading `lockstep.toml` and the environment, with every problem named."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings.exceptions import SettingsError as UnreadableEnvironmentError

from lockstep.settings.errors import SettingsError
from lockstep.settings.root import Settings

DEFAULT_FILE = Path("lockstep.toml")


def settings_file(path: Path | None = None) -> Path:
    """The file that is read: as said, else by the environment, else of the working directory."""
    return path or Path(os.environ.get("LOCKSTEP_CONFIG", DEFAULT_FILE))


def load_settings(path: Path | None = None) -> Settings:
    """Read and validate the settings file and the environment.

    Raises:
        SettingsError: with every problem found.
    """
    chosen = settings_file(path)
    try:
        document: dict[str, Any] = tomllib.loads(chosen.read_text())
    except FileNotFoundError:
        raise SettingsError(
            [f"{chosen}: there is no settings file: write one with `lockstep init`"]
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError([f"{chosen}: cannot be read: {error}"]) from None
    try:
        settings = Settings(**document)
    except UnreadableEnvironmentError as error:
        raise SettingsError(
            [f"environment: {error}: give JSON, or single values such as LOCKSTEP_WEB__PORT"]
        ) from None
    except ValidationError as error:
        raise SettingsError([_problem(row) for row in error.errors(include_input=False)]) from None
    settings._file = chosen.resolve()  # noqa: SLF001 - both set once, here
    settings._home = settings._file.parent  # noqa: SLF001
    return settings


def _problem(row: Any) -> str:
    key = ".".join(str(part) for part in row["loc"]) or "lockstep.toml"
    reason = str(row["msg"]).removeprefix("Value error, ")
    if key == "systems" and row["type"] == "missing":
        return "systems: none is configured yet: uncomment one in the file and complete it"
    match row["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key: remove it or correct its spelling"
        case "missing":
            return f"{key}: missing: add it (see `lockstep init --print`)"
        case _:
            return f"{key}: {reason}"

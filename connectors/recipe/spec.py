"""Reading recipes: a file becomes a vendor's spec, or every reason why it cannot, with its line."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from connectors.base import Connector, ConnectorManifest, ConnectorOptions
from connectors.kit.rest import RestConnector, manifest_of
from connectors.kit.spec import RestSpec
from connectors.recipe.checks import Wrong, problems
from connectors.recipe.lines import Lines, Place
from connectors.recipe.partial import is_silent, sound_part
from connectors.recipe.parts import KIND, RECIPE, spec_of
from connectors.recipe.shape import RecipeFile
from lockstep.domain.systems.access import Category

MOST_BYTES: Final = 256 * 1024


class RecipeError(ValueError):
    """A recipe that cannot be run: each line names file, line, key and reason."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


def read_recipe(file: Path) -> RestSpec:
    """The vendor's spec that a file describes.

    Raises:
        RecipeError: with everything that is wrong with it.
    """
    try:
        raw = file.read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n")
        if len(raw) > MOST_BYTES:
            raise RecipeError([f"{file}: larger than {MOST_BYTES // 1024} KiB: this is no recipe"])
        document = tomllib.loads(text)
    except UnicodeDecodeError:
        raise RecipeError([f"{file}: is no text in UTF-8"]) from None
    except OSError as error:
        raise RecipeError([f"{file}: cannot be read: {error.strerror}"]) from None
    except tomllib.TOMLDecodeError as error:
        raise RecipeError([f"{file}: is no TOML: {error}"]) from None
    recipe, wrong = _validated(document)
    if recipe is not None:
        wrong = problems(recipe, document)
    else:
        wrong += _beside(document, [each.place for each in wrong])
    if wrong or recipe is None:
        raise RecipeError(_told(file, Lines(text), wrong))
    return spec_of(recipe)


def _beside(document: dict[str, Any], places: list[Place]) -> list[Wrong]:
    """What is wrong with all that stands beside what could not be read."""
    sound, silent = sound_part(document, places)
    recipe, _ = _validated(sound)
    if recipe is None:
        return []
    return [each for each in problems(recipe, sound) if not is_silent(each.place, silent)]


def _validated(document: dict[str, Any]) -> tuple[RecipeFile | None, list[Wrong]]:
    dates = [Wrong(place, "a date is no value here") for place in _dates((), document)]
    if dates:
        return None, dates
    try:
        # As JSON, because only there a list may be a tuple and a text a word of a closed set.
        return RecipeFile.model_validate_json(json.dumps(document)), []
    except ValidationError as error:
        rows = error.errors(include_input=False)
        places = [tuple(row["loc"]) for row in rows]
        return None, [
            Wrong(place, _reason(row))
            for place, row in zip(places, rows, strict=True)
            # A list of which an entry is wrong counts as too short as well.
            if row["type"] != "too_short" or not any(_is_within(one, place) for one in places)
        ]


def _is_within(inner: Place, outer: Place) -> bool:
    return len(inner) > len(outer) and inner[: len(outer)] == outer


def _dates(place: Place, value: object) -> list[Place]:
    match value:
        case dict():
            return [one for key, each in value.items() for one in _dates((*place, key), each)]
        case list():
            return [one for key, each in enumerate(value) for one in _dates((*place, key), each)]
        case dt.date() | dt.time():
            return [place]
        case _:
            return []


_REASONS: Final[Mapping[str, str]] = {
    "extra_forbidden": "unknown key: remove it or correct its spelling",
    "union_tag_not_found": "kind is missing",
    "string_pattern_mismatch": "small letters, digits and _ only, and a letter first",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}


def _reason(row: Any) -> str:
    """Why a value is refused; never the value."""
    match row["type"]:
        case "missing":
            return f"{row['loc'][-1]} is missing"
        case "union_tag_invalid":
            return f"kind must be one of {row['ctx']['expected_tags']}"
        case other:
            said = str(row["msg"]).replace("Input should be", "must be")
            return _REASONS.get(other, said)


def _told(file: Path, lines: Lines, wrong: list[Wrong]) -> list[str]:
    """One line for each key: of what is wrong with it, the first reason."""
    told: dict[tuple[object, ...], tuple[int, str]] = {}
    for each in wrong:
        known, number = lines.of(each.place)
        name = ".".join(map(str, known)) or "the file"
        missing = each.reason.endswith("is missing")
        at = (known, each.place if missing else ())
        told.setdefault(at, (number, f"{file}:{number}: {name}: {each.reason}"))
    return [text for _, text in sorted(told.values())]


def manifest_for(options: Mapping[str, object]) -> ConnectorManifest:
    """What is known of one system, whose table names its recipe.

    Raises:
        ValueError: naming the option; `RecipeError` for what is wrong with the file.
    """
    return manifest_of(read_recipe(_file(options)))


def _file(options: Mapping[str, object]) -> Path:
    named = options.get(RECIPE.name)
    if not isinstance(named, str) or not named:
        raise ValueError(f"{RECIPE.name}: missing: {RECIPE.summary}")
    return Path(named)


def build(given: ConnectorOptions) -> Connector:
    """The engine with the system's own recipe.

    Raises:
        ValueError: as `manifest_for`, and naming the option that is wrong.
    """
    return RestConnector(read_recipe(_file(given.settings)), given)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="A system of your own, described in a file",
    category=Category.SAAS,
    build=build,
    options=(RECIPE,),
    permissions=("as the recipe says",),
    proves="what the recipe says: the account's record and every list that it names",
    of=manifest_for,
)

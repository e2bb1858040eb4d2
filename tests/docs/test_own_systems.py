"""docs/own-systems.md is enough for an operator, and true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from connectors.program import protocol
from connectors.program.protocol import LINES, Do
from connectors.recipe.shape import RecipeFile
from lockstep.domain.systems.access import Category, Proof
from lockstep.settings import Settings, SettingsError, check_settings, load_settings
from tests.settings.test_settings import GOOD, HOOK_SECRET, SECRET, place

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own-systems.md").read_text("utf-8")
FILE = ROOT / "examples" / "desk" / "desk.toml"
BLOCKS = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
__all__ = ["HOOK_SECRET", "SECRET", "place"]


@pytest.fixture
def home(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings, the recipe of the example, and its token."""
    monkeypatch.setenv("DESK_TOKEN", SECRET)
    (place / "desk.toml").write_text(FILE.read_text())
    (place / "lockstep.toml").write_text(GOOD + BLOCKS[1])
    return place


def load(home: Path) -> Settings:
    return load_settings(home / "lockstep.toml")


def test_the_page_shows_the_example_as_it_is() -> None:
    """What our tests run is what the reader sees."""
    assert BLOCKS[0] == FILE.read_text("utf-8")


def test_every_key_of_a_recipe_is_on_the_page() -> None:
    """A key that the page does not name does not exist for an operator."""

    def keys(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return set().union(*map(keys, schema))
        if not isinstance(schema, dict):
            return set()
        own = set(schema.get("properties", ())) if "properties" in schema else set()
        return own.union(*map(keys, schema.values()))

    known = keys(RecipeFile.model_json_schema())
    named = set(
        re.findall(r"[a-z_]+", " ".join(re.findall(r"`([^`]+)`|\[+([a-z_.<>]+)\]", PAGE)[0]))
    )
    named |= set(re.findall(r"[a-z_]+", PAGE))

    assert known - named == set()


def test_every_word_of_the_protocol_is_on_the_page() -> None:
    """Requests, lines and their members, proofs."""
    known = {each.value for each in (*Do, *Proof)} | set(LINES)
    known |= {name for row in protocol_rows() for name in row.model_fields}

    assert known - set(re.findall(r"[a-z_]+", PAGE)) == set()


def protocol_rows() -> list[type[BaseModel]]:
    """Every object of the protocol."""
    kinds = (each for each in vars(protocol).values() if isinstance(each, type))
    return [each for each in kinds if issubclass(each, BaseModel) and each is not BaseModel]


def test_the_program_of_the_page_is_checked(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings are read as they stand; that there is no such file here is the only trouble."""
    monkeypatch.setenv("DESK_TOKEN", SECRET)
    (place / "lockstep.toml").write_text(GOOD + BLOCKS[2])
    settings = load(place)

    assert settings.connector_options("desk").secrets == {"token": SECRET}
    assert dict(settings.manifest("desk").residual_s) == {"session": 3600}
    (problem,) = check_settings(settings)
    assert problem.startswith("systems.desk: program: cannot be read")


def test_the_settings_of_the_page_are_right(home: Path) -> None:
    """The page's settings and recipe pass, relative to the settings file, and are known whole."""
    settings = load(home)
    options = settings.connector_options("desk")

    assert check_settings(settings) == []
    assert options.secrets == {"token": SECRET}
    assert options.settings["recipe"] == str(home / "desk.toml")
    assert settings.manifest("desk").title == "Desk"
    desk = next(row for row in settings.to_policy().systems if row.system == "desk")
    assert desk.category is Category.SAAS
    assert settings.budgets()["desk"] == "desk"


def test_what_is_wrong_with_a_recipe_stops_the_start(home: Path) -> None:
    """Every problem of the file is a problem of the settings, with its line."""
    text = FILE.read_text().replace("/people/{id}/block", "/block").replace("close = ", "# ")
    (home / "desk.toml").write_text(text)
    (home / "lockstep.toml").write_text(GOOD + BLOCKS[1] + '\ncolour = "blue"\n')
    found = check_settings(load(home))

    shown = re.search(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert shown
    told = [line.split("desk.toml:", 1)[1] for line in shown[1].splitlines()]
    assert [line.split("desk.toml:", 1)[1] for line in found] == told
    assert all(line.startswith("systems.desk: ") for line in found)
    with pytest.raises(SettingsError):
        load(home).to_policy()


def test_options_of_the_recipe_are_validated(home: Path) -> None:
    """What the recipe does not know is refused, what it requires is missed."""
    (home / "lockstep.toml").write_text(
        GOOD + '[systems.desk]\nconnector = "recipe"\nrecipe = "desk.toml"\ncolour = "blue"\n'
    )
    found = check_settings(load(home))

    assert any(line.startswith("systems.desk.colour: recipe has no such option") for line in found)
    assert any(line.startswith("systems.desk.token: missing: API token") for line in found)


def test_a_system_without_its_file_says_so(home: Path) -> None:
    """No file, or none by that name."""
    (home / "lockstep.toml").write_text(GOOD + '[systems.desk]\nconnector = "recipe"\n')
    assert check_settings(load(home)) == [
        "systems.desk: recipe: missing: the file that describes the system"
    ]

"""One description of each vendor of the sandbox, and nothing about a vendor beside it."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import sandbox
from connectors.registry import PLACES as CONNECTORS
from sandbox import demo_people
from sandbox.kit.description import Description
from sandbox.running import hire_simulated
from sandbox.vendors.registry import PLACES, descriptions, simulated

FOLDER = Path(sandbox.__file__).parent
ALL = list(descriptions().values())
SAMPLES = [each for each in ALL if each.settings]


def kinds(values: list[Description]) -> list[str]:
    return [each.kind for each in values]


def test_every_folder_is_a_vendor_of_the_registry():
    """By the name of its connector; a description that is not registered is none."""
    folders = {path.parent.name for path in (FOLDER / "vendors").glob("*/description.py")}
    assert set(PLACES) == folders
    assert kinds(ALL) == list(PLACES)
    assert folders <= set(CONNECTORS)


def test_no_two_want_one_port_or_one_file():
    """They all run on one machine, and their credentials lie in one folder."""
    files = [file for each in ALL for file in each.secrets]
    assert len({each.port for each in ALL}) == len(ALL)
    assert len(set(files)) == len(files)


@pytest.mark.parametrize("described", SAMPLES, ids=kinds(SAMPLES))
def test_its_settings_are_one_system_that_it_opens(described: Description):
    """Of its own connector, at its own address, with secrets in files that it says."""
    table = tomllib.loads(described.settings.format(url="http://127.0.0.1:1"))["systems"]
    [system] = table.values()
    files = {str(value).removeprefix("file:.lockstep/") for value in system.values()}

    assert system["connector"] == described.kind
    assert any("http://127.0.0.1:1" in str(value) for value in system.values())
    assert set(described.secrets) <= files
    assert set(described.secrets.values()) <= set(described.usual)


@pytest.mark.parametrize("described", ALL, ids=kinds(ALL))
def test_the_page_tells_of_its_credentials(described: Description):
    """And of the variable that changes each."""
    page = (FOLDER / "README.md").read_text("utf-8")
    for each in described.accepts:
        if each.variable:
            assert each.variable in page
    assert described.title in page


def test_a_person_has_ways_in_through_open_doors(box, people):
    """What a description counts is there for somebody who was hired."""
    for kind, described in simulated().items():
        [account] = box[kind].state_of(people[0].email)
        assert [door for door in described.doors if account["standing"][door]], kind
        assert described.ways_in is None or sum(described.ways_in(account).values()) > 1, kind


def test_what_is_unusual_in_the_demonstration_is_said_by_the_vendor():
    """Each in its own words, by place in the list."""
    people = demo_people()
    for kind, described in descriptions().items():
        told = {place: one.shape[kind] for place, one in enumerate(people) if kind in one.shape}
        assert told == described.demo


def test_a_vendor_is_simulated_or_a_program():
    """Never both, and never neither."""
    with pytest.raises(ValueError, match="either a simulation or a program"):
        replace(ALL[0], simulate=None)
    programs = [each for each in ALL if each.program]
    with pytest.raises(ValueError, match="is a program"):
        programs[0].build({})


def test_somebody_is_hired_at_an_address():
    """As the demo does it; whatever refuses is an error, and no silence."""
    person = sandbox.generate(1)[0].as_json()
    with sandbox.start_in_thread() as urls:
        for kind, url in urls.items():
            hire_simulated(url, person)
            found = httpx.get(f"{url}/sandbox/state/{person['worker_id']}").json()["accounts"]
            assert len(found) == 1, kind
        with pytest.raises(OSError, match="422"):
            hire_simulated(next(iter(urls.values())), {})

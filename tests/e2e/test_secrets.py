"""Credentials and the leaver's person: looked for everywhere after a case that went wrong.

Each vendor repeats our Authorization header in error bodies, once with a fault that passes and
once with one that a person must mend.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from lockstep.control.runtime.temporal import connect
from lockstep.embedded.runstate import STATE_NAME
from sandbox.people import Person
from sandbox.vendors.registry import descriptions
from tests.e2e.hoard import files_below, found, histories, opened
from tests.e2e.installation import Installation, Said, settings_text
from tests.e2e.leavers import full_name, new_person, termination
from tests.e2e.processes import PATIENCE_S, eventually
from tests.e2e.vendors import SAMPLES, SIMULATED, SYSTEMS, Vendors
from tests.support.casework import everything_stored

pytestmark = pytest.mark.e2e

VENDORS = SAMPLES
SECRET_FILES = {kind: next(iter(descriptions()[kind].secrets)) for kind in VENDORS}


@dataclass(frozen=True)
class Scene:
    """A case that is closed by now, and what was said about it on the way."""

    installation: Installation
    tokens: dict[str, str]
    person: Person
    case_id: str
    said: dict[str, Said]
    echoes: dict[str, int]

    @property
    def personal(self) -> list[str]:
        """What tells who left."""
        person = self.person
        return [full_name(person), person.last_name, person.email, person.worker_id]


@pytest.fixture(scope="module")
async def scene(home: Path) -> AsyncIterator[Scene]:
    # Of no known form, so that no pattern of the logs can hide them by luck.
    tokens = {name: f"planted{secrets.token_hex(12)}" for name in VENDORS}
    env = {descriptions()[kind].accepts[0].variable: token for kind, token in tokens.items()}
    person = replace(new_person(), first_name="Quirinalda", last_name="Zamboangueza-Ybarra")
    vendors = Vendors(home, env=env)
    planted = {SECRET_FILES[name]: token for name, token in tokens.items()}
    # In a folder of its own, so that what a vendor keeps is not taken for ours.
    own = home / "own"
    own.mkdir(mode=0o711)
    installation = Installation(own, settings_text(vendors.ports), secrets=planted)
    try:
        await vendors.start()
        await vendors.seed([person])
        await installation.up()
        yield await play(installation, vendors, person, tokens)
    finally:
        await installation.down()
        await vendors.stop()


async def play(
    installation: Installation, vendors: Vendors, person: Person, tokens: dict[str, str]
) -> Scene:
    """Let every vendor echo, ask every command meanwhile, then let the case close."""
    event_id = f"evt-{secrets.token_hex(8)}"
    echo = {"kind": "echo_secret"}
    for vendor in VENDORS:
        passing = {**echo, "status": 500, "limit": 1}
        await vendors.set_faults(vendor, [passing, {**echo, "status": 400, "unbounded": True}])
    assert await installation.post(event_id, termination(person)) == 202

    async def all_ask() -> str:
        case_id = await installation.books.case_of(event_id)
        doors = await installation.books.doors(case_id) if case_id else {}
        waiting = [door for door in doors.values() if door["state"] == "needs_person"]
        return case_id if len(waiting) == len(VENDORS) else ""

    case_id = await eventually(all_ask, what="three systems asking for a person")
    said = {
        "doctor": await installation.run("doctor"),
        "doctor --json": await installation.run("doctor", "--json"),
        "stuck": await installation.run("stuck"),
        "case show": await installation.run("case", "show", case_id, "--ledger"),
        "case show --json": await installation.run("case", "show", case_id, "--ledger", "--json"),
    }
    echoes = {}
    for vendor in VENDORS:
        echoes[vendor] = sum(fault["hits"] for fault in await vendors.faults(vendor))
        await vendors.set_faults(vendor, [])
    for system in SIMULATED:
        name = f"retry {system}"
        said[name] = await installation.run("retry", case_id, system, "--reason", "mended")
    await installation.books.closed([event_id], within_s=PATIENCE_S)
    return Scene(installation, tokens, person, case_id, said, echoes)


def kept_files(scene: Scene) -> dict[str, bytes]:
    """All files of the installation but those that hold a secret on purpose."""
    return files_below(scene.installation.home, but=SECRET_FILES.values())


def test_the_vendors_echoed_and_the_case_felt_it(scene: Scene) -> None:
    """The premise: each vendor repeated our credential, and both kinds of fault came of it."""
    stuck = scene.said["case show --json"].json()

    assert all(count >= 2 for count in scene.echoes.values()), scene.echoes
    assert {row["system"]: row["state"] for row in stuck["systems"]} == dict.fromkeys(
        (SYSTEMS[name] for name in VENDORS), "needs_person"
    )
    kinds = [json.loads(entry) for entry in stuck["ledger"]]
    categories = {e["data"]["category"] for e in kinds if e["kind"] == "revocation:fault"}
    assert categories == {"vendor_error", "unexpected_answer"}


def test_the_search_finds_what_is_there(scene: Scene) -> None:
    """The guard can fail: it finds a token in its own file, plainly and inside base64."""
    token = scene.tokens[VENDORS[0]]
    home = scene.installation.home
    only = files_below(home / ".lockstep", but=())

    assert f"{SECRET_FILES[VENDORS[0]]}: {token}" in found(only, [token])
    for padding in range(3):
        coded = {
            "coded": b"eyJ" + base64.b64encode(b"x" * padding + b'{"n":"' + token.encode() + b'"}')
        }
        assert found(coded, [token]) == [f"coded: {token}"]
    assert found({"clean": b"nothing here"}, [token]) == []


def test_no_credential_is_in_any_file(scene: Scene) -> None:
    """Not in a log, not in PostgreSQL's or Temporal's files or their write-ahead logs."""
    files = kept_files(scene)

    assert {"worker.log", "web.log", "temporal.log", "postgres.log"} <= {
        Path(name).name for name in files
    }
    assert sum(len(content) for content in files.values()) > 10_000_000
    assert found(files, scene.tokens.values()) == []


def test_no_credential_is_in_the_database(scene: Scene) -> None:
    """No column of no table has it, ledger entries among them."""
    kept = everything_stored(scene.installation.superuser_url)

    assert len(kept["ledger_entries.body"]) > 1000
    assert found(kept, scene.tokens.values()) == []


async def test_no_credential_is_in_a_history(scene: Scene) -> None:
    """Temporal's history has none: not as stored, and not when our key opens its payloads."""
    where = scene.installation.settings.temporal_address()
    kept = await histories(where.address, where.namespace, [scene.case_id])
    ours = await connect(where, scene.installation.settings.open_keyring())
    plain = await opened(ours, scene.case_id)

    assert b"unexpected_answer" in plain, "the faults must be among what was decrypted"
    assert found(kept, scene.tokens.values()) == []
    assert found({"decrypted": plain}, scene.tokens.values()) == []


def test_no_credential_is_in_what_the_commands_say(scene: Scene) -> None:
    """`case show`, `stuck`, `doctor` and `retry` name fault and remedy, never the credential."""
    kept = {name: (said.out + said.err).encode() for name, said in scene.said.items()}

    assert b"unexpected" in kept["case show --json"]
    assert b"problem" in kept["doctor"]
    assert found(kept, scene.tokens.values()) == []
    assert not [name for name, text in kept.items() if b"Traceback" in text]


def test_the_person_is_in_no_file(scene: Scene) -> None:
    """Logs and the servers' files know no name, address or worker id of the leaver."""
    files = {name: kept for name, kept in kept_files(scene).items() if name != STATE_NAME}

    assert found(files, scene.personal) == []


def test_the_person_is_in_no_column(scene: Scene) -> None:
    """What tells who left stands in the database encrypted only."""
    assert found(everything_stored(scene.installation.superuser_url), scene.personal) == []


async def test_the_person_is_in_no_history(scene: Scene) -> None:
    """Histories and lists hold ids and instants: nobody to be found even with our key."""
    where = scene.installation.settings.temporal_address()
    kept = await histories(where.address, where.namespace, [scene.case_id])
    ours = await connect(where, scene.installation.settings.open_keyring())
    plain = {"decrypted": await opened(ours, scene.case_id)}

    assert scene.case_id.encode() in plain["decrypted"]
    assert found(kept, scene.personal) == []
    assert found(plain, scene.personal) == []


def test_operations_still_see_the_name(scene: Scene) -> None:
    """The same search finds the leaver where the name is meant to be shown."""
    shown = {"case": scene.said["case show --json"].out.encode()}

    assert found(shown, [full_name(scene.person)]) == [f"case: {full_name(scene.person)}"]

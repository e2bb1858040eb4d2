"""A program is an operator's own, and may be wrong: whatever it does is a fault, never "absent"."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import time
from pathlib import Path

import jsonschema
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.program import process, protocol
from connectors.program.connector import ProgramConnector, manifest_for
from connectors.program.process import unsafe
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Access, AccessKind, Account, Observation, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.program.harness import EXAMPLES
from tests.connectors.revoking import revoke

ROOT = EXAMPLES.parents[1]
SECRET = "program-secret-51c9"
PERSON = "pat.cruz@example.test"
ACCOUNT = Account("a-1", PERSON)
DOOR = Access(AccessKind.SIGN_IN, "a-1")
STANDS = Observation("a-1", exists=True, standing=(DOOR,))
KEYS = LeaverKeys((Key(KeyKind.EMAIL, PERSON),))
HEAD = (
    "#!/bin/sh\nIFS= read -r asked\n"
    'r=$(printf \'%s\\n\' "$asked" | sed \'s/.*"request":"\\([^"]*\\)".*/\\1/\')\n'
    'say() { printf \'{"lockstep":1,"request":"%s",%s}\\n\' "$r" "$1"; }\n'
)
ABSENT = '"seen":{"exists":false,"standing":[],"unread":[]}'


def written(place: Path, body: str, *, head: str = HEAD) -> Path:
    program = place / "program.sh"
    program.write_text(f"{head}{body}\n")
    program.chmod(0o755)
    return program


def connected(program: Path, *, time_s: int = 20, **options: object) -> ProgramConnector:
    settings = {"program": str(program), "time_s": time_s, **options}
    return ProgramConnector(ConnectorOptions("own", settings, {"token": SECRET}))


async def fault_of(program: Path, **options: object) -> ConnectorFault:
    connector = connected(program, **options)
    with pytest.raises(ConnectorFault) as caught:
        await connector.read_back(ACCOUNT, Transcript())
    return caught.value


WRONG = (
    ("exit 3", FaultCategory.UNEXPECTED_ANSWER, "exit_3"),
    ("exit 0", FaultCategory.UNEXPECTED_ANSWER, "no_answer"),
    ("kill -9 $$", FaultCategory.UNEXPECTED_ANSWER, "exit_signal_9"),
    ("echo hello", FaultCategory.UNEXPECTED_ANSWER, "not_of_the_protocol"),
    ("printf x", FaultCategory.UNEXPECTED_ANSWER, "line_without_end"),
    (f"say '{ABSENT}'; exit 1", FaultCategory.UNEXPECTED_ANSWER, "exit_1"),
    (f"say '{ABSENT}'; say '{ABSENT}'", FaultCategory.UNEXPECTED_ANSWER, "spoke_after_the_end"),
    (f"r=other; say '{ABSENT}'", FaultCategory.UNEXPECTED_ANSWER, "answers_another_request"),
    ("say '\"done\":{}'", FaultCategory.UNEXPECTED_ANSWER, "answers_something_else"),
    ("say '\"absent\":true'", FaultCategory.UNEXPECTED_ANSWER, "not_of_the_protocol"),
    ('say \'"seen":{"exists":false}\'', FaultCategory.UNEXPECTED_ANSWER, "not_of_the_protocol"),
    (
        'say \'"seen":{"exists":true,"standing":[],"unread":[],"colour":"blue"}\'',
        FaultCategory.UNEXPECTED_ANSWER,
        "not_of_the_protocol",
    ),
    (
        'say \'"seen":{"exists":true,"standing":[{"kind":"door","ref":"1"}],"unread":[]}\'',
        FaultCategory.UNEXPECTED_ANSWER,
        "not_of_the_protocol",
    ),
    (
        'say \'"seen":{"exists":false,"standing":[{"kind":"role","ref":"1"}],"unread":[]}\'',
        FaultCategory.UNEXPECTED_ANSWER,
        "stands_without_account",
    ),
    (
        'say \'"seen":{"exists":true,"standing":[],"unread":[],"residuals":["cache"]}\'',
        FaultCategory.UNEXPECTED_ANSWER,
        "residual_not_stated.cache",
    ),
    (
        'say \'"action":{"kind":"sign_in","ref":"a-1"}\'',
        FaultCategory.UNEXPECTED_ANSWER,
        "closed_what_was_not_asked",
    ),
    ("head -c 300000 /dev/zero", FaultCategory.UNEXPECTED_ANSWER, "line_too_long"),
    (
        'while :; do say \'"exchange":{"operation":"x","status":200}\'; done',
        FaultCategory.UNEXPECTED_ANSWER,
        "too_much",
    ),
)


@pytest.mark.parametrize(("body", "category", "code"), WRONG, ids=[code for _, _, code in WRONG])
async def test_what_a_program_may_not_do_is_a_fault(tmp_path, monkeypatch, body, category, code):
    """Each is classified, names the request, and is never read as an answer."""
    monkeypatch.setattr(process, "MOST_TOTAL", 20_000)
    fault = await fault_of(written(tmp_path, body), residuals={})

    assert (fault.category, fault.code, fault.operation) == (category, code, "read_back")
    assert str(fault).startswith("program read_back: ")


async def test_a_silent_program_is_killed_with_all_that_it_started(tmp_path):
    """The time is bounded, and nothing of the group lives on."""
    mark = tmp_path / "child"
    body = f"sh -c 'echo $$ > {mark}; exec sleep 60' & sleep 60"
    began = time.monotonic()
    fault = await fault_of(written(tmp_path, body), time_s=1)

    assert fault.category is FaultCategory.TIMEOUT
    assert time.monotonic() - began < 20
    child = int(mark.read_text())
    for _ in range(200):
        if not _lives(child):
            break
        await asyncio.sleep(0.05)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except OSError:
        return False


async def test_what_was_closed_before_it_failed_is_told(tmp_path):
    """An action that was said stands in the fault, also where the program is killed after it."""
    said = (
        'say \'"exchange":{"operation":"people.block","status":200}\'\n'
        'say \'"action":{"kind":"sign_in","ref":"a-1"}\'\nsleep 60'
    )
    connector = connected(written(tmp_path, said), time_s=2)
    transcript = Transcript()
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(ACCOUNT, STANDS, transcript)

    assert [action.access for action in caught.value.actions] == [DOOR]
    assert [one.operation for one in transcript.exchanges] == ["people.block"]


async def test_a_program_closes_only_what_it_was_asked_to(tmp_path):
    """Another account's door, or one that nobody named, makes no action."""
    said = (
        'say \'"exchange":{"operation":"people.block","status":200}\'\n'
        'say \'"action":{"kind":"sign_in","ref":"a-2"}\'\nsay \'"done":{}\''
    )
    with pytest.raises(ConnectorFault) as caught:
        await connected(written(tmp_path, said)).contain(ACCOUNT, STANDS, Transcript())

    assert caught.value.code == "closed_what_was_not_asked"
    assert caught.value.actions == ()


async def test_secrets_come_by_standard_input_and_nothing_else(tmp_path):
    """No argument, no variable of the environment; a new session, from the root folder."""
    told = tmp_path / "told"
    body = (
        f"{{ echo \"$#\"; env | grep -v '^PWD=\\|^SHLVL=\\|^_=\\|^OLDPWD='; pwd; echo end;"
        f" printf '%s' \"$asked\"; }} > {told}\nsay '{ABSENT}'"
    )
    seen = await connected(written(tmp_path, body)).read_back(ACCOUNT, Transcript())
    shown, _, request = told.read_text().partition("end\n")

    assert not seen.exists
    assert shown == "0\n/\n"
    assert json.loads(request)["secrets"] == {"token": SECRET}
    jsonschema.validate(json.loads(request), protocol.schema())


async def test_standard_error_is_logged_without_what_is_secret(tmp_path, caplog):
    """A few lines for the operator: no credential, no key of a person, no address, no control."""
    caplog.set_level(logging.DEBUG)
    body = (
        f"echo 'token {SECRET} for {PERSON}, x@y.example' >&2; printf '\\033[31mred\\n' >&2\n"
        f"i=0; while [ $i -lt 5000 ]; do echo line $i >&2; i=$((i+1)); done; say '{ABSENT}'"
    )
    await connected(written(tmp_path, body)).read_back(ACCOUNT, Transcript())
    lines = [row.getMessage() for row in caplog.records if row.name == "lockstep.program"]

    assert lines[0] == "program own says: token [redacted] for [redacted], [redacted]"
    assert len(lines) == 20
    assert all(line.isprintable() for line in lines)
    assert SECRET not in caplog.text


async def test_so_many_processes_at_once_and_no_more(tmp_path):
    """The others wait."""
    body = (
        f"echo x >> {tmp_path}/n; wc -l < {tmp_path}/n >> {tmp_path}/most; sleep 0.2;"
        f"sed -i 1d {tmp_path}/n; say '{ABSENT}'"
    )
    connector = connected(written(tmp_path, body), processes=1)
    await asyncio.gather(*(connector.read_back(ACCOUNT, Transcript()) for _ in range(4)))

    assert set((tmp_path / "most").read_text().split()) == {"1"}


async def test_a_vendors_text_that_holds_our_secret_is_dropped(tmp_path):
    """A code or a request id is shown cleaned, or not at all."""
    body = (
        'say \'"fault":{"category":"vendor_error","operation":"x.y",'
        f'"code":"{SECRET}","request_id":"a b"}}\''
    )
    fault = await fault_of(written(tmp_path, body))

    assert (fault.operation, fault.code, fault.request_id) == ("x.y", "redacted", "a_b")


def test_only_a_program_that_nobody_else_can_write_is_started(tmp_path):
    """A whole path, executable, in folders that are ours or root's."""
    program = written(tmp_path, "exit 0")
    assert unsafe(program) == ""
    assert "whole path" in unsafe(Path("program.sh"))
    assert "cannot be read" in unsafe(tmp_path / "none")
    assert "no file" in unsafe(tmp_path)
    program.chmod(0o775)
    assert "others may write" in unsafe(program)
    program.chmod(stat.S_IRUSR)
    if os.geteuid():
        assert "may be executed" in unsafe(program)
    program.chmod(0o755)
    tmp_path.chmod(0o777)
    assert "others may write" in unsafe(program)
    tmp_path.chmod(0o700)


async def test_a_program_that_others_can_write_by_now_is_not_started(tmp_path):
    """It is looked at before each start, not at the first one only."""
    program = written(tmp_path, f"touch {tmp_path}/started")
    connector = connected(program)
    program.chmod(0o777)
    with pytest.raises(ConnectorFault) as caught:
        await connector.read_back(ACCOUNT, Transcript())

    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert not (tmp_path / "started").exists()


def test_options_are_checked_and_secrets_told_apart(tmp_path):
    """Any further option is the program's own; one that is a reference is a secret."""
    options = {"program": "/bin/true", "base_url": "https://x.example", "token": "env:TOKEN"}
    own = {row.name: row.secret for row in manifest_for(options).options}

    assert own["token"] is True
    assert own["base_url"] is False
    for name, value in {"time_s": "soon", "processes": 0, "residuals": 7}.items():
        with pytest.raises(ValueError, match=name):
            connected(written(tmp_path, ""), **{name: value})
    with pytest.raises(ValueError, match="program: give the whole path"):
        connected(Path("program.sh"))


def test_the_schema_on_the_page_is_the_one_of_the_code():
    """``python -m tests.connectors.program.write_schema`` writes it."""
    written_schema = json.loads((ROOT / "docs" / "program-protocol.schema.json").read_text())

    assert written_schema == protocol.schema()
    jsonschema.Draft202012Validator.check_schema(written_schema)


async def test_the_example_in_sh_revokes_what_stands_in_a_text_file(tmp_path):
    """Located by a list, closed by one write, read back, and nobody else is touched."""
    register = tmp_path / "register"
    register.write_text(f"17|{PERSON.upper()}|B-1|on\n170|other@example.test|B-2|on\n")
    program = tmp_path / "register.sh"
    program.write_text((ROOT / "examples" / "register" / "register.sh").read_text())
    program.chmod(0o755)
    connector = connected(program, register=str(register))
    transcript = Transcript()
    assert (await connector.health(transcript)).is_ready
    location = await connector.locate(KEYS, transcript)
    (match,) = location.matches
    before = await connector.look(match.account, transcript)
    actions = await revoke(connector, match.account, before, transcript)
    again = await revoke(connector, match.account, before, transcript)
    after = await connector.read_back(match.account, transcript)
    nobody = await connector.locate(LeaverKeys((Key(KeyKind.EMAIL, "x@y.test"),)), transcript)

    assert [one.proof for one in (*location.searches, *nobody.searches)] == [Proof.LISTED] * 2
    assert nobody.matches == ()
    assert before.signs_in
    assert [one.operation for one in actions] == ["register.off"]
    assert again == ()
    assert after.exists
    assert after.is_closed
    assert register.read_text().splitlines()[1].endswith("|on")

"""`lockstep case withdraw-key`: which key it means, and what it says of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app
from lockstep.storage.cases.rows import Opening
from tests.cli.intake import test_terminate_whose as harness
from tests.support.casework import EMAIL, SYSTEM, termination

home, work = harness.home, harness.work
COMMAND = ("case", "withdraw-key")
WHY = ("--reason", "it is a colleague's")


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ((), "name one key"),
        (("--email", ""), "name one key"),
        (("--email", "a@example.com", "--username", "a"), "name one key"),
        (("--account", "00u1"), "write it as SYSTEM=ID"),
        (("--account", "okta-prod="), "write it as SYSTEM=ID"),
        (("--account", "=00u1"), "write it as SYSTEM=ID"),
    ],
)
def test_which_key_is_meant_is_not_guessed(keys, says):
    """Exit code 2, before anything is looked at."""
    result = CliRunner().invoke(app, [*COMMAND, "some-case", *keys, *WHY])

    assert result.exit_code == 2
    assert says in " ".join(result.stderr.split())
    assert result.stdout == ""


async def test_before_the_cutoff_it_is_withdrawn_and_said(home, work):
    """Once: a second time there is no such key, and that is an error."""
    later = datetime.now(UTC) + timedelta(hours=1)
    [case] = await work.cases.open([Opening(termination("1005"), later, later)], work.policy)
    given = (*COMMAND, case.case_id, "--email", EMAIL.upper(), *WHY)
    code, said = await harness.run(home, *given, "--json")
    assert (code, json.loads(said)) == (0, {"withdrawn": {"kind": "email", "system": None}})
    keys = (await work.revocations.load(case.case_id, SYSTEM, 1)).subject.keys
    assert keys.emails == ()
    code, said = await harness.run(home, *given)
    assert code == 1
    assert "such key" in said

"""Each guard has a test that notices when it is not there.

A test that passes shows that something is refused; only that it fails without the guard shows that
it is refused by it. Every fault is planted in one process, and its test runs there once more.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lockstep.domain.intake import remit
from tests.architecture.guards import PLANTS
from tests.support.planting import NOT_NOTICED, NOTICED, ROOT, NothingPlantedError, Plant, planted

HARMLESS = Plant(
    "a control: nothing is amiss",
    "lockstep/domain/intake/remit.py",
    "known = sorted(names)",
    "known = sorted(names, key=str)",
    "tests/web/test_source_remit.py::test_of_another_partner_nothing_is_taken",
)
_RUN = """
import json, sys
from pathlib import Path
from tests.support.planting import Plant, run
run([Plant(*row) for row in json.load(sys.stdin)], Path(sys.argv[1]))
"""


def ends_of(plants: Sequence[Plant], told: Path) -> dict[str, str]:
    """What became of each, in a process of its own: none must outlive this."""
    rows = [[one.attack, one.path, one.right, one.wrong, one.test] for one in plants]
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(told)],
        input=json.dumps(rows).encode(),
        capture_output=True,
        cwd=ROOT,
        timeout=270,
        check=False,
    )
    assert told.exists(), done.stdout.decode()[-2000:] + done.stderr.decode()[-2000:]
    found: dict[str, str] = json.loads(told.read_text())
    return found


@pytest.mark.timeout(280)
def test_every_guard_that_is_missing_is_noticed(tmp_path: Path):
    """By the test that is named for it; and a change that takes nothing away is not."""
    ends = ends_of([HARMLESS, *PLANTS], tmp_path / "ends.json")

    assert ends.pop(HARMLESS.attack) == NOT_NOTICED
    assert [f"{attack}: {end}" for attack, end in ends.items() if end != NOTICED] == []
    assert len(ends) == len(PLANTS), "each attack has a name of its own"


@pytest.mark.parametrize(
    "stale",
    [
        replace(HARMLESS, right="a text that nobody wrote"),
        replace(HARMLESS, right="return", wrong="return None"),
        replace(HARMLESS, wrong="known = sorted(names)  # the same"),
    ],
    ids=["gone", "in several places", "changes nothing"],
)
def test_a_table_that_is_out_of_date_is_told(stale: Plant):
    """Else a guard would seem to be looked at that is somewhere else by now."""
    with pytest.raises(NothingPlantedError), planted(stale):
        pass


def test_what_is_planted_is_gone_afterwards():
    """The living code is the file's again, whatever the test did."""
    forbidden = remit.Remit(partners=frozenset({"northwind"}))
    said = forbidden.why_not("contoso", "")
    with planted(replace(HARMLESS, wrong="known = []")):
        assert forbidden.why_not("contoso", "") != said
    assert forbidden.why_not("contoso", "") == said

"""The tables in code: whichever module is imported first, the schema is whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lockstep.storage import tables

MODULES = sorted(path.stem for path in Path(tables.__file__).parent.glob("[!_]*.py"))
LATER = """
import lockstep.storage.tables.{module}
from lockstep.storage.tables.schema import metadata
print(*(table.name for table in metadata.sorted_tables))
"""


@pytest.mark.parametrize("module", [MODULES[0], MODULES[-1]])
def test_any_module_brings_the_whole_schema(module):
    """One module, imported alone in a fresh interpreter, has every table and every foreign key."""
    done = subprocess.run(
        [sys.executable, "-c", LATER.format(module=module)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert sorted(done.stdout.split()) == sorted(tables.metadata.tables)


def test_no_module_of_the_schema_is_left_out():
    """A new file of tables must be named in the package, or migrations would not see it."""
    assert sorted({*tables.__all__, "schema"} - {"metadata"}) == MODULES

"""An option that narrows down and is empty, as of a script's variable that was never set."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from lockstep.cli.main import app

PERIOD = ("--from", "2024-01-01", "--to", "2024-03-31")


@pytest.mark.parametrize("value", ["", "  "])
@pytest.mark.parametrize(
    "words",
    [
        ("score", "--partner"),
        ("cases", "--partner"),
        ("cases", "--worker"),
        ("evidence", "export", *PERIOD, "--partner"),
        ("evidence", "export", *PERIOD, "--case"),
    ],
)
def test_it_never_means_everybody(words, value):
    """Exit code 2, before anything is looked at, with the option's name."""
    result = CliRunner().invoke(app, [*words, value])

    assert result.exit_code == 2
    assert f"{words[-1]} is empty: leave it out to mean all" in " ".join(result.stderr.split())
    assert result.stdout == ""

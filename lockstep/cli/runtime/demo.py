"""`lockstep demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lockstep.logging import configure_logging


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="End by itself; 0 if all is closed.")
    ] = False,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its data.")] = Path(
        ".lockstep/demo"
    ),
) -> None:
    """Show a whole termination on this machine: real Temporal and PostgreSQL, simulated vendors."""
    # Late: other commands need not wait for the simulators.
    from lockstep.cli.runtime.demo_play import play  # noqa: PLC0415

    configure_logging(level="error")
    raise typer.Exit(play(folder, once=once))

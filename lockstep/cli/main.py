"""The `lockstep` command."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Annotated

import typer

import lockstep
from lockstep.cli.cases import case as cases
from lockstep.cli.cases import list as case_list
from lockstep.cli.cases import pick, requests, retry, stuck, withdraw_key
from lockstep.cli.context import FAILED, finish
from lockstep.cli.intake import brake, events, terminate
from lockstep.cli.ledger import anchors
from lockstep.cli.ledger import commands as ledger
from lockstep.cli.ledger import refold as ledger_refold
from lockstep.cli.packs import evidence, verify
from lockstep.cli.packs import job as evidence_job
from lockstep.cli.people import access, notices, subject
from lockstep.cli.runtime import demo, doctor, init, servers, up
from lockstep.cli.score import commands as score
from lockstep.cli.signals import answer_signals
from lockstep.cli.systems import accounts as system_accounts
from lockstep.cli.systems import connector, system
from lockstep.cli.systems import connectors as connector_index
from lockstep.cli.systems import retry as system_retry

app = typer.Typer(
    name="lockstep",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # a traceback could show personal data
    help="Revokes a leaver's access everywhere at once, reads it back, and keeps the proof.",
)

_RUN = "Run"
_WORK = "Work with cases"
app.command(rich_help_panel=_RUN)(init.init)
app.command(rich_help_panel=_RUN)(up.up)
app.command(rich_help_panel=_RUN)(doctor.doctor)
app.command(rich_help_panel=_RUN)(demo.demo)
app.command(rich_help_panel=_RUN)(servers.worker)
app.command(rich_help_panel=_RUN)(servers.web)
app.command(rich_help_panel=_RUN)(servers.migrate)
app.command(rich_help_panel=_WORK)(terminate.terminate)
app.command("cases", rich_help_panel=_WORK)(case_list.list_cases)
cases.case_app.command("withdraw-key")(withdraw_key.withdraw_key)
app.add_typer(cases.case_app, name="case", rich_help_panel=_WORK)
app.command("events", rich_help_panel=_WORK)(events.events)
app.command(rich_help_panel=_WORK)(stuck.stuck)
app.command("requests", rich_help_panel=_WORK)(requests.list_requests)
app.add_typer(requests.request_app, name="request", rich_help_panel=_WORK)
app.command(rich_help_panel=_WORK)(retry.retry)
app.command(rich_help_panel=_WORK)(pick.pick)
app.command(rich_help_panel=_WORK)(cases.attest)
app.command(rich_help_panel=_WORK)(cases.waive)
app.command(rich_help_panel=_WORK)(cases.amend)
app.command(rich_help_panel=_WORK)(cases.rescind)
system.system_app.command("accounts")(system_accounts.accounts)
app.command("connectors", rich_help_panel=_RUN)(connector_index.connectors)
system.system_app.command("retry")(system_retry.retry_all)
app.command(rich_help_panel=_WORK)(cases.rehired)
app.add_typer(system.system_app, name="system", rich_help_panel=_WORK)
app.add_typer(connector.connector_app, name="connector", rich_help_panel=_RUN)
app.add_typer(brake.brake_app, name="brake", rich_help_panel=_WORK)

_PROOF = "Evidence and score"
evidence.evidence_app.command("verify")(verify.verify)
evidence.evidence_app.command("make-ordered", hidden=True)(evidence_job.make_ordered)
ledger.ledger_app.command("anchors")(anchors.anchors)
ledger.ledger_app.command("refold")(ledger_refold.refold_ledger)
app.add_typer(evidence.evidence_app, name="evidence", rich_help_panel=_PROOF)
app.add_typer(ledger.ledger_app, name="ledger", rich_help_panel=_PROOF)
app.add_typer(score.score_app, name="score", rich_help_panel=_PROOF)
app.add_typer(score.metric_app, name="metric", rich_help_panel=_PROOF)
app.add_typer(notices.notices_app, name="notices", rich_help_panel=_WORK)
app.add_typer(access.access_app, name="access", rich_help_panel=_RUN)
app.add_typer(subject.subject_app, name="subject", rich_help_panel=_PROOF)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer's callback form
    if wanted:
        typer.echo(f"lockstep {lockstep.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Revokes a leaver's access everywhere at once, reads it back, and keeps the proof."""


def main() -> None:
    """Entry point of the installed command. A traceback could show personal data: places only."""
    answer_signals()
    try:
        app(prog_name="lockstep")
    except SystemExit as end:
        # Every way out runs no destructors: see `context.run`.
        finish(end.code if isinstance(end.code, int) else int(end.code is not None))
    except Exception as error:  # noqa: BLE001 - the last resort of a command
        places = traceback.extract_tb(error.__traceback__)[-4:]
        trail = " > ".join(f"{Path(place.filename).name}:{place.lineno}" for place in places)
        typer.echo(
            f"error: this is a fault of Lockstep: {type(error).__name__} at {trail}", err=True
        )
        finish(FAILED)


if __name__ == "__main__":
    main()

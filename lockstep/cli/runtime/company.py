"""`lockstep sandbox`: the made-up company of `lockstep up --sandbox`, and its HR department."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from lockstep.cli.context import (
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.cli.runtime import templates
from lockstep.cli.runtime.sample_hr import leaving, report
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.settings import Settings
from sandbox.company import company, holders
from sandbox.people import Person
from sandbox.vendors.registry import descriptions

_ACCEPTED = range(200, 300)

sandbox_app = typer.Typer(
    no_args_is_help=True, help="The made-up company of `lockstep up --sandbox`, and its HR."
)


@sandbox_app.command("people")
def people(
    partner: Annotated[str, typer.Option(help="Only of this partner.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """List made-up people and where they have accounts when the sandbox begins."""
    there = _company(settings_or_die(config))
    known = sorted({person.partner for person in there})
    if partner and partner not in known:
        die(f"--partner: there is none named so; there are {', '.join(known)}", code=UNUSABLE)
    found = [person for person in there if partner in {"", person.partner}]
    shown = [(person, _where(person)) for person in found[:limit]]
    if as_json:
        print_json([{**_plain(person), "systems": where} for person, where in shown])
        return
    table = Table(box=None, pad_edge=False)
    for head in ("worker", "name", "job", "partner", "site", "has accounts at"):
        table.add_column(head)
    for person, where in shown:
        name = f"{person.first_name} {person.last_name}"
        words = (person.worker_id, name, person.title, person.partner, person.site)
        table.add_row(*map(escape, (*words, ", ".join(where))))
    out.print(table)
    if len(found) > limit:
        out.print(f"{len(found) - limit:,} more; --limit shows them.")


@sandbox_app.command("leave")
def leave(
    workers: Annotated[list[str] | None, typer.Argument(help="Worker ids, as listed.")] = None,
    some: Annotated[
        int, typer.Option("--any", min=0, max=1000, help="So many, as chance has it.")
    ] = 0,
    kind: Annotated[
        TerminationKind, typer.Option(help="How they leave.")
    ] = TerminationKind.INVOLUNTARY,
    config: ConfigOption = None,
) -> None:
    """Let people leave now, as HR reports it: a signed webhook for each.

    An answer says that the event is kept; `lockstep cases` tells what became of it.
    """
    settings = settings_or_die(config)
    there = {person.worker_id: person for person in _company(settings)}
    if strangers := [worker for worker in workers or () if worker not in there]:
        die(f"{', '.join(strangers)}: nobody of the company; see `lockstep sandbox people`",
            code=UNUSABLE)  # fmt: skip
    chosen = list(dict.fromkeys(workers or ()))
    rest = [worker for worker in there if worker not in chosen]
    if some > len(rest):
        die(f"--any: there are only {len(rest)} more", code=UNUSABLE)
    chosen += secrets.SystemRandom().sample(rest, some)
    if not chosen:
        die("name somebody, or give --any N", code=UNUSABLE)
    run(_leave(settings, [there[worker] for worker in chosen], kind))


async def _leave(settings: Settings, leavers: list[Person], kind: TerminationKind) -> None:
    if templates.SOURCE not in settings.sources:
        die(f"there is no source {templates.SOURCE} in the settings: nobody can report",
            code=UNUSABLE)  # fmt: skip
    refused = 0
    for count, person in enumerate(leavers):
        event_id = f"sandbox-{secrets.token_hex(8)}"
        try:
            status = await report(settings, event_id, leaving(person, kind))
        except httpx.HTTPError as error:
            die(f"the webhook cannot be reached ({type(error).__name__}): is `lockstep up` running?"
                f" {count - refused} of {len(leavers)} were reported")  # fmt: skip
        name = f"{person.worker_id} {person.first_name} {person.last_name}"
        gone = "  (refused: was reported before)" if status == HTTPStatus.CONFLICT else ""
        out.print(f"{status}  {name}, {person.partner}, {person.site}{gone}", markup=False)
        refused += status not in _ACCEPTED
    if refused:
        die(f"the webhook refused {refused} of {len(leavers)}; the others were reported")


def _company(settings: Settings) -> list[Person]:
    if "sandbox" not in settings.model_fields_set:  # its people are nobody's, and HR is real there
        die(
            "these settings have no [sandbox]: `lockstep init --sandbox` writes such", code=UNUSABLE
        )
    return company(settings.sandbox.people)


def _where(person: Person) -> list[str]:
    return [
        kind for kind, each in descriptions().items() if each.settings and holders([person], kind)
    ]


def _plain(person: Person) -> dict[str, object]:
    return {key: value for key, value in asdict(person).items() if key != "shape"}

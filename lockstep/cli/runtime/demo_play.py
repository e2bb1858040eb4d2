"""The play of `lockstep demo`: a sample leaver, from signed webhook to every door read back."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from pathlib import Path

from rich.live import Live
from rich.markup import escape

import sandbox
from lockstep.cli import render
from lockstep.cli.cases.case import print_case
from lockstep.cli.context import die, opened, out, run
from lockstep.cli.people.access import new_link
from lockstep.cli.runtime import stand_ins, templates
from lockstep.cli.runtime.init import SECRET, write_home
from lockstep.cli.runtime.sample_hr import leaving, report
from lockstep.cli.runtime.up import start_all
from lockstep.composition import Root
from lockstep.domain.cases.outcomes import CaseStatus, Outcome
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.events import Event
from lockstep.embedded.ports import free_port
from lockstep.embedded.supervisor import Supervisor
from lockstep.settings import Settings, load_settings
from lockstep.storage.records import CaseView
from sandbox.vendors.registry import simulated

PATIENCE_S = 90


def play(folder: Path, *, once: bool) -> int:
    """Run the demo in ``folder``; return the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, folder.resolve().parent):
        place.chmod(0o711)  # the database's own user must be able to pass
    ports = {name: free_port() for name in (*stand_ins.usual_ports(), "temporal", "web")}
    text = templates.settings_text(
        tenant="sample-bpo",
        keyring=".lockstep/keyring.json",
        secret=SECRET,
        systems=templates.sandbox_systems(ports),
        temporal_port=ports["temporal"],
        web_port=ports["web"],
    )
    write_home(folder, text)
    settings = load_settings(folder / "lockstep.toml")
    return run(_play(settings, folder / "lockstep.toml", once=once))


async def _play(settings: Settings, file: Path, *, once: bool) -> int:
    began = time.monotonic()
    out.print("[bold]Starting[/] PostgreSQL, Temporal, worker, web and the sample systems")
    async with Supervisor(settings.path(settings.data_dir), on_event=_print_event) as supervisor:
        try:
            await start_all(supervisor, settings, file, sandbox=True)
        except EmbeddedError:
            if not supervisor.stop_requested:
                raise
            return 130
        async with opened(settings) as context:
            view = await _terminate_somebody(context, settings)
            code = _report(view, began)
        if once:
            out.print("Run it without --once to look around: it prints a link into the console.")
            return code
        out.print("\nThe console, signed in once, within ten minutes:")
        out.print(f"  {await new_link(settings)}", markup=False, soft_wrap=True)
        _suggest(file)
        await supervisor.wait()
        return code


async def _terminate_somebody(context: Root, settings: Settings) -> CaseView | None:
    person = sandbox.generate(1, seed=secrets.randbelow(2**31), first_number=_number())[0]
    await stand_ins.hire(settings, person.as_json())
    leaver = f"{person.first_name} {person.last_name}"
    out.print(
        f"\n[bold]{escape(leaver)}[/] of [bold]{escape(person.partner)}[/] has access to "
        f"{len(settings.systems)} systems. HR reports an involuntary termination, now."
    )
    event_id = f"demo-{secrets.token_hex(6)}"
    status = await report(settings, event_id, leaving(person))
    out.print(f"webhook answered [bold]{status}[/]\n")
    return await _watch_closing(context, event_id)


def _number() -> int:
    """A number that no earlier demo used, so that each has a leaver of its own."""
    return int(time.time()) % 90_000_000 + 10_000


async def _watch_closing(context: Root, event_id: str) -> CaseView | None:
    """Show the systems closing, live; return the case as it ended, or as it stands."""
    deadline = time.monotonic() + PATIENCE_S
    view: CaseView | None = None
    with Live(console=out, refresh_per_second=12, transient=True) as live:
        while time.monotonic() < deadline:
            found = await context.stores.views.by_event(templates.SOURCE, [event_id])
            case_id = next((row["case_id"] for row in found.values() if row["case_id"]), None)
            view = await context.stores.views.show(case_id) if case_id else None
            if view is not None:
                live.update(render.system_table(view))
                if view.case.status == CaseStatus.CLOSED:
                    break
            await asyncio.sleep(0.05)
    return view


def _report(view: CaseView | None, began: float) -> int:
    if view is None:
        die("no case was opened: see the logs below .lockstep/demo")
    print_case(view)
    good = {Outcome.REVOKED.value, Outcome.ALREADY_ABSENT.value}
    bad = [row.system for row in view.revocations if row.outcome not in good]
    spent = time.monotonic() - began
    if view.case.status != CaseStatus.CLOSED or bad:
        out.print(f"\n[bold red]Not everything is closed and read back:[/] {', '.join(bad)}")
        return 1
    out.print(
        f"\n[bold green]Every door is closed and read back.[/] "
        f"({spent:.1f} s with starting up; {_simulated()} are simulated)"
    )
    return 0


def _simulated() -> str:
    *others, last = [kind for kind, each in simulated().items() if each.settings]
    return f"{', '.join(others)} and {last}"


def _suggest(file: Path) -> None:
    here = os.path.relpath(file)
    command = ".venv/bin/lockstep" if Path(".venv/bin/lockstep").exists() else "lockstep"
    out.print("\n[bold]Try next[/], in another terminal:")
    for words, about in (
        ("cases", "every case"),
        ("case show <id> --ledger", "one case with its evidence"),
        ("doctor", "what is reachable, per system"),
        (
            "terminate --worker W-1 --email nobody@example.com --access-ends-at now --wait",
            "somebody whom nobody knows: watch it ask for a person",
        ),
        ("stuck", "what waits for a person, and why"),
        ("access link", "another link into the console"),
    ):
        out.print(f"  {command} {words} -c {here}   [dim]# {about}[/]", soft_wrap=True)
    out.print("\nRunning until Ctrl-C.")


def _print_event(event: Event) -> None:
    out.print(f"  [dim]{escape(str(event))}[/]")

"""`lockstep ledger anchors`: where copies of the ledger's heads are, and how old they are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from connectors.anchors.base import (
    Anchor,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorUnfit,
)
from lockstep.cli.context import (
    FAILED,
    ConfigOption,
    JsonOption,
    die,
    finish,
    opened,
    out,
    print_json,
    run,
    settings_or_die,
)
from lockstep.cli.render import NONE, duration
from lockstep.composition import Root
from lockstep.control.ledger.anchoring import outgoing, publish
from lockstep.settings import Settings
from lockstep.settings.anchors import build_anchors
from lockstep.storage.ledger.anchorings import Anchorings, AnchorState, Standing

_COLOURS = {
    AnchorState.CURRENT: "green",
    AnchorState.BEHIND: "cyan",
    AnchorState.FAILING: "yellow",
    AnchorState.UNFIT: "bold red",
    AnchorState.CONFLICT: "bold red",
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """One publication of the newest checkpoint, made now; ``fault`` is empty if it worked."""

    size: int
    fault: str = ""
    needs_person: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the command says."""

    kinds: Mapping[str, str]
    standings: list[Standing]
    attempts: Mapping[str, Attempt] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return any(attempt.fault for attempt in self.attempts.values())


def anchors(
    check: Annotated[
        bool, typer.Option("--check", help="Publish the newest checkpoint everywhere now.")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show where checkpoints are kept outside the database; with --check exit 1 if one fails."""
    settings = settings_or_die(config)
    report = run(_report(settings, check=check))
    if as_json:
        print_json(_as_data(report))
    elif report.kinds:
        _print(report)
    else:
        out.print("No anchors: the ledger's heads are in the database only (docs/anchors.md).")
    finish(FAILED if report.has_failed else 0)


async def _report(settings: Settings, *, check: bool) -> Report:
    kinds = {name: table.kind for name, table in sorted(settings.ledger.anchors.items())}
    async with opened(settings) as context:
        attempts = await _check(settings, context) if check and kinds else {}
        return Report(kinds, await context.stores.anchorings.standings([*kinds]), attempts)


async def _check(settings: Settings, context: Root) -> dict[str, Attempt]:
    newest = await context.stores.checkpoints.latest()
    if newest is None:
        die("the ledger has no checkpoint yet: is `lockstep worker` running?")
    built = build_anchors(settings)
    store = context.stores.anchorings
    checkpoint = outgoing(newest, context.stores.proofs)
    try:
        attempts = await asyncio.gather(
            *(_attempt(store, name, anchor, checkpoint) for name, anchor in built.items())
        )
    finally:
        await asyncio.gather(*(anchor.aclose() for anchor in built.values()))
    return dict(zip(built, attempts, strict=True))


async def _attempt(
    store: Anchorings, name: str, anchor: Anchor, newest: AnchorCheckpoint
) -> Attempt:
    """Publish once and record what is certain; a failure is the worker's to count and repeat."""
    try:
        receipt = await publish(anchor, newest)
    except AnchorConflict as conflict:
        await store.conflicted(name, newest.size, error=conflict.code, now=datetime.now(UTC))
        return Attempt(newest.size, conflict.code, needs_person=True)
    except AnchorUnfit as fault:
        await store.unfit(name, newest.size, error=fault.code, now=datetime.now(UTC))
        return Attempt(newest.size, fault.code, needs_person=True)
    except AnchorFault as fault:
        return Attempt(newest.size, fault.code, needs_person=not fault.transient)
    await store.done(name, newest.size, receipt=receipt, now=datetime.now(UTC))
    return Attempt(newest.size)


def _age(standing: Standing) -> int | None:
    """Milliseconds since the anchor took its last checkpoint."""
    if standing.done_at is None:
        return None
    return max(0, round((datetime.now(UTC) - standing.done_at).total_seconds() * 1000))


def _error(standing: Standing) -> str:
    if standing.conflict is not None:
        return f"it holds another checkpoint of {standing.conflict} leaves"
    return standing.unfit or standing.error or ""


def _as_data(report: Report) -> list[dict[str, object]]:
    rows = []
    for standing in report.standings:
        attempt = report.attempts.get(standing.anchor)
        rows.append(
            {
                **asdict(standing),
                "kind": report.kinds[standing.anchor],
                "state": standing.state.value,
                "age_ms": _age(standing),
                "check": asdict(attempt) if attempt else None,
            }
        )
    return rows


def _print(report: Report) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("anchor", "kind", "size", "age", "behind", "state", "error"):
        right = name in {"size", "behind"}
        table.add_column(name, justify="right" if right else "left", no_wrap=name != "error")
    for standing in report.standings:
        age = _age(standing)
        table.add_row(
            standing.anchor,
            report.kinds[standing.anchor],
            NONE if standing.size is None else str(standing.size),
            NONE if age is None else duration(age),
            str(standing.behind),
            f"[{_COLOURS[standing.state]}]{standing.state}[/]",
            escape(_error(standing)),
        )
    out.print(table)
    for name, attempt in report.attempts.items():
        if attempt.fault:
            next_step = "somebody must act" if attempt.needs_person else "it may pass by itself"
            says = f"[bold red]failed[/]: {escape(attempt.fault)} ({next_step})"
        else:
            says = "[green]holds it[/]"
        out.print(f"checkpoint of {attempt.size} leaves: [bold]{name}[/] {says}", soft_wrap=True)

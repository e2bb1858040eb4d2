"""Every command by name. One that is typed is loaded, and no other: help alone loads them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any, Final, cast

import typer
from typer.core import TyperGroup

_RUN = "Run"
_WORK = "Work with cases"
_PROOF = "Evidence and score"


@dataclass(frozen=True, slots=True)
class Row:
    """One command, or a group of them.

    Args:
        at: "module:name" below `lockstep.cli`; a function, or the `typer.Typer` of a group.
        panel: under which heading help shows it.
        more: further commands of a group that stand in files of their own, by name.
        hidden: those of ``more`` that help does not show.
    """

    at: str
    panel: str
    more: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()


COMMANDS: Final[Mapping[str, Row]] = {
    "init": Row("runtime.init:init", _RUN),
    "up": Row("runtime.up:up", _RUN),
    "doctor": Row("runtime.doctor:doctor", _RUN),
    "demo": Row("runtime.demo:demo", _RUN),
    "sandbox": Row("runtime.company:sandbox_app", _RUN),
    "worker": Row("runtime.servers:worker", _RUN),
    "web": Row("runtime.servers:web", _RUN),
    "migrate": Row("runtime.servers:migrate", _RUN),
    "access": Row("people.access:access_app", _RUN),
    "connector": Row("systems.connector:connector_app", _RUN, more={"new": "systems.scaffold:new"}),
    "connect": Row("systems.connect:connect", _RUN),
    "connectors": Row("systems.connectors:connectors", _RUN),
    "seats": Row("systems.seats:seats", _PROOF),
    "terminate": Row("intake.terminate:terminate", _WORK),
    "cases": Row("cases.list:list_cases", _WORK),
    "case": Row(
        "cases.case:case_app", _WORK, more={"withdraw-key": "cases.withdraw_key:withdraw_key"}
    ),
    "events": Row("intake.events:events", _WORK),
    "stuck": Row("cases.stuck:stuck", _WORK),
    "requests": Row("cases.requests:list_requests", _WORK),
    "request": Row("cases.requests:request_app", _WORK),
    "retry": Row("cases.retry:retry", _WORK),
    "pick": Row("cases.pick:pick", _WORK),
    "attest": Row("cases.case:attest", _WORK),
    "waive": Row("cases.case:waive", _WORK),
    "amend": Row("cases.case:amend", _WORK),
    "rescind": Row("cases.case:rescind", _WORK),
    "rehired": Row("cases.case:rehired", _WORK),
    "system": Row(
        "systems.system:system_app",
        _WORK,
        more={"accounts": "systems.accounts:accounts", "retry": "systems.retry:retry_all"},
    ),
    "brake": Row("intake.brake:brake_app", _WORK),
    "notices": Row("people.notices:notices_app", _WORK),
    "evidence": Row(
        "packs.evidence:evidence_app",
        _PROOF,
        more={"verify": "packs.verify:verify", "make-ordered": "packs.job:make_ordered"},
        hidden=frozenset({"make-ordered"}),
    ),
    "ledger": Row(
        "ledger.commands:ledger_app",
        _PROOF,
        more={"anchors": "ledger.anchors:anchors", "refold": "ledger.refold:refold_ledger"},
    ),
    "score": Row("score.commands:score_app", _PROOF),
    "metric": Row("score.commands:metric_app", _PROOF),
    "subject": Row("people.subject:subject_app", _PROOF),
}


class Commands(TyperGroup):
    """The commands of `COMMANDS`, each loaded when it is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("Any", _Loaded())

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - as typer calls it
        return list(COMMANDS)


class _Loaded(Mapping[str, Any]):
    """Names without loading anything: a typing mistake is compared with them."""

    def __getitem__(self, name: str) -> Any:
        return loaded(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def loaded(name: str) -> Any:
    """The command or group of this name, as typer runs it."""
    row = COMMANDS[name]
    thing = _at(row.at)
    holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    if not isinstance(thing, typer.Typer):
        holder.command(name, rich_help_panel=row.panel)(thing)
        return typer.main.get_command(holder)
    for each, at in row.more.items():
        thing.command(each, hidden=each in row.hidden)(_at(at))
    holder.add_typer(thing, name=name, rich_help_panel=row.panel)
    group = typer.main.get_group(holder)
    return group.commands[name]


def _at(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(f"lockstep.cli.{module}"), name)

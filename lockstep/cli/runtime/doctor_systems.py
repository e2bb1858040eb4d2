"""What `lockstep doctor` asks of a system: whether it answers, what is missing, what it takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from connectors.base import Connector, ConnectorFault, Transcript
from connectors.kit.pacing.pace import Line
from connectors.registry import MANUAL
from lockstep.cli.context import database_url
from lockstep.cli.runtime.checks import Check
from lockstep.cli.runtime.doctor_pace import pace_check
from lockstep.composition import open_stores
from lockstep.control.systems.health import with_clock
from lockstep.domain.cases.clocks import VendorClock
from lockstep.domain.systems.access import Problem, ProblemSeverity
from lockstep.settings import Settings, SettingsError
from lockstep.storage.engine.database import StorageError, create_engine
from lockstep.storage.systems.paces import Pace

PATIENCE_S = 20


async def paces(settings: Settings) -> dict[str, Pace]:
    """How each system's credential was used; empty where that cannot be asked."""
    try:
        budgets = settings.budgets()
        engine = create_engine(database_url(settings), pool_size=1, application="lockstep-doctor")
    except (StorageError, SettingsError):
        return {}
    try:
        kept = await open_stores(settings, engine, None).paces.all()
    except (SQLAlchemyError, OSError):
        return {}
    finally:
        await engine.dispose()
    return {name: kept[budget] for name, budget in budgets.items() if budget in kept}


async def system_checks(settings: Settings, name: str, kept: Pace | None) -> list[Check]:
    """One system: within `PATIENCE_S`; never raises for what it finds."""
    began = time.monotonic()
    found = await _checks(settings, name, kept)
    took_s = None if settings.systems[name].connector == MANUAL else time.monotonic() - began
    return [replace(check, system=name, took_s=took_s) for check in found]


async def _checks(settings: Settings, name: str, kept: Pace | None) -> list[Check]:
    part = f"system {name}"
    table = settings.systems[name]
    if table.connector == MANUAL:
        return [Check(part, "ok", "manual: a person revokes and attests")]
    try:
        manifest = settings.manifest(name)
        line = Line(table.to_limit(manifest))
        connector = manifest.build(settings.connector_options(name, pace=line))
    except (SettingsError, ValueError) as error:
        return [Check(part, "problem", str(error))]
    try:
        checks = await asyncio.wait_for(
            _health(part, connector, settings.policy.vendor_clock_tolerance), PATIENCE_S
        )
        return [*checks, pace_check(part, table, manifest, line.last_told, kept)]
    except ConnectorFault as fault:
        return [Check(part, "problem", str(fault))]
    except TimeoutError:
        return [Check(part, "problem", "no answer in time", "Check network and address.")]
    finally:
        await connector.aclose()


async def _health(part: str, connector: Connector, tolerance: timedelta) -> list[Check]:
    transcript = Transcript()
    health = await connector.health(transcript)
    health = with_clock(health, VendorClock(transcript.skew, tolerance))
    checks = checks_of(part, health.problems)
    if not health.reachable and not checks:
        checks.append(Check(part, "problem", "cannot be reached", "Check network and address."))
    return checks or [Check(part, "ok", f"{connector.kind}: reachable, every permission is there")]


def checks_of(part: str, problems: Iterable[Problem]) -> list[Check]:
    return [
        Check(
            part,
            "problem" if problem.severity is ProblemSeverity.BLOCKS else "warning",
            problem.summary,
            problem.fix,
        )
        for problem in problems
    ]

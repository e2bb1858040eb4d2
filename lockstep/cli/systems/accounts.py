"""`lockstep system accounts`: everybody who can sign in to one system, as the system lists them."""

from __future__ import annotations

import json
import sys
from datetime import datetime

import typer
from rich.markup import escape

from connectors.abilities import ListsActive
from connectors.base import Transcript
from lockstep.cli.context import (
    FAILED,
    UNUSABLE,
    ConfigOption,
    JsonOption,
    die,
    opened,
    out,
    run,
    settings_or_die,
)
from lockstep.cli.render import instant
from lockstep.cli.systems.system import SystemArgument
from lockstep.domain.counting import counted
from lockstep.domain.rights import CLI_USER
from lockstep.domain.systems.abilities import Gap
from lockstep.domain.systems.active import ActiveAccount, ListEnd
from lockstep.domain.visible import escaped_json
from lockstep.settings import Settings
from lockstep.worker import build_lines


def accounts(
    system: SystemArgument, as_json: JsonOption = False, config: ConfigOption = None
) -> None:
    """List all accounts that can sign in, and say whether that was all.

    They are printed as they come, with the keys that the system holds; --json prints one object a
    line. The last line says whether the list was complete. Exit 1 where that is not proved. That
    somebody looked is in the ledger, before anything is printed.
    """
    settings = settings_or_die(config)
    if system not in settings.systems:
        die(f"{system}: no such system in the settings", code=UNUSABLE)
    if system not in settings.connected:
        die(f"{system}: people work this system by hand; there is no list", code=UNUSABLE)
    end = run(_list(settings, system, as_json=as_json))
    if end is None or not end.is_complete:
        raise typer.Exit(FAILED)


async def _list(settings: Settings, system: str, *, as_json: bool) -> ListEnd | None:
    async with opened(settings) as root:
        line = build_lines(settings, root.stores).get(system)
        options = settings.connector_options(system, pace=line)
        manifest = settings.manifest(system)
        try:
            connector = manifest.build(options)
        except ValueError as error:
            die(f"systems.{system}: {error}", code=UNUSABLE)
        try:
            if not isinstance(connector, ListsActive):
                kind = connector.kind
                die(f"{system}: the {kind} connector does not list accounts", code=UNUSABLE)
            # Who looked at everybody is on record before anything is shown.
            await root.stores.log.acted(CLI_USER, "system.accounts", system=system)
            shown, end = 0, None
            async for page in connector.list_active(Transcript()):
                shown, end = shown + len(page.accounts), page.end
                for account in page.accounts:
                    _say(_data(account) if as_json else _row(account))
        finally:
            await connector.aclose()
    _say(_end_data(end, shown) if as_json else _last_words(end, shown))
    return end


def _say(line: str | dict[str, object]) -> None:
    """One line at once: a list of everybody is long, and is read while it comes."""
    if isinstance(line, dict):
        sys.stdout.write(escaped_json(json.dumps(line, ensure_ascii=False)) + "\n")
    else:
        out.print(escape(line), soft_wrap=True)


def _row(one: ActiveAccount) -> str:
    keys = ", ".join(f"{key.kind.value} {key.value}" for key in one.account.known_keys if key.value)
    used = f"last used {instant(one.last_used_at)}" if one.last_used_at else "last use not told"
    return "  ".join(filter(None, (one.account.id, keys, one.name, used)))


def _last_words(end: ListEnd | None, shown: int) -> str:
    can = f"{counted(shown, 'account')} can sign in"
    if end is None:
        return f"{can}; the list broke off, and nobody knows how many more."
    if end.is_complete:
        return f"{can}, of {end.looked_at} listed. The list is complete."
    why = "; ".join(_why(gap) for gap in end.gaps)
    return f"{can}, of {end.looked_at} listed. That these are all is not proved: {why}."


def _why(gap: Gap) -> str:
    needs = f", needs {gap.missing}" if gap.missing else ""
    return f"{gap.what} were not all read: {gap.category.value} ({gap.operation} {gap.code}{needs})"


def _data(one: ActiveAccount) -> dict[str, object]:
    return {
        "id": one.account.id,
        "keys": [
            {"kind": key.kind.value, "value": key.value}
            for key in one.account.known_keys
            if key.value
        ],
        "name": one.name,
        "created_at": _told(one.created_at),
        "last_used_at": _told(one.last_used_at),
    }


def _end_data(end: ListEnd | None, shown: int) -> dict[str, object]:
    gaps = () if end is None else end.gaps
    return {
        "complete": end is not None and end.is_complete,
        "accounts": shown,
        "looked_at": None if end is None else end.looked_at,
        "gaps": [
            {
                "what": gap.what,
                "category": gap.category.value,
                "operation": gap.operation,
                "code": gap.code,
                "missing": gap.missing,
            }
            for gap in gaps
        ],
    }


def _told(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

"""What `lockstep doctor` says of the limits of vendors, and how long many leavers would take."""

from __future__ import annotations

from connectors.base import ConnectorManifest
from lockstep.cli.runtime.checks import Check
from lockstep.domain.counting import counted
from lockstep.domain.systems.pace import Limit, Told
from lockstep.settings.tables import NO_LIMIT, SystemTable
from lockstep.storage.systems.paces import Pace

MANY = 5_000
_FULL = 0.995


def pace_check(
    part: str,
    table: SystemTable,
    manifest: ConnectorManifest,
    told: Told | None,
    kept: Pace | None,
) -> Check:
    """One system: its limit as settings or vendor state it, what it is now, what many would take.

    Args:
        part: how the check is named.
        table: the system in the settings.
        manifest: what is known of its connector.
        told: what the vendor's answers to this doctor stated.
        kept: how its budget was used by workers; None where it never was.
    """
    limit = table.to_limit(manifest)
    told = told or (kept.told if kept else None)
    stated = _stated(told)
    words = [_source(table, limit)]
    if stated:
        words.append(f"its answers state {stated}")
    share = kept.share if kept else 1.0
    if limit is not None and limit.calls and share < _FULL:
        words.append(f"{share:.0%} of it are used now, because the vendor took no more")
    if kept and kept.refused and kept.refused_at:
        times = counted(kept.refused, "call was refused", "calls were refused")
        words.append(f"{times} for it, the last at {kept.refused_at:%Y-%m-%d %H:%M} UTC")
    words.append(_many(manifest.calls, limit or _whole(told), share))
    return Check(part, "ok", "; ".join(words))


def _source(table: SystemTable, limit: Limit | None) -> str:
    if limit is None:
        own = "limit: none, as the settings say"
        return (
            own
            if table.limit == NO_LIMIT
            else "limit: none known, neither in the settings nor built in"
        )
    by = "the settings say" if table.limit else "the vendor documents"
    return f"limit: {limit}, as {by}"


def _stated(told: Told | None) -> str:
    if told is None or told.limit is None:
        return ""
    calls = counted(told.limit, "call", "calls")
    window = f"in {told.per:g} s" if told.per else "in a window of a length that they do not state"
    left = f" ({told.left:,} left)" if told.left is not None else ""
    return f"{calls} {window}{left}"


def _whole(told: Told | None) -> Limit | None:
    return Limit(told.limit, told.per) if told and told.limit and told.per else None


def _many(calls: int, limit: Limit | None, share: float) -> str:
    if limit is None or not limit.calls:
        return f"how long {MANY:,} leavers would take is not known"
    seconds = MANY * calls * limit.spacing(share)
    return f"{MANY:,} leavers at about {calls} calls each would take about {_span(seconds)}"


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "a minute"
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"

"""A leaver as people enter them, at the command line, in a CSV file or in a form: to an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from pydantic import ValidationError

from lockstep.control.intake.events import (
    Dates,
    EventError,
    TerminationEvent,
    read_event,
    why_not_valid,
)
from lockstep.control.refusals import RefusedError

_LISTS = ("usernames", "emails")
_DIGITS = 16


def event_of(cells: Mapping[str, object]) -> TerminationEvent:
    """The event that named cells say: those of a CSV line of `lockstep terminate`.

    Raises:
        EventError: with every problem, by field.
        RefusedError: if the dates are missing or cannot be read.
    """
    given = {
        name: str(value).strip()
        for name, value in cells.items()
        if name not in _LISTS and str(value).strip()
    }
    worker: dict[str, object] = {
        "id": given.get("worker_id", ""),
        "name": given.get("name", ""),
        **{name: _items(cells.get(name, "")) for name in _LISTS},
    }
    if "employee_number" in given:
        worker["employee_number"] = given["employee_number"]
    if cells.get("accounts"):
        worker["accounts"] = _accounts(cells["accounts"])
    last_day = given.get("last_working_day")
    try:
        day = datetime.strptime(last_day, "%Y-%m-%d").date() if last_day else None  # noqa: DTZ007
    except ValueError:
        raise EventError(["last_working_day: write it as YYYY-MM-DD"]) from None
    dates = make_dates(
        zone=given.get("zone", ""), last_day=day, access_ends_at=given.get("access_ends_at")
    )
    return read_event(
        {
            "revision": _revision(given.get("revision", "1")),
            "recorded_at": datetime.now(UTC).isoformat(),
            "kind": given.get("kind", ""),
            "worker": worker,
            "spell": given.get("spell", "1"),
            "hired_at": given.get("hired_at"),
            "dates": dates.model_dump(mode="json", exclude_none=True),
            "partner": given.get("partner", ""),
            "site": given.get("site", ""),
        }
    )


def _items(cell: object) -> list[str]:
    """Several values: a list as it is, a text at its semicolons."""
    items = cell if isinstance(cell, list) else str(cell).split(";")
    return [item.strip() for item in items if item.strip()]


def _revision(cell: str) -> int:
    """A whole number as people write one; raised digits, signs and fractions are none."""
    if not (cell.isascii() and cell.isdigit() and len(cell) <= _DIGITS):
        raise EventError(["revision: write a whole number from 1, as 2"])
    return int(cell)


def _accounts(cell: object) -> dict[str, object]:
    """Accounts by system, as they are or as `directory=00u1; directory=00u2; cloud=AIDA1`."""
    if isinstance(cell, Mapping):
        return dict(cell)
    found: dict[str, list[str]] = {}
    for item in _items(cell):
        system, sign, account = (part.strip() for part in item.partition("="))
        if not (system and sign and account):
            raise EventError(["accounts: write each as system=id, as directory=00u1a2b3c4"])
        found.setdefault(system, []).append(account)
    return dict(found)


def make_dates(*, zone: str, last_day: date | None, access_ends_at: str | None) -> Dates:
    """Dates as people give them; ``now`` means this instant. Raises `RefusedError`."""
    ends: object = access_ends_at
    if access_ends_at == "now":
        ends = datetime.now(UTC)
    if ends is None and last_day is None:
        raise RefusedError("give a last working day, or when access ends (an instant, or `now`)")
    try:
        return Dates.model_validate(
            {"zone": zone, "last_working_day": last_day, "access_ends_at": ends}
        )
    except ValidationError as error:
        problem = error.errors(include_input=False)[0]
        raise RefusedError(f"{problem['loc'][0]}: {why_not_valid(problem)}") from None

"""A leaver as people enter them, at the command line, in a CSV file or in a form: to an event."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

from pydantic import ValidationError

from lockstep.control.desk import RefusedError
from lockstep.control.events import Dates, EventError, TerminationEvent, read_event

_LISTS = ("usernames", "emails")


def event_of(cells: Mapping[str, object]) -> TerminationEvent:
    """The event that named cells say: those of a CSV line of `lockstep terminate`.

    Raises:
        EventError: with every problem, by field.
        RefusedError: if the dates are missing or cannot be read.
    """
    given = {name: str(value).strip() for name, value in cells.items() if str(value).strip()}
    lists = {name: given.get(name, "").split(";") for name in _LISTS}
    worker: dict[str, object] = {
        "id": given.get("worker_id", ""),
        "name": given.get("name", ""),
        **{name: [item.strip() for item in items if item.strip()] for name, items in lists.items()},
    }
    if "employee_number" in given:
        worker["employee_number"] = given["employee_number"]
    last_day = given.get("last_working_day")
    try:
        day = datetime.strptime(last_day, "%Y-%m-%d").date() if last_day else None  # noqa: DTZ007
    except ValueError:
        raise EventError(["last_working_day: write it as YYYY-MM-DD"]) from None
    dates = make_dates(
        zone=given.get("zone", ""), last_day=day, access_ends_at=given.get("access_ends_at")
    )
    revision = given.get("revision", "1")
    return read_event(
        {
            "revision": int(revision) if revision.isdigit() else 0,
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
        raise RefusedError(f"{problem['loc'][0]}: {problem['msg']}") from None

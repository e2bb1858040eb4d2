"""Made-up leavers, each of a test's own, and what HR says about them."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime

import sandbox
from sandbox.people import Person

# Unlike those of any other run in the same folder, so that no two tests share a leaver.
_numbers = itertools.count(10_000 + os.getpid() % 50_000 * 1_000)


def new_person() -> Person:
    """Somebody whom no other test knows."""
    number = next(_numbers)
    return sandbox.generate(1, seed=number, first_number=number)[0]


def new_people(count: int) -> list[Person]:
    return [new_person() for _ in range(count)]


def full_name(person: Person) -> str:
    return f"{person.first_name} {person.last_name}"


def termination(person: Person, **changes: object) -> dict[str, object]:
    """HR's event: access ends now. ``changes`` replaces fields."""
    now = datetime.now(UTC).isoformat()
    return {
        "action": "terminated",
        "revision": 1,
        "recorded_at": now,
        "kind": "involuntary",
        "worker": {
            "id": person.worker_id,
            "name": full_name(person),
            "employee_number": person.employee_number,
            "usernames": [person.username],
            "emails": [person.email],
        },
        "dates": {"zone": person.time_zone, "access_ends_at": now},
        "partner": person.partner,
        "site": person.site,
        **changes,
    }

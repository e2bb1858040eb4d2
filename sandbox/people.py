"""Made-up workers of a made-up outsourcing partner.

Nobody here exists: names are drawn from two short lists, addresses are in domains that RFC 2606
reserves. The same seed gives the same people.
"""

import random
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from sandbox.vendors.registry import descriptions

__all__ = ["PARTNER", "SITE", "Person", "demo_people", "generate"]

PARTNER: Final = "Northwind Contact Centers"
SITE: Final = "Cebu"
DOMAIN: Final = "northwind.example.com"
# fmt: off
FIRST: Final = (
    "Ana", "Bea", "Carlo", "Dina", "Elias", "Fe", "Gino", "Hana", "Ivan", "Joy", "Karlo",
    "Lia", "Marco", "Nina", "Oscar", "Pia", "Ramon", "Sara", "Tomas", "Una", "Vito", "Wena",
    "Xandra", "Yana", "Zeno",
)
LAST: Final = (
    "Abella", "Bautista", "Cordero", "Dizon", "Espino", "Fajardo", "Galang", "Herrera",
    "Ilagan", "Jacinto", "Katigbak", "Lozano", "Manalo", "Navarro", "Ocampo", "Padilla",
    "Quizon", "Roxas", "Salazar", "Tolentino", "Urbano", "Villareal", "Yambao", "Zamora",
)
# fmt: on
JOBS: Final = (
    ("Customer Service Agent", "Voice"),
    ("Chat Agent", "Digital"),
    ("Quality Analyst", "Quality"),
    ("Workforce Planner", "Planning"),
    ("Team Lead", "Voice"),
    ("Trainer", "Learning"),
)


@dataclass(frozen=True, slots=True)
class Person:
    """One made-up worker, as the seed format has it."""

    worker_id: str
    employee_number: str
    email: str
    username: str
    first_name: str
    last_name: str
    title: str
    department: str
    partner: str = PARTNER
    site: str = SITE
    country: str = "PH"
    time_zone: str = "Asia/Manila"
    shape: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The person as a record of a seed file."""
        return asdict(self)


def generate(count: int, *, seed: int = 0, first_number: int = 1) -> list[Person]:
    """Make up people.

    Args:
        count: how many.
        seed: changes who they are.
        first_number: where their numbers begin, so that two batches do not overlap.
    """
    # Not for secrets: it must give the same people every time.
    chance = random.Random(f"people-{seed}")  # noqa: S311
    people = []
    for number in range(first_number, first_number + count):
        first, last = chance.choice(FIRST), chance.choice(LAST)
        title, department = chance.choice(JOBS)
        address = f"{first}.{last}.{number:04d}@{DOMAIN}".lower()
        people.append(
            Person(
                worker_id=f"NW-{number:06d}",
                employee_number=f"{100_000 + number}",
                email=address,
                username=address,
                first_name=first,
                last_name=last,
                title=title,
                department=department,
            )
        )
    return people


def demo_people() -> list[Person]:
    """The twelve people of the demonstration, some with something unusual about them."""
    people = generate(12, seed=2026, first_number=501)
    return [replace(person, shape=_unusual(place)) for place, person in enumerate(people)]


def _unusual(place: int) -> dict[str, Any]:
    """By vendor, what makes the person at this place of the list worth watching."""
    told = ((kind, each.demo.get(place)) for kind, each in descriptions().items())
    return {kind: dict(shape) for kind, shape in told if shape}

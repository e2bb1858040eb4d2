"""A made-up company: three outsourcing partners with sites, and people with their jobs.

Who has an account where follows from the job, as the vendors' descriptions say it: agents sit in
the building and in the chat, planners in the cloud as well.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sandbox.people import FIRST, JOBS, LAST, PARTNER, Person
from sandbox.vendors.registry import descriptions

__all__ = ["MOST", "PARTNERS", "Partner", "Site", "company", "holders"]

MOST: Final = 5_000
"""People at most; a simulation keeps all that it knows in memory and in one file."""

WEIGHTS: Final = (50, 25, 8, 4, 9, 4)
"""Of `JOBS`: most people of such a company sit at a telephone or a chat."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where people work."""

    name: str
    country: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Partner:
    """An outsourcing partner; ``share`` is its part of every ten people."""

    name: str
    short: str
    domain: str
    share: int
    sites: tuple[Site, ...]


_MANILA: Final = "Asia/Manila"
PARTNERS: Final = (
    Partner(
        PARTNER,
        "NC",
        "northwind.example.com",
        5,
        (Site("Cebu", "PH", _MANILA), Site("Manila 2", "PH", _MANILA)),
    ),
    Partner(
        "Tasman Back Office",
        "TB",
        "tasman.example.net",
        3,
        (Site("Kuala Lumpur", "MY", "Asia/Kuala_Lumpur"), Site("Suva", "FJ", "Pacific/Fiji")),
    ),
    Partner(
        "Baltica Support",
        "BS",
        "baltica.example.org",
        2,
        (Site("Gdansk", "PL", "Europe/Warsaw"),),
    ),
)


def company(count: int = 500) -> list[Person]:
    """The same people every time; the first ones are the same whatever the count.

    Args:
        count: how many; `MOST` at most.

    Raises:
        ValueError: for more than that, or fewer than none.
    """
    if not 0 <= count <= MOST:
        raise ValueError(f"from 0 to {MOST} people")
    # Not for secrets: it must give the same people every time.
    chance = random.Random("company")  # noqa: S311
    turns = [partner for partner in PARTNERS for _ in range(partner.share)]
    return [_person(number, turns[number % len(turns)], chance) for number in range(count)]


def _person(number: int, partner: Partner, chance: random.Random) -> Person:
    first, last = chance.choice(FIRST), chance.choice(LAST)
    ((title, department),) = chance.choices(JOBS, WEIGHTS)
    site = chance.choice(partner.sites)
    address = f"{first}.{last}.{number + 1}@{partner.domain}".lower()
    person = Person(
        worker_id=f"{partner.short}-{number + 1:05d}",
        employee_number=f"{200_000 + number}",
        email=address,
        username=address,
        first_name=first,
        last_name=last,
        title=title,
        department=department,
        partner=partner.name,
        site=site.name,
        country=site.country,
        time_zone=site.time_zone,
    )
    without = {
        kind: {"absent": True} for kind, each in descriptions().items() if not each.held(title)
    }
    return replace(person, shape=without)


def holders(people: Sequence[Person], kind: str) -> list[Person]:
    """Those who have an account at a vendor."""
    return [person for person in people if not person.shape.get(kind, {}).get("absent")]

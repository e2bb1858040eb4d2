"""What the pages show while they are looked at."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lockstep.composition import open_stores
from lockstep.storage.cases.rows import pin
from tests.browser.stage import HOSTILE, HOSTILE_PLACE, MANY, PASS, Stage
from tests.e2e.leavers import new_person, termination
from tests.e2e.processes import PATIENCE_S, eventually

LONG = f"{HOSTILE} {'Wolfeschlegelsteinhausenbergerdorff' * 4}"[:200]


@dataclass(frozen=True)
class Scene:
    """Cases by what is the matter with them."""

    stuck: str
    """Waits for a person; HR has put script into every field."""
    closed: str
    policies: tuple[str, str]
    """Digests of two policies that differ, the older first."""


async def play(stage: Stage) -> Scene:
    """A case that is stuck, one that is closed, and an import that the brake holds."""
    walk = stage.walk
    person, stuck = await walk.stuck_case(**_hostile())
    del person
    leaver = new_person()
    await walk.vendors.seed([leaver])
    event_id = f"evt-{leaver.worker_id}"
    assert await stage.installation.post(event_id, termination(leaver)) == 202
    [case] = await stage.installation.books.closed([event_id], within_s=PATIENCE_S)
    await held_import(stage)
    policies = await another_policy(stage)
    return Scene(stuck=stuck, closed=case["case_id"], policies=policies)


async def another_policy(stage: Stage) -> tuple[str, str]:
    """Adopt a policy beside the one in force; the digests of that one and of the new one."""
    settings = stage.installation.settings
    now = settings.to_policy()
    systems = tuple(replace(one, required=not one.required) for one in now.systems)
    other = pin(replace(now, version=LONG[:40], systems=systems))
    stores = open_stores(settings, stage.engine, settings.open_keyring())
    await stores.cases.adopt(other, settings.tenant)
    return pin(now).digest, other.digest


async def held_import(stage: Stage) -> list[str]:
    """The other source reports so many that the brake goes on; return the held events."""
    sent = [await stage.import_leaver(partner=HOSTILE_PLACE) for _ in range(MANY)]

    async def some_held() -> list[str]:
        rows = await stage.installation.books.try_ask(
            "select dedupe_key from inbox where state = 'held' and dedupe_key = any(%(e)s)", e=sent
        )
        enough = len(rows) >= MANY - PASS
        return [row["dedupe_key"] for row in rows] if enough else []

    return await eventually(some_held, what="events that the brake holds")


def _hostile() -> dict[str, object]:
    """The fields that HR fills freely. Its keys stay as they are: the vendors know them."""
    return {"partner": HOSTILE_PLACE, "site": HOSTILE_PLACE}

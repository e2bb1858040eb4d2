"""The pictures of the console in docs/images: `python -m tests.browser.screenshots`.

A real installation with made-up people; nobody in the pictures exists.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.async_api import Browser, async_playwright

import sandbox
from lockstep.domain.rights import Role
from sandbox.people import Person
from tests.browser import chromium
from tests.browser import stage as stages
from tests.browser.stage import Stage
from tests.browser.windows import Window, open_window
from tests.e2e.leavers import termination
from tests.support.homes import server_home

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MOST_BYTES = 250_000
SIZE = (1280, 960)
TALL = {"width": 1280, "height": 1340}
PARTNERS = (
    ("Northwind Contact Centers", "Cebu"),
    ("Northwind Contact Centers", "Manila"),
    ("Contoso Care", "Porto"),
    ("Fabrikam Support", "Bogotá"),
)
CLOSED = 44
LATE = 2
SCHEDULED = 7
SETTINGS = """
[brake]
per_hour = 0
"""
_STUCK = ("okta", "kisi", "okta", "tailscale")


@dataclass(frozen=True)
class Day:
    """What the pictures show."""

    stage: Stage
    people: Iterator[Person]

    async def report(self, person: Person, **changes: object) -> str:
        """HR reports one; return the event's id."""
        event_id = f"evt-{person.worker_id}"
        event = termination(person, **changes)
        assert await self.stage.installation.post(event_id, event) == 202
        return event_id

    async def past(self) -> None:
        """Leavers whose access is gone."""
        people = list(itertools.islice(self.people, CLOSED))
        await self.stage.walk.vendors.seed(people)
        kinds = itertools.cycle(["voluntary", "voluntary", "contract_end", "involuntary"])
        events = [
            await self.report(one, kind=kind) for one, kind in zip(people, kinds, strict=False)
        ]
        await self.stage.installation.books.closed(events, within_s=240)

    async def coming(self) -> None:
        """Leavers of the next days."""
        for days, person in enumerate(itertools.islice(self.people, SCHEDULED), start=1):
            await self.stage.walk.vendors.seed([person])
            ends = (datetime.now(UTC) + timedelta(days=days, hours=3)).isoformat()
            dates = {"zone": person.time_zone, "access_ends_at": ends}
            await self.report(person, kind="voluntary", dates=dates)

    async def stuck(self) -> Sequence[str]:
        """Cases that need somebody, for several reasons; the first ones are late."""
        found = []
        for place, vendor in enumerate(_STUCK):
            person = next(self.people)
            await self.stage.walk.vendors.seed([person])
            fault = {"kind": "forbidden", "user": person.email, "unbounded": True}
            await self.stage.walk.vendors.add_fault(vendor, {**fault, "id": person.worker_id})
            late = timedelta(hours=2) if place < LATE else timedelta(minutes=21 * place)
            ends = (datetime.now(UTC) - late).isoformat()
            dates = {"zone": person.time_zone, "access_ends_at": ends}
            kind = "involuntary" if place % 2 == 0 else "voluntary"
            event_id = await self.report(person, kind=kind, dates=dates, recorded_at=ends)
            found.append(await self.stage.walk.case_with(event_id, "needs_person"))
        stranger = await self.report(next(self.people))
        found.append(await self.stage.walk.case_with(stranger, "needs_person"))
        return found


async def main() -> None:
    """Make the day, look at it, and write the pictures."""
    with server_home() as home:
        async with async_playwright() as playwright:
            browser = await chromium.launch(playwright)
            stage = await stages.begin(home, SETTINGS)
            try:
                await _show(browser, stage)
            finally:
                await stages.end(stage)
                await browser.close()


async def _show(browser: Browser, stage: Stage) -> None:
    day = Day(stage, _people())
    await day.past()
    await day.coming()
    cases = await day.stuck()
    me = await stage.member("Olivia Reyes", Role.OPERATOR, Role.APPROVER)
    await stage.member("Marek Nowak", Role.APPROVER)
    window = await open_window(browser, stage.origin, cookie=me, size=SIZE)
    await _work(window, cases)
    IMAGES.mkdir(exist_ok=True)
    for name, path in {
        "now": "/console/",
        "case": f"/console/cases/{cases[1]}",
        "people-metric": "/console/people-metric",
    }.items():
        for theme, ending in (("light", ""), ("dark", "-dark")):
            if ending and name != "now":
                continue
            await window.page.emulate_media(color_scheme=theme)
            size = {"width": SIZE[0], "height": SIZE[1]}
            await window.page.set_viewport_size(TALL if name == "case" else size)
            await window.open(path)
            if await window.page.locator("[data-live-state]").count():
                await window.live()
            await window.page.get_by_text("The score is being computed").wait_for(state="detached")
            file = IMAGES / f"console-{name}{ending}.png"
            # Hiding the caret takes a style in the page, which its policy forbids.
            await window.page.screenshot(path=file, caret="initial")
            assert file.stat().st_size < MOST_BYTES, file
    assert not window.complaints, window.complaints


async def _work(window: Window, cases: Sequence[str]) -> None:
    """One case is taken, one waits for a second person."""
    await window.open(f"/console/cases/{cases[2]}")
    await window.page.get_by_role("button", name="Take this case").click()
    await window.page.get_by_role("status").filter(has_text="handed over").wait_for()
    await window.open(f"/console/cases/{cases[1]}")
    await window.page.locator("#act-attest-kisi-sandbox > summary").click()
    form = window.page.locator("#act-attest-kisi-sandbox")
    await form.get_by_label("What was done by hand").fill("Badge taken back at the front desk")
    proof = {"name": "receipt.txt", "mimeType": "text/plain", "buffer": b"badge 4711 returned\n"}
    await form.get_by_label("Proof").set_input_files(proof)
    await form.get_by_role("button", name="Attest").click()
    await window.page.locator(".note.asked").wait_for()


def _people() -> Iterator[Person]:
    """Made-up leavers of several partners, without end."""
    partners = itertools.cycle(PARTNERS)
    for number in itertools.count(2001):
        [person] = sandbox.generate(1, seed=number, first_number=number)
        partner, site = next(partners)
        yield replace(person, partner=partner, site=site)


if __name__ == "__main__":
    asyncio.run(main())

"""What a user of the command line has before them, and what the tests arrange behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx

from sandbox.people import Person
from tests.e2e.installation import Installation, Said
from tests.e2e.leavers import new_person, termination
from tests.e2e.processes import eventually
from tests.e2e.vendors import DIRECTORY, SYSTEMS, Vendors

APPROVER = "paula-0123456789-0123456789-0123456789"
"""The API token of a second person."""
STUCK = SYSTEMS[DIRECTORY]
"""The system that refuses to help with a stuck case; of tier 0."""


@dataclass(frozen=True)
class Walk:
    """A running installation that a new user has made."""

    installation: Installation
    vendors: Vendors
    init: Said

    async def run(self, *arguments: str, config: Path | None = None) -> Said:
        return await self.installation.run(*arguments, config=config)

    async def case_with(self, event_id: str, state: str) -> str:
        """The event's case, once a system of it is in ``state``."""

        async def there() -> str:
            books = self.installation.books
            case_id = await books.case_of(event_id)
            doors = await books.doors(case_id) if case_id else {}
            return case_id if state in {door["state"] for door in doors.values()} else ""

        return await eventually(there, what=f"{event_id} {state}")

    async def agree(self, request_id: str) -> int:
        """Somebody else approves what was asked for, by API; the status of the answer."""
        port = self.installation.settings.web.port
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.post(
                f"http://127.0.0.1:{port}/api/requests/{request_id}/approve",
                headers={"Authorization": f"Bearer {APPROVER}"},
                json={},
            )
        return answer.status_code

    async def someone_asked(self, case_id: str) -> None:
        """Wait until a system of the case waits for a person."""

        async def asked() -> bool:
            doors = await self.installation.books.doors(case_id)
            return "needs_person" in {door["state"] for door in doors.values()}

        await eventually(asked, what=f"{case_id} needs_person")

    async def stuck_case(self, **changes: object) -> tuple[Person, str]:
        """A case that the directory refuses to help with, until somebody mends it."""
        person = new_person()
        await self.vendors.seed([person])
        refused = {"kind": "forbidden", "user": person.email, "unbounded": True}
        await self.vendors.add_fault(DIRECTORY, {**refused, "id": person.worker_id})
        event_id = f"evt-{person.worker_id}"
        event = termination(person, **changes)
        assert await self.installation.post(event_id, event) == 202
        return person, await self.case_with(event_id, "needs_person")

    async def mend(self, person: Person) -> None:
        """The vendor helps again with this person."""
        await self.vendors.remove_fault(DIRECTORY, person.worker_id)

    async def status(self, case_id: str, wanted: str) -> None:
        async def there() -> bool:
            rows = await self.installation.books.ask(
                "select 1 from cases where case_id = %(c)s and status = %(s)s", c=case_id, s=wanted
            )
            return bool(rows)

        await eventually(there, what=f"{case_id} {wanted}")


def assert_plain(said: Said, code: int, *words: str) -> None:
    """The command ended with this code, said these words on standard error, and no traceback."""
    assert said.code == code, said
    assert "Traceback" not in said.out + said.err
    for word in words:
        assert word in said.err, said

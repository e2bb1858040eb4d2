"""The HR system of the made-up company: it signs and posts as a real one does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from lockstep.cli.runtime import templates
from lockstep.settings import Settings
from sandbox.people import Person


def leaving(person: Person, kind: str = "involuntary") -> dict[str, object]:
    """The event by which somebody leaves, now."""
    now = datetime.now(UTC).isoformat()
    return {
        "action": "terminated",
        "revision": 1,
        "recorded_at": now,
        "kind": kind,
        "worker": {
            "id": person.worker_id,
            "name": f"{person.first_name} {person.last_name}",
            "employee_number": person.employee_number,
            "usernames": [person.username],
            "emails": [person.email],
        },
        "dates": {"zone": person.time_zone, "access_ends_at": now},
        "partner": person.partner,
        "site": person.site,
    }


async def report(settings: Settings, event_id: str, event: Mapping[str, object]) -> int:
    """Sign and post as an HR system would."""
    secret = settings.source_secrets(templates.SOURCE)[0]
    body = json.dumps(event)
    now = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(event_id, now, body),
    }
    url = f"http://{settings.web.bind}:{settings.web.port}/hooks/{templates.SOURCE}"
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.post(url, content=body, headers=headers)
    return response.status_code

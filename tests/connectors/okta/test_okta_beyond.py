"""What Okta's log and its list of API tokens may say beside what the simulation does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from connectors.base import Transcript
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.activity import Activity, UseKind
from tests.connectors.okta.dialogue import ID, Dialogue, answer, connect, error

LOGS, TOKENS = "GET /api/v1/logs", "GET /api/v1/api-tokens"
CUTOFF = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


def event(number: int, result: str, actor: str = ID) -> dict[str, Any]:
    moment = (CUTOFF + timedelta(minutes=number)).isoformat(timespec="milliseconds")
    return {
        "uuid": f"event-{number}",
        "published": moment.replace("+00:00", "Z"),
        "eventType": "user.session.start",
        "actor": {"id": actor, "type": "User"},
        "outcome": {"result": result},
    }


async def told(*pages: httpx.Response, earlier: httpx.Response) -> Activity:
    dialogue = Dialogue({LOGS: [*pages, earlier]})
    return await connect(dialogue).activity_since(Account(ID), CUTOFF, Transcript())


async def test_each_outcome_is_told_as_what_it_was() -> None:
    """Let in, turned away, or neither; where Okta itself does not know, it counts as a use."""
    results = ("SUCCESS", "ALLOW", "FAILURE", "DENY", "SKIPPED", "CHALLENGE", "UNKNOWN")
    entries = answer([event(number, result) for number, result in enumerate(results)])
    seen = await told(entries, earlier=answer([event(-60, "SUCCESS")]))

    used, refused = UseKind.USED, UseKind.REFUSED
    assert [use.kind for use in seen.uses] == [used, used, refused, refused, used]
    assert seen.is_whole


async def test_a_link_to_an_empty_page_is_followed_to_the_end() -> None:
    """A next link says that there may be more, not that there is."""
    more = f'<https://example.okta.test/api/v1/logs?after={ID}>; rel="next"'
    seen = await told(
        answer([event(1, "SUCCESS")], link=more), answer([]), earlier=answer([event(-60, "DENY")])
    )

    assert len(seen.uses) == 1
    assert seen.is_whole


async def test_an_empty_log_proves_nothing() -> None:
    """A log that shows nothing of anybody may be one that our token does not see."""
    assert not (await told(answer([]), earlier=answer([]))).proves_none
    assert (await told(answer([]), earlier=answer([event(-60, "DENY", "00u2")]))).proves_none


async def test_nobody_elses_entry_counts_where_okta_ignores_the_filter() -> None:
    """Entries are compared with the account once more."""
    seen = await told(
        answer([event(1, "SUCCESS", "00u2")]), earlier=answer([event(-60, "SUCCESS")])
    )

    assert seen.proves_none


async def test_tokens_that_may_not_be_listed_are_a_gap() -> None:
    """The permission that lacks is named, and nothing is said to be owned or not."""
    dialogue = Dialogue({TOKENS: error(403, "E0000006")})
    [gap] = (await connect(dialogue).list_owned(Account(ID), Transcript())).gaps

    assert (gap.what, gap.missing) == ("key", "okta.apiTokens.read")

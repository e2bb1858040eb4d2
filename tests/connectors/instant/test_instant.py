"""The connector of the benchmark: one call for each thing, and nothing believed unsaid."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.instant.connector import MANIFEST, InstantConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.dialogue import Dialogue, Turn

KEYS = LeaverKeys(
    (
        Key(KeyKind.WORKER_ID, "w1"),
        Key(KeyKind.EMPLOYEE_NUMBER, "7"),
        Key(KeyKind.EMAIL, "ann@example.test"),
    )
)


def account(*, off: bool) -> dict[str, Any]:
    changed_at = "2025-03-01T12:00:00.250Z" if off else None
    return {
        "id": "acc-w1",
        "signed_in": not off,
        "sessions": 0 if off else 2,
        "changed_at": changed_at,
    }


def connect(dialogue: Dialogue) -> InstantConnector:
    options = ConnectorOptions("instant", {"base_url": "http://127.0.0.1"}, {"token": "t"})
    return InstantConnector(options, transport=dialogue.transport)


async def test_a_revocation_is_three_calls() -> None:
    """The search says what stands; then off and read-back cost one call each."""
    with Dialogue(
        Turn("GET /accounts?key=w1", answer={"accounts": [account(off=False)]}),
        Turn("POST /accounts/acc-w1/off", answer=account(off=True)),
        Turn("GET /accounts/acc-w1", answer=account(off=True)),
    ) as dialogue:
        connector, transcript = connect(dialogue), Transcript()
        match = (await connector.locate(KEYS, transcript)).matches[0]
        found, before = match.account, match.seen
        assert before is not None
        actions = await connector.contain(found, before, transcript)
        after = await connector.read_back(found, transcript)
        await connector.aclose()

    assert [action.access for action in actions] == list(before.standing)
    assert after.is_closed
    assert after.off_since is not None
    assert after.off_since.isoformat() == "2025-03-01T12:00:00.250000+00:00"


@pytest.mark.parametrize("answer", [None, [], {"id": "acc-w2"}, {}])
async def test_another_answer_is_no_proof(answer: object) -> None:
    """A 200 that is not about this account is unexpected, never closed."""
    with Dialogue(Turn("GET /accounts/acc-w1", answer=answer)) as dialogue:
        connector = connect(dialogue)
        with pytest.raises(ConnectorFault) as caught:
            await connector.read_back(Account("acc-w1"), Transcript())
        await connector.aclose()

    assert caught.value.category is FaultCategory.UNEXPECTED_ANSWER


async def test_what_is_not_said_to_be_off_stands() -> None:
    """Missing fields count as standing."""
    with Dialogue(Turn("GET /accounts/acc-w1", answer={"id": "acc-w1"})) as dialogue:
        connector = connect(dialogue)
        observation = await connector.read_back(Account("acc-w1"), Transcript())
        await connector.aclose()

    assert len(observation.standing) == 2


async def test_without_a_worker_id_nothing_is_searched() -> None:
    """Other keys are not tried: each would open another account."""
    with Dialogue() as dialogue:
        connector = connect(dialogue)
        location = await connector.locate(
            LeaverKeys((Key(KeyKind.EMAIL, "ann@example.test"),)), Transcript()
        )
        await connector.aclose()

    assert location.matches == ()
    assert location.keys_tried == ()


def test_it_says_that_it_is_simulated() -> None:
    """Nobody takes the benchmark's vendor for a product."""
    assert "simulated" in MANIFEST.title
    assert "simulated" in MANIFEST.proves

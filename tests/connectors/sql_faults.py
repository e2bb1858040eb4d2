"""The script's faults between a SQL connector and its real server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from connectors.kit.sql import Connect, Refusal, Rows, Session, Statement
from tests.connectors.harness import FaultKind, FaultScript, Injected

States = Mapping[FaultKind, str | None]

STATES: States = {
    FaultKind.UNAUTHORIZED: "28P01",
    FaultKind.FORBIDDEN: "42501",
    FaultKind.RATE_LIMITED_WITH_TIME: "53300",
    FaultKind.RATE_LIMITED_BARE: "53300",
    FaultKind.SERVER_ERROR: "57P03",
    FaultKind.LOST_BEFORE: None,
    FaultKind.LOST_AFTER: None,
}
"""What such a server says instead of a status; it never says when to come back."""


class FaultySession:
    """A real session, except where the script says otherwise."""

    def __init__(self, session: Session, script: FaultScript, secret: str, states: States) -> None:
        self._session = session
        self._states = states
        self._script = script
        self._secret = secret

    async def execute(
        self, statement: Statement, values: Mapping[str, object], names: Mapping[str, str]
    ) -> Rows:
        self._script.calls.append(statement.effect)
        fault = self._script.next_for(is_effect=statement.effect)
        if fault is not None and fault.kind is not FaultKind.LOST_AFTER:
            return self._instead(fault, statement)
        answer = await self._session.execute(statement, values, names)
        if statement.effect:
            told = sorted(f"{name}={value}" for name, value in {**values, **names}.items())
            self._script.effects.append(" ".join((statement.operation, *told)))
        if fault is not None:
            raise Refusal(None)
        return Rows(answer.columns, answer.rows, self._clock(answer.clock))

    async def close(self) -> None:
        await self._session.close()

    def _clock(self, told: datetime | None) -> datetime | None:
        off = self._script.clock_off
        return told if off is None or told is None else told + off

    def _instead(self, fault: Injected, statement: Statement) -> Rows:
        if fault.kind is FaultKind.DONE_NOT:
            return Rows(statement.columns, (), datetime.now().astimezone())
        if fault.kind is FaultKind.ECHO_SECRET:
            raise Refusal(self._secret)
        if fault.kind is FaultKind.NOT_JSON:  # a pooler's console, for instance
            rows: list[list[Any]] = [["a proxy"]]
            return Rows(("notice",), rows, None)
        raise Refusal(self._states[fault.kind])


def between(connect: Connect, script: FaultScript, secret: str, states: States = STATES) -> Connect:
    """Sessions that pass through the script."""

    async def connected() -> Session:
        return FaultySession(await connect(), script, secret, states)

    return connected

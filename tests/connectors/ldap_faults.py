"""The script's faults between a connector and its real directory."""

from __future__ import annotations

from dataclasses import replace

import httpx

from connectors.kit.ldap.channel import Connect, Edits, Found, Query, Refusal, Result, Session
from connectors.kit.ldap.instants import generalized, written
from connectors.kit.ldap.messages import Entry
from tests.connectors.harness import FaultKind, FaultScript

CODES = {
    FaultKind.UNAUTHORIZED: Result.INVALID_CREDENTIALS,
    FaultKind.FORBIDDEN: Result.INSUFFICIENT_ACCESS_RIGHTS,
    FaultKind.RATE_LIMITED_WITH_TIME: Result.BUSY,
    FaultKind.RATE_LIMITED_BARE: Result.BUSY,
    FaultKind.SERVER_ERROR: Result.UNAVAILABLE,
    FaultKind.NOT_JSON: Result.PROTOCOL_ERROR,
    FaultKind.LOST_BEFORE: None,
    FaultKind.LOST_AFTER: None,
}
"""What a directory says instead of a status; it never says when to come back."""


class FaultySession:
    """A real session, except where the script says otherwise."""

    def __init__(self, session: Session, script: FaultScript, secret: str) -> None:
        self._session = session
        self._script = script
        self._secret = secret

    async def search(self, query: Query, cookie: bytes = b"") -> Found:
        self._script.calls.append(False)
        if self._script.instead is not None:
            request = httpx.Request("GET", f"ldap://peer/{query.operation}")
            if (answer := self._script.instead(request)) is not None:
                if answer.is_error:
                    raise Refusal(Result.UNAVAILABLE)
                return Found(())
        if (fault := self._script.next_for(is_effect=False)) is not None:
            self._refuse(fault.kind)
        found = await self._session.search(query, cookie)
        return replace(found, entries=tuple(map(self._clock, found.entries)))

    async def change(self, edits: Edits) -> None:
        self._script.calls.append(True)
        fault = self._script.next_for(is_effect=True)
        if fault is not None and fault.kind is FaultKind.DONE_NOT:
            return
        if fault is not None and fault.kind is not FaultKind.LOST_AFTER:
            self._refuse(fault.kind)
        await self._session.change(edits)
        self._script.effects.append(f"{edits.operation} {edits.dn} {edits.edits[0][1]}")
        if fault is not None:
            raise Refusal(None)

    async def who_am_i(self) -> str:
        self._script.calls.append(False)
        if (fault := self._script.next_for(is_effect=False)) is not None:
            self._refuse(fault.kind)
        return await self._session.who_am_i()

    async def close(self) -> None:
        await self._session.close()

    def _refuse(self, kind: FaultKind) -> None:
        if kind is FaultKind.ECHO_SECRET:
            raise Refusal(Result.OTHER, f"{self._secret}: {self._secret}")
        raise Refusal(CODES[kind])

    def _clock(self, entry: Entry) -> Entry:
        told = generalized(entry.one("currentTime"))
        if self._script.clock_off is None or told is None:
            return entry
        moved = written(told + self._script.clock_off).encode()
        return replace(entry, values={**entry.values, "currenttime": (moved,)})


def between(connect: Connect, script: FaultScript, secret: str) -> Connect:
    """Sessions that pass through the script."""

    async def connected() -> Session:
        return FaultySession(await connect(), script, secret)

    return connected

"""One request to an operator's program, and what its lines say; anything odd is a fault."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from connectors.base import ConnectorFault, Transcript
from connectors.http import date_instant
from connectors.kit.pacing.pace import Pacer
from connectors.kit.pacing.turns import in_turn
from connectors.program import protocol
from connectors.program.process import Ended, Garbled, NotStarted, Silent, Trouble, run, unsafe
from connectors.program.protocol import (
    ANSWERS,
    LINES,
    ActionRow,
    Do,
    ExchangeRow,
    FaultTold,
    Request,
)
from lockstep.domain.cases.clocks import answer_time
from lockstep.domain.systems.access import Access, Action, Exchange
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.pace import Told

KIND: Final = "program"
_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")
_ADDRESS = re.compile(r"[^\s@\"'<>]+@[^\s@\"'<>]+")
_log = logging.getLogger("lockstep.program")


@dataclass(slots=True)
class Heard:
    """What one run has said so far.

    Args:
        request: to which it answers.
        began: when it was started.
        allowed: ways in that it was asked to close.
        clean: makes a foreign text one that may be shown.
    """

    request: Request
    transcript: Transcript
    allowed: Collection[Access]
    clean: Cleaner
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    actions: list[Action] = field(default_factory=list)
    answer: object = None
    last: Exchange | None = None

    def line(self, said: bytes) -> None:
        """Take one line.

        Raises:
            Trouble: it may not be said, or not now, or not to this request.
        """
        told = _parsed(said)
        if told is None:
            raise Garbled("not_of_the_protocol")
        if told.request != self.request.request:
            raise Garbled("answers_another_request")
        if self.answer is not None:
            raise Garbled("spoke_after_the_end")
        match told:
            case protocol.ExchangeLine():
                self._exchange(told.exchange)
            case protocol.ActionLine():
                self._action(told.action)
            case protocol.FaultLine():
                self.answer = told.fault
            case _ if getattr(told, ANSWERS[self.request.do], None) is not None:
                self.answer = getattr(told, ANSWERS[self.request.do])
            case _:
                raise Garbled("answers_something_else")

    def _exchange(self, row: ExchangeRow) -> None:
        time = answer_time(
            date_instant(row.date or None), sent=self.began, answered=datetime.now(UTC)
        )
        self.last = Exchange(
            row.operation,
            row.status,
            time.at,
            self.clean(row.request_id) or None,
            row.date or None,
            row.digest or None,
            time.skew,
        )
        self.transcript.add(self.last)

    def _action(self, row: ActionRow) -> None:
        access = Access(row.kind, row.ref)
        if self.request.do not in {Do.CONTAIN, Do.STRIP} or access not in self.allowed:
            raise Garbled("closed_what_was_not_asked")
        if self.last is None:
            raise Garbled("action_without_exchange")
        made = self.last
        self.actions.append(Action(access, made.answered_at, made.operation, made.request_id))


class Cleaner:
    """Makes texts of the program's showable: bounded, and without what it was given."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = tuple(secret for secret in secrets if secret)

    def __call__(self, text: str) -> str:
        """A code; "redacted" whole where it holds a secret."""
        if any(secret in text for secret in self._secrets):
            return "redacted"
        return _CODE.sub("_", text)[:64].strip("_")

    def words(self, raw: bytes, private: Iterable[str]) -> list[str]:
        """Lines of standard error for the log: no secret, no key of a person, no address."""
        text = raw.decode("utf-8", "replace")
        for value in sorted((*self._secrets, *private), key=len, reverse=True):
            if len(value) > 1:
                text = text.replace(value, "[redacted]")
        text = _ADDRESS.sub("[redacted]", text)
        lines = (
            "".join(sign if sign.isprintable() else " " for sign in one)
            for one in text.splitlines()
        )
        return [one[:300] for one in lines if one.strip()][:20]


class Asking:
    """Asks one system's program, a few requests at a time."""

    def __init__(
        self,
        program: Path,
        *,
        system: str,
        options: Mapping[str, object],
        secrets: Mapping[str, str],
        pace: Pacer,
        within: float,
        at_once: int,
    ) -> None:
        self._program = program
        self._given = {"system": system, "options": dict(options), "secrets": dict(secrets)}
        self._pace = pace
        self._within = within
        self._gate = asyncio.Semaphore(at_once)
        self.clean = Cleaner(secrets.values())

    async def ask(
        self, do: Do, transcript: Transcript, *, closes: Sequence[Access] = (), **asked: object
    ) -> tuple[object, list[Action]]:
        """What the program answers, and what it closed.

        Args:
            do: what is asked.
            transcript: records the calls that it tells of.
            closes: ways in that it may close.
            asked: further members of the request.

        Raises:
            ConnectorFault: classified, with what was closed before it.
        """
        request = Request.model_validate(
            {"request": uuid.uuid4().hex, "do": do, **self._given, **asked}
        )
        heard = Heard(request, transcript, closes, self.clean)
        async with self._gate, in_turn(self._pace, transcript, connector=KIND, operation=do.value):
            heard.began = datetime.now(UTC)
            fault = await self._run(request, heard)
        if fault is not None:
            fault.actions = tuple(heard.actions)
            raise fault
        return heard.answer, heard.actions

    async def _run(self, request: Request, heard: Heard) -> ConnectorFault | None:
        """The fault of a run, made outside every except block: no context travels with it."""
        do, trouble, ended = request.do, None, None
        if reason := unsafe(self._program):
            _log.error("program_unsafe: %s", reason)
            return _fault(FaultCategory.MISCONFIGURED, do.value, "unsafe_program")
        said = json.dumps(request.model_dump(mode="json"), separators=(",", ":"))
        line = said.encode("ascii") + b"\n"
        try:
            ended = await run(self._program, line, heard.line, within=self._within)
        except Trouble as caught:
            trouble = caught
        if ended is not None:
            self._log_words(request, ended)
        if isinstance(heard.answer, FaultTold) and not isinstance(trouble, Garbled):
            return self._told(heard.answer)
        if trouble is not None:
            return _fault(_OF_TROUBLE[type(trouble)], do.value, trouble.code)
        if ended is None or ended.status or heard.answer is None:
            status = ended.status if ended else 0
            code = "no_answer" if not status else f"exit_{status}".replace("-", "signal_")
            return _fault(FaultCategory.UNEXPECTED_ANSWER, do.value, code)
        return None

    def _told(self, row: FaultTold) -> ConnectorFault:
        wait = None if row.retry_after_s is None else timedelta(seconds=row.retry_after_s)
        if row.category is FaultCategory.RATE_LIMITED:
            self._pace.heard(Told(refused=True, wait_s=row.retry_after_s), age_s=0.0)
        return ConnectorFault(
            row.category,
            connector=KIND,
            operation=row.operation,
            code=self.clean(row.code),
            retry_after=wait,
            missing=self.clean(row.missing) or None,
            request_id=self.clean(row.request_id) or None,
        )

    def _log_words(self, request: Request, ended: Ended) -> None:
        keys = [key.value for key in request.keys]
        account = request.account
        own = [account.locator, *(key.value for key in account.keys)] if account else []
        for words in self.clean.words(ended.words, [*keys, *own]):
            _log.warning("program %s says: %s", request.system, words)


_OF_TROUBLE: Final = {
    NotStarted: FaultCategory.MISCONFIGURED,
    Silent: FaultCategory.TIMEOUT,
    Garbled: FaultCategory.UNEXPECTED_ANSWER,
}


def _fault(category: FaultCategory, operation: str, code: str) -> ConnectorFault:
    return ConnectorFault(category, connector=KIND, operation=operation, code=code)


def _parsed(said: bytes) -> protocol.Line | None:
    """A line of the protocol; None for anything else."""
    for member, row in LINES.items():
        if f'"{member}"'.encode() not in said:
            continue
        try:
            return row.model_validate_json(said)  # type: ignore[return-value] # one of the union
        except ValidationError:
            continue
    return None

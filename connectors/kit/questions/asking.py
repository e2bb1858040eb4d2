"""The questions that can be asked of a configured system, in order; each answer as it comes.

Reads only, unless a leaver is given: then that account is closed, wholly and for good.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from connectors.base import Connector, ConnectorFault, Transcript
from connectors.kit.questions import flaws
from connectors.kit.steps import attempt
from lockstep.domain.cases.clocks import VendorClock
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.counting import counted
from lockstep.domain.systems.access import Account, Location, Observation, Proof

_NAMES = frozenset({KeyKind.WORKER_ID, KeyKind.USERNAME, KeyKind.EMAIL, KeyKind.EXTERNAL_ID})


class Verdict(StrEnum):
    """What an answer says. Public: in the JSON; never rename."""

    HOLDS = "holds"
    FAILS = "fails"
    NOT_KNOWN = "not_known"
    """It could not be asked here, so that nothing is known."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question: what was asked, and what was found. Names no person."""

    question: str
    asked: str
    verdict: Verdict
    found: str


@dataclass(slots=True)
class Questions:
    """Asks one system.

    Args:
        connector: of the system.
        system: its name.
        residuals: codes of what the manifest declares to outlive a revocation.
        tolerance: by how much its clock may differ from ours.
    """

    connector: Connector
    system: str
    residuals: Collection[str]
    tolerance: timedelta

    async def reads(self, known: LeaverKeys | None = None) -> AsyncIterator[Answer]:
        """Everything that changes nothing."""
        transcript = Transcript()
        health = await self.connector.health(transcript)
        asked = "address, credential, every permission that revoking needs"
        yield _answer("health", asked, flaws.health_flaw(health), "ready")
        async for answer in self._nobody(transcript):
            yield answer
        if known is None:
            yield Answer(
                "somebody", "find somebody who is there", Verdict.NOT_KNOWN,
                "not asked: give --known or --leaver",
            )  # fmt: skip
        else:
            async for answer in self._known(known, transcript):
                yield answer
        for answer in self._record(transcript, known):
            yield answer

    async def find(self, keys: LeaverKeys, transcript: Transcript) -> tuple[Answer, Account | None]:
        """The one account of these keys; none where the law would not take it."""
        told = await attempt(self.connector.locate(keys, transcript))
        asked = "find the account by the keys given"
        if isinstance(told, ConnectorFault):
            return _failed("locate", asked, told), None
        flaw = flaws.found_flaw(told, keys, system=self.system, now=datetime.now(UTC))
        kinds = ", ".join(kind.value for kind in told.keys_tried)
        answer = _answer("locate", asked, flaw, f"one account, by {kinds}")
        return answer, None if flaw else told.matches[0].account

    async def whole(self, account: Account, transcript: Transcript) -> AsyncIterator[Answer]:
        """Close one account, look whether it is, and close it again."""
        for question, asked, work in (
            ("look", "read the account's own record", self._look(account, transcript)),
            ("contain", "shut the sign-in, and read back", self._contain(account, transcript)),
            ("strip", "close everything else, and read back", self._strip(account, transcript)),
            ("again", "do all of it once more", self._again(account, transcript)),
        ):
            told = await attempt(work)
            if isinstance(told, ConnectorFault):
                yield _failed(question, asked, told)
                continue
            flaw, found = told
            yield _answer(question, asked, flaw, found)
        for answer in self._record(transcript, None):
            yield answer

    async def _nobody(self, transcript: Transcript) -> AsyncIterator[Answer]:
        mark = f"nobody-{uuid.uuid4().hex[:12]}"
        keys = LeaverKeys(
            (
                Key(KeyKind.USERNAME, f"{mark}@lockstep.invalid"),
                Key(KeyKind.EMAIL, f"{mark}@lockstep.invalid"),
            )
        )
        asked = "find somebody who is not there"
        told = await attempt(self.connector.locate(keys, transcript))
        if isinstance(told, ConnectorFault):
            yield _failed("nobody", asked, told)
            return
        flaw = flaws.nobody_flaw(told)
        proofs = ", ".join(dict.fromkeys(one.proof.value for one in told.searches))
        yield _answer("nobody", asked, flaw, f"nobody, and that is known ({proofs})")
        yield _paging(told)

    async def _known(self, keys: LeaverKeys, transcript: Transcript) -> AsyncIterator[Answer]:
        answer, account = await self.find(keys, transcript)
        yield answer
        if account is None:
            return
        _, same = await self.find(keys, transcript)
        is_same = same is not None and same.id == account.id
        flaw = "" if is_same else "another id, or none, the second time"
        yield _answer("same_id", "find it once more", flaw, "the same id")
        asked = "read the account and every list of what it holds"
        told = await attempt(self.connector.read_back(account, transcript))
        if isinstance(told, ConnectorFault):
            yield _failed("read_back", asked, told)
        else:
            yield _answer("read_back", asked, flaws.snapshot_flaw(told), _stands(told))

    def _record(self, transcript: Transcript, keys: LeaverKeys | None) -> Iterator[Answer]:
        private = [key.value for key in keys.keys if key.kind in _NAMES] if keys else []
        calls = counted(len(transcript.exchanges), "call", "calls")
        asked = "the record of every call, for the evidence"
        yield _answer("calls", asked, flaws.transcript_flaw(transcript, private), f"{calls}")
        asked = "the system's clock beside ours"
        clock = VendorClock(transcript.skew, self.tolerance)
        if clock.skew is None:
            yield Answer("clock", asked, Verdict.NOT_KNOWN, "the system states no time")
        else:
            seconds = f"{abs(clock.skew).total_seconds():,.0f} s apart"
            yield _answer("clock", asked, "" if clock.is_right else seconds, seconds)

    async def _look(self, account: Account, transcript: Transcript) -> tuple[str, str]:
        seen = await self.connector.look(account, transcript)
        flaw = "" if seen.signs_in else "the sign-in does not stand: take an account that is open"
        return flaw, "the sign-in stands"

    async def _contain(self, account: Account, transcript: Transcript) -> tuple[str, str]:
        before = await self.connector.look(account, transcript)
        actions = await self.connector.contain(account, before, transcript)
        after = await self.connector.read_back(account, transcript)
        return flaws.contained_flaw(actions, after), "the sign-in is shut"

    async def _strip(self, account: Account, transcript: Transcript) -> tuple[str, str]:
        before = await self.connector.read_back(account, transcript)
        actions = await self.connector.strip(account, before, transcript)
        after = await self.connector.read_back(account, transcript)
        done = counted(len(actions), "way in was closed", "ways in were closed")
        left = ", ".join(_bound(row.what, row.bound_s) for row in after.residuals) or "nothing"
        return flaws.closed_flaw(after, self.residuals), f"{done}; outlives it: {left}"

    async def _again(self, account: Account, transcript: Transcript) -> tuple[str, str]:
        before = await self.connector.read_back(account, transcript)
        actions = await self.connector.contain(account, before, transcript)
        actions += await self.connector.strip(account, before, transcript)
        return flaws.again_flaw(actions), "nothing was left to do"


def _paging(location: Location) -> Answer:
    asked = "a list to its end"
    if location.listed is not None:
        said = counted(location.listed, "account was listed", "accounts were listed")
        return Answer("paging", asked, Verdict.HOLDS, f"{said}, to the end")
    proved = any(one.proof is Proof.PROVED for one in location.searches)
    said = "no list was needed: the search proved itself" if proved else "no list was made"
    return Answer("paging", asked, Verdict.NOT_KNOWN, said)


def _stands(seen: Observation) -> str:
    kinds: Mapping[str, int] = {
        way.kind.value: sum(one.kind is way.kind for one in seen.standing) for way in seen.standing
    }
    return ", ".join(f"{kind}: {count}" for kind, count in kinds.items()) or "nothing stands"


def _bound(what: str, seconds: int | None) -> str:
    return f"{what} ({'unknown' if seconds is None else f'{seconds} s'})"


def _answer(question: str, asked: str, flaw: str, found: str) -> Answer:
    verdict = Verdict.FAILS if flaw else Verdict.HOLDS
    return Answer(question, asked, verdict, flaw or found)


def _failed(question: str, asked: str, fault: ConnectorFault) -> Answer:
    return Answer(question, asked, Verdict.FAILS, str(fault))

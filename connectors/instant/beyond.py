"""What Instant offers beyond revoking: all of it, so that each ability has a small example."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from connectors.abilities import Contained
from connectors.base import ConnectorFault, Transcript
from connectors.http import Answer, VendorHttp, vendor_instant
from connectors.instant.records import faulted, matched, observed
from connectors.kit.abilities.gaps import gap
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.abilities import Ability
from lockstep.domain.systems.access import Account, Action, Observation
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.activity import Activity, Use, UseKind
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.owned import Belongings, Owned, OwnedKind

ABILITIES: Final = {
    Ability.CONTAIN_MANY: "up to a hundred accounts in one call",
    Ability.LIST_ACTIVE: "accounts that were seeded or switched off; nobody counts the others",
    Ability.ACTIVITY_SINCE: "what the simulation was told that somebody did",
    Ability.LIST_OWNED: "robots",
}
_MOST_PAGES: Final = 5_000


class Beyond:
    """The abilities, for a class that says how one account is read and closed."""

    def __init__(self, http: VendorHttp) -> None:
        self._http = http

    @property
    def contains_at_once(self) -> int:
        return 100

    async def contain_many(
        self, due: Sequence[tuple[Account, Observation]], transcript: Transcript
    ) -> tuple[Contained, ...]:
        """Switch off all those whose sign-in stands; what the answer shows off is contained."""
        open_ones = [account for account, before in due if before.signs_in]
        shown: dict[str, Observation] = {}
        failed: ConnectorFault | None = None
        answer: Answer | None = None
        if open_ones:
            try:
                answer = await self._ask("POST", "/off", "accounts.off_many", transcript, open_ones)
                shown = {one["id"]: observed(one["id"], one) for one in _objects(answer)}
            except ConnectorFault as refused:
                failed = refused
        return tuple(
            _contained(account, before, shown.get(account.id), answer, failed)
            for account, before in due
        )

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Page by page, until Instant names no next one."""
        looked_at, after = 0, ""
        try:
            for _ in range(_MOST_PAGES):
                path = f"/people?after={quote(after, safe='')}"
                answer = await self._ask("GET", path, "people.list", transcript)
                people = _objects(answer)
                looked_at += len(people)
                yield ActivePage(tuple(_active(one) for one in people if _signs_in(one)))
                following = answer.data.get("next")
                if not following:
                    yield ActivePage((), ListEnd(looked_at))
                    return
                if following <= after:
                    break
                after = following
            raise faulted(FaultCategory.UNEXPECTED_ANSWER, "people.list", "page_repeated")
        except ConnectorFault as broken:
            yield ActivePage((), ListEnd(looked_at, (gap("accounts", broken),)))

    async def activity_since(
        self, account: Account, since: datetime, transcript: Transcript
    ) -> Activity:
        """Instant says itself from when on it remembers."""
        now, asked = datetime.now(UTC), since.astimezone(UTC).isoformat()[:23] + "Z"
        path = f"/accounts/{quote(account.id, safe='')}/uses?since={quote(asked)}"
        try:
            answer = await self._ask("GET", path, "uses.list", transcript)
            uses = tuple(use for one in _objects(answer, "uses") if (use := _use(one)).at >= since)
        except ConnectorFault as broken:
            return Activity(account.id, since, (), None, now, (gap("activity", broken),))
        return Activity(account.id, since, uses, vendor_instant(answer.data.get("from")), now)

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """The robots that somebody made."""
        path = f"/accounts/{quote(account.id, safe='')}/robots"
        try:
            robots = _objects(await self._ask("GET", path, "robots.list", transcript), "robots")
        except ConnectorFault as broken:
            return Belongings(account.id, (), (gap(OwnedKind.AGENT.value, broken),))
        things = [Owned(OwnedKind.AGENT, str(one["id"]), str(one.get("name"))) for one in robots]
        return Belongings(account.id, tuple(things))

    async def _ask(
        self,
        method: str,
        path: str,
        operation: str,
        transcript: Transcript,
        accounts: Sequence[Account] = (),
    ) -> Answer:
        return await self._http.call(
            method,
            path,
            operation=operation,
            transcript=transcript,
            expect=(200,),
            body={"ids": [account.id for account in accounts]} if accounts else None,
        )


def _objects(answer: Answer, name: str = "accounts") -> list[dict[str, Any]]:
    if not (isinstance(answer.data, dict) and name in answer.data):
        raise faulted(FaultCategory.UNEXPECTED_ANSWER, answer.exchange.operation, "not_a_list")
    return answer.objects(name)


def _signs_in(one: dict[str, Any]) -> bool:
    return one.get("signed_in") is not False


def _active(one: dict[str, Any]) -> ActiveAccount:
    held = Key(KeyKind.WORKER_ID, str(one.get("worker_id")))
    return ActiveAccount(matched(one, KeyKind.ACCOUNT_ID, held).account)


def _use(one: dict[str, Any]) -> Use:
    moment = vendor_instant(one.get("at"))
    if moment is None:
        raise faulted(FaultCategory.UNEXPECTED_ANSWER, "uses.list", "entry_without_instant")
    kind = UseKind.REFUSED if one.get("refused") is not False else UseKind.USED
    return Use(moment, kind, str(one.get("what")), str(one.get("id")))


def _contained(
    account: Account,
    before: Observation,
    now: Observation | None,
    answer: Answer | None,
    failed: ConnectorFault | None,
) -> Contained:
    if not before.signs_in:
        return Contained(account.id)
    if now is None or now.signs_in or answer is None:
        refused = failed or faulted(
            FaultCategory.UNEXPECTED_ANSWER, "accounts.off_many", "not_switched_off"
        )
        return Contained(account.id, fault=refused)
    made = answer.exchange
    return Contained(
        account.id,
        tuple(
            Action(way, answer.answered_at, made.operation, made.request_id)
            for way in before.standing
            if way not in now.standing
        ),
    )

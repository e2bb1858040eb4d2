"""Kisi: shut the doors, end the logins, deactivate the cards, take the roles and teams away.

Vendor rules, from https://api.kisi.io/docs and docs.kisi.io (remove access rights):

- ``query`` searches e-mail, name and notes: only an equal e-mail is a match.
- A user whom a directory manages (SCIM) gets in only while both ``access_enabled`` and the
  read-only ``scim_access_enabled`` are true, so that our false outlasts any sync.
- ``/logins`` without ``user_id`` lists our own; a filter that is not heeded must not delete a
  stranger's things. Therefore every item read is checked for its owner.
- A role can come by a team: both role assignments and team memberships are taken away.
- Five requests a second for each key. Readers keep a cache for when they are offline.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Final

import httpx

from connectors.badge.kisi_api import (
    CARDS,
    DIALECT,
    HOLDING_OF,
    HOLDINGS,
    KIND,
    LOGINS,
    ROLES,
    TEAMS,
    Holding,
    Item,
    KisiApi,
    Params,
    checked_id,
    is_id,
)
from connectors.base import (
    ConnectorFault,
    ConnectorManifest,
    ConnectorOptions,
    Transcript,
)
from connectors.http import Answer, VendorHttp, vendor_instant
from connectors.kit import options
from connectors.kit.bounds import residual
from connectors.kit.instants import told_instant
from connectors.kit.options import read_options
from connectors.kit.proving import Prover
from connectors.kit.searching import Searching
from connectors.kit.steps import attempt, carry_out, in_order, unread
from lockstep.domain.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Match,
    Observation,
    Problem,
    Proof,
    Search,
    Unread,
)
from lockstep.domain.faults import FaultCategory, rule_for
from lockstep.domain.keys import comparable
from lockstep.domain.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.pace import Limit

_SIGN_IN: Final = ("access_enabled", "password_flow_enabled")
"""The doors, and signing in by password: two flags, one PATCH."""


class Kisi:
    """One Kisi organisation. See `connectors.base.Connector`."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        values = read_options(_OPTIONS, given, kind=KIND)
        self._system = given.system
        self._number_key = values[_NUMBER_KEY]
        self._prover = Prover(empty=Proof.UNPROVED)
        self._cache_bound_s = values[_CACHE_BOUND]
        http = VendorHttp(
            DIALECT,
            values[_BASE_URL],
            headers={"Authorization": f"KISI-LOGIN {values[_API_KEY]}"},
            secrets=values.secrets,
            timeout=given.timeout,
            transport=transport,
            pace=given.pace,
        )
        self._api = KisiApi(http)

    @property
    def kind(self) -> str:
        return KIND

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        found: dict[str, Match] = {}
        searches: list[Search] = []
        searching = Searching(not_theirs)
        for account_id in filter(is_id, keys.account_ids(self._system)):
            read = partial(self._api.user, account_id, transcript)
            user = await searching.one(read, found=found.values())
            proof = Proof.FAILED if isinstance(user, ConnectorFault) else Proof.BY_ID
            if isinstance(user, dict):
                found[account_id] = self._match(user, KeyKind.ACCOUNT_ID)
            searches.append(Search(KeyKind.ACCOUNT_ID, account_id, proof))
        # Kisi knows no user names; one that is an address may be the address that it knows.
        wanted = [(KeyKind.USERNAME, name) for name in keys.usernames if "@" in name]
        wanted += [(KeyKind.EMAIL, name) for name in keys.emails]
        by_address = {comparable(kind, name): (kind, name) for kind, name in reversed(wanted)}
        for kind, name in by_address.values():
            hits = await searching.one(
                partial(self._search, name, transcript), found=found.values()
            )
            if isinstance(hits, ConnectorFault):
                searches.append(Search(kind, name, Proof.FAILED))
                continue
            for each in hits:
                found.setdefault(str(each["id"]), self._match(each, kind))
            searches.append(Search(kind, name, Proof.PROVED if hits else Proof.UNPROVED))
        searching.require_somebody(found.values())
        listed = None
        if by_address and not searching.found(found.values()):
            searches, listed = await self._proved(searches, found, transcript)
        return searching.told(Location(tuple(found.values()), tuple(searches), listed=listed))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        return self._seen(account.id, await self._api.user(account.id, transcript))

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the doors and the sign-in by password: one call."""
        due = [access for access in before.standing if access.kind is AccessKind.SIGN_IN]
        user = await self._api.user(account.id, transcript) if due else None
        due = [access for access in due if user is not None and user.get(access.ref) is not False]
        if not due:
            return ()
        body = {"user": dict.fromkeys(_SIGN_IN, False)}
        answer = await self._api.call(
            "PATCH", f"/users/{account.id}", "users.disable", "users", transcript, body=body
        )
        if answer.status == httpx.codes.NOT_FOUND:
            return ()
        return tuple(_action(access, answer) for access in due)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        user = await self._api.user(account.id, transcript)
        seen = self._seen(account.id, user)
        if user is None:
            return seen
        standing, missing = list(seen.standing), []
        for holding, kinds in _KINDS_OF.items():
            items = await attempt(self._api.held(holding, account.id, transcript))
            if isinstance(items, ConnectorFault):
                missing += [unread(kind, items) for kind in kinds]
            else:
                standing += [Access(_kind_of(kinds, item), str(item["id"])) for item in items]
        return replace(seen, standing=tuple(standing), unread=tuple(missing))

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        async def close(kind: AccessKind, holding: Holding) -> tuple[Action, ...]:
            due = [access for access in before.standing if access.kind is kind]
            if due and holding is CARDS:
                # Deleting twice says 404, deactivating twice does not: look first.
                active = await self._api.held(CARDS, account.id, transcript)
                ids = {str(card["id"]) for card in active}
                due = [access for access in due if access.ref in ids]
            return await carry_out(
                *(partial(self._take, holding, each, transcript) for each in due)
            )

        return await in_order(
            *([partial(close, kind, holding)] for kind, holding in HOLDING_OF.items())
        )

    async def health(self, transcript: Transcript) -> Health:
        problems: list[Problem] = []
        # Of logins the key's own are asked for, the only ones that need no user's name.
        for area in ("users", *(holding.permission for holding in HOLDINGS)):
            own: Params = {"user_id": "me"} if area == LOGINS.permission else {}
            try:
                await self._api.call(
                    "GET", f"/{area}", f"{area}.list", area, transcript, params={"limit": 1, **own}
                )
            except ConnectorFault as fault:
                problems.append(_problem(fault))
                if fault.category is FaultCategory.PERMISSION_MISSING:
                    continue
                is_silent = fault.category in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
                return Health(reachable=not is_silent, problems=tuple(problems))
        return Health(reachable=True, problems=tuple(problems))

    async def aclose(self) -> None:
        await self._api.aclose()

    async def _search(self, address: str, transcript: Transcript) -> list[Item]:
        """Users whose address it is; the vendor's search also looks at names and notes."""
        users = await self._api.collection("/users", {"query": address}, "users", transcript)
        wanted = comparable(KeyKind.EMAIL, address)
        return [
            user
            for user in users
            if comparable(KeyKind.EMAIL, str(user.get("email") or "")) == wanted
        ]

    async def _proved(
        self, searches: list[Search], found: dict[str, Match], transcript: Transcript
    ) -> tuple[list[Search], int | None]:
        """The searches that found nobody, with the proof that they could; else a whole list."""

        async def sample() -> list[Match]:
            users = await self._api.some_users(transcript)
            return [self._match(user, KeyKind.EMAIL) for user in users]

        async def ask(address: str) -> list[Match]:
            hits = await self._search(address, transcript)
            return [self._match(user, KeyKind.EMAIL) for user in hits]

        open_ones = [one for one in searches if one.proof is Proof.UNPROVED]
        proofs = {
            one: await self._prover.proof_of(
                "query", KeyKind.EMAIL, wanted=one.value, sample=sample, ask=ask
            )
            for one in open_ones
        }
        listed = None
        if Proof.UNPROVED in proofs.values():
            users = await self._api.collection("/users", {}, "users", transcript)
            # Whoever made our key is a user: a list of nobody hides people.
            proof = Proof.LISTED if users else Proof.UNPROVED
            proofs, listed = dict.fromkeys(open_ones, proof), len(users)
            for search in open_ones:
                for user in users:
                    held = comparable(KeyKind.EMAIL, str(user.get("email") or ""))
                    if held == comparable(search.kind, search.value):
                        found.setdefault(str(user["id"]), self._match(user, search.kind))
        return [replace(one, proof=proofs.get(one, one.proof)) for one in searches], listed

    def _seen(self, account_id: str, user: Item | None) -> Observation:
        """What the user's own record says; all else is kept in lists of their own."""
        residuals = residual("offline_reader_cache", self._cache_bound_s)
        if user is None:
            return Observation(account_id, exists=False, standing=(), residuals=residuals)
        standing = tuple(Access(AccessKind.SIGN_IN, flag) for flag in _flags_on(user))
        return Observation(
            account_id,
            exists=True,
            standing=standing,
            off_since=None if standing else vendor_instant(user.get("updated_at")),
            residuals=residuals,
            unread=tuple(Unread(kind) for kind in HOLDING_OF),
        )

    async def _take(
        self, holding: Holding, access: Access, transcript: Transcript
    ) -> tuple[Action, ...]:
        method, suffix, operation = holding.undo
        path = f"{holding.path}/{checked_id(access.ref)}{suffix}"
        answer = await self._api.call(method, path, operation, holding.permission, transcript)
        return () if answer.status == httpx.codes.NOT_FOUND else (_action(access, answer),)

    def _match(self, user: Item, found_by: KeyKind) -> Match:
        known = [Key(KeyKind.EMAIL, str(user.get("email") or ""))]
        metadata = user.get("metadata")
        if isinstance(metadata, dict) and metadata.get(self._number_key):
            known.append(Key(KeyKind.EMPLOYEE_NUMBER, str(metadata[self._number_key])))
        account_id = str(user["id"])
        return Match(
            Account(account_id, locator=known[0].value, known_keys=tuple(known)),
            found_by,
            self._seen(account_id, user),
            name=str(user.get("name") or ""),
            created_at=told_instant(user.get("created_at")),
            last_used_at=told_instant(user.get("last_sign_in_at")),
        )


_KINDS_OF: Final[dict[Holding, tuple[AccessKind, ...]]] = {
    LOGINS: (AccessKind.SESSION, AccessKind.SECRET),
    CARDS: (AccessKind.CREDENTIAL,),
    ROLES: (AccessKind.ROLE,),
    TEAMS: (AccessKind.GROUP,),
}


def _kind_of(kinds: tuple[AccessKind, ...], item: Item) -> AccessKind:
    """A login of the mobile app opens doors like a session; one of an API is a long-lived key."""
    return kinds[-1] if item.get("type") == "api" else kinds[0]


def _flags_on(user: Item) -> list[str]:
    # A flag that the vendor does not show counts as on.
    return [flag for flag in _SIGN_IN if user.get(flag) is not False]


def _action(access: Access, answer: Answer) -> Action:
    exchange = answer.exchange
    return Action(access, answer.answered_at, exchange.operation, exchange.request_id)


def _problem(fault: ConnectorFault) -> Problem:
    if fault.missing:
        return Problem(
            f"permission_missing.{fault.missing}",
            f"The key's role lacks {fault.missing}.",
            f"Give the user who made the API key a role with {fault.missing}, such as"
            " organisation administrator.",
        )
    # A passing trouble blocks too: what could not be checked is not ready.
    return Problem(fault.category.value, str(fault), rule_for(fault.category).suggestion)


_BASE_URL = options.address("base_url", "API address", default="https://api.kisi.io")
_NUMBER_KEY = options.text(
    "employee_number_key",
    "key in a user's metadata that holds the employee number; unset: not compared",
)
_CACHE_BOUND = options.bound(
    "offline_cache_bound_s",
    "seconds for which a reader without network goes on opening, if you have measured it;"
    " Kisi states none",
)
_PER_SECOND = options.whole(
    "requests_per_second",
    "calls a second with this key, over all that use it; 0 for no pace of our own",
    default="5",
)
_API_KEY = options.secret("api_key", "API key, sent as KISI-LOGIN", required=True)
_OPTIONS = (_BASE_URL, _NUMBER_KEY, _CACHE_BOUND, _PER_SECOND, _API_KEY)

MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Kisi",
    category=Category.BADGE,
    build=Kisi,
    options=_OPTIONS,
    permissions=tuple(
        f"{area}_read, {area}_write: {why}"
        for area, why in (
            ("users", "find the user and shut the doors"),
            ("logins", "end app sessions and API keys of the user"),
            ("card_assignments", "deactivate cards"),
            ("role_assignments", "take away roles"),
            ("team_memberships", "take away what comes by a team"),
        )
    ),
    proves="GET /users/{id} shows access_enabled and password_flow_enabled false (or 404 for the"
    " pinned id); no login, activated card, role assignment or team membership of the user is"
    " left. The user's updated_at is the latest moment at which the doors can have been shut."
    " Group links and shares name no user and are not seen.",
    residual_s={"offline_reader_cache": None},
    limit=Limit(5),  # for each key (docs.kisi.io, rate limits)
    calls=20,
)

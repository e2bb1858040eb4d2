"""GitHub's connector: the rows of `github.spec`, and the searches and lists that are its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from functools import partial

import httpx

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.github import questions as ask
from connectors.github.owned import MOST_REPOSITORIES, belongings
from connectors.github.people import People, proved_by
from connectors.github.spec import ENTERPRISE, LOGIN_IS, LOGINS, SAML, SPEC
from connectors.kit.abilities.gaps import flawed, gap
from connectors.kit.finding.listed import found_in
from connectors.kit.finding.searching import Searching
from connectors.kit.rest import RestConnector, manifest_of
from connectors.kit.steps import attempt
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.abilities import Ability
from lockstep.domain.systems.access import (
    Account,
    Health,
    Location,
    Match,
    Proof,
    Search,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.owned import Belongings

_NAMES = (KeyKind.USERNAME, KeyKind.EMAIL)


class GitHubConnector(RestConnector):
    """One organisation, and the enterprise that it belongs to where the settings name it."""

    def __init__(
        self, given: ConnectorOptions, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        super().__init__(SPEC, given, transport=transport)
        values = self._values
        if values[SAML] == "enterprise" and not values[ENTERPRISE]:
            raise ValueError("enterprise: missing: whose identity provider it is")
        self._system = given.system
        self._people = People(
            self._api,
            saml=values[SAML],
            enterprise=values[ENTERPRISE],
            login_is=values[LOGIN_IS],
            logins=values[LOGINS],
        )
        self.list_active = self._list_active
        self.list_owned = self._list_owned

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Read whom HR named; ask for each name; before nobody is concluded list everybody."""
        searching = Searching(not_theirs)
        ids = [
            Key(KeyKind.ACCOUNT_ID, one)
            for one in keys.account_ids(self._system)
            if self._api.is_id(one)
        ]
        names = [key for key in keys.keys if key.kind in _NAMES]
        found: dict[str, Match] = {}
        proofs: dict[Key, Proof] = {}
        for key in ids:
            read = partial(self._records.one, key.value, transcript)
            record = await searching.one(read, found=found.values())
            failed = isinstance(record, ConnectorFault)
            proofs[key] = Proof.FAILED if failed else Proof.BY_ID
            if isinstance(record, dict):
                account = Account(record["id"], self._records.locator(record))
                found[account.id] = Match(account, key.kind, self._records.seen(account.id, record))
        for key in names:
            hits = await self._hits(key, searching, found.values(), transcript)
            proofs[key] = hits if isinstance(hits, Proof) else Proof.PROVED
            for match in () if isinstance(hits, Proof) else hits:
                found.setdefault(match.account.id, match)
        searching.require_somebody(found.values())
        listed = None
        if names and not searching.found(found.values()):
            people = await self._people.everybody(transcript)
            for match in found_in([one.match(KeyKind.ACCOUNT_ID) for one in people], names):
                found.setdefault(match.account.id, match)
            listed = len(people)
            for key, told in proofs.items():
                proofs[key] = proved_by(people, key) if told is Proof.UNPROVED else told
        searches = tuple(Search(key.kind, key.value, proof) for key, proof in proofs.items())
        return searching.told(Location(tuple(found.values()), searches, listed=listed))

    async def health(self, transcript: Transcript) -> Health:
        """Try every list of people too."""
        seen = await super().health(transcript)
        if not seen.reachable:
            return seen
        problems = list(seen.problems)
        lists = [source.listed for source in (*self._people.inside, *self._people.identities)]
        for listed in (*lists[1:], ask.OWNERS):
            tried = await attempt(self._api.some(listed, {}, transcript))
            if isinstance(tried, ConnectorFault):
                problems.append(self._problem(tried))
        return Health(reachable=True, problems=tuple(dict.fromkeys(problems)))

    async def _hits(
        self,
        key: Key,
        searching: Searching,
        found: Collection[Match],
        transcript: Transcript,
    ) -> Sequence[Match] | Proof:
        """Who has this name with the identity provider; else what the search proves: nothing."""
        if not self._people.searches:
            return Proof.UNPROVED
        told = await searching.one(partial(self._people.find, key, transcript), found=found)
        if isinstance(told, ConnectorFault):
            return Proof.FAILED
        return found_in(told, [key]) or Proof.UNPROVED

    async def _list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Everybody inside, with the names that identities give them."""
        people, gaps = [], []
        for source in (*self._people.inside, *self._people.identities):
            told = await attempt(self._people.listed(source, transcript))
            if isinstance(told, ConnectorFault):
                gaps.append(gap("accounts", told))
            else:
                people += told
        inside = {str(one.user["id"]) for one in people if one.is_in}
        matches = [one for one in self._people.matches(people) if one.account.id in inside]
        if not matches and not gaps:
            gaps.append(flawed("accounts", ask.MEMBERS.call.operation, "nobody"))
        accounts = tuple(ActiveAccount(one.account, one.name, one.created_at) for one in matches)
        yield ActivePage(accounts, ListEnd(len(matches), tuple(gaps)))

    async def _list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        return await belongings(self._api, account, transcript)


_declared = manifest_of(SPEC)
MANIFEST = replace(
    _declared,
    build=GitHubConnector,
    abilities={
        **_declared.abilities,
        Ability.LIST_OWNED: (
            "deploy keys that the person added, by their login of when they were found, in up to"
            f" {MOST_REPOSITORIES} repositories; Apps of the person's own that the organisation"
            " installed. Not looked at: whether somebody else administers a repository, webhooks,"
            " Actions secrets"
        ),
    },
)

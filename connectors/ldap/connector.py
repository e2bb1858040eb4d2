"""LDAP directories: the entry is shut, its SSH keys and groups go, every server is read back.

Nothing is deleted. What the person owns is told and stays.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from connectors.abilities import Place as EachPlace
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.finding.searching import Searching
from connectors.kit.ldap.channel import (
    Connect,
    Edits,
    LdapDialect,
    LdapServer,
    OpenDirectory,
    Result,
)
from connectors.kit.ldap.finding import Finder
from connectors.kit.ldap.groups import GROUPS, Groups, Member, plain
from connectors.kit.ldap.messages import Change, Entry
from connectors.kit.ldap.places import place_of
from connectors.kit.ldap.wire import Place
from connectors.kit.options import read_options
from connectors.kit.residuals import residual
from connectors.kit.steps import attempt, in_order, unread
from connectors.ldap import checks
from connectors.ldap import options as say
from connectors.ldap.flavours import FLAVOURS
from lockstep.domain.cases.leavers import KeyKind, LeaverKeys
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Health,
    Location,
    Observation,
    Problem,
    Unread,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.owned import Belongings, OwnedKind

KIND: Final = "ldap"
PROVIDER: Final = "provider"
OTHERS: Final = "sign_in_without_password"
BOUND: Final = "bound_connection"
"""A connection that was bound before goes on answering."""
_SHUT = "people.shut"
_KEYS = "keys.remove"
_OWNER = ("owner", "managedBy")
# An entry without the object class that a door or key belongs to.
DIALECT = LdapDialect(KIND, {Result.OBJECT_CLASS_VIOLATION: FaultCategory.MISCONFIGURED})

Opener = Callable[[Place], Connect]


class LdapConnector:
    """One directory: a provider, and the replicas that let people in.

    Args:
        given: see `connectors.ldap.options`.
        opener: how a connection is opened; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, opener: Opener = lambda place: place.connect
    ) -> None:
        values = read_options(say.OPTIONS, given, kind=KIND)
        self._system = given.system
        self._user = values[say.BIND_DN]
        self._flavour = FLAVOURS[values[say.FLAVOUR]]
        self._keys = values[say.KEYS]
        self._policy = values[say.POLICY]
        bound = residual(BOUND, values[say.CONNECTION_S])
        self._residuals = (*bound, *residual(OTHERS, values[say.OTHERS_S]))
        people = say.people_of(values, self._flavour)
        base = values[say.BASE]
        self._finder = Finder(people, base, base, lambda entry: self._seen(entry, unasked=True))
        self._groups = Groups(
            people.naming,
            values[say.GROUP_BASE] or base,
            (Member("member"), Member("uniqueMember"), Member("memberUid", values[say.USERNAME])),
        )
        places = {"": values[say.SERVER], **{at: at for at in say.replicas_of(values)}}
        self._servers = {
            at: LdapServer(
                DIALECT,
                opener(place_of(values, address, self._user)),
                secrets=values.secrets,
                timeout=given.timeout,
                pace=given.pace,
            )
            for at, address in places.items()
        }
        self._provider = self._servers[""]

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def locate(
        self, keys: LeaverKeys, transcript: Transcript, *, not_theirs: Collection[str] = ()
    ) -> Location:
        """Search by each attribute; what finds nobody is proved, or everybody is listed."""
        people = self._finder.people
        ids = [each for each in keys.account_ids(self._system) if people.by_id(each)]
        wanted = [key for key in keys.keys if people.rows(key.kind)]
        if not ids and not wanted:
            return Location((), ())
        async with self._provider.opened(transcript) as server:
            return await self._finder.locate(server, ids, wanted, Searching(not_theirs))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The person's own entry on the provider."""
        async with self._provider.opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
        return self._gone(account) if entry is None else self._seen(entry, unasked=True)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Shut the entry; replicas follow by replication."""
        doors = [way for way in before.standing if way.kind is AccessKind.SIGN_IN]
        if not doors:
            return ()
        async with self._provider.opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
            if entry is None or self._flavour.is_shut(entry):
                return ()
            if plain(entry.dn) == plain(self._user):
                raise server.fault(FaultCategory.PROTECTED_ACCOUNT, _SHUT, "our_own_entry")
            now = datetime.now(UTC)
            shut = tuple(
                (Change.REPLACE, door.attribute, (door.shut(now),)) for door in self._flavour.doors
            )
            edits = Edits(_SHUT, entry.dn, shut, missing="write the attributes that shut an entry")
            exchange = await server.change(edits)
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in doors)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The provider, and each replica by a connection of its own: all of them let people in."""
        looks = await asyncio.gather(
            *(attempt(self._on(at, account, transcript)) for at in self._servers)
        )
        first, *replicas = looks
        if isinstance(first, ConnectorFault):
            raise first
        standing, missed = [*first.standing], [*first.unread]
        for look in replicas:
            if isinstance(look, ConnectorFault):
                # Whom a replica lets in is not known; it may lag behind, or be cut off.
                kinds = (AccessKind.SIGN_IN, AccessKind.SECRET, AccessKind.GROUP)
                missed += [unread(kind, look) for kind in kinds]
            else:
                standing += look.standing
                missed += look.unread
        return replace(first, standing=tuple(standing), unread=tuple(dict.fromkeys(missed)))

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """SSH keys, then groups; on the provider, which the replicas follow."""
        here = [way for way in before.standing if "@" not in way.ref]
        secrets = [way for way in here if way.kind is AccessKind.SECRET]
        groups = [way for way in here if way.kind is AccessKind.GROUP]
        if not secrets and not groups:
            return ()
        async with self._provider.opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
            if entry is None:
                return ()
            keys = [partial(self._remove_keys, server, entry, secrets)] if secrets else []
            leave = [partial(self._leave, server, entry, groups)] if groups else []
            return await in_order(keys, leave, at_once=1)

    async def health(self, transcript: Transcript) -> Health:
        """Reach every server; see that the doors are known there, and that they shut anything."""
        looks = await asyncio.gather(
            *(attempt(self._about(server, transcript)) for server in self._servers.values())
        )
        problems: list[Problem] = []
        for look in looks:
            if isinstance(look, ConnectorFault):
                fix = rule_for(look.category).suggestion
                problems.append(Problem(look.category.value, str(look), fix))
        first = looks[0]
        if not isinstance(first, ConnectorFault):
            known = [one for one in looks if not isinstance(one, ConnectorFault)]
            problems += checks.problems(first, known[1:], self._flavour)
        silent = {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
        reachable = not (isinstance(first, ConnectorFault) and first.category in silent)
        return Health(reachable, tuple(dict.fromkeys(problems)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Every person whose entry is not shut."""
        listed = await attempt(self._everybody(transcript))
        if isinstance(listed, ConnectorFault):
            yield ActivePage((), ListEnd(0, (gap("accounts", listed),)))
            return
        people = self._finder.people
        told = [people.match(one, KeyKind.ACCOUNT_ID, self._finder.seen) for one in listed]
        active = tuple(
            ActiveAccount(one.account, one.name, one.created_at, one.last_used_at)
            for one in told
            if one.seen is None or one.seen.signs_in
        )
        yield ActivePage(active, ListEnd(len(listed)))

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """Groups that name the person as owner or manager."""
        owned = await attempt(self._owned(account, transcript))
        if isinstance(owned, ConnectorFault):
            return Belongings(account.id, (), (gap(OwnedKind.GROUP, owned),))
        return owned

    async def places(self, transcript: Transcript) -> tuple[EachPlace, ...]:  # noqa: ARG002 - settings name them
        """The provider, and every replica that the settings name."""
        return tuple(EachPlace(at or PROVIDER) for at in self._servers)

    async def read_back_at(
        self, place: EachPlace, account: Account, transcript: Transcript
    ) -> Observation:
        """What one server says."""
        return await self._on("" if place.ref == PROVIDER else place.ref, account, transcript)

    @staticmethod
    def _gone(account: Account) -> Observation:
        return Observation(account.id, exists=False, standing=())

    def _seen(self, entry: Entry, *, at: str = "", unasked: bool = False) -> Observation:
        """What the entry says."""
        where = f"@{at}" if at else ""
        account_id = self._finder.people.naming.of(entry)
        standing = [
            Access(AccessKind.SECRET, _fingerprint(key) + where) for key in self._held_keys(entry)
        ]
        shut = self._flavour.is_shut(entry)
        if not shut:
            standing.insert(0, Access(AccessKind.SIGN_IN, account_id + where))
        lists = (Unread(AccessKind.GROUP),) if unasked else ()
        residuals = self._residuals if shut else ()
        return Observation(
            account_id, exists=True, standing=tuple(standing), unread=lists, residuals=residuals
        )

    def _held_keys(self, entry: Entry) -> tuple[bytes, ...]:
        return entry.raw(self._keys) if self._keys else ()

    async def _on(self, at: str, account: Account, transcript: Transcript) -> Observation:
        async with self._servers[at].opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
            if entry is None:
                return self._gone(account)
            seen = self._seen(entry, at=at)
            held = await attempt(self._memberships(server, entry))
        if isinstance(held, ConnectorFault):
            row = unread(AccessKind.GROUP, held)
            return replace(seen, unread=(*seen.unread, row))
        ways, hidden = held
        here = tuple(replace(way, ref=f"{way.ref}@{at}") if at else way for way in ways)
        return replace(seen, standing=(*seen.standing, *here), unread=hidden)

    async def _memberships(
        self, server: OpenDirectory, entry: Entry
    ) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
        held = await self._groups.of(server, entry)
        hidden = await self._groups.hidden(server, entry.all("memberOf"), held)
        fault = server.fault(FaultCategory.MISCONFIGURED, GROUPS, "groups_not_seen")
        missed = (unread(AccessKind.GROUP, fault),) if hidden else ()
        return tuple(one.way() for one in held), missed

    async def _remove_keys(
        self, server: OpenDirectory, entry: Entry, ways: Sequence[Access]
    ) -> tuple[Action, ...]:
        due = {way.ref: way for way in ways}
        held = {_fingerprint(key): key for key in self._held_keys(entry)}
        gone = {ref: held[ref] for ref in due if ref in held}
        if not gone:
            return ()
        edit = (Change.DELETE, self._keys, tuple(gone.values()))
        edits = Edits(_KEYS, entry.dn, (edit,), missing="write SSH keys")
        exchange = await server.change(edits)
        return tuple(Action(due[ref], exchange.answered_at, exchange.operation) for ref in gone)

    async def _leave(
        self, server: OpenDirectory, entry: Entry, ways: Sequence[Access]
    ) -> tuple[Action, ...]:
        return await self._groups.leave(server, await self._groups.of(server, entry), ways)

    async def _owned(self, account: Account, transcript: Transcript) -> Belongings:
        async with self._provider.opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
            if entry is None:
                return Belongings(account.id, ())
            return Belongings(account.id, await self._groups.owned(server, entry, _OWNER))

    async def _everybody(self, transcript: Transcript) -> tuple[Entry, ...]:
        async with self._provider.opened(transcript) as server:
            return await self._finder.everybody(server)

    async def _about(self, server: LdapServer, transcript: Transcript) -> checks.About:
        async with server.opened(transcript) as opened:
            return await checks.about(opened, self._finder, self._policy)


def _fingerprint(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:32]


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="LDAP directory: OpenLDAP, 389 Directory Server, others",
    category=Category.IDENTITY,
    build=LdapConnector,
    options=say.OPTIONS,
    permissions=(
        "read people and groups, operational attributes (entryUUID, memberOf) too",
        "write pwdEndTime and pwdAccountLockedTime (openldap) or nsAccountLock (389ds)",
        "read and write userPassword: only with scramble",
        "write sshPublicKey of people, and member, uniqueMember, memberUid of groups",
    ),
    proves=(
        "on the provider and on every replica that is named, each by a connection of its own: the"
        " entry, found by its immutable id, is shut (openldap: pwdEndTime has passed and"
        " pwdAccountLockedTime is for good; 389ds: nsAccountLock is TRUE; scramble: userPassword"
        " is the hash that no password has), holds no SSH key, and no group names it"
    ),
    residual_s={BOUND: None, OTHERS: None},
    calls=16,
    abilities={
        Ability.LIST_ACTIVE: (
            "every person below the base whose entry is not shut; last use where the server keeps"
            " it (pwdLastSuccess, lastLoginTime)"
        ),
        Ability.LIST_OWNED: "entries below the base of groups whose owner or managedBy it is",
        Ability.READ_EACH_PLACE: "the provider and every replica that the settings name",
    },
    # The password stays, except with scramble.
    revives_on_unblock=frozenset({AccessKind.SECRET, AccessKind.GROUP}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "provider and replicas"),
)

"""Active Directory: disabled at one domain controller, and read back at every one of them.

The account is disabled first; then its password becomes one that nobody knows, no hour is left in
which it might sign in, and it leaves its groups. Nothing is deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final

from connectors.abilities import Place as EachPlace
from connectors.active_directory import accounts, belongings
from connectors.active_directory import options as say
from connectors.active_directory.controllers import CONTROLLERS, Domain, controllers_of, domain_of
from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.finding.searching import Searching
from connectors.kit.ldap import filters
from connectors.kit.ldap.channel import (
    Connect,
    Edits,
    LdapDialect,
    LdapServer,
    OpenDirectory,
    Query,
    Result,
)
from connectors.kit.ldap.finding import Finder
from connectors.kit.ldap.groups import GROUPS, Groups, Member, plain
from connectors.kit.ldap.messages import Edit, Entry
from connectors.kit.ldap.people import OBJECT_GUID
from connectors.kit.ldap.places import place_of
from connectors.kit.ldap.wire import Place
from connectors.kit.options import read_options
from connectors.kit.residuals import shown
from connectors.kit.steps import Step, attempt, in_order, unread
from lockstep.domain.cases.leavers import KeyKind, LeaverKeys
from lockstep.domain.cases.outcomes import EvidenceGrade
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement, Gap
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
    ProblemSeverity,
    Residual,
    Unread,
)
from lockstep.domain.systems.active import ActiveAccount, ActivePage, ListEnd
from lockstep.domain.systems.faults import FaultCategory, rule_for
from lockstep.domain.systems.owned import Belongings, Owned, OwnedKind

KIND: Final = "active_directory"
IN_CHAIN: Final = "1.2.840.113556.1.4.1941"
"""Whoever is a member by way of other groups too."""
_SHUT = "people.disable"
_CLOSED = (AccessKind.SIGN_IN, AccessKind.SECRET, AccessKind.ASSIGNMENT, AccessKind.GROUP)
# It refuses what its own rules forbid: a password too simple, a change of what it protects.
DIALECT = LdapDialect(KIND, {Result.UNWILLING_TO_PERFORM: FaultCategory.PROTECTED_ACCOUNT})

Opener = Callable[[Place], Connect]


class ActiveDirectoryConnector:
    """One domain.

    Args:
        given: see `connectors.active_directory.options`.
        opener: how a connection is opened; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, opener: Opener = lambda place: place.connect
    ) -> None:
        values = read_options(say.OPTIONS, given, kind=KIND)
        self._given = given
        self._values = values
        self._opener = opener
        self._addresses = say.addresses_of(values)
        self._named = tuple(name.lower() for name in values[say.CONTROLLERS])
        self._writer = self._server(values[say.SERVER])
        base = values[say.BASE]
        root = base[found:] if (found := base.lower().find("dc=")) >= 0 else base
        people = say.people_of(values)
        self._root = root
        self._finder = Finder(people, base, root, self._door, elsewhere=True)
        group = filters.equals("objectClass", "group")
        self._groups = Groups(OBJECT_GUID, root, (Member("member"),), group, elsewhere=True)
        nested = (Member(f"member:{IN_CHAIN}:"),)
        self._nested = replace(self._groups, members=nested)

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
        ids = [each for each in keys.account_ids(self._given.system) if people.by_id(each)]
        wanted = [key for key in keys.keys if people.rows(key.kind)]
        if not ids and not wanted:
            return Location((), ())
        async with self._writer.opened(transcript) as server:
            return await self._finder.locate(server, ids, wanted, Searching(not_theirs))

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The account's own record at the controller that is written to."""
        async with self._opened(self._writer, transcript) as (server, _):
            entry = await self._finder.one(server, account.id)
        return self._gone(account) if entry is None else self._door(entry)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Disable it; inside a site that is replicated at once (MS-ADTS 3.1.1.5.1.7)."""
        doors = [way for way in before.standing if way.kind is AccessKind.SIGN_IN]
        if not doors:
            return ()
        async with self._opened(self._writer, transcript) as (server, _):
            entry = await self._finder.one(server, account.id)
            if entry is None or accounts.is_shut(entry):
                return ()
            if code := self._protected(entry):
                raise server.fault(FaultCategory.PROTECTED_ACCOUNT, _SHUT, code)
            edit = accounts.disable(entry)
            edits = Edits(_SHUT, entry.dn, (edit,), missing="write userAccountControl")
            exchange = await server.change(edits)
        return tuple(Action(way, exchange.answered_at, exchange.operation) for way in doors)

    async def read_back(self, account: Account, transcript: Transcript) -> Observation:
        """The controller that was written to, then every other one by a connection of its own."""
        async with self._opened(self._writer, transcript) as (server, domain):
            first = await self._seen(server, account)
            names = await attempt(self._controllers(server, domain))
        if isinstance(names, ConnectorFault):
            missed = (unread(kind, names) for kind in _CLOSED)
            return replace(first, unread=(*first.unread, *missed))
        others = [name for name in names if name != domain.controller]
        looks = await asyncio.gather(
            *(attempt(self._at(name, account, transcript)) for name in others)
        )
        return self._together(first, looks)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """Password, hours, groups; the other controllers follow by replication."""
        due = {way.ref: way for way in before.standing if "@" not in way.ref}
        due = {ref: way for ref, way in due.items() if way.kind is not AccessKind.SIGN_IN}
        if not due:
            return ()
        async with self._opened(self._writer, transcript) as (server, _):
            entry = await self._finder.one(server, account.id)
            if entry is None:
                return ()
            held = {way.ref: way for way in accounts.standing(entry, account.id)}
            own: list[Step] = []
            for ref, edits, operation in (
                # For an hour the last password but one goes on counting at sign-ins by NTLM.
                (accounts.PASSWORD, (accounts.scramble(), accounts.scramble()), "people.scramble"),
                (accounts.HOURS, (accounts.no_hours(),), "people.close_hours"),
            ):
                if ref in due and ref in held:
                    own.append(partial(self._edit, server, entry, due[ref], edits, operation))
            leave = partial(self._leave, server, entry, due.values())
            has_groups = any(way.kind is AccessKind.GROUP for way in due.values())
            return await in_order(own, [leave] if has_groups else [], at_once=1)

    async def health(self, transcript: Transcript) -> Health:
        """Reach every controller; see people, and what replication wrote down about them."""
        first = await attempt(self._about(transcript))
        if isinstance(first, ConnectorFault):
            silent = first.category in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}
            fix = rule_for(first.category).suggestion
            return Health(not silent, (Problem(first.category.value, str(first), fix),))
        problems, others = first
        looks = await asyncio.gather(*(attempt(self._reach(each, transcript)) for each in others))
        for look in looks:
            if isinstance(look, ConnectorFault):
                problems.append(
                    Problem(
                        "controller_not_read",
                        f"a domain controller cannot be read: {look}",
                        "Let Lockstep reach it, give it a certificate that names it, or name it in"
                        " addresses; until then no leaver is proved there.",
                        ProblemSeverity.LIMITS,
                    )
                )
        return Health(reachable=True, problems=tuple(dict.fromkeys(problems)))

    async def list_active(self, transcript: Transcript) -> AsyncIterator[ActivePage]:
        """Every account of a person that is not disabled."""
        listed = await attempt(self._everybody(transcript))
        if isinstance(listed, ConnectorFault):
            yield ActivePage((), ListEnd(0, (gap("accounts", listed),)))
            return
        people = self._finder.people
        told = [
            people.match(one, KeyKind.ACCOUNT_ID, self._door)
            for one in listed
            if not accounts.is_shut(one)
        ]
        active = (
            ActiveAccount(one.account, one.name, one.created_at, one.last_used_at) for one in told
        )
        yield ActivePage(tuple(active), ListEnd(len(listed)))

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """What it manages, services that run as it, and what lets it act for others."""
        found = await attempt(self._owned(account, transcript))
        if isinstance(found, ConnectorFault):
            kinds = (OwnedKind.GROUP, OwnedKind.SERVICE_ACCOUNT, OwnedKind.KEY)
            return Belongings(account.id, (), tuple(gap(kind, found) for kind in kinds))
        return Belongings(account.id, *found)

    async def places(self, transcript: Transcript) -> tuple[EachPlace, ...]:
        """Every controller that holds the domain."""
        async with self._opened(self._writer, transcript) as (server, domain):
            return tuple(EachPlace(name) for name in await self._controllers(server, domain))

    async def read_back_at(
        self, place: EachPlace, account: Account, transcript: Transcript
    ) -> Observation:
        """What one controller says."""
        return await self._at(place.ref, account, transcript)

    def _server(self, name: str) -> LdapServer:
        at = self._addresses.get(name.lower(), name)
        place = place_of(self._values, at, self._values[say.USER], name=name)
        return LdapServer(
            DIALECT,
            self._opener(place),
            secrets=self._values.secrets,
            timeout=self._given.timeout,
            pace=self._given.pace,
        )

    @contextlib.asynccontextmanager
    async def _opened(
        self, server: LdapServer, transcript: Transcript
    ) -> AsyncIterator[tuple[OpenDirectory, Domain]]:
        async with server.opened(transcript) as opened:
            yield opened, await domain_of(opened)

    async def _controllers(self, server: OpenDirectory, domain: Domain) -> tuple[str, ...]:
        return self._named or await controllers_of(server, domain)

    @staticmethod
    def _gone(account: Account) -> Observation:
        return Observation(account.id, exists=False, standing=())

    def _protected(self, entry: Entry) -> str:
        """Why an account is nobody's to disable, "" where it is."""
        if entry.one("isCriticalSystemObject").upper() == "TRUE":
            return "critical_system_object"
        ours = self._values[say.USER].lower().rpartition("\\")[2]
        names = (entry.one("userPrincipalName"), entry.one("sAMAccountName"), plain(entry.dn))
        is_ours = ours in {name.lower() for name in names if name}
        short = ours.partition("@")[0] == entry.one("sAMAccountName").lower()
        return "our_own_account" if is_ours or short else ""

    def _door(self, entry: Entry) -> Observation:
        """What the account's own record says."""
        account_id = OBJECT_GUID.of(entry)
        return Observation(
            account_id,
            exists=True,
            standing=tuple(accounts.standing(entry, account_id)),
            off_since=accounts.off_since(entry),
            residuals=self._residuals(entry),
            unread=(*accounts.unknown(entry), Unread(AccessKind.GROUP)),
        )

    def _residuals(self, entry: Entry) -> tuple[Residual, ...]:
        if not accounts.is_shut(entry):
            return ()
        rows = [*say.ALWAYS]
        if entry.one("primaryGroupID") not in accounts.EVERYBODY:
            rows.append(say.PRIMARY_GROUP)
        return shown(rows, self._values, signs_in=False)

    async def _seen(self, server: OpenDirectory, account: Account) -> Observation:
        """Everything that one controller says."""
        entry = await self._finder.one(server, account.id)
        if entry is None:
            return self._gone(account)
        door = replace(self._door(entry), unread=tuple(accounts.unknown(entry)))
        held = await attempt(self._memberships(server, entry))
        if isinstance(held, ConnectorFault):
            return replace(door, unread=(*door.unread, unread(AccessKind.GROUP, held)))
        ways, hidden = held
        return replace(door, standing=(*door.standing, *ways), unread=(*door.unread, *hidden))

    async def _at(self, name: str, account: Account, transcript: Transcript) -> Observation:
        """What one controller says, each way in with its name."""
        async with self._opened(self._server(name), transcript) as (server, domain):
            if domain.controller and domain.controller != name:
                raise server.odd(CONTROLLERS, "another_controller")
            seen = await self._seen(server, account)
        ways = tuple(replace(way, ref=f"{way.ref}@{name}") for way in seen.standing)
        return replace(seen, standing=ways)

    def _together(
        self, first: Observation, others: Iterable[Observation | ConnectorFault]
    ) -> Observation:
        """Shut is what every controller calls so; the last of them says since when."""
        standing, missed, residuals = [*first.standing], [*first.unread], [*first.residuals]
        since: list[datetime | None] = [first.off_since]
        for look in others:
            if isinstance(look, ConnectorFault):
                missed += [unread(kind, look) for kind in _CLOSED]
                if not first.signs_in and first.exists:
                    residuals += say.UNREACHED.told(self._values)
                continue
            standing += look.standing
            missed += look.unread
            since.append(look.off_since)
        known = [moment for moment in since if moment is not None]
        return replace(
            first,
            standing=tuple(standing),
            unread=tuple(dict.fromkeys(missed)),
            residuals=tuple(dict.fromkeys(residuals)),
            off_since=max(known) if len(known) == len(since) else None,
        )

    async def _memberships(
        self, server: OpenDirectory, entry: Entry
    ) -> tuple[tuple[Access, ...], tuple[Unread, ...]]:
        """Groups that name the account, and whether others hold it that do not."""
        held = await self._groups.of(server, entry)
        wanted = filters.all_of(self._groups.wanted, filters.by_rule("member", IN_CHAIN, entry.dn))
        query = Query(GROUPS, self._root, wanted, ("objectGUID",), elsewhere=True)
        nested = await server.all(query)
        hidden = not held and bool(nested)
        hidden = hidden or await self._groups.hidden(server, entry.all("memberOf"), held)
        fault = server.fault(FaultCategory.MISCONFIGURED, GROUPS, "groups_not_seen")
        missed = (unread(AccessKind.GROUP, fault),) if hidden else ()
        return tuple(one.way() for one in held), missed

    @staticmethod
    async def _edit(
        server: OpenDirectory, entry: Entry, way: Access, due: Iterable[Edit], operation: str
    ) -> tuple[Action, ...]:
        made = [
            await server.change(Edits(operation, entry.dn, (edit,), missing=f"write {edit[1]}"))
            for edit in due
        ]
        return (Action(way, made[-1].answered_at, operation),)

    async def _leave(
        self, server: OpenDirectory, entry: Entry, ways: Iterable[Access]
    ) -> tuple[Action, ...]:
        return await self._groups.leave(server, await self._groups.of(server, entry), ways)

    async def _about(self, transcript: Transcript) -> tuple[list[Problem], list[str]]:
        problems: list[Problem] = []
        async with self._opened(self._writer, transcript) as (server, domain):
            somebody = await self._finder.sample(server)
            names = await self._controllers(server, domain)
        if somebody is None:
            fix = "Check base, and let our account read people."
            problems.append(Problem("nobody_seen", "nobody is seen below the base", fix))
        elif not accounts.changes(somebody):
            problems.append(
                Problem(
                    "no_metadata",
                    "our account does not see when attributes were changed",
                    "Let it read replPropertyMetaData: else no password is proved to be new.",
                )
            )
        if not domain.synchronized:
            problems.append(
                Problem(
                    "not_synchronized",
                    "the domain controller has not caught up with the others",
                    "Wait, or name another one as server.",
                    ProblemSeverity.LIMITS,
                )
            )
        return problems, [name for name in names if name != domain.controller]

    async def _reach(self, name: str, transcript: Transcript) -> None:
        async with self._opened(self._server(name), transcript):
            return

    async def _everybody(self, transcript: Transcript) -> tuple[Entry, ...]:
        async with self._writer.opened(transcript) as server:
            return await self._finder.everybody(server)

    async def _owned(
        self, account: Account, transcript: Transcript
    ) -> tuple[tuple[Owned, ...], tuple[Gap, ...]]:
        things: list[Owned] = []
        gaps: list[Gap] = []
        async with self._writer.opened(transcript) as server:
            entry = await self._finder.one(server, account.id)
            if entry is None:
                return (), ()
            acting = (OwnedKind.SERVICE_ACCOUNT, OwnedKind.KEY)
            for kinds, work in (
                ((OwnedKind.GROUP,), belongings.managed(server, entry, self._root)),
                (acting, belongings.own(server, entry)),
                (acting, belongings.trusts(server, entry, self._root)),
            ):
                told = await attempt(work)
                if isinstance(told, ConnectorFault):
                    gaps += (gap(kind, told) for kind in kinds)
                else:
                    things += told
        return tuple(things), tuple(gaps)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Active Directory",
    category=Category.IDENTITY,
    build=ActiveDirectoryConnector,
    options=say.OPTIONS,
    permissions=(
        "read people, groups and the Configuration partition",
        "write userAccountControl and logonHours of people",
        "reset their passwords",
        "write member of groups",
    ),
    proves=(
        "at every domain controller that the Configuration partition names, each by a connection of"
        " its own and by objectGUID: userAccountControl says disabled, replPropertyMetaData"
        " that unicodePwd was changed after that, logonHours leaves no hour, and no group names the"
        " account; the same metadata is the domain's own record of since when"
    ),
    residual_s={row.what: row.default for row in (*say.ALWAYS, say.PRIMARY_GROUP, say.UNREACHED)},
    calls=25,
    abilities={
        Ability.LIST_ACTIVE: (
            "people below the base who are not disabled; lastLogonTimestamp lags by up to 14 days"
        ),
        Ability.LIST_OWNED: (
            "managedBy, service principal names, delegation, whose gMSA password it may fetch, and"
            " at whom it may act for others; in this domain, rights by way of a group are not seen"
        ),
        Ability.READ_EACH_PLACE: "every domain controller of the domain, read-only ones too",
    },
    grade=EvidenceGrade.A,
    revives_on_unblock=frozenset({AccessKind.SECRET, AccessKind.GROUP, AccessKind.ASSIGNMENT}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "domain controllers"),
)

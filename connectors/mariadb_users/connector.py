"""MariaDB and MySQL: every host variant is locked, sessions end, roles are taken away.

Nothing that the user made is dropped. What runs with its rights (views, routines, events,
triggers) goes on doing so while it is locked, and is listed as owned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap, lacking
from connectors.kit.databases.accounts import (
    DatabaseAccounts,
    actions,
    at_place,
    stands_at,
)
from connectors.kit.databases.addresses import PASSWORD, SERVER, Place, kinds_of, place_of
from connectors.kit.options import read_options
from connectors.kit.sql import Connect, OpenServer, Row, SqlServer
from connectors.kit.steps import attempt, carry_out, in_order, unread
from connectors.mariadb_users import products as ask
from connectors.mariadb_users import users
from connectors.mariadb_users.driver import connect
from connectors.mariadb_users.options import OPTIONS, PORT, PRODUCT, REPLICAS, SCRAMBLE, USER_IS
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Account,
    Action,
    Category,
    Match,
    Observation,
    Problem,
)
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.owned import Belongings, Owned, OwnedKind

KIND = "mariadb_users"
_PATIENCE = 20
"""Looks, 50 ms apart: a session that was killed ends by itself."""

Opener = Callable[[Place], Connect]


class MariaConnector(DatabaseAccounts):
    """One server, and the replicas of it that people can connect to.

    An account is a name, with all hosts that it may come from.

    Args:
        given: see `connectors.mariadb_users.options`.
        opener: how a session is opened; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, opener: Opener = lambda place: partial(connect, place)
    ) -> None:
        values = read_options(OPTIONS, given, kind=KIND)
        self._product = ask.PRODUCTS[values[PRODUCT]]
        self._scramble = values[SCRAMBLE]
        self._user_is = kinds_of(values[USER_IS])
        places = {"": values[SERVER], **{address: address for address in values[REPLICAS]}}
        at = partial(place_of, values, option="replicas", port=PORT, timeout=given.timeout)
        self._ours = at(values[SERVER]).user
        servers = {
            name: SqlServer(
                ask.DIALECT,
                opener(at(address)),
                secrets=[values[PASSWORD]],
                timeout=given.timeout,
                pace=given.pace,
            )
            for name, address in places.items()
        }
        super().__init__(given.system, servers, self._user_is)

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The user's own rows on the primary."""
        async with self._primary.opened(transcript) as server:
            rows = await users.variants(server, self._product, account.id)
        return users.seen(account.id, rows, scramble=self._scramble, unasked=True)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """``ALTER USER … ACCOUNT LOCK`` for all hosts at once; replicas follow."""
        if not before.signs_in:
            return ()
        name = account.id
        async with self._primary.opened(transcript) as server:
            rows = await users.variants(server, self._product, name)
            due = [row["host"] for row in rows if not row["locked"]]
            if not due:
                return ()
            if name == self._ours or name in users.NOBODYS:
                code = "our_own_user" if name == self._ours else "user_of_the_server"
                raise self._primary.fault(FaultCategory.PROTECTED_ACCOUNT, ask.LOCK, code)
            _, exchange = await server.run(ask.lock(len(due)), names=_named(name, due))
        doors = [way for way in before.standing if way.kind is AccessKind.SIGN_IN]
        return actions(doors, exchange)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End the sessions on every server; then the password, where wanted, and roles."""
        due = {kind: [way for way in before.standing if way.kind is kind] for kind in AccessKind}
        sessions = [
            partial(self._end, at, account.id, ways, transcript)
            for at in self._servers
            if (ways := [way for way in due[AccessKind.SESSION] if stands_at(way, at)])
        ]
        secrets, roles = due[AccessKind.SECRET], due[AccessKind.GROUP]
        scramble = [partial(self._forget, account.id, secrets, transcript)] if secrets else []
        leave = [partial(self._leave, account.id, roles, transcript)] if roles else []
        return await in_order(sessions, scramble, leave)

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """Views, routines, events and triggers that run with the user's rights."""
        owned = await attempt(self._owned(account.id, transcript))
        if isinstance(owned, ConnectorFault):
            return Belongings(account.id, (), (gap(OwnedKind.FLOW, owned),))
        rows, held = owned
        things = tuple(Owned(OwnedKind.FLOW, row["name"], row["name"]) for row in rows)
        operation = ask.definers(self._product).operation
        blind = [each for each in ask.SEES_DEFINERS if each not in held]
        gaps = tuple(lacking(OwnedKind.FLOW, operation, each) for each in blind)
        return Belongings(account.id, things, gaps)

    async def _owned(
        self, name: str, transcript: Transcript
    ) -> tuple[Sequence[Row], frozenset[str]]:
        async with self._primary.opened(transcript) as server:
            held = await _privileges(server)
            rows, _ = await server.run(ask.definers(self._product), {"user": name})
        return rows, held

    async def _everybody(self, transcript: Transcript) -> list[Match]:
        async with self._primary.opened(transcript) as server:
            rows, _ = await server.run(ask.everybody(self._product))
        return [self._match(name, each) for name, each in users.by_name(rows).items()]

    def _match(self, name: str, rows: Sequence[Row]) -> Match:
        keys = tuple(Key(kind, name) for kind in self._user_is)
        seen = users.seen(name, rows, scramble=self._scramble, unasked=True)
        return Match(Account(name, name, keys), KeyKind.ACCOUNT_ID, seen)

    async def _on(self, at: str, account_id: str, transcript: Transcript) -> Observation:
        """What one server says; replicas copy roles and passwords from the primary."""
        async with self._servers[at].opened(transcript) as server:
            rows = await users.variants(server, self._product, account_id)
            seen = users.seen(account_id, rows, at=at, scramble=self._scramble)
            whom = {"user": account_id}
            listed = await attempt(server.run(self._product.sessions, whom))
            held = () if at else (await server.run(self._product.roles, whom))[0]
        standing = (*seen.standing, *map(users.role_of, held))
        if isinstance(listed, ConnectorFault):
            row = unread(AccessKind.SESSION, listed)
            return replace(seen, standing=standing, unread=(*seen.unread, row))
        found = [Access(AccessKind.SESSION, at_place(str(row["id"]), at)) for row in listed[0]]
        return replace(seen, standing=(*standing, *found))

    async def _end(
        self, at: str, name: str, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        """End all sessions of a user on one server, and wait until they have."""
        async with self._servers[at].opened(transcript) as server:
            if self._product.kill:
                _, exchange = await server.run(self._product.kill, names={"user": name})
                done = actions(ways, exchange)
            else:
                done = await _killed(server, ways)
            for _ in range(_PATIENCE):
                rows, _ = await server.run(self._product.sessions, {"user": name})
                if not rows:
                    break
                await server.run(ask.PAUSE)
        return done

    async def _forget(
        self, name: str, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        """Put a password that nobody has in place of theirs."""
        async with self._primary.opened(transcript) as server:
            rows = await users.variants(server, self._product, name)
            due = [row["host"] for row in rows if row["scrambled"] != 1]
            if not due:
                return ()
            change = ask.scramble(self._product, len(due))
            _, exchange = await server.run(change, names=_named(name, due))
        return actions(ways, exchange)

    async def _leave(
        self, name: str, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        """Take the roles that still stand, one after the other in one session."""
        async with self._primary.opened(transcript) as server:
            rows, _ = await server.run(self._product.roles, {"user": name})
            held = {users.role_of(row): row for row in rows}
            due = [(way, held[way]) for way in ways if way in held]
            return await carry_out(
                *(partial(self._take, server, name, *one) for one in due), at_once=1
            )

    async def _take(
        self, server: OpenServer, name: str, way: Access, row: Row
    ) -> tuple[Action, ...]:
        names = {"user": name, **{part: row[part] for part in ("host", "role", "role_host")}}
        _, exchange = await server.run(self._product.leave, names=names)
        return actions([way], exchange)

    async def _problems(self, at: str, transcript: Transcript) -> Iterable[Problem]:
        async with self._servers[at].opened(transcript) as server:
            about, _ = await server.run(ask.ABOUT)
            if not about:
                raise server.odd(ask.ABOUT, "no_rows")
            told = [*users.server_problems(about[0], self._product, replica=bool(at))]
            if about[0]["unguarded"] != 0:
                return told  # it knows of no permissions either
            told += users.permission_problems(await _privileges(server), self._product)
            if not at:
                rows, _ = await server.run(ask.everybody(self._product))
                anonymous, _ = await server.run(ask.ANONYMOUS)
                proxies, _ = await server.run(ask.PROXIES)
                proxied = [row["name"] for row in proxies]
                told += users.catalogue_problems(rows, anonymous=len(anonymous), proxied=proxied)
        return told


def _named(user: str, hosts: Sequence[str]) -> dict[str, str]:
    return {"user": user, **{f"host{number}": host for number, host in enumerate(hosts)}}


async def _privileges(server: OpenServer) -> frozenset[str]:
    rows, _ = await server.run(ask.PRIVILEGES)
    return frozenset(str(row["privilege"]) for row in rows)


async def _killed(server: OpenServer, ways: Sequence[Access]) -> tuple[Action, ...]:
    """End each session by its number; one that has ended meanwhile is no fault."""
    done: list[Action] = []
    for way in ways:
        number = way.ref.partition("@")[0]
        try:
            _, exchange = await server.run(ask.KILL_ONE, {"id": int(number)})
        except ConnectorFault as fault:
            if fault.code != ask.GONE:
                raise
        else:
            done += actions([way], exchange)
    return tuple(done)


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Users of MariaDB 10.5 and later; of MySQL 8.0 and later, not tried at one",
    category=Category.SAAS,
    build=MariaConnector,
    options=OPTIONS,
    permissions=(
        f"{ask.ADMIN}: lock users",
        "CONNECTION ADMIN (MySQL: CONNECTION_ADMIN): end their sessions",
        "PROCESS: see their sessions",
        "SELECT on mysql.*: find users, read them back, roles",
        f"{ask.GRANTS} (MySQL: ROLE_ADMIN): take roles away",
        "SHOW VIEW, EVENT, TRIGGER: list what runs with their rights",
    ),
    proves=(
        "the grant tables and the server's memory (SHOW CREATE USER) say ACCOUNT LOCK of every host"
        " variant, the process list shows no session, on the primary and on every replica that is"
        " named; no role is mapped to the user. A user has no id but its name: one that was dropped"
        " and made anew cannot be told from the first"
    ),
    calls=14,
    abilities={
        Ability.LIST_ACTIVE: "every user that is not locked, by name; no last use: none is kept",
        Ability.LIST_OWNED: (
            "views, routines, events and triggers that run with the user's rights, in all"
            " databases. Tables have no owner here"
        ),
        Ability.READ_EACH_PLACE: "the primary and every replica that the settings name",
    },
    revives_on_unblock=frozenset({AccessKind.SESSION, AccessKind.SECRET, AccessKind.GROUP}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "primary and replicas"),
)

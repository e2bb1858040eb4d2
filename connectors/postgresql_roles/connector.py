"""PostgreSQL: the role is shut, its sessions end on every server, what it could do is taken away.

Nothing that the role owns is dropped or given to another: that is for people to decide. Its
password stays as it is: while the role may not log in it opens nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from connectors.base import ConnectorFault, ConnectorManifest, ConnectorOptions, Transcript
from connectors.kit.abilities.gaps import gap
from connectors.kit.databases.accounts import (
    DatabaseAccounts,
    actions,
    at_place,
    stands_at,
)
from connectors.kit.databases.addresses import PASSWORD, SERVER, kinds_of
from connectors.kit.options import read_options
from connectors.kit.sql import Connect, OpenServer, Row, SqlServer
from connectors.kit.steps import attempt, carry_out, in_order, unread
from connectors.postgresql_roles import roles
from connectors.postgresql_roles import statements as ask
from connectors.postgresql_roles.driver import Place
from connectors.postgresql_roles.options import (
    COMMENT_HOLDS,
    OPTIONS,
    ROLE_IS,
    STANDBYS,
    place_of,
)
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.abilities import Ability, EnforcedAt, Enforcement, Gap
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

KIND = "postgresql_roles"
PRIMARY = "primary"

Opener = Callable[[Place], Connect]


class PostgresConnector(DatabaseAccounts):
    """One cluster: a primary, and the standbys that people can connect to.

    Args:
        given: see `connectors.postgresql_roles.options`.
        opener: how a session is opened; replaced in tests.

    Raises:
        ValueError: naming the option that is wrong.
    """

    def __init__(
        self, given: ConnectorOptions, *, opener: Opener = lambda place: place.connect
    ) -> None:
        values = read_options(OPTIONS, given, kind=KIND)
        self._role_is = kinds_of(values[ROLE_IS])
        self._comment_holds = kinds_of(values[COMMENT_HOLDS])
        # The primary has no name: what stands there is told by the role alone.
        places = {"": values[SERVER], **{address: address for address in values[STANDBYS]}}
        servers = {
            at: SqlServer(
                ask.DIALECT,
                opener(place_of(values, address, given.timeout)),
                secrets=[values[PASSWORD]],
                timeout=given.timeout,
                pace=given.pace,
            )
            for at, address in places.items()
        }
        super().__init__(given.system, servers, (*self._role_is, *self._comment_holds))

    @property
    def kind(self) -> str:
        return KIND

    async def aclose(self) -> None:
        """Nothing stays open between calls."""

    async def look(self, account: Account, transcript: Transcript) -> Observation:
        """The role's own row on the primary."""
        async with self._primary.opened(transcript) as server:
            return roles.seen(account.id, await roles.one(server, account.id), unasked=True)

    async def contain(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """``ALTER ROLE … NOLOGIN``; standbys follow by replication."""
        if not before.signs_in:
            return ()
        async with self._primary.opened(transcript) as server:
            role = await roles.one(server, account.id)
            if role is None or role["signs_in"] is False:
                return ()
            if role["made_the_cluster"] or role["is_us"]:
                code = "bootstrap_superuser" if role["made_the_cluster"] else "our_own_role"
                raise self._primary.fault(FaultCategory.PROTECTED_ACCOUNT, ask.SHUT.operation, code)
            _, exchange = await server.run(ask.SHUT, names={"role": role["name"]})
        doors = [way for way in before.standing if way.kind is AccessKind.SIGN_IN]
        return actions(doors, exchange)

    async def strip(
        self, account: Account, before: Observation, transcript: Transcript
    ) -> tuple[Action, ...]:
        """End the sessions on every server; then attributes and memberships."""
        due = {kind: [way for way in before.standing if way.kind is kind] for kind in AccessKind}
        sessions = [
            partial(self._end, at, account.id, ways, transcript)
            for at in self._servers
            if (ways := [way for way in due[AccessKind.SESSION] if stands_at(way, at)])
        ]
        rest = [*due[AccessKind.ROLE], *due[AccessKind.GROUP]]
        rights = [partial(self._take, account.id, rest, transcript)] if rest else []
        return await in_order(sessions, rights)

    async def list_owned(self, account: Account, transcript: Transcript) -> Belongings:
        """Functions that run with the role's rights, in the database that we connect to."""
        owned = await attempt(self._owned(account.id, transcript))
        if isinstance(owned, ConnectorFault):
            return Belongings(account.id, (), (gap(OwnedKind.FLOW, owned),))
        things, elsewhere = owned
        if not elsewhere:
            return Belongings(account.id, things)
        code = "in_other_databases"
        unseen = Gap(OwnedKind.FLOW, FaultCategory.MISCONFIGURED, ask.ELSEWHERE.operation, code)
        return Belongings(account.id, things, (unseen,))

    async def _owned(self, role_id: str, transcript: Transcript) -> tuple[tuple[Owned, ...], int]:
        async with self._primary.opened(transcript) as server:
            rows, _ = await server.run(ask.FUNCTIONS, {"id": role_id})
            elsewhere, _ = await server.run(ask.ELSEWHERE, {"id": role_id})
        things = (Owned(OwnedKind.FLOW, row["id"], row["name"]) for row in rows)
        return tuple(things), elsewhere[0]["functions"] if elsewhere else 0

    async def _everybody(self, transcript: Transcript) -> list[Match]:
        async with self._primary.opened(transcript) as server:
            rows, _ = await server.run(ask.EVERYBODY)
        return [self._match(row) for row in rows]

    def _match(self, role: Row) -> Match:
        held = [(kind, role["name"]) for kind in self._role_is]
        held += [(kind, role["comment"].strip()) for kind in self._comment_holds]
        keys = tuple(Key(kind, value) for kind, value in held if value)
        account = Account(role["id"], role["name"], keys)
        seen = roles.seen(role["id"], role, unasked=True)
        return Match(account, KeyKind.ACCOUNT_ID, seen, name=role["comment"])

    async def _on(self, at: str, role_id: str, transcript: Transcript) -> Observation:
        """What one server says; standbys copy memberships and attributes from the primary."""
        async with self._servers[at].opened(transcript) as server:
            seen = roles.seen(role_id, await roles.one(server, role_id), at=at)
            listed = await attempt(server.run(ask.SESSIONS, {"id": role_id}))
            held = () if at or not seen.exists else await self._memberships(server, role_id)
        if isinstance(listed, ConnectorFault):
            row = unread(AccessKind.SESSION, listed)
            return replace(seen, standing=(*seen.standing, *held), unread=(*seen.unread, row))
        sessions = [Access(AccessKind.SESSION, at_place(str(row["pid"]), at)) for row in listed[0]]
        return replace(seen, standing=(*seen.standing, *sessions, *held))

    @staticmethod
    async def _memberships(server: OpenServer, role_id: str) -> tuple[Access, ...]:
        rows, _ = await server.run(ask.MEMBERSHIPS, {"id": role_id})
        return tuple(Access(AccessKind.GROUP, f"{row['id']}/{row['grantor']}") for row in rows)

    async def _end(
        self, at: str, role_id: str, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        async with self._servers[at].opened(transcript) as server:
            _, exchange = await server.run(ask.END, {"id": role_id})
        return actions(ways, exchange)

    async def _take(
        self, role_id: str, ways: Sequence[Access], transcript: Transcript
    ) -> tuple[Action, ...]:
        """Attributes and memberships, one after the other in one session."""
        async with self._primary.opened(transcript) as server:
            role = await roles.one(server, role_id)
            if role is None:
                return ()
            about = await roles.about(server)
            held, _ = await server.run(ask.MEMBERSHIPS, {"id": role_id})
            due = roles.to_take(role, held, ways, version=about["version"])
            return await carry_out(*(partial(roles.take, server, *one) for one in due), at_once=1)

    async def _problems(self, at: str, transcript: Transcript) -> Iterable[Problem]:
        async with self._servers[at].opened(transcript) as opened:
            return tuple(roles.problems(await roles.about(opened), standby=bool(at)))


MANIFEST = ConnectorManifest(
    kind=KIND,
    title="Roles of PostgreSQL 14 and later",
    category=Category.SAAS,
    build=PostgresConnector,
    options=OPTIONS,
    permissions=(
        "LOGIN: a role of our own",
        f"{ask.ADMIN}: to shut it, and to take its memberships",
        f"{ask.SIGNAL}: to end its sessions",
    ),
    proves=(
        "pg_roles.rolcanlogin is false, pg_stat_activity shows no session of the role on the"
        " primary and on every standby that is named, pg_auth_members no membership"
    ),
    calls=9,
    abilities={
        Ability.LIST_ACTIVE: "every role that may log in; no last use: PostgreSQL keeps none",
        Ability.LIST_OWNED: (
            "SECURITY DEFINER functions of the one database that is connected to; that there are"
            " some in others is told as not seen. Tables and other data are not looked at"
        ),
        Ability.READ_EACH_PLACE: "the primary and every standby that the settings name",
    },
    revives_on_unblock=frozenset({AccessKind.SESSION, AccessKind.ROLE, AccessKind.GROUP}),
    enforced_at=EnforcedAt(Enforcement.EACH_READ, "primary and standbys"),
)

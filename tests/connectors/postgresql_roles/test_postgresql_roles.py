"""PostgreSQL's own traps, against a real cluster and a real hot standby of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.postgresql_roles.connector import PostgresConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation
from lockstep.domain.systems.active import gathered
from lockstep.domain.systems.faults import FaultCategory
from lockstep.embedded.supervisor import Supervisor
from tests.connectors.anchors.peers import Authority
from tests.connectors.postgresql_roles.harness import Cluster, PostgresHarness, copy_of, harness
from tests.connectors.revoking import revoke
from tests.support.homes import server_home
from tests.support.ports import free_port

ROOT = Path(__file__).parents[3]
_PATIENCE_S = 30.0
_SHORT = timedelta(seconds=0.5)


@pytest.fixture(scope="module")
async def peer() -> AsyncIterator[PostgresHarness]:
    async with harness() as made:
        yield made


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture
def admin(peer: PostgresHarness) -> Iterator[psycopg.Connection]:
    with peer.cluster.admin() as connection:
        yield connection


async def seen_of(
    connector: PostgresConnector, role: str, transcript: Transcript
) -> tuple[Account, Observation]:
    keys = LeaverKeys((Key(KeyKind.EMAIL, role),))
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account, await connector.read_back(match.account, transcript)


async def closed(connector: PostgresConnector, role: str, transcript: Transcript) -> Observation:
    """Revoke a role, and look again."""
    account, before = await seen_of(connector, role, transcript)
    await revoke(connector, account, before, transcript)
    return await connector.read_back(account, transcript)


async def test_what_a_role_owns_stays(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """Tables and functions are nobody's to drop; those that run with its rights are listed."""
    role = "owner@northwind.example.com"
    peer.create(role, "w-owner")
    name = sql.Identifier(role)
    admin.execute(
        sql.SQL("CREATE TABLE IF NOT EXISTS ledgers (); ALTER TABLE ledgers OWNER TO {}").format(
            name
        )
    )
    admin.execute(
        sql.SQL(
            "CREATE FUNCTION pay() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
            "ALTER FUNCTION pay() OWNER TO {}"
        ).format(name)
    )
    connector = peer.connect()
    account, _ = await seen_of(connector, role, transcript)
    owned = await connector.list_owned(account, transcript)

    assert [thing.name for thing in owned.things] == ["public.pay"]
    assert owned.is_whole
    assert (await closed(connector, role, transcript)).is_closed
    row = admin.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'ledgers'").fetchone()
    assert row == (role,)


async def test_functions_of_other_databases_are_told_as_not_seen(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """Each database has a catalogue of its own: what stands in another is not known."""
    role = "elsewhere@northwind.example.com"
    peer.create(role, "w-elsewhere")
    admin.execute("CREATE DATABASE books")
    with psycopg.connect(
        host=peer.cluster.address, user="postgres", dbname="books", autocommit=True
    ) as other:
        other.execute(
            sql.SQL(
                "CREATE FUNCTION pay() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
                "ALTER FUNCTION pay() OWNER TO {}"
            ).format(sql.Identifier(role))
        )
    connector = peer.connect()
    account, _ = await seen_of(connector, role, transcript)
    owned = await connector.list_owned(account, transcript)

    assert owned.things == ()
    assert [gap.code for gap in owned.gaps] == ["in_other_databases"]


async def test_a_membership_is_taken_from_each_who_granted_it(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """From version 16 on a group is held once for each grantor; one REVOKE takes one of them."""
    role = "twice@northwind.example.com"
    peer.create(role, "w-twice")
    admin.execute("CREATE ROLE lead; GRANT clerks TO lead WITH ADMIN OPTION")
    admin.execute(sql.SQL("GRANT clerks TO {} GRANTED BY lead").format(sql.Identifier(role)))
    connector = peer.connect()
    _, before = await seen_of(connector, role, transcript)

    assert len([way for way in before.standing if way.kind is AccessKind.GROUP]) == 3
    assert (await closed(connector, role, transcript)).is_closed


async def test_a_grant_that_others_hold_through_the_role_asks_a_person(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """What the leaver handed on is not taken from others; all else of the leaver is closed."""
    role = "giver@northwind.example.com"
    peer.create(role, "w-giver")
    name = sql.Identifier(role)
    admin.execute(
        sql.SQL(
            "CREATE ROLE junior; GRANT readers TO {0} WITH ADMIN OPTION;"
            "GRANT readers TO junior GRANTED BY {0}"
        ).format(name)
    )
    connector = peer.connect()
    account, before = await seen_of(connector, role, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert [way.kind for way in after.standing] == [AccessKind.GROUP]
    assert not after.signs_in
    row = admin.execute("SELECT pg_has_role('junior', 'readers', 'MEMBER')").fetchone()
    assert row == (True,)


@pytest.mark.parametrize("role", ["postgres", "lockstep_revoker"])
async def test_the_roles_that_nobody_may_shut(
    peer: PostgresHarness, transcript: Transcript, role: str
) -> None:
    """The cluster's first superuser and our own role need a person, and stay as they are."""
    connector = peer.connect(role_is="username")
    keys = LeaverKeys((Key(KeyKind.USERNAME, role),))
    [match] = (await connector.locate(keys, transcript)).matches
    assert match.seen is not None
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(match.account, match.seen, transcript)

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert (await connector.look(match.account, transcript)).signs_in


async def test_every_attribute_goes_and_names_are_quoted(
    peer: PostgresHarness, transcript: Transcript
) -> None:
    """A superuser named like an attack is one role, and nothing is left of what it may."""
    role = 'o"; DROP TABLE x; --{role}%s@northwind.example.com'
    rights = ("SUPERUSER", "CREATEDB", "CREATEROLE", "REPLICATION", "BYPASSRLS")
    peer.create(role, "w-quoted", *rights)
    connector = peer.connect()
    _, before = await seen_of(connector, role, transcript)
    after = await closed(connector, role, transcript)

    assert len([way for way in before.standing if way.kind is AccessKind.ROLE]) == len(rights)
    assert after.exists
    assert after.is_closed


async def test_a_role_that_was_renamed_meanwhile_is_the_same(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """The id decides: the name of today is read before anything is changed."""
    role = "before@northwind.example.com"
    peer.create(role, "w-renamed")
    connector = peer.connect()
    account, before = await seen_of(connector, role, transcript)
    admin.execute(sql.SQL("ALTER ROLE {} RENAME TO later").format(sql.Identifier(role)))
    await revoke(connector, account, before, transcript)

    assert (await connector.read_back(account, transcript)).is_closed


async def test_what_a_lesser_role_of_ours_lacks_is_named(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """Health says it before it is needed; the refusal names the permission."""
    admin.execute("CREATE ROLE lesser LOGIN PASSWORD 'lesser-password'")
    role = "strict@northwind.example.com"
    peer.create(role, "w-strict")
    connector = peer.connect(user="lesser", secret="lesser-password")
    health = await connector.health(transcript)
    account, before = await seen_of(connector, role, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(account, before, transcript)

    assert {problem.code for problem in health.problems} == {
        *("permission_missing.createrole", "permission_missing.signal", "not_superuser")
    }
    assert not health.is_ready
    assert caught.value.category is FaultCategory.PERMISSION_MISSING
    assert "ADMIN OPTION" in str(caught.value)


async def test_the_role_of_the_page_is_enough(
    peer: PostgresHarness, transcript: Transcript, admin: psycopg.Connection
) -> None:
    """The statements of docs/connect: no superuser is needed for whom the role was granted."""
    page = (ROOT / "docs" / "connect" / "postgresql_roles.md").read_text("utf-8")
    make, grant = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    ours, password = "lockstep_revoker_of_the_page", "a long random one"
    role = "a.person@example.com"
    for statement in make.replace("lockstep_revoker", ours).strip().split("\n"):
        admin.execute(statement.strip())
    theirs = sql.Identifier(role)
    admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'w-page' CREATEROLE").format(theirs))
    admin.execute(grant.replace("lockstep_revoker", ours).strip())
    session = peer.cluster.login(role, "w-page")
    connector = peer.connect(user=ours, secret=password)
    health = await connector.health(transcript)

    assert health.is_ready, health.problems
    assert (await closed(connector, role, transcript)).is_closed
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    session.close()


@pytest.fixture(scope="module")
async def standby(peer: PostgresHarness) -> AsyncIterator[Cluster]:
    """A hot standby that follows by streaming replication."""
    with server_home() as folder:
        copy = copy_of(peer.cluster, folder)
        copy.prepare()
        async with Supervisor(folder / "servers", stop_signals=()) as supervisor:
            await supervisor.start(copy.server.child_spec(log_path=folder / "pg.log"))
            yield copy


async def until_closed(
    connector: PostgresConnector, account: Account, transcript: Transcript
) -> Observation:
    """Read back until replication has caught up, within a bound."""
    ends = time.monotonic() + _PATIENCE_S
    while not (seen := await connector.read_back(account, transcript)).is_closed:
        assert time.monotonic() < ends, seen
        await asyncio.sleep(0.1)
    return seen


async def test_a_session_on_a_standby_ends_too(
    peer: PostgresHarness, standby: Cluster, transcript: Transcript
) -> None:
    """NOLOGIN ends no session, and a standby knows nothing of the primary's: each is asked."""
    role = "reader@northwind.example.com"
    peer.create(role, "w-reader")
    session = await _logged_in(standby, role, "w-reader")
    connector = peer.connect(standbys=[standby.address])
    account, before = await seen_of(connector, role, transcript)
    there = [way for way in before.standing if way.ref.endswith(f"@{standby.address}")]
    await revoke(connector, account, before, transcript)

    assert {way.kind for way in there} == {AccessKind.SIGN_IN, AccessKind.SESSION}
    await until_closed(connector, account, transcript)
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        standby.login(role, "w-reader")
    places = [place.ref for place in await connector.places(transcript)]
    assert places == ["primary", standby.address]
    session.close()


async def _logged_in(standby: Cluster, role: str, password: str) -> psycopg.Connection:
    """Log in as soon as the role has arrived there."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(psycopg.OperationalError):
            return standby.login(role, password)
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


async def test_a_standby_that_does_not_answer_is_not_proved(
    peer: PostgresHarness, transcript: Transcript
) -> None:
    """It may let people in for as long as nobody can ask it: the case stays open for it."""
    role = "cut.off@northwind.example.com"
    peer.create(role, "w-cut")
    nobody = f"127.0.0.1:{free_port()}"
    connector = peer.connect(standbys=[nobody])
    after = await closed(connector, role, transcript)
    health = await connector.health(transcript)

    assert after.standing == ()
    assert {row.kind for row in after.unread} == {AccessKind.SIGN_IN, AccessKind.SESSION}
    assert {row.category for row in after.unread} == {FaultCategory.UNREACHABLE}
    assert health.reachable
    assert not health.is_ready


async def test_primary_and_standby_are_told_apart(
    peer: PostgresHarness, standby: Cluster, transcript: Transcript
) -> None:
    """A change that a standby refuses, and a second cluster that follows nobody, are settings."""
    swapped = peer.connect(server=standby.address, standbys=[peer.cluster.address])
    health = await swapped.health(transcript)

    assert {problem.code for problem in health.problems} == {"standby", "not_a_standby"}


async def test_a_list_of_those_who_can_log_in(
    peer: PostgresHarness, transcript: Transcript
) -> None:
    """Groups and shut roles are looked at, and are not in it."""
    peer.create("active@northwind.example.com", "w-active")
    connector = peer.connect()
    listed = await gathered(connector.list_active(transcript))
    names = {one.account.locator for one in listed.accounts}

    assert "active@northwind.example.com" in names
    assert "clerks" not in names
    assert listed.is_complete
    assert listed.end is not None
    assert listed.end.looked_at > len(listed.accounts)


async def test_silence_ends_in_time(peer: PostgresHarness, transcript: Transcript) -> None:
    """A server that accepts the connection and says nothing is a timeout, not a wait."""

    async def hush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hush, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with silent:
        options = ConnectorOptions(
            "silent",
            {"server": f"127.0.0.1:{port}", "user": "anybody", "tls": "off"},
            {"password": peer.secret},
        )
        connector = PostgresConnector(replace(options, timeout=_SHORT))
        with pytest.raises(ConnectorFault) as caught:
            await connector.look(Account("16384"), transcript)

    assert caught.value.category is FaultCategory.TIMEOUT


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server": "db.example.com:5432", "tls": "off"}, "tls: off only for"),
        ({"server": "db.example.com", "tls": "verify-ca"}, "ca_file: verify-ca needs"),
        ({"server": "db.example.com", "ca_file": "/nowhere/ca.pem"}, "ca_file: there is no such"),
        ({"server": "db.example.com/x"}, "server: host or host:port"),
        ({"server": "db.example.com", "standbys": ["postgres://x"]}, "standbys: host or host:port"),
        ({"server": "db.example.com", "role_is": "nickname"}, "role_is: one of"),
        ({}, "server: missing"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    """Each is named, and no value is quoted."""
    given = ConnectorOptions("pg", {"user": "ours", **settings}, {"password": "p"})
    with pytest.raises(ValueError, match=said):
        PostgresConnector(given)


@asynccontextmanager
async def behind_tls(cluster: Cluster, context: ssl.SSLContext) -> AsyncIterator[str]:
    """The cluster as it speaks over TLS: the server of these tests was built without it."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # SSLRequest
        writer.write(b"S")
        await writer.drain()
        with contextlib.suppress(OSError):  # the client trusts us, or leaves
            await writer.start_tls(context)
            socket = f"{cluster.address}/.s.PGSQL.5432"
            there, back = await asyncio.open_unix_connection(socket)
            await asyncio.gather(_copied(reader, back), _copied(there, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while some := await reader.read(65_536):
            writer.write(some)
            await writer.drain()
    writer.close()


@pytest.mark.parametrize("tls", ["verify-full", "verify-ca"])
async def test_the_servers_certificate_is_checked_with_the_authority_that_is_named(
    peer: PostgresHarness, transcript: Transcript, tmp_path: Path, tls: str
) -> None:
    """It lets us in with its own authority; with another nobody is spoken to."""
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority.make(tmp_path / "ours"), Authority.make(tmp_path / "theirs")
    async with behind_tls(peer.cluster, ours.server()) as address:
        trusted = peer.connect(server=address, tls=tls, ca_file=str(ours.ca))
        seen = await trusted.look(Account("10"), transcript)
        mistrusted = peer.connect(server=address, tls=tls, ca_file=str(theirs.ca))
        with pytest.raises(ConnectorFault) as caught:
            await mistrusted.look(Account("10"), transcript)

    assert seen.exists
    assert caught.value.category is FaultCategory.UNREACHABLE

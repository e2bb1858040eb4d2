"""MariaDB's own traps, against a real server and a real replica of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pymysql
import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.sql import Statement
from connectors.mariadb_users import products, users
from connectors.mariadb_users.connector import MariaConnector
from connectors.mariadb_users.driver import written
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation, ProblemSeverity
from lockstep.domain.systems.active import gathered
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.anchors.peers import Authority
from tests.connectors.mariadb_users.harness import OURS, MariaHarness, shared
from tests.connectors.mariadb_users.servers import Server, os_user, program
from tests.connectors.revoking import revoke
from tests.support.homes import server_home

ROOT = Path(__file__).parents[3]
_PATIENCE_S = 30.0
_SHORT = timedelta(seconds=0.3)


@pytest.fixture
def peer() -> MariaHarness:
    return shared()


@pytest.fixture(scope="module")
def replica() -> Iterator[Server]:
    """It follows by GTID, from the server's first change on."""
    peer = shared()
    with server_home() as folder:
        follower = peer.template.copied_to(folder / "2", 2)
        with follower.running("--read-only"):
            peer.server.ask(
                "CREATE USER follower@'127.0.0.1' IDENTIFIED BY 'f'",
                "GRANT REPLICATION SLAVE ON *.* TO follower@'127.0.0.1'",
            )
            follower.ask(
                "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_USER='follower',"
                f" MASTER_PASSWORD='f', MASTER_PORT={peer.server.port}, MASTER_USE_GTID=slave_pos",
                "START SLAVE",
            )
            yield follower


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


async def seen_of(
    connector: MariaConnector, name: str, transcript: Transcript
) -> tuple[Account, Observation]:
    keys = LeaverKeys((Key(KeyKind.EMAIL, name),))
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account, await connector.read_back(match.account, transcript)


async def closed(connector: MariaConnector, name: str, transcript: Transcript) -> Observation:
    """Revoke a user, and look again."""
    account, before = await seen_of(connector, name, transcript)
    await revoke(connector, account, before, transcript)
    return await connector.read_back(account, transcript)


def client(server: Server, user: str, password: str) -> str:
    """What MariaDB's own program is told, as the colleague or leaver would use it."""
    way = ("--protocol=tcp", "-h127.0.0.1", f"-P{server.port}", f"-u{user}", f"-p{password}")
    return _told(*way, "--skip-ssl")


def from_the_machine(server: Server) -> str:
    """The same, by the socket and without a password, as whoever the servers run as."""
    user = os_user()
    ours = {} if os.geteuid() else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return _told(f"-S{server.path}", f"-u{user.pw_name}", **ours)


def _told(*way: str, **options: Any) -> str:
    argv = [program("mariadb"), "--no-defaults", *way, "-Ne", "SELECT 'in'"]
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=_PATIENCE_S, **options
    )
    return str(done.stdout or done.stderr).strip()


async def test_every_host_variant_is_locked_and_a_colleague_works(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """MariaDB's own program gets in before and not after; the open session dies; Anne stays."""
    name, colleague = "ann@northwind.example.com", "anne@northwind.example.com"
    peer.create(name, "w-ann")
    peer.create(colleague, "w-anne")
    theirs, anothers = peer.server.login(name, "w-ann"), peer.server.login(colleague, "w-anne")
    assert client(peer.server, name, "w-ann") == "in"
    connector = peer.connect()
    account, before = await seen_of(connector, name, transcript)
    await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)

    doors = {way.ref for way in before.standing if way.kind is AccessKind.SIGN_IN}
    assert doors == {"%", "127.%"}
    assert after.is_closed
    assert "1045" in client(peer.server, name, "w-ann")
    for near in (True, False):
        with pytest.raises(pymysql.Error):
            peer.server.login(name, "w-ann", near=near)
    with pytest.raises(pymysql.Error):
        theirs.ping(reconnect=False)
    anothers.ping(reconnect=False)
    assert client(peer.server, colleague, "w-anne") == "in"
    anothers.close()


async def test_the_lock_alone_shuts_both_ways_in(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """Contained, nothing stripped: no new session, whichever host; the open one goes on."""
    name = "contained@northwind.example.com"
    peer.create(name, "w-contained")
    session = peer.server.login(name, "w-contained")
    connector = peer.connect(scramble_password=False)
    account, before = await seen_of(connector, name, transcript)
    await connector.contain(account, before, transcript)

    for near in (True, False):
        with pytest.raises(pymysql.Error) as caught:
            peer.server.login(name, "w-contained", near=near)
        assert caught.value.args[0] == 4151
    session.ping(reconnect=False)
    session.close()


async def test_a_lock_that_is_in_the_table_only_is_open(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """The server acts on its memory: a row that somebody wrote by hand lets everybody in."""
    name = "by.hand@northwind.example.com"
    peer.create(name, "w-hand")
    peer.server.ask(
        "UPDATE mysql.global_priv SET Priv = JSON_SET(Priv, '$.account_locked', true)"
        f" WHERE User = '{name}'"
    )
    connector = peer.connect()
    account, seen = await seen_of(connector, name, transcript)

    assert client(peer.server, name, "w-hand") == "in"
    assert seen.signs_in
    await revoke(connector, account, seen, transcript)
    assert (await connector.read_back(account, transcript)).is_closed
    assert client(peer.server, name, "w-hand") != "in"


async def test_names_are_told_apart_by_case_and_quoted(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """Of Bob and bob only the one is touched; a name like an attack is one user."""
    names = ["Bob@northwind.example.com", "bob@northwind.example.com"]
    attack = "o`'\"; DROP TABLE x; --{user}%s@northwind.example.com"
    for name in names:
        peer.create(name, "w-bob")
    peer.server.ask(f"CREATE USER `{attack.replace('`', '``')}`@`%` IDENTIFIED BY 'x'")
    connector = peer.connect()
    keys = LeaverKeys((Key(KeyKind.EMAIL, names[0]),))
    matches = (await connector.locate(keys, transcript)).matches

    assert sorted(match.account.id for match in matches) == names
    account = Account(names[0], names[0])
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    assert client(peer.server, names[0], "w-bob") != "in"
    assert client(peer.server, names[1], "w-bob") == "in"
    assert (await closed(connector, attack, transcript)).is_closed


async def test_what_runs_with_their_rights_is_listed_and_goes_on(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """A lock stops no view, routine, event or trigger of the user; none is dropped."""
    name = "maker@northwind.example.com"
    peer.create(name, "w-maker")
    user = f"DEFINER=`{name}`@`%`"
    peer.server.ask(
        f"GRANT SELECT ON books.* TO `{name}`@`%`",
        "CREATE TABLE books.pages (a int)",
        f"CREATE {user} VIEW books.seen AS SELECT * FROM books.pages",
        f"CREATE {user} PROCEDURE books.pay() SELECT 1",
        f"CREATE {user} PROCEDURE books.plain() SQL SECURITY INVOKER SELECT 1",
        f"CREATE {user} EVENT books.nightly ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        f"CREATE {user} TRIGGER books.kept BEFORE INSERT ON books.pages FOR EACH ROW SET NEW.a = 1",
    )
    connector = peer.connect()
    account, _ = await seen_of(connector, name, transcript)
    owned = await connector.list_owned(account, transcript)

    assert sorted(thing.name for thing in owned.things) == [
        "event books.nightly",
        "routine books.pay",
        "trigger books.kept",
        "view books.seen",
    ]
    assert owned.is_whole
    assert (await closed(connector, name, transcript)).is_closed
    assert peer.server.ask("SELECT COUNT(*) FROM books.seen") == [(0,)]


async def test_whoever_may_not_see_them_does_not_say_that_there_are_none(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """The server leaves out of its lists what we have no right to, without a word."""
    peer.create("hidden@northwind.example.com", "w-hidden")
    peer.server.ask(
        "CREATE USER blind@'%' IDENTIFIED BY 'b'", "GRANT SELECT ON mysql.* TO blind@'%'"
    )
    connector = peer.connect(user="blind", secret="b")
    account = Account("hidden@northwind.example.com")
    owned = await connector.list_owned(account, transcript)
    health = await connector.health(transcript)
    before = await connector.look(account, transcript)
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(account, before, transcript)

    assert {gap.missing for gap in owned.gaps} == {"SHOW VIEW", "EVENT", "TRIGGER"}
    assert {problem.code for problem in health.problems} >= {
        "permission_missing.create_user",
        "permission_missing.connection_admin",
        "permission_missing.process",
    }
    assert not health.is_ready
    assert caught.value.category is FaultCategory.PERMISSION_MISSING
    assert "CREATE USER" in str(caught.value)


async def test_a_lock_holds_for_a_user_of_the_machine(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """unix_socket asks for no password: locked it lets nobody in, and scrambling replaces it."""
    name = os_user().pw_name
    user = f"`{name}`@localhost"
    peer.server.ask(f"CREATE USER {user} IDENTIFIED VIA unix_socket")
    connector = peer.connect(user_is="username")
    account = Account(name)
    before = await connector.read_back(account, transcript)
    assert from_the_machine(peer.server) == "in"
    await connector.contain(account, before, transcript)
    assert "4151" in from_the_machine(peer.server)
    await connector.strip(account, before, transcript)
    [(told,)] = peer.server.ask(f"SHOW CREATE USER {user}")

    assert (await connector.read_back(account, transcript)).is_closed
    assert "unix_socket" not in told


@pytest.mark.parametrize("name", ["root", OURS])
async def test_users_that_nobody_may_lock(
    peer: MariaHarness, transcript: Transcript, name: str
) -> None:
    """The server's administrator and our own user need a person, and stay as they are."""
    connector = peer.connect(user_is="username")
    keys = LeaverKeys((Key(KeyKind.USERNAME, name),))
    [match] = (await connector.locate(keys, transcript)).matches
    assert match.seen is not None
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(match.account, match.seen, transcript)

    assert caught.value.category is FaultCategory.PROTECTED_ACCOUNT
    assert (await connector.look(match.account, transcript)).signs_in


async def test_what_no_lock_closes_is_said(peer: MariaHarness, transcript: Transcript) -> None:
    """Users without a name and users whom others may assume are told, and hinder nobody."""
    peer.server.ask("CREATE USER ''@'10.9.9.9'", "GRANT PROXY ON clerk@'%' TO ''@'10.9.9.9'")
    health = await peer.connect().health(transcript)
    peer.server.ask("DROP USER ''@'10.9.9.9'")

    told = {problem.code: problem.severity for problem in health.problems}
    assert told == {
        "anonymous_users": ProblemSeverity.LIMITS,
        "proxied_users": ProblemSeverity.LIMITS,
    }
    assert health.is_ready


async def test_the_user_of_the_page_is_enough(peer: MariaHarness, transcript: Transcript) -> None:
    """The statements of docs/connect: no more rights are needed than these."""
    page = (ROOT / "docs" / "connect" / "mariadb_users.md").read_text("utf-8")
    make, grant = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    ours = "lockstep_of_the_page"
    for statement in (make + grant).replace("lockstep_revoker", ours).split(";"):
        if statement.strip():
            peer.server.ask(statement.strip())
    name = "of.the.page@northwind.example.com"
    peer.create(name, "w-page")
    peer.server.ask(f"REVOKE readers FROM `{name}`@`%`")
    session = peer.server.login(name, "w-page")
    connector = peer.connect(user=ours, secret="a long random one")
    health = await connector.health(transcript)
    account, _ = await seen_of(connector, name, transcript)

    assert health.is_ready, health.problems
    assert (await connector.list_owned(account, transcript)).is_whole
    assert (await closed(connector, name, transcript)).is_closed
    with pytest.raises(pymysql.Error):
        session.ping(reconnect=False)


async def test_a_list_of_those_who_can_log_in(peer: MariaHarness, transcript: Transcript) -> None:
    """A user of two hosts is one; roles and locked users are not in it."""
    peer.create("active@northwind.example.com", "w-active")
    listed = await gathered(peer.connect().list_active(transcript))
    names = [one.account.locator for one in listed.accounts]

    assert names.count("active@northwind.example.com") == 1
    assert not {"clerks", "mariadb.sys", ""} & set(names)
    assert listed.is_complete


def _logged_in(server: Server, name: str, password: str) -> pymysql.Connection[Any]:
    """Log in as soon as the user has arrived there."""
    ends = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(pymysql.Error):
            return server.login(name, password)
        assert time.monotonic() < ends
        time.sleep(0.05)


@contextlib.contextmanager
def held_back(replica: Server) -> Iterator[None]:
    """A replica that applies nothing for a while."""
    replica.ask("STOP SLAVE SQL_THREAD")
    try:
        yield
    finally:
        replica.ask("START SLAVE")


async def test_each_replica_is_proved_by_itself(
    peer: MariaHarness, replica: Server, transcript: Transcript
) -> None:
    """Its sessions end there; a replica that lags lets in, and is told until it has caught up."""
    name = "reader@northwind.example.com"
    peer.create(name, "w-reader")
    session = _logged_in(replica, name, "w-reader")
    connector = peer.connect(replicas=[replica.address])
    account, before = await seen_of(connector, name, transcript)
    there = {way.kind for way in before.standing if way.ref.endswith(f"@{replica.address}")}
    with held_back(replica):
        await revoke(connector, account, before, transcript)
        late = await connector.read_back(account, transcript)
        assert client(replica, name, "w-reader") == "in"
        with pytest.raises(pymysql.Error):
            session.ping(reconnect=False)
    ends = time.monotonic() + _PATIENCE_S
    while not (await connector.read_back(account, transcript)).is_closed:
        assert time.monotonic() < ends
        await asyncio.sleep(0.05)

    assert there == {AccessKind.SIGN_IN, AccessKind.SESSION}
    assert {way.ref.partition("@")[2] for way in late.standing} == {replica.address}
    assert client(replica, name, "w-reader") != "in"
    places = [place.ref for place in await connector.places(transcript)]
    assert places == ["primary", replica.address]


async def test_primary_and_replica_are_told_apart(
    peer: MariaHarness, replica: Server, transcript: Transcript
) -> None:
    """A server where nothing can be changed, and a replica that anybody may write to."""
    _logged_in(replica, OURS, peer.secret).close()
    swapped = peer.connect(server=replica.address, replicas=[peer.server.address])
    health = await swapped.health(transcript)

    assert {problem.code for problem in health.problems} >= {"read_only", "writable_replica"}
    assert not health.is_ready


def test_without_grant_tables_everybody_is_in() -> None:
    """A lock that is there, on a server that heeds none, is an open door and a problem."""
    row = {"host": "%", "locked": 1, "unguarded": 1, "scrambled": 0}
    about = {"version": "11.4.2-MariaDB", "is_read_only": 0, "unguarded": 1}

    assert users.seen("x", [row], scramble=False).signs_in
    told = users.server_problems(about, products.MARIADB, replica=False)
    assert [problem.code for problem in told] == ["skip_grant_tables"]


async def test_a_real_server_without_grant_tables_is_noticed(
    peer: MariaHarness, transcript: Transcript
) -> None:
    """It lets us in with any password, and health says that no lock holds."""
    with server_home() as folder:
        server = peer.template.copied_to(folder / "3", 3)
        with server.running("--skip-grant-tables"):
            given = {"server": server.address, "user": "anybody", "tls": "off"}
            connector = MariaConnector(ConnectorOptions("open", given, {"password": "p"}))
            health = await connector.health(transcript)
            seen = await connector.look(Account("mariadb.sys"), transcript)

    assert [problem.code for problem in health.problems] == ["skip_grant_tables"]
    assert seen.signs_in


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server": "db.example.com:3306", "tls": "off"}, "tls: off only for"),
        ({"server": "db.example.com", "replicas": ["mysql://x"]}, "replicas: host or host:port"),
        ({"server": "db.example.com", "user_is": "nickname"}, "user_is: one of"),
        ({"server": "db.example.com", "product": "percona"}, "product: one of"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, object], said: str) -> None:
    """Each is named, and no value is quoted."""
    given = ConnectorOptions("db", {"user": "ours", **settings}, {"password": "p"})
    with pytest.raises(ValueError, match=said):
        MariaConnector(given)


async def test_a_server_without_tls_is_not_spoken_to_in_clear(
    peer: MariaHarness, replica: Server, transcript: Transcript
) -> None:
    """Where the settings ask for TLS, a server that offers none gets no password."""
    connector = peer.connect(server=replica.address, tls="verify-full")
    with pytest.raises(ConnectorFault) as caught:
        await connector.look(Account("x"), transcript)

    assert caught.value.category is FaultCategory.UNREACHABLE


@pytest.mark.parametrize("tls", ["verify-full", "verify-ca"])
async def test_the_servers_certificate_is_checked_with_the_authority_that_is_named(
    peer: MariaHarness, transcript: Transcript, tmp_path: Path, tls: str
) -> None:
    """It lets us in with its own authority; with another nobody is spoken to."""
    theirs = Authority.make(tmp_path)
    trusted = peer.connect(tls=tls, ca_file=str(peer.server.folder.parent / "root.pem"))
    mistrusted = peer.connect(tls=tls, ca_file=str(theirs.ca))
    with pytest.raises(ConnectorFault) as caught:
        await mistrusted.look(Account("root"), transcript)

    assert (await trusted.look(Account("root"), transcript)).exists
    assert caught.value.category is FaultCategory.UNREACHABLE


async def test_silence_ends_in_time(peer: MariaHarness, transcript: Transcript) -> None:
    """A server that accepts the connection and says nothing is a timeout, not a wait."""

    async def hush(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(hush, "127.0.0.1", 0)
    async with silent:
        address = f"127.0.0.1:{silent.sockets[0].getsockname()[1]}"
        given = {"server": address, "user": "anybody", "tls": "off"}
        options = ConnectorOptions("silent", given, {"password": peer.secret}, timeout=_SHORT)
        with pytest.raises(ConnectorFault) as caught:
            await MariaConnector(options).look(Account("x"), transcript)

    assert caught.value.category is FaultCategory.TIMEOUT


def test_values_and_names_cannot_leave_their_places() -> None:
    """Whatever they hold, a value is hexadecimal and a name stands between backticks."""
    text = Statement("x", "SELECT %(user)s FROM {table}").text

    assert written(text, {"user": "a'\\%(b)s{c}"}, {"table": "t`%s{u}"}) == (
        "SELECT _utf8mb4 X'61275c2528622973" + "7b637d' FROM `t``%s{u}`"
    )


def test_mysql_differs_as_its_documentation_says() -> None:
    """No MySQL was a peer: its statements are held here as they were written down."""
    product = products.MYSQL
    names = {"user": "u", "host": "%", "host0": "%", "role": "r", "role_host": "%"}

    assert product.kill is None
    assert written(product.leave.text, {}, names) == "REVOKE `r`@`%` FROM `u`@`%`"
    assert written(products.KILL_ONE.text, {"id": 7}, {}) == "KILL 7"
    assert "IDENTIFIED WITH 'caching_sha2_password' AS" in products.scramble(product, 1).text

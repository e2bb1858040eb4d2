"""What is asked of MariaDB and of MySQL, what their refusals mean, and where the two differ.

MariaDB: https://mariadb.com/docs/server/security/user-account-management and
https://mariadb.com/docs/server/reference/error-codes; MySQL:
https://dev.mysql.com/doc/refman/8.4/en/account-management-statements.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.kit.sql import SqlDialect, Statement
from connectors.mariadb_users.driver import NOT_LET_IN
from lockstep.domain.systems.faults import FaultCategory

ADMIN: Final = "CREATE USER"
GRANTS: Final = "ADMIN OPTION on the role"
_OURS_TO_LACK = ("1044", "1045", "1095", "1141", "1142", "1143", "1227", "1370", "1410", "1698")

DIALECT: Final = SqlDialect(
    "mariadb_users",
    {
        NOT_LET_IN: FaultCategory.CREDENTIALS_REJECTED,
        **dict.fromkeys(_OURS_TO_LACK, FaultCategory.PERMISSION_MISSING),
        "1040": FaultCategory.RATE_LIMITED,
        "1203": FaultCategory.RATE_LIMITED,
        "1226": FaultCategory.RATE_LIMITED,
        "1969": FaultCategory.TIMEOUT,
        "3024": FaultCategory.TIMEOUT,
        # Shutting down, out of something, a lock of somebody's, a host that failed too often.
        **dict.fromkeys(
            ("1021", "1037", "1041", "1053", "1129", "1158", "1205", "1213", "1317", "1927"),
            FaultCategory.VENDOR_ERROR,
        ),
        # Read-only: it is a replica for now.
        **dict.fromkeys(("1290", "1792", "1836"), FaultCategory.VENDOR_ERROR),
        # One of the users went meanwhile: the next look tells.
        "1396": FaultCategory.VENDOR_ERROR,
    },
)
UNKNOWN_USER: Final = "1133"

_UNGUARDED = "CURRENT_USER() IN ('@', 'skip-grants user@skip-grants host') AS unguarded"
"""Nobody has an identity while the server runs without its grant tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One of the two.

    Args:
        marks: whether the version's own words are this product's.
        oldest: the first release that it is known of.
        users: its accounts; with ``locked``, ``plugin``, ``scrambled`` and ``unguarded``.
        roles: of one user, by host.
        leave: takes one of them.
        kill: ends all sessions of a user; None where each is ended by itself.
        sessions: of one user.
        scramble: what stands behind ``ALTER USER …``.
        ends: the permission that ending sessions takes; any of them.
        routines: where they stand, and ``routine_name``: how each is called.
    """

    marks: str
    oldest: tuple[int, int]
    users: str
    roles: Statement
    leave: Statement
    kill: Statement | None
    sessions: Statement
    scramble: str
    ends: tuple[str, ...]
    routines: str
    routine_name: str


_COLUMNS: Final = ("name", "host", "locked", "plugin", "scrambled", "unguarded")
_ROLE_COLUMNS: Final = ("host", "role", "role_host")
_MARIADB_SCRAMBLED: Final = "invalid"
_MYSQL_SCRAMBLED: Final = "$A$005$THISISACOMBINATIONOFINVALIDSALTANDPASSWORDTHATMUSTNEVERBRBEUSED"


def _sessions(table: str) -> Statement:
    text = f"SELECT ID AS id FROM {table} WHERE USER = BINARY %(user)s"  # noqa: S608 - our words
    return Statement("sessions.list", text, ("id",))


MARIADB: Final = Product(
    marks="MariaDB",
    oldest=(10, 5),
    users=(
        "SELECT User AS name, Host AS host,"  # noqa: S608 - our words
        " COALESCE(JSON_VALUE(Priv, '$.account_locked'), '0') IN ('1', 'true') AS locked,"
        " COALESCE(JSON_VALUE(Priv, '$.plugin'), '') AS plugin,"
        " COALESCE(JSON_VALUE(Priv, '$.plugin'), '') = 'mysql_native_password'"
        f" AND JSON_VALUE(Priv, '$.authentication_string') = '{_MARIADB_SCRAMBLED}'"
        f" AND JSON_QUERY(Priv, '$.auth_or') IS NULL AS scrambled, {_UNGUARDED}"
        " FROM mysql.global_priv WHERE COALESCE(JSON_VALUE(Priv, '$.is_role'), '0') = '0'"
    ),
    roles=Statement(
        "roles.list",
        "SELECT Host AS host, Role AS role, '' AS role_host FROM mysql.roles_mapping"
        " WHERE User = BINARY %(user)s",
        _ROLE_COLUMNS,
    ),
    leave=Statement(
        "roles.revoke", "REVOKE {role} FROM {user}@{host}", effect=True, missing=GRANTS
    ),
    kill=Statement(
        "sessions.kill", "KILL HARD CONNECTION USER {user}", effect=True, missing="CONNECTION ADMIN"
    ),
    sessions=_sessions("information_schema.PROCESSLIST"),
    scramble=f"IDENTIFIED VIA mysql_native_password USING '{_MARIADB_SCRAMBLED}'",
    ends=("CONNECTION ADMIN", "SUPER"),
    routines="mysql.proc",
    routine_name="db, '.', name",
)
MYSQL: Final = Product(
    marks="",
    oldest=(8, 0),
    users=(
        "SELECT User AS name, Host AS host,"  # noqa: S608 - our words
        " account_locked = 'Y' AS locked, plugin AS plugin,"
        " plugin = 'caching_sha2_password'"
        f" AND authentication_string = '{_MYSQL_SCRAMBLED}' AS scrambled, {_UNGUARDED}"
        " FROM mysql.user WHERE TRUE"
    ),
    roles=Statement(
        "roles.list",
        "SELECT TO_HOST AS host, FROM_USER AS role, FROM_HOST AS role_host"
        " FROM mysql.role_edges WHERE TO_USER = BINARY %(user)s",
        _ROLE_COLUMNS,
    ),
    leave=Statement(
        "roles.revoke",
        "REVOKE {role}@{role_host} FROM {user}@{host}",
        effect=True,
        missing="ROLE_ADMIN",
    ),
    kill=None,
    sessions=_sessions("performance_schema.processlist"),
    scramble=f"IDENTIFIED WITH 'caching_sha2_password' AS '{_MYSQL_SCRAMBLED}'",
    ends=("CONNECTION_ADMIN", "SUPER"),
    routines="information_schema.ROUTINES",
    routine_name="ROUTINE_SCHEMA, '.', ROUTINE_NAME",
)
PRODUCTS: Final[Mapping[str, Product]] = {"mariadb": MARIADB, "mysql": MYSQL}


def everybody(product: Product) -> Statement:
    """Every user, once for each host that it may come from; an anonymous one is nobody's."""
    return Statement("users.list", f"{product.users} AND User <> ''", _COLUMNS)


def one(product: Product) -> Statement:
    """The same, of one name: names are told apart by case."""
    return Statement("users.get", f"{product.users} AND User = BINARY %(user)s", _COLUMNS)


IN_FORCE = Statement("users.in_force", "SHOW CREATE USER {user}@{host}")
"""The server acts on its memory, which a change of the tables by hand leaves as it was."""


LOCK: Final = "users.lock"
SCRAMBLE: Final = "users.scramble"


def lock(hosts: int) -> Statement:
    """Lock a user for all hosts that it may come from, in one statement."""
    return _alter(LOCK, hosts, end=" ACCOUNT LOCK")


def scramble(product: Product, hosts: int) -> Statement:
    """Replace what it signs in by; said for each host: at the end it would hold for the last."""
    return _alter(SCRAMBLE, hosts, each=f" {product.scramble}")


def _alter(operation: str, hosts: int, *, each: str = "", end: str = "") -> Statement:
    whom = ", ".join(f"{{user}}@{{host{number}}}{each}" for number in range(hosts))
    return Statement(operation, f"ALTER USER {whom}{end}", effect=True, missing=ADMIN)


KILL_ONE = Statement("sessions.kill", "KILL %(id)s", effect=True, missing="CONNECTION_ADMIN")
GONE: Final = "1094"
PAUSE = Statement("sessions.settle", "SELECT SLEEP(0.05) AS waited", ("waited",))
"""A session that was killed ends by itself, a moment later."""

ABOUT = Statement(
    "server.get",
    f"SELECT VERSION() AS version, @@read_only AS is_read_only, {_UNGUARDED}",
    ("version", "is_read_only", "unguarded"),
)
PRIVILEGES = Statement(
    "privileges.list",
    "SELECT PRIVILEGE_TYPE AS privilege FROM information_schema.USER_PRIVILEGES WHERE GRANTEE ="
    " CONCAT('''', LEFT(CURRENT_USER(), CHAR_LENGTH(CURRENT_USER()) - CHAR_LENGTH("
    "SUBSTRING_INDEX(CURRENT_USER(), '@', -1)) - 1), '''@''',"
    " SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')",
    ("privilege",),
)
PROXIES = Statement(
    "proxies.list",
    "SELECT Proxied_user AS name FROM mysql.proxies_priv WHERE Proxied_user <> ''",
    ("name",),
)
ANONYMOUS = Statement(
    "users.anonymous", "SELECT Host AS host FROM mysql.user WHERE User = ''", ("host",)
)

_MINE = (
    "LEFT({0}, CHAR_LENGTH({0}) - CHAR_LENGTH(SUBSTRING_INDEX({0}, '@', -1)) - 1) = BINARY %(user)s"
)


def definers(product: Product) -> Statement:
    """What runs with the user's rights, locked or not, whoever calls it or when its time comes."""
    by_name = _MINE.format("DEFINER")
    where = f"WHERE SECURITY_TYPE = 'DEFINER' AND {by_name}"
    return Statement(
        "definers.list",
        "SELECT CONCAT('view ', TABLE_SCHEMA, '.', TABLE_NAME) AS name"  # noqa: S608 - our words
        f" FROM information_schema.VIEWS {where}"
        f" UNION ALL SELECT CONCAT('routine ', {product.routine_name})"
        f" FROM {product.routines} {where}"
        " UNION ALL SELECT CONCAT('event ', EVENT_SCHEMA, '.', EVENT_NAME)"
        f" FROM information_schema.EVENTS WHERE {by_name}"
        " UNION ALL SELECT CONCAT('trigger ', TRIGGER_SCHEMA, '.', TRIGGER_NAME)"
        f" FROM information_schema.TRIGGERS WHERE {by_name}",
        ("name",),
    )


SEES_DEFINERS: Final = ("SHOW VIEW", "EVENT", "TRIGGER")
"""Without these such things are left out of the lists, and nothing says so."""

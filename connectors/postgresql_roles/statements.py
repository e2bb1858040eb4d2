"""What is asked of a PostgreSQL server, and what its refusals mean.

Catalogue: https://www.postgresql.org/docs/current/catalogs.html; states:
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

from typing import Final

from connectors.kit.sql import SqlDialect, Statement
from lockstep.domain.systems.faults import FaultCategory

ADMIN = "CREATEROLE, and ADMIN OPTION on the role (a superuser's role: superuser)"
SIGNAL = "membership in pg_signal_backend (a superuser's session: superuser)"

DIALECT: Final = SqlDialect(
    "postgresql_roles",
    {
        "08": FaultCategory.UNREACHABLE,
        "25": FaultCategory.VENDOR_ERROR,  # read-only: it is a standby for now
        "28": FaultCategory.CREDENTIALS_REJECTED,
        "3D000": FaultCategory.MISCONFIGURED,
        "40": FaultCategory.VENDOR_ERROR,
        "42501": FaultCategory.PERMISSION_MISSING,
        "53": FaultCategory.VENDOR_ERROR,
        "53300": FaultCategory.RATE_LIMITED,
        "55": FaultCategory.VENDOR_ERROR,
        "57": FaultCategory.VENDOR_ERROR,
        "57014": FaultCategory.TIMEOUT,
        "58": FaultCategory.VENDOR_ERROR,
        "XX": FaultCategory.VENDOR_ERROR,
        # Others hold their rights through this one: a person decides what becomes of them.
        "2BP01": FaultCategory.PROTECTED_ACCOUNT,
    },
)

_ROLE = """
SELECT r.oid::text AS id, r.rolname::text AS name, r.rolcanlogin AS signs_in,
  r.rolsuper AS superuser, r.rolcreaterole AS createrole, r.rolcreatedb AS createdb,
  r.rolreplication AS replication, r.rolbypassrls AS bypassrls,
  coalesce(shobj_description(r.oid, 'pg_authid'), '') AS comment,
  r.oid = 10 AS made_the_cluster, r.rolname = current_user AS is_us
FROM pg_roles r"""
_COLUMNS = ("id", "name", "signs_in", "superuser", "createrole", "createdb", "replication")

EVERYBODY = Statement("roles.list", f"{_ROLE} WHERE r.rolname !~ '^pg_'", _COLUMNS)
ONE = Statement("roles.get", f"{_ROLE} WHERE r.oid = %(id)s::oid", _COLUMNS)
SESSIONS = Statement(
    "sessions.list",
    # Of others' sessions everybody sees the process and whose it is; the rest may be hidden.
    "SELECT pid FROM pg_stat_activity WHERE usesysid = %(id)s::oid",
    ("pid",),
)
MEMBERSHIPS = Statement(
    "memberships.list",
    "SELECT m.roleid::text AS id, g.rolname::text AS name, m.grantor::text AS grantor,"
    " coalesce(b.rolname, '')::text AS grantor_name FROM pg_auth_members m"
    " JOIN pg_roles g ON g.oid = m.roleid LEFT JOIN pg_roles b ON b.oid = m.grantor"
    " WHERE m.member = %(id)s::oid",
    ("id", "name", "grantor", "grantor_name"),
)
SHUT = Statement("roles.nologin", "ALTER ROLE {role} NOLOGIN", effect=True, missing=ADMIN)
END = Statement(
    "sessions.terminate",
    "SELECT pid, pg_terminate_backend(pid, 2000) AS ended"
    " FROM pg_stat_activity WHERE usesysid = %(id)s::oid",
    ("pid", "ended"),
    effect=True,
    missing=SIGNAL,
)
LEAVE = Statement("memberships.revoke", "REVOKE {group} FROM {role}", effect=True, missing=ADMIN)
LEAVE_OF = Statement(
    LEAVE.operation,
    "REVOKE {group} FROM {role} GRANTED BY {grantor}",
    effect=True,
    missing=ADMIN,
)
ABOUT = Statement(
    "server.get",
    "SELECT current_setting('server_version_num')::int AS version,"
    " pg_is_in_recovery() AS is_standby, r.rolsuper AS superuser, r.rolcreaterole AS createrole,"
    " pg_has_role(current_user, 'pg_signal_backend', 'USAGE') AS signals"
    " FROM pg_roles r WHERE r.rolname = current_user",
    ("version", "is_standby", "superuser", "createrole", "signals"),
)
ATTRIBUTES: Final = {
    name: Statement(
        f"roles.no{name}", f"ALTER ROLE {{role}} NO{name.upper()}", effect=True, missing=ADMIN
    )
    for name in ("superuser", "createrole", "createdb", "replication", "bypassrls")
}
"""What a role may do beyond what it was granted, each with what takes it away."""
FUNCTIONS = Statement(
    "functions.list",
    "SELECT p.oid::text AS id, n.nspname || '.' || p.proname AS name FROM pg_proc p"
    " JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE p.prosecdef AND p.proowner = %(id)s::oid",
    ("id", "name"),
)
"""What runs with the owner's rights, whoever calls it."""
ELSEWHERE = Statement(
    "functions.elsewhere",
    "SELECT count(*) AS functions FROM pg_shdepend d, pg_database b"
    " WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = %(id)s::oid AND d.deptype = 'o'"
    " AND d.classid = 'pg_proc'::regclass AND b.oid = d.dbid AND b.datname <> current_database()",
    ("functions",),
)
"""Functions of other databases, whose catalogues cannot be read from here."""

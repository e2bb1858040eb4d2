"""A user as the server shows it: one name, and each host that it may come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from connectors.base import ConnectorFault
from connectors.kit.databases.accounts import at_place
from connectors.kit.sql import OpenServer, Row
from connectors.mariadb_users import products as ask
from connectors.mariadb_users.products import Product
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Observation,
    Problem,
    ProblemSeverity,
    Unread,
)

NOBODYS: Final = frozenset({"root", "mariadb.sys", "mysql.sys", "mysql.session"})
"""No person's: the server itself, and its first administrator, need them."""
_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'|`(?:[^`]|``)*`", re.DOTALL)
_TRIED: Final = frozenset({"", "mysql_native_password", "unix_socket"})


async def variants(server: OpenServer, product: Product, name: str) -> list[Row]:
    """The user's rows; locked is only what is so in the server's memory too."""
    rows, _ = await server.run(ask.one(product), {"user": name})
    return [{**row, "locked": await _is_locked(server, row)} for row in rows]


async def _is_locked(server: OpenServer, row: Row) -> bool:
    if row["locked"] != 1 or row["unguarded"] != 0:
        return False
    names = {"user": str(row["name"]), "host": str(row["host"])}
    try:
        told, _ = await server.run(ask.IN_FORCE, names=names)
    except ConnectorFault as fault:
        if fault.code != ask.UNKNOWN_USER:
            raise
        return True  # the table has it, the server's memory has not: it lets nobody in
    text = _QUOTED.sub("", str(next(iter(told[0].values()), ""))) if told else ""
    return " ACCOUNT LOCK" in text


def seen(
    name: str, rows: Sequence[Row], *, at: str = "", scramble: bool, unasked: bool = False
) -> Observation:
    """What the rows say; of a replica (``at``) whether it lets the user in, and no more."""
    if not rows:
        return Observation(name, exists=False, standing=())
    open_at = [str(row["host"]) for row in rows if row["locked"] != 1 or row["unguarded"] != 0]
    standing = [Access(AccessKind.SIGN_IN, at_place(host, at)) for host in open_at]
    if scramble and not at:
        known = [str(row["host"]) for row in rows if row["scrambled"] != 1]
        standing += [Access(AccessKind.SECRET, host) for host in known]
    lists = (Unread(AccessKind.SESSION), Unread(AccessKind.GROUP)) if unasked else ()
    return Observation(name, exists=True, standing=tuple(standing), unread=lists)


def role_of(row: Row) -> Access:
    """A role that is held by one of the user's hosts."""
    return Access(AccessKind.GROUP, "/".join((row["role"], row["role_host"], row["host"])))


def by_name(rows: Iterable[Row]) -> Mapping[str, list[Row]]:
    """Rows of one name together, as the server tells names apart."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(str(row["name"]), []).append(row)
    return found


def server_problems(about: Row, product: Product, *, replica: bool) -> Iterator[Problem]:
    """What would hinder a revocation on this server, whoever the leaver is."""
    version = str(about["version"])
    if ("MariaDB" in version) is not (product.marks == "MariaDB"):
        yield Problem(
            "other_product", "the server is the other product", "Mend `product` of the system."
        )
    release = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if release < product.oldest:
        oldest = ".".join(map(str, product.oldest))
        yield Problem(
            "too_old",
            f"the server is older than {oldest}, the oldest that is known",
            "Upgrade it, or close its users by hand.",
        )
    if about["unguarded"] != 0:
        yield Problem(
            "skip_grant_tables",
            "the server runs with skip-grant-tables: everybody gets in, and no lock holds",
            "Start it without.",
        )
    if about["is_read_only"] and not replica:
        yield Problem(
            "read_only",
            "`server` names a server that is read-only: nothing can be changed there",
            "Name the primary as `server`, and what follows it as `replicas`.",
        )
    if not about["is_read_only"] and replica:
        yield Problem(
            "writable_replica",
            "a replica can be written to: it may have users that the primary does not know",
            "Set read_only there; a lock that is to hold there comes from the primary.",
            ProblemSeverity.LIMITS,
        )


def permission_problems(held: Iterable[str], product: Product) -> Iterator[Problem]:
    """What our user may not do."""
    has = frozenset(held)
    needed = ((("CREATE USER",), "lock users"), (product.ends, "end sessions"))
    for names, what in (*needed, (("PROCESS",), "see the sessions of others")):
        if has.isdisjoint(names):
            yield Problem(
                f"permission_missing.{names[0].lower().replace(' ', '_')}",
                f"our user may not {what}",
                f"GRANT {names[0]} ON *.* TO our user.",
            )


def catalogue_problems(
    rows: Iterable[Row], *, anonymous: int, proxied: Iterable[str]
) -> Iterator[Problem]:
    """What no lock of one user closes."""
    if anonymous:
        yield Problem(
            "anonymous_users",
            "there are users without a name: whoever reaches the server gets in as one of them",
            "DROP USER ''@…, as mariadb-secure-installation does.",
            ProblemSeverity.LIMITS,
        )
    if any(proxied):
        yield Problem(
            "proxied_users",
            "some users are assumed by others (GRANT PROXY): locking one does not keep these out",
            "REVOKE PROXY where nobody needs it; see mysql.proxies_priv when such a one leaves.",
            ProblemSeverity.LIMITS,
        )
    plugins = sorted({str(row["plugin"]) for row in rows} - _TRIED)
    if plugins:
        yield Problem(
            "untried_plugins",
            f"some users sign in by {', '.join(plugins)}: that a lock holds there was not tried",
            "Lock a user of your own that signs in so, and try.",
            ProblemSeverity.LIMITS,
        )

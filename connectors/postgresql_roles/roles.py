"""A role as the catalogue shows it: what stands, and what takes it away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from connectors.kit.databases.accounts import actions, at_place
from connectors.kit.sql import OpenServer, Row, Statement
from connectors.postgresql_roles import statements as ask
from lockstep.domain.systems.access import (
    Access,
    AccessKind,
    Action,
    Observation,
    Problem,
    ProblemSeverity,
    Unread,
)

OLDEST: Final = 140_000
"""Version 14: the first whose ``pg_terminate_backend`` waits for the end of a session."""
GRANTORS: Final = 160_000
"""Version 16: a membership is held once for each role that granted it."""
_LISTS: Final = (AccessKind.SESSION, AccessKind.GROUP)


async def one(server: OpenServer, role_id: str) -> Row | None:
    """The role's row by its id, or None."""
    if not role_id.isascii() or not role_id.isdigit():
        return None
    rows, _ = await server.run(ask.ONE, {"id": role_id})
    return rows[0] if rows else None


async def about(server: OpenServer) -> Row:
    """What the server says of itself and of us."""
    rows, _ = await server.run(ask.ABOUT)
    if not rows:
        raise server.odd(ask.ABOUT, "no_rows")
    return rows[0]


def seen(role_id: str, role: Row | None, *, at: str = "", unasked: bool = False) -> Observation:
    """What the row says; of a standby (``at``) whether it lets the role in, and no more."""
    if role is None:
        return Observation(role_id, exists=False, standing=())
    standing = []
    if role["signs_in"] is not False:
        standing.append(Access(AccessKind.SIGN_IN, at_place(role_id, at)))
    if not at:
        held = [name for name in ask.ATTRIBUTES if role[name] is not False]
        standing += [Access(AccessKind.ROLE, name) for name in held]
    lists = tuple(Unread(kind) for kind in _LISTS) if unasked else ()
    return Observation(role_id, exists=True, standing=tuple(standing), unread=lists)


Due = tuple[Access, Statement, Mapping[str, str]]


def to_take(
    role: Row, memberships: Sequence[Row], ways: Iterable[Access], *, version: int
) -> Iterator[Due]:
    """What takes each of the ways that still stand, by the names of today."""
    held = {f"{row['id']}/{row['grantor']}": row for row in memberships}
    for way in ways:
        names = {"role": str(role["name"])}
        if way.kind is AccessKind.ROLE and role.get(way.ref):
            yield way, ask.ATTRIBUTES[way.ref], names
        elif way.kind is AccessKind.GROUP and (row := held.get(way.ref)):
            names["group"] = row["name"]
            if version >= GRANTORS and row["grantor_name"]:
                yield way, ask.LEAVE_OF, {**names, "grantor": row["grantor_name"]}
            else:
                yield way, ask.LEAVE, names


async def take(
    server: OpenServer, way: Access, statement: Statement, names: Mapping[str, str]
) -> tuple[Action, ...]:
    """Carry one of them out."""
    _, exchange = await server.run(statement, names=names)
    return actions([way], exchange)


def problems(server: Row, *, standby: bool) -> Iterator[Problem]:
    """What would hinder a revocation on this server."""
    if server["version"] < OLDEST:
        yield Problem(
            "too_old",
            f"the server is version {server['version'] // 10_000}: 14 is the oldest that is known",
            "Upgrade it, or close its roles by hand.",
        )
    if server["is_standby"] is not standby:
        yield Problem(
            "standby" if server["is_standby"] else "not_a_standby",
            "`server` names a standby: nothing can be changed there"
            if server["is_standby"]
            else "`standbys` names a server that follows nobody: it has roles of its own",
            "Name the primary as `server`, its standbys as `standbys`, and every other cluster as"
            " a system of its own.",
        )
    if server["superuser"]:
        return
    if not server["createrole"] and not standby:
        yield Problem(
            "permission_missing.createrole",
            "our role may not change roles",
            "ALTER ROLE … CREATEROLE, and GRANT each role to ours WITH ADMIN OPTION.",
        )
    if not server["signals"]:
        yield Problem(
            "permission_missing.signal",
            "our role may not end sessions",
            "GRANT pg_signal_backend TO our role.",
        )
    yield Problem(
        "not_superuser",
        "our role is no superuser: it cannot shut a superuser's role",
        "Leave it so where no leaver is a superuser; else use a superuser's role.",
        ProblemSeverity.LIMITS,
    )

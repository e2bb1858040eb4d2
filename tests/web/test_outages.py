"""A database that does not take what is written, for whatever reason: HR is told to come again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from jinja2 import TemplateNotFound
from psycopg import errors
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lockstep.storage.engine.database import StorageError
from lockstep.web.outages import is_outage
from tests.web.conftest import Hook, body

OF_SERVER = {
    "disk full": "53100",
    "out of memory": "53200",
    "too many connections": "53300",
    "read-only": "25006",
    "shutting down": "57P01",
    "starting up": "57P03",
    "statement timeout": "57014",
    "lock timeout": "55P03",
    "input or output error": "58030",
    "connection lost": "08006",
    "serialization": "40001",
    "damaged": "XX001",
}
OURS = {"value too long": "22001", "not unique": "23505", "no such table": "42P01"}


def admin(hook: Hook) -> psycopg.Connection:
    url = make_url(hook.superuser_url).set(drivername="postgresql")
    return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


@contextmanager
def refusing(hook: Hook, state: str) -> Iterator[None]:
    """Let every insert into the inbox fail with a SQLSTATE, as on a server in that state."""
    with admin(hook) as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as"
            f" $$ begin raise exception 'no' using errcode = '{state}'; end $$".encode()
        )
        connection.execute("create trigger refuse before insert on inbox execute function refuse()")
        try:
            yield
        finally:
            connection.execute("drop function refuse cascade")


@pytest.mark.parametrize("state", OF_SERVER.values(), ids=OF_SERVER)
async def test_hr_is_told_to_come_again_and_nothing_is_acknowledged(hook: Hook, state):
    """503 with Retry-After; the same delivery is taken when it is over."""
    with refusing(hook, state):
        refused = await hook.deliver(body())
    accepted = await hook.deliver(body())

    assert (refused.status_code, refused.json()) == (503, {"error": "cannot_store_now"})
    assert refused.headers["retry-after"] == "30"
    assert accepted.status_code == 202
    assert await hook.counts() == {"pending": 1}


async def test_a_database_that_can_only_be_read_is_not_ready(hook: Hook):
    """A load balancer must not send HR to a standby."""
    name = make_url(hook.superuser_url).database
    with admin(hook) as connection:
        connection.execute(f"alter database {name} set default_transaction_read_only = on".encode())
        connection.execute(
            "select pg_terminate_backend(pid, 30000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    refused = await hook.deliver(body())
    again = await hook.deliver(body())
    ready = await hook.client.get("/readyz")

    assert {refused.status_code, again.status_code} == {503}
    assert ready.status_code == 503


@pytest.mark.parametrize("state", OF_SERVER.values(), ids=OF_SERVER)
def test_what_the_server_is_in_is_an_outage(state):
    """Whatever class of exception the driver makes of it."""
    cause = errors.lookup(state)("no")

    assert is_outage(cause)
    assert is_outage(DBAPIError.instance("insert", {}, cause, psycopg.Error))


@pytest.mark.parametrize("state", OURS.values(), ids=OURS)
def test_what_it_was_asked_is_none(state):
    """Nobody shall look for an outage where a statement of ours is wrong."""
    cause = errors.lookup(state)("no")

    assert not is_outage(cause)
    assert not is_outage(DBAPIError.instance("insert", {}, cause, psycopg.Error))


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (psycopg.OperationalError("connection refused"), True),
        (PoolTimeoutError(), True),
        (ConnectionRefusedError(), True),
        (StorageError("another keyring"), True),
        (psycopg.ProgrammingError("the connection cannot be used so"), False),
        (TemplateNotFound("page.html"), False),
        (ValueError("ours"), False),
    ],
)
def test_what_has_no_sqlstate_is_judged_by_its_kind(error, is_one):
    """Not reachable, no connection left in our own pool, not fit for use."""
    assert is_outage(error) is is_one

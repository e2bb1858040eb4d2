"""Which errors mean that the database cannot be used now: the one place that decides it.

Whoever asks then reads 503 and when to come back, whatever the reason is: not reachable, no room on
its disk, no connection left, only to be read, shutting down, or not fit for use.
"""

from __future__ import annotations

from typing import Final

import psycopg
from jinja2 import TemplateNotFound
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from lockstep.storage.engine.database import StorageError

RETRY_AFTER_S: Final = 30
ERRORS: Final = (SQLAlchemyError, psycopg.Error, OSError, StorageError)
"""What storage raises; `is_outage` tells which of it is an outage."""

_OF_SERVER: Final = frozenset({"08", "25", "40", "53", "55", "57", "58", "XX"})
"""Classes of SQLSTATE that say how the server is, and nothing of what it was asked.

Connection, transaction state (read-only), rollback, resources (53100: disk full, 53300: too many
connections), not in state, intervention, system, and damage.
"""
_OUR_FAULTS: Final = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.NotSupportedError,
    psycopg.ProgrammingError,
)


def is_outage(error: BaseException) -> bool:
    """Whether it may pass by itself; else it is a fault of ours, or in what was sent."""
    if isinstance(error, TemplateNotFound):  # an OSError, and no outage
        return False
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate or ""
        return state[:2] in _OF_SERVER or not (state or isinstance(cause, _OUR_FAULTS))
    return isinstance(error, ERRORS)

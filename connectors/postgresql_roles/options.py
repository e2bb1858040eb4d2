"""What ``[systems.<id>]`` says of a PostgreSQL cluster."""

from __future__ import annotations

from datetime import timedelta

from connectors.kit import options
from connectors.kit.databases import addresses
from connectors.kit.databases.addresses import CA_FILE, NAMES, PASSWORD, SERVER, TLS, USER
from connectors.kit.options import Values
from connectors.postgresql_roles.driver import Place

_PORT = 5432

STANDBYS = options.listing(
    "standbys", "hot standbys that people can connect to, as host:port; each is read back"
)
DATABASE = options.text("database", "database to connect to", default="postgres")
ROLE_IS = options.choice("role_is", "what a role's name is of a person", NAMES)
COMMENT_HOLDS = options.choice(
    "comment_holds",
    "what a role's comment (COMMENT ON ROLE) is of a person",
    ("nothing", "email", "worker_id", "username"),
)
OPTIONS = (SERVER, STANDBYS, DATABASE, USER, PASSWORD, TLS, CA_FILE, ROLE_IS, COMMENT_HOLDS)


def place_of(values: Values, address: str, timeout: timedelta) -> Place:
    """Where one server is.

    Raises:
        ValueError: naming the option that is wrong.
    """
    at = addresses.place_of(values, address, option="standbys", port=_PORT, timeout=timeout)
    return Place(at, database=values[DATABASE])

"""What ``[systems.<id>]`` says of a MariaDB or MySQL server."""

from __future__ import annotations

from typing import Final

from connectors.kit import options
from connectors.kit.databases.addresses import CA_FILE, NAMES, PASSWORD, SERVER, TLS, USER
from connectors.mariadb_users.products import PRODUCTS

PORT: Final = 3306

PRODUCT = options.choice("product", "which of the two", tuple(PRODUCTS))
REPLICAS = options.listing(
    "replicas", "replicas that people can connect to, as host:port; each is read back"
)
USER_IS = options.choice("user_is", "what a user's name is of a person", NAMES)
SCRAMBLE = options.flag(
    "scramble_password",
    "also put a password that nobody has in place of theirs, other ways to sign in included",
    default=False,
)
OPTIONS = (SERVER, REPLICAS, PRODUCT, USER, PASSWORD, TLS, CA_FILE, USER_IS, SCRAMBLE)

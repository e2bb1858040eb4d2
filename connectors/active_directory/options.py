"""What ``[systems.<id>]`` says of an Active Directory domain."""

from __future__ import annotations

from typing import Final

from connectors.kit import options
from connectors.kit.ldap import filters
from connectors.kit.ldap.instants import filetime
from connectors.kit.ldap.people import OBJECT_GUID, Held, People
from connectors.kit.ldap.places import CA_FILE, PASSWORD, TLS, address
from connectors.kit.options import Values
from connectors.kit.residuals import Outlives
from lockstep.domain.cases.leavers import KeyKind

SERVER = options.text("server", "the domain controller that is written to", required=True)
USER = options.text("user", "our own account, as name@domain", required=True)
BASE = options.text("base", "below which people are; the domain itself, or a part", required=True)
CONTROLLERS = options.listing(
    "controllers", "names of the domain controllers to read back; empty: all that the domain has"
)
ADDRESSES = options.listing(
    "addresses", "name=host:port of domain controllers whose names do not lead there"
)
EMPLOYEE_ID = options.text(
    "worker_id_attribute", "attribute with HR's worker id; empty: none", default="employeeID"
)
EMPLOYEE_NUMBER = options.text(
    "employee_number_attribute", "attribute with the employee number", default="employeeNumber"
)
SERVICE_TICKET_S = options.seconds(
    "service_ticket_s", "longest life of a service ticket, by the domain's policy", default=36_000
)
SITE_LINK_S = options.bound(
    "site_link_s", "seconds until a controller that cannot be reached has the change, at the most"
)
OPTIONS = (
    SERVER,
    USER,
    PASSWORD,
    TLS,
    CA_FILE,
    BASE,
    CONTROLLERS,
    ADDRESSES,
    EMPLOYEE_ID,
    EMPLOYEE_NUMBER,
    SERVICE_TICKET_S,
    SITE_LINK_S,
)

NEW_TICKETS_S: Final = 1_200
"""A ticket older than that is checked against the account again (MS-KILE 3.3.5.7.1)."""
UNREACHED: Final = Outlives("unreached_controller", SITE_LINK_S)
PRIMARY_GROUP: Final = Outlives("primary_group")
ALWAYS: Final = (
    Outlives("new_service_tickets", NEW_TICKETS_S),
    Outlives("service_ticket", SERVICE_TICKET_S),
    Outlives("bound_connection"),
    Outlives("cached_logon"),
)
"""What every revocation leaves."""


def addresses_of(values: Values) -> dict[str, str]:
    """Where controllers are whose names do not lead there.

    Raises:
        ValueError: naming the option.
    """
    told = {}
    for row in values[ADDRESSES]:
        name, _, at = row.partition("=")
        try:
            told[name.lower()] = address(at)
        except ValueError:
            raise ValueError(f"{ADDRESSES.name}: name=host:port") from None
    return told


def people_of(values: Values) -> People:
    """How a domain names its people."""
    own = (
        (KeyKind.WORKER_ID, values[EMPLOYEE_ID]),
        (KeyKind.EMPLOYEE_NUMBER, values[EMPLOYEE_NUMBER]),
    )
    return People(
        naming=OBJECT_GUID,
        wanted=filters.all_of(
            filters.equals("objectClass", "user"),
            filters.none_of(filters.equals("objectClass", "computer")),
        ),
        held=(
            *(Held(kind, attribute) for kind, attribute in own if attribute),
            Held(KeyKind.USERNAME, "sAMAccountName"),
            Held(KeyKind.USERNAME, "userPrincipalName"),
            Held(KeyKind.EMAIL, "mail"),
            Held(KeyKind.EMAIL, "proxyAddresses", "smtp:"),
        ),
        name=("displayName", "cn"),
        created="whenCreated",
        used=(("lastLogonTimestamp", filetime),),
        also=(
            "userAccountControl",
            "logonHours",
            "replPropertyMetaData",
            "primaryGroupID",
            "isCriticalSystemObject",
            "memberOf",
        ),
    )

"""What ``[systems.<id>]`` says of an LDAP directory."""

from __future__ import annotations

from connectors.kit import options
from connectors.kit.ldap import filters
from connectors.kit.ldap.instants import generalized
from connectors.kit.ldap.people import Held, People, textual
from connectors.kit.ldap.places import CA_FILE, PASSWORD, TLS, address
from connectors.kit.options import Values
from connectors.ldap.flavours import FLAVOURS, Flavour
from lockstep.domain.cases.leavers import KeyKind


def _addresses(name: str, texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(map(address, texts))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


SERVER = options.text("server", "the provider, as host:port", required=True, check=address)
REPLICAS = options.listing(
    "replicas", "servers that follow it and let people in, as host:port; each is read back"
)
BIND_DN = options.text("bind_dn", "our own entry", required=True)
BASE = options.text("base", "below which people are", required=True)
GROUP_BASE = options.text("group_base", "below which groups are; empty: as base")
FLAVOUR = options.choice(
    "flavour",
    "how an entry is shut: by OpenLDAP's password policy; by nsAccountLock of 389 Directory Server,"
    " Red Hat Directory Server and FreeIPA; elsewhere by taking its password away",
    tuple(FLAVOURS),
)
PERSON_CLASS = options.text("person_class", "object class of people", default="person")
ID_ATTRIBUTE = options.text(
    "id_attribute", "attribute that never changes; empty: entryUUID, or nsUniqueId of 389ds"
)
USERNAME = options.text("username_attribute", "attribute with the user name", default="uid")
EMAIL = options.text("email_attribute", "attribute with addresses", default="mail")
WORKER_ID = options.text(
    "worker_id_attribute", "attribute with HR's worker id; empty: none", default="employeeNumber"
)
KEYS = options.text(
    "keys_attribute", "attribute with SSH keys, which are taken away", default="sshPublicKey"
)
POLICY = options.text("policy", "entry of OpenLDAP's default password policy, for health")
CONNECTION_S = options.bound(
    "connection_bound_s",
    "seconds for which a connection that was bound before goes on answering, as your servers end"
    " them; 0 where none is kept",
)
OTHERS_S = options.bound(
    "other_sign_in_bound_s",
    "seconds for which a sign-in without the directory's password lasts on (Kerberos, certificates"
    " by SASL EXTERNAL), 0 where there is none",
)
OPTIONS = (
    SERVER,
    REPLICAS,
    BIND_DN,
    PASSWORD,
    TLS,
    CA_FILE,
    BASE,
    GROUP_BASE,
    FLAVOUR,
    PERSON_CLASS,
    ID_ATTRIBUTE,
    USERNAME,
    EMAIL,
    WORKER_ID,
    KEYS,
    POLICY,
    CONNECTION_S,
    OTHERS_S,
)


def replicas_of(values: Values) -> tuple[str, ...]:
    return _addresses(REPLICAS.name, values[REPLICAS])


def people_of(values: Values, flavour: Flavour) -> People:
    """How this directory names its people."""
    rows = (
        (KeyKind.WORKER_ID, values[WORKER_ID]),
        (KeyKind.USERNAME, values[USERNAME]),
        (KeyKind.EMAIL, values[EMAIL]),
    )
    doors = (door.attribute for door in flavour.doors)
    keys = (values[KEYS],) if values[KEYS] else ()
    return People(
        naming=textual(values[ID_ATTRIBUTE]) if values[ID_ATTRIBUTE] else flavour.naming,
        wanted=filters.equals("objectClass", values[PERSON_CLASS]),
        held=tuple(Held(kind, attribute) for kind, attribute in rows if attribute),
        name=("displayName", "cn"),
        created="createTimestamp",
        used=((flavour.used, generalized),) if flavour.used else (),
        also=(*doors, *keys, "memberOf"),
    )

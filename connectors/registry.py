"""Every built-in connector, by name. Adding one is one line here (docs/connectors.md).

A vendor is loaded when it is asked for: a process that speaks to two of forty pays for two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.base import ConnectorManifest
from connectors.lazy import Lazy

PLACES: Final[Mapping[str, str]] = {
    "okta": "connectors.okta.connector",
    "scim": "connectors.scim.connector",
    "aws": "connectors.aws.connector",
    "tailscale": "connectors.tailscale.spec",
    "kisi": "connectors.kisi.spec",
    "postgresql_roles": "connectors.postgresql_roles.connector",
    "mariadb_users": "connectors.mariadb_users.connector",
    "entra": "connectors.entra.connector",
    "github": "connectors.github.connector",
    "openvpn": "connectors.openvpn.connector",
    "ldap": "connectors.ldap.connector",
    "active_directory": "connectors.active_directory.connector",
    "slack_enterprise": "connectors.slack_enterprise.spec",
    "gitlab": "connectors.gitlab.spec",
    "ssh_fleet": "connectors.ssh_fleet.connector",
    "google_workspace": "connectors.google_workspace.connector",
    "wireguard": "connectors.wireguard.connector",
    "instant": "connectors.instant.connector",
    "recipe": "connectors.recipe.spec",
    "program": "connectors.program.connector",
}
"""By kind, the module with the vendor's ``MANIFEST``."""

MANIFESTS: Final[Lazy[ConnectorManifest]] = Lazy(PLACES)

MANUAL = "manual"
"""The connector kind of a system that a person closes and attests."""

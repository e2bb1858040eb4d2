"""Every built-in connector, by name. Adding one is one line here (docs/connectors.md)."""

from __future__ import annotations

from connectors.aws import connector as aws
from connectors.base import ConnectorManifest
from connectors.instant import connector as instant
from connectors.kisi import spec as kisi
from connectors.okta import connector as okta
from connectors.scim import connector as scim
from connectors.tailscale import spec as tailscale

MANIFESTS: dict[str, ConnectorManifest] = {
    manifest.kind: manifest
    for manifest in (
        okta.MANIFEST,
        scim.MANIFEST,
        aws.MANIFEST,
        tailscale.MANIFEST,
        kisi.MANIFEST,
        instant.MANIFEST,
    )
}

MANUAL = "manual"
"""The connector kind of a system that a person closes and attests."""

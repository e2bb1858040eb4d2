"""Every built-in connector, by name. Adding one is one line here (docs/connectors.md).

A vendor is loaded when it is asked for: a process that speaks to two of forty pays for two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from connectors.base import ConnectorManifest

PLACES: Final[Mapping[str, str]] = {
    "okta": "connectors.okta.connector",
    "scim": "connectors.scim.connector",
    "aws": "connectors.aws.connector",
    "tailscale": "connectors.tailscale.spec",
    "kisi": "connectors.kisi.spec",
    "postgresql_roles": "connectors.postgresql_roles.connector",
    "instant": "connectors.instant.connector",
    "recipe": "connectors.recipe.spec",
    "program": "connectors.program.connector",
}
"""By kind, the module with the vendor's ``MANIFEST``."""


class Registry(Mapping[str, ConnectorManifest]):
    """Manifests by kind; which kinds there are is known without loading any."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self.loaded: dict[str, ConnectorManifest] = {}

    def __getitem__(self, kind: str) -> ConnectorManifest:
        if kind not in self.loaded:
            manifest: ConnectorManifest = import_module(self._places[kind]).MANIFEST
            self.loaded[kind] = manifest
        return self.loaded[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._places or kind in self.loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


MANIFESTS: Final = Registry(PLACES)

MANUAL = "manual"
"""The connector kind of a system that a person closes and attests."""

"""Every vendor of the sandbox, by the kind of its connector. Adding one is one line here."""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Final

from sandbox.kit.description import Description

__all__ = ["PLACES", "descriptions", "simulated"]

PLACES: Final[Mapping[str, str]] = {
    "okta": "sandbox.vendors.okta.description",
    "scim": "sandbox.vendors.scim.description",
    "aws": "sandbox.vendors.aws.description",
    "tailscale": "sandbox.vendors.tailscale.description",
    "kisi": "sandbox.vendors.kisi.description",
    "entra": "sandbox.vendors.entra.description",
    "github": "sandbox.vendors.github.description",
    "slack_enterprise": "sandbox.vendors.slack_enterprise.description",
    "google_workspace": "sandbox.vendors.google_workspace.description",
    "gitlab": "sandbox.vendors.gitlab.description",
    "instant": "sandbox.vendors.instant.description",
}
"""By kind, the module with the vendor's ``DESCRIPTION``."""


@cache
def descriptions() -> Mapping[str, Description]:
    """All of them; loaded when they are first asked for."""
    found: dict[str, Description] = {}
    for kind, place in PLACES.items():
        found[kind] = import_module(place).DESCRIPTION
    return found


@cache
def simulated() -> Mapping[str, Description]:
    """Those that are simulated here, in one process together."""
    return {kind: each for kind, each in descriptions().items() if each.simulate is not None}

"""Instant: for measuring, and so none of the sample systems."""

from collections.abc import Mapping
from typing import Final

from sandbox.kit.description import Accepted, Description
from sandbox.vendors.instant.simulator import Instant

__all__ = ["DESCRIPTION"]


def simulate(credentials: Mapping[str, str]) -> Instant:
    """A vendor that everybody has an account at."""
    return Instant(credentials["token"])


DESCRIPTION: Final = Description(
    kind="instant",
    title="Instant",
    port=8104,
    accepts=(Accepted("token", "sandbox-instant-token", "SANDBOX_INSTANT_TOKEN"),),
    simulate=simulate,
    doors=("sign_in", "sessions"),
)

"""Bounds of what outlives a revocation: stated by somebody, or unknown; never guessed."""

from __future__ import annotations

import pytest

from connectors.kit.residuals import residual
from connectors.registry import MANIFESTS
from lockstep.domain.systems.access import Residual

DOCUMENTED = {
    ("access_token", 3_600),
    ("access_token", 5_400),
    ("assumed_role_session", 43_200),
    ("identity_center_session", 3_600),
    ("new_service_tickets", 1_200),
    ("permission_set_session", 43_200),
    ("service_ticket", 36_000),
    ("temporary_credentials", 129_600),
}
"""Bounds that the vendors document; every other one is the customer's to state."""


def test_a_default_bound_is_one_that_the_vendor_documents() -> None:
    """No manifest gives a number of our own: what the vendor does not state is unknown."""
    rows = [row for manifest in MANIFESTS.values() for row in manifest.residual_s.items()]

    assert {(what, bound) for what, bound in rows if bound is not None} == DOCUMENTED


@pytest.mark.parametrize(
    ("bound", "expected"),
    [(None, (Residual("x", None),)), (60, (Residual("x", 60),)), (0, ())],
)
def test_a_bound_of_0_says_that_nothing_outlives_it(
    bound: int | None, expected: tuple[Residual, ...]
) -> None:
    """An unknown bound is shown as one; only 0 says that there is no residual."""
    assert residual("x", bound) == expected

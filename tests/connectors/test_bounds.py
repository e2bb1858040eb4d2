"""Bounds of what outlives a revocation: stated by somebody, or unknown; never guessed."""

from __future__ import annotations

import pytest

from connectors.kit.bounds import residual, stated
from connectors.registry import MANIFESTS
from lockstep.domain.access import Residual

DOCUMENTED = {
    "access_token": 3_600,
    "assumed_role_session": 43_200,
    "identity_center_session": 3_600,
    "permission_set_session": 43_200,
    "temporary_credentials": 129_600,
}
"""Bounds that the vendors document; every other one is the customer's to state."""


def test_a_default_bound_is_one_that_the_vendor_documents() -> None:
    """No manifest gives a number of our own: what the vendor does not state is unknown."""
    rows = [row for manifest in MANIFESTS.values() for row in manifest.residual_s.items()]

    assert {what: bound for what, bound in rows if bound is not None} == DOCUMENTED


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (Residual("x", None),)),
        ({"bound": "unknown"}, (Residual("x", None),)),
        ({"bound": ""}, (Residual("x", None),)),
        ({"bound": 60}, (Residual("x", 60),)),
        ({"bound": "60"}, (Residual("x", 60),)),
        ({"bound": 0}, ()),
        ({"bound": "0"}, ()),
    ],
)
def test_a_bound_is_what_the_settings_state(
    settings: dict[str, object], expected: tuple[Residual, ...]
) -> None:
    """Nothing said is unknown, and 0 says that nothing outlives the revocation."""
    assert residual("x", stated(settings, "bound")) == expected


@pytest.mark.parametrize("value", ["soon", "-1", "1.5", "²", "٣", True, 1.5])
def test_a_bound_that_is_no_number_of_seconds_is_refused(value: object) -> None:
    """The error names the option."""
    with pytest.raises(ValueError, match="bound: whole seconds"):
        stated({"bound": value}, "bound")

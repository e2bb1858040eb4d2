"""For whom somebody speaks who signs in: by the groups that let them report, and no other."""

from __future__ import annotations

import pytest

from lockstep.control.people.oidc import Group, Reading, identity_of
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.intake.remit import Remit
from lockstep.domain.rights import Role

NORTH, SOUTH = frozenset({"north"}), frozenset({"south"})
GROUPS = (
    Group("hr-north", frozenset({Role.HR}), NORTH, sites=frozenset({"cebu"})),
    Group("hr-south", frozenset({Role.HR}), SOUTH, sites=frozenset({"davao"})),
    Group("hr-anywhere", frozenset({Role.HR}), SOUTH),
    Group("hr-all", frozenset({Role.HR}), None),
    Group("viewers", frozenset({Role.VIEWER}), None),
)


@pytest.mark.parametrize(
    ("member_of", "speaks"),
    [
        (["hr-north"], Remit(NORTH, frozenset({"cebu"}))),
        (["hr-north", "viewers"], Remit(NORTH, frozenset({"cebu"}))),
        (["hr-north", "hr-south"], Remit(NORTH | SOUTH, frozenset({"cebu", "davao"}))),
        (["hr-north", "hr-anywhere"], Remit(NORTH | SOUTH, None)),
        (["hr-north", "hr-all"], Remit(None, None)),
        (["viewers"], Remit(frozenset(), frozenset())),
        ([], Remit(frozenset(), frozenset())),
    ],
)
def test_whoever_sees_every_partner_does_not_speak_for_it(member_of, speaks):
    """Seeing and reporting are two things; in several groups that report, for all of theirs."""
    reading = Reading(GROUPS, "groups", "name", {KeyKind.EMAIL: "email"})
    claims = {"sub": "1", "email": "a@example.com", "groups": member_of}
    found = identity_of(claims, reading, issuer="https://id.example.com")
    assert found.speaks == speaks
    assert Remit.from_document(speaks.as_document()) == speaks

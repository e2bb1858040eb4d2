"""What a SCIM system is set up with, what it needs and proves, and what health tells a person."""

from __future__ import annotations

from typing import Final

from connectors.base import ConnectorFault
from connectors.kit import options
from connectors.kit.residuals import Outlives
from connectors.scim.client import NO_LIST, WRONG_ADDRESS
from connectors.scim.dialects import ANY, DIALECTS, Deletes, Dialect
from connectors.scim.wire import Profile
from lockstep.domain.systems.access import Problem, ProblemSeverity
from lockstep.domain.systems.faults import rule_for

BASE_URL = options.address("base_url", "address of the SCIM service, version segment included")
TOKEN = options.secret("token", "bearer token", required=True)
DIALECT = options.choice(
    "dialect", "the product, where it is one that is described below", tuple(DIALECTS)
)
PROFILE = options.one_of(
    "profile",
    "how active=false is written: RFC 7644, an object without a path, or a string",
    Profile,
)
DISABLE = options.choice(
    "disable",
    "deactivate the user, or delete it for good where the vendor says that DELETE does so",
    ("deactivate", "delete"),
)
STRIP_GROUPS = options.flag("strip_groups", "also take the user out of every group", default=True)
SESSION_BOUND = options.bound(
    "session_bound_s",
    "longest life of a session that was open at the cutoff, in seconds, as the vendor "
    "states it; 0 if the product ends sessions itself",
)
OPTIONS: Final = (BASE_URL, TOKEN, DIALECT, PROFILE, DISABLE, STRIP_GROUPS, SESSION_BOUND)
OUTLIVES: Final = (Outlives("session", SESSION_BOUND),)
"""SCIM knows neither sessions nor tokens; a bound of 0 says that the product ends sessions."""
PERMISSIONS: Final = (
    "read and update /Users: find the account, set active=false, read it back",
    "read and update /Groups: find memberships and remove them (strip_groups)",
    "delete /Users: only with disable = delete",
)
PROVES: Final = (
    "GET /Users/{id} says active=false, or 404 for an id located earlier; "
    "neither the user's own groups nor the members of any group of GET /Groups name the user"
)


def chosen(values: options.Values, *, is_given: bool) -> tuple[Dialect, Profile]:
    """The product's row, and how its active=false is written: as set, else as it documents.

    Raises:
        ValueError: the product would take the account away for good.
    """
    word = values[DIALECT]
    dialect = DIALECTS[word]
    if values[DISABLE] == "delete" and dialect.deletes is Deletes.FOR_GOOD:
        raise ValueError(
            f"{DISABLE.name}: DELETE {dialect.deletes.value} at {word}: use deactivate"
        )
    return dialect, values[PROFILE] if is_given or word == ANY else dialect.profile


GROUPS_FIX: Final = "Let the token read and write /Groups, or set strip_groups = false."
_ADDRESS_FIX = (
    "Check the address and the version segment in base_url: the SCIM service answers at "
    "base_url/Users, and base_url often ends in /scim/v2 or /v2."
)
NO_MEMBERS: Final = Problem(
    "members_not_seen",
    "no group that was looked at shows a member, so leaving groups cannot be proved",
    "Let the token see the members of groups, or set strip_groups = false.",
    ProblemSeverity.LIMITS,
)
NO_FILTER: Final = Problem(
    "no_filter",
    "the server does not filter: every search lists all users",
    "Give account ids with each leaver, or expect slow searches in a large directory.",
    ProblemSeverity.LIMITS,
)


def untried(dialect: Dialect) -> tuple[Problem, ...]:
    """What nobody has verified of a product; nothing of a server that none is named of."""
    if not dialect.unverified:
        return ()
    return (
        Problem(
            "dialect_not_verified",
            f"{dialect.title}: not verified: {'; '.join(dialect.unverified)}"
            + (f". Beyond its SCIM: {'; '.join(dialect.beyond)}" if dialect.beyond else ""),
            "Close one account of your own making first, and look at what the product shows of it.",
            ProblemSeverity.LIMITS,
        ),
    )


def unproved(attributes: list[str]) -> Problem:
    named = ", ".join(attributes)
    return Problem(
        "search_not_proved",
        f"a filter on {named} does not find an account that is known to be there",
        "Nothing to do in a small directory: who is not found is looked for in a list of all users."
        " Else ask the vendor for filters that heed no case, or give account ids with each leaver.",
        ProblemSeverity.LIMITS,
    )


def problem(told: ConnectorFault, fix: str = "") -> Problem:
    """Why the system is not ready, and what a person does about it."""
    if WRONG_ADDRESS in told.code or told.code in NO_LIST:
        fix = fix or _ADDRESS_FIX
    return Problem(told.category.value, str(told), fix or rule_for(told.category).suggestion)

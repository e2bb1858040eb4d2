"""Products that speak SCIM, as data: what each documents, and what nobody has tried.

The engine finds out by itself how a server wants to be spoken to; a row spares it refused calls,
keeps it under the product's limit, and refuses what the product makes irreversible. None of these
products has been a peer of our tests: each row says what it rests on, and what is not verified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from connectors.scim.wire import EXTERNAL_ID, USER_NAME, Profile
from lockstep.domain.systems.pace import Limit


class Deletes(StrEnum):
    """What a product does at DELETE of a user."""

    UNKNOWN = "not known here"
    DEACTIVATES = "deactivates the user"
    UNLINKS = "deactivates a managed user and forgets its SCIM record"
    REMOVES = "removes the user from the workspace"
    FOR_GOOD = "takes the account away for good"


@dataclass(frozen=True, slots=True)
class Dialect:
    """One product.

    Args:
        title: its name, for people.
        at: what ``base_url`` looks like.
        sources: what the row rests on.
        profile: how it documents that active=false is written.
        searched: attributes that its filters take, where it says which; a search by another is
            not sent, and counts as unproved.
        deletes: what DELETE does.
        limit: what it documents that all SCIM clients together may do.
        beyond: what its documents say that SCIM does not reach.
        unverified: what nobody has tried; both are said by ``lockstep doctor`` and in the docs.
    """

    title: str
    at: str = ""
    sources: tuple[str, ...] = ()
    profile: Profile = Profile.RFC
    searched: frozenset[str] = frozenset()
    deletes: Deletes = Deletes.UNKNOWN
    limit: Limit | None = None
    beyond: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()


ANY: Final = "any"

DIALECTS: Final[Mapping[str, Dialect]] = {
    ANY: Dialect("any server"),
    "slack": Dialect(
        "Slack",
        at="https://api.slack.com/scim/v2",
        sources=(
            "https://docs.slack.dev/reference/scim-api",
            "https://docs.slack.dev/reference/scim-api/rate-limits",
        ),
        deletes=Deletes.DEACTIVATES,
        # Of one user: 300 reads and 180 changes a minute, of all apps of the organisation together;
        # a leaver takes about one change in ten calls.
        limit=Limit(300, 60),
        unverified=(
            "which attributes its filters take",
            "whether open sessions and the person's app tokens end with the deactivation",
        ),
    ),
    "zoom": Dialect(
        "Zoom",
        at="https://api.zoom.us/scim2",
        sources=("https://developers.zoom.us/docs/api/scim2.md",),
        unverified=(
            "how active=false is written",
            "how long its OAuth tokens live: an ended one is a rejected credential",
            "its limits, which hang on the plan",
            "whether meetings and open sessions end",
        ),
    ),
    "notion": Dialect(
        "Notion",
        at="https://api.notion.com/scim/v2",
        sources=("https://www.notion.com/help/provision-users-and-groups-with-scim",),
        deletes=Deletes.REMOVES,
        beyond=(
            "guests of the workspace",
            "a token of ours whose maker, an owner, leaves: it ends",
        ),
        unverified=(
            "whether active=false is heeded, or DELETE alone takes a user out",
            "whether open sessions end",
        ),
    ),
    "github-emu": Dialect(
        "GitHub Enterprise Managed Users",
        at="https://api.github.com/scim/v2/enterprises/<enterprise>",
        sources=("https://docs.github.com/en/rest/enterprise-admin/scim",),
        profile=Profile.NO_PATH,  # as its reference writes it; filters in a path are not taken
        searched=frozenset({EXTERNAL_ID, USER_NAME}),
        deletes=Deletes.FOR_GOOD,
        beyond=("a suspended user's keys, tokens and grants, which work again once it is active",),
        unverified=(
            "whether the account's name, which suspending hides, can be searched for afterwards",
            "whether groups let one member go, because filters in a path are refused",
        ),
    ),
    "atlassian": Dialect(
        "Atlassian Cloud",
        at="https://api.atlassian.com/scim/directory/<directory>",
        sources=("https://developer.atlassian.com/cloud/admin/user-provisioning/rest/",),
        searched=frozenset({EXTERNAL_ID, USER_NAME}),
        deletes=Deletes.UNLINKS,
        beyond=(
            "accounts that the organisation does not manage",
            "a managed user's API tokens, which its other API lists",
        ),
        unverified=("whether open sessions end", "its limits"),
    ),
    "1password": Dialect(
        "1Password SCIM bridge",
        at="https://<your bridge>/scim",
        sources=("https://support.1password.com/provisioning-migrate",),
        beyond=("groups that may recover accounts or manage groups, with hosted provisioning",),
        unverified=(
            "what DELETE does",
            "which attributes its filters take",
            "when copies of vaults on the person's devices end",
        ),
    ),
}

"""Who may do what: roles give permissions, nothing is allowed that no permission allows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum

from lockstep.domain.intake.remit import Remit


class Permission(StrEnum):
    """One thing that somebody may do."""

    SEND_EVENTS = "send_events"
    """Report terminations, amend and rescind; see what became of one's own reports."""
    SEE_CASES = "see_cases"
    ACT = "act"
    """Retry, reschedule, rescind, reassign, comment; ask for an attestation or a waiver."""
    APPROVE = "approve"
    """Be the second person; release or refuse a brake. Never for what oneself asked."""
    SEE_SYSTEMS = "see_systems"
    PAUSE_SYSTEMS = "pause_systems"
    SCORE = "score"
    """Read the metric."""
    REPORT = "report"
    """Report the other metrics of the dimension."""
    EXPORT = "export"
    """Order, download and verify evidence packs; see the ledger and its anchors."""
    IDENTIFIED = "identified"
    """See and export names, each time with a reason that is recorded."""
    SEE_SETTINGS = "see_settings"
    MANAGE_ACCESS = "manage_access"
    """Make and end API tokens, end sessions of others, lift a bar."""
    SEALED = "sealed"
    """See coming dismissals before their cutoff."""


class Role(StrEnum):
    """What people are; given by group membership at the identity provider, or to a token."""

    HR = "hr"
    OPERATOR = "operator"
    APPROVER = "approver"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    ADMIN = "admin"

    @property
    def permissions(self) -> frozenset[Permission]:
        return _PERMISSIONS[self]


_CASEWORK = {Permission.SEE_CASES, Permission.SEE_SYSTEMS, Permission.SCORE}
_PERMISSIONS = {
    Role.HR: frozenset({Permission.SEND_EVENTS}),
    Role.OPERATOR: frozenset({*_CASEWORK, Permission.ACT, Permission.PAUSE_SYSTEMS}),
    Role.APPROVER: frozenset({*_CASEWORK, Permission.APPROVE}),
    Role.AUDITOR: frozenset(
        {
            Permission.SEE_CASES,
            Permission.SCORE,
            Permission.EXPORT,
            Permission.IDENTIFIED,
        }
    ),
    Role.VIEWER: frozenset({Permission.SCORE}),
    Role.ADMIN: frozenset(
        {
            Permission.SEE_SYSTEMS,
            Permission.PAUSE_SYSTEMS,
            Permission.SCORE,
            Permission.SEE_SETTINGS,
            Permission.MANAGE_ACCESS,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Rights:
    """What somebody may do, and for which partners; None is every one."""

    permissions: frozenset[Permission]
    partners: frozenset[str] | None

    def is_within(self, others: Rights) -> bool:
        """Whether ``others`` are all of this, or more."""
        return self.permissions <= others.permissions and is_within(self.partners, others.partners)

    def common(self, others: Rights) -> Rights:
        """What is in both."""
        if self.partners is None or others.partners is None:
            partners = others.partners if self.partners is None else self.partners
        else:
            partners = self.partners & others.partners
        return Rights(self.permissions & others.permissions, partners)


@dataclass(frozen=True, slots=True)
class Scope:
    """Which cases somebody may know of. What is outside is absent: not listed, counted, or found.

    Args:
        partners: names; None is every partner, the empty set is none.
        sealed: whether coming dismissals are visible before their cutoff.
        own_keys: blind indexes of the asker's own keys; a case about oneself is never visible.
    """

    partners: frozenset[str] | None = frozenset()
    sealed: bool = False
    own_keys: frozenset[bytes] = field(default=frozenset(), repr=False)


EVERYTHING = Scope(partners=None, sealed=True)
"""For whoever holds the keyring itself: the command line and our own processes."""

CLI_USER = "cli"
"""The user id of whoever acts on the command line: nobody has proved who that is."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who has proved who they are, with what they may do.

    On the command line, `CLI_USER`, nobody has proved it.

    Args:
        user_id: random, stable, never personal; stands in the ledger.
        name: how people know them; personal data, never logged.
        roles: for showing; what counts is ``permissions``.
        partners: see `Scope`.
        speaks: for whose people they speak when they report; None is those of ``partners``.
        token: whether a program asks by an API token, not a person in a browser.
        typed: on the command line, the names that somebody went by; nobody proved them.
    """

    user_id: str
    name: str = field(repr=False)
    roles: frozenset[Role] = frozenset()
    permissions: frozenset[Permission] = frozenset()
    partners: frozenset[str] | None = frozenset()
    own_keys: frozenset[bytes] = field(default=frozenset(), repr=False)
    token: bool = False
    typed: tuple[str, ...] = field(default=(), repr=False)
    speaks: Remit | None = None

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions

    @property
    def is_nobodys(self) -> bool:
        """A token of which nobody knows whose it is: it can be neither of two people."""
        return self.token and not self.own_keys

    @property
    def sees_names(self) -> bool:
        """Whether leavers are named without asking: operators must know whom they deal with.

        An auditor sees pseudonyms, and names only with a reason.
        """
        return self.may(Permission.ACT) or self.may(Permission.APPROVE)

    @property
    def remit(self) -> Remit:
        """For whose people they speak when they report."""
        return Remit(self.partners) if self.speaks is None else self.speaks

    @property
    def scope(self) -> Scope:
        return Scope(self.partners, self.may(Permission.SEALED), self.own_keys)


def permissions_of(roles: Collection[Role], *more: Permission) -> frozenset[Permission]:
    """Everything that any of ``roles`` gives, and ``more``."""
    return frozenset(more).union(*(role.permissions for role in roles))


def is_within(some: Collection[str] | None, all_of: Collection[str] | None) -> bool:
    """Whether ``some`` partners are among those that somebody may know of; None is every one."""
    return all_of is None or (some is not None and set(some) <= set(all_of))

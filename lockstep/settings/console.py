"""Tables of the settings file about the console: sessions, sign-in, groups, brake."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from connectors.http import require_safe_url
from connectors.openid.client import ClientAuth
from lockstep.control.people.oidc import Group, Reading
from lockstep.control.people.pairs import Pairs
from lockstep.domain.cases.leavers import KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.intake.brakes import BrakeRule
from lockstep.domain.policy import Tier
from lockstep.domain.rights import Permission, Role
from lockstep.settings.tables import MOST_PLACES, Duration, PlaceName, SecretRef, Table

EVERY = "*"
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


class ConsoleTable(Table):
    """How browsers reach us, and how long a session lasts.

    ``origin``: scheme, host and port in the browser's address bar; default the bind address.
    ``attest_in_pairs``: tiers of systems that nobody attests alone, artefact or not; tier 0 always
    is one of them.
    ``pick_in_pairs``: tiers of systems of which nobody says alone whose accounts in doubt are.
    ``prolong_in_pairs``: kinds of leaver whose cutoff nobody moves to later, and whose case nobody
    calls off, alone; what HR's system signs is not concerned.
    """

    origin: str = Field(default="", max_length=300)
    idle: Duration = Field(
        default=timedelta(minutes=30), ge=timedelta(minutes=1), le=timedelta(hours=12)
    )
    lifetime: Duration = Field(
        default=timedelta(hours=10), ge=timedelta(minutes=5), le=timedelta(hours=24)
    )

    attest_in_pairs: list[Tier] = Field(default_factory=lambda: [Tier.ZERO], max_length=len(Tier))
    prolong_in_pairs: list[TerminationKind] = Field(
        default_factory=lambda: [TerminationKind.INVOLUNTARY], max_length=len(TerminationKind)
    )
    pick_in_pairs: list[Tier] = Field(default_factory=list, max_length=len(Tier))

    def pairs(self) -> Pairs:
        """When a person may not decide alone."""
        return Pairs(
            frozenset(self.attest_in_pairs),
            frozenset(self.prolong_in_pairs),
            frozenset(self.pick_in_pairs),
        )

    @field_validator("attest_in_pairs")
    @classmethod
    def _with_tier_0(cls, value: list[Tier]) -> list[Tier]:
        return value if Tier.ZERO in value else [Tier.ZERO, *value]

    @field_validator("origin")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.path or parts.query or parts.fragment or parts.username:
            raise ValueError(
                "give scheme, host and port only, such as https://lockstep.example.com"
            )
        require_safe_url(value, option="origin")
        return value


class OidcTable(Table):
    """The identity provider (OpenID Connect Core 1.0, with discovery).

    ``client_auth``: how Lockstep proves who it is there, as registered; without it, by what is
    given here and what the provider offers. ``client_key``: a private key in PEM, for
    ``private_key_jwt``; ``client_key_id`` is its id there.
    ``keys``: which claim holds which of a worker's keys; by them nobody sees their own case, and
    a leaver who may use Lockstep loses that at the cutoff.
    """

    issuer: str = Field(max_length=500)
    client_id: str = Field(min_length=1, max_length=200)
    client_secret: SecretRef | None = None
    client_auth: ClientAuth | None = None
    client_key: SecretRef | None = None
    client_key_id: str = Field(default="", max_length=200)
    name: str = Field(default="your organisation", min_length=1, max_length=60)
    scopes: list[str] = Field(default_factory=lambda: ["openid", "profile", "email"], max_length=20)
    groups_claim: str = Field(default="groups", min_length=1, max_length=200)
    name_claim: str = Field(default="name", min_length=1, max_length=200)
    keys: dict[KeyKind, str] = Field(
        default_factory=lambda: {KeyKind.EMAIL: "email", KeyKind.USERNAME: "preferred_username"}
    )

    @field_validator("issuer")
    @classmethod
    def _is_safe(cls, value: str) -> str:
        require_safe_url(value, option="issuer")
        return value.rstrip("/")

    def to_reading(self, groups: Iterable[GroupTable]) -> Reading:
        """Which claims say what."""
        return Reading(
            groups=tuple(group.to_group() for group in groups),
            groups_claim=self.groups_claim,
            name_claim=self.name_claim,
            keys=self.keys,
        )

    @field_validator("keys")
    @classmethod
    def _can_find(cls, value: dict[KeyKind, str]) -> dict[KeyKind, str]:
        if not value or KeyKind.ACCOUNT_ID in value:
            raise ValueError(
                "name at least one claim for worker_id, employee_number, external_id, username or "
                "email: by it nobody sees their own case, and a leaver loses this access too"
            )
        return value

    @field_validator("scopes")
    @classmethod
    def _has_openid(cls, value: list[str]) -> list[str]:
        if "openid" not in value:
            raise ValueError("openid is needed among the scopes")
        return value


class GroupTable(Table):
    """What members of a group at the identity provider may do.

    ``partners``: names; ``["*"]`` is every partner. Whoever is in several groups may do what any
    of them allows, for the partners of all of them. But they report leavers of the partners and
    ``sites`` only of those groups that let them report; where ``sites`` is left out, of every one.
    """

    group: str = Field(min_length=1, max_length=300)
    roles: list[Role] = Field(default_factory=list, max_length=len(Role))
    partners: list[str] = Field(min_length=1, max_length=200)
    sealed: bool = False
    sites: list[PlaceName] | None = Field(default=None, min_length=1, max_length=MOST_PLACES)

    @field_validator("partners")
    @classmethod
    def _says_whose(cls, value: list[str]) -> list[str]:
        if EVERY in value and len(value) > 1:
            raise ValueError('give names, or ["*"] alone for every partner')
        if not all(name.strip() for name in value):
            raise ValueError("a partner has a name")
        return value

    def permissions(self) -> frozenset[Permission]:
        """What the group gives beyond its roles."""
        return frozenset({Permission.SEALED}) if self.sealed else frozenset()

    def to_group(self) -> Group:
        """As the use case of signing in reads it."""
        return Group(
            name=self.group,
            roles=frozenset(self.roles),
            partners=None if self.partners == [EVERY] else frozenset(self.partners),
            more=self.permissions(),
            sites=None if self.sites is None else frozenset(self.sites),
        )


class BrakeTable(Table):
    """When terminations arrive far above the usual, new ones wait for an approver.

    ``per_hour``: so many of one source and one hour pass; 0 is no brake. ``share``: of
    ``workforce``, where that is given, whichever is more. Dismissals have a count of their own, of
    which 0 is no limit.
    """

    per_hour: int = Field(default=100, ge=0, le=100_000)
    workforce: int = Field(default=0, ge=0, le=10_000_000)
    share: float = Field(default=0.02, gt=0, le=1)
    dismissals_per_hour: int = Field(default=25, ge=0, le=100_000)

    def to_rule(self) -> BrakeRule:
        """The rule that the dispatcher goes by."""
        most = max(self.per_hour, int(self.workforce * self.share)) if self.per_hour else 0
        return BrakeRule(most, self.dismissals_per_hour)


def is_local(bind: str) -> bool:
    """Whether only this machine reaches an address."""
    return bind in _LOCAL

"""What an account can still reach, and what a connector did about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockstep.domain.leavers import Key, KeyKind


class Category(StrEnum):
    """What kind of door a system is."""

    IDENTITY = "identity"
    SAAS = "saas"
    VPN = "vpn"
    BADGE = "badge"


class AccessKind(StrEnum):
    """One way in. The order is the order in which connectors close them (design, rule 4)."""

    SIGN_IN = "sign_in"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 - the name of a kind of access, not a secret
    SECRET = "secret"  # noqa: S105 - the name of a kind of access, not a secret
    FACTOR = "factor"
    DEVICE = "device"
    CREDENTIAL = "credential"
    """A badge, a card, a mobile key."""
    ROLE = "role"
    GROUP = "group"
    ASSIGNMENT = "assignment"


@dataclass(frozen=True, slots=True)
class Account:
    """The leaver's identity inside one system.

    ``id`` is the vendor's immutable id. ``locator`` is what calls need beside it (an IAM user
    name, an e-mail); personal data, stored only encrypted. ``known_keys`` are identity keys that
    the vendor itself holds for the account, so that a recycled e-mail address can be noticed.
    """

    id: str
    locator: str = field(default="", repr=False)
    known_keys: tuple[Key, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call to a vendor, as an auditor can find it in the vendor's own log.

    ``operation`` is our stable name of the call ("users.suspend"), never a URL with personal data.
    ``answered_at`` and ``skew`` are as `clocks.answer_time` has them: the vendor's Date counts only
    within the call by our own clock. ``digest`` is the SHA-256 of the raw answer body, in hex.
    """

    operation: str
    status: int
    answered_at: datetime
    request_id: str | None = None
    date_header: str | None = None
    digest: str | None = None
    skew: timedelta | None = None

    @property
    def at_by_vendor(self) -> datetime:
        """The instant of the answer on the vendor's own clock, to compare its records with."""
        return self.answered_at + (self.skew or timedelta(0))


@dataclass(frozen=True, slots=True)
class Access:
    """One standing way in: ``ref`` is the vendor's id of the session, key, group or card."""

    kind: AccessKind
    ref: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Action:
    """One way in that we asked the vendor to close, and when the vendor accepted."""

    access: Access
    accepted_at: datetime
    operation: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Residual:
    """Access that the vendor cannot end at once, with its upper bound.

    ``what`` is a stable code ("access_token", "offline_reader_cache"); ``bound_s`` whole seconds.
    """

    what: str
    bound_s: int


@dataclass(frozen=True, slots=True)
class Observation:
    """An independent look at one account by its immutable id.

    ``standing`` is every way in that still works; empty means that nothing stands.
    ``off_since`` is the vendor's own record of when sign-in ended (UTC), where it keeps one.
    """

    account_id: str = field(repr=False)
    exists: bool
    standing: tuple[Access, ...]
    off_since: datetime | None = None
    residuals: tuple[Residual, ...] = ()

    @property
    def is_closed(self) -> bool:
        return not self.standing


class ProblemSeverity(StrEnum):
    """How a health problem bears on a revocation."""

    BLOCKS = "blocks"
    LIMITS = "limits"


@dataclass(frozen=True, slots=True)
class Match:
    """One account, and the key that found it.

    ``seen`` is what stands in it, where the search's own answer says so in full: it spares the
    first look, never the read-back, which is by id.
    """

    account: Account
    found_by: KeyKind
    seen: Observation | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Location:
    """What a search by every usable key found.

    ``keys_tried`` names kinds, not values, so that it can stand in evidence.
    """

    matches: tuple[Match, ...]
    keys_tried: tuple[KeyKind, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that would hinder a revocation: ``code`` is stable, ``fix`` is for a person."""

    code: str
    summary: str
    fix: str
    severity: ProblemSeverity = ProblemSeverity.BLOCKS


@dataclass(frozen=True, slots=True)
class Health:
    """What a system says of our own credential and its permissions."""

    reachable: bool
    problems: tuple[Problem, ...] = ()

    @property
    def is_ready(self) -> bool:
        return self.reachable and not any(
            problem.severity is ProblemSeverity.BLOCKS for problem in self.problems
        )

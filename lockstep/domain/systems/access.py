"""What an account can still reach, and what a connector did about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.faults import FaultCategory


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
    SEAT = "seat"
    """A licence that somebody pays for; freed only where the vendor no longer counts it."""


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

    ``what`` is a stable code ("access_token", "offline_reader_cache"); ``bound_s`` whole seconds,
    or None where nobody has stated a bound: then it is unknown, and said to be.
    """

    what: str
    bound_s: int | None


@dataclass(frozen=True, slots=True)
class Unread:
    """A list of ways in that could not be read: it is neither empty nor known.

    Args:
        kind: what the list holds; the sign-in, where a search for accounts failed.
        category: why it could not be read; None where nobody has asked yet.
        operation: our name of the call that failed.
        code: the vendor's code, bounded and cleaned.
        retry_after: the vendor's own waiting time.
        missing: the permission that is missing, where the answer tells.
        request_id: the vendor's id of the failed call.
    """

    kind: AccessKind
    category: FaultCategory | None = None
    operation: str = ""
    code: str = ""
    retry_after: timedelta | None = None
    missing: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """A look at one account by its immutable id.

    ``standing`` is every way in that still works; together with an empty ``unread`` an empty one
    means that nothing stands. ``unread`` names the lists that were not read, each with its reason.
    ``off_since`` is the vendor's own record of when sign-in ended (UTC), where it keeps one.
    """

    account_id: str = field(repr=False)
    exists: bool
    standing: tuple[Access, ...]
    off_since: datetime | None = None
    residuals: tuple[Residual, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether it is known that nothing stands: an unread list is not an empty one."""
        return not self.standing and not self.unread

    @property
    def signs_in(self) -> bool:
        """Whether the front door stands open."""
        return any(way.kind is AccessKind.SIGN_IN for way in self.standing)


class ProblemSeverity(StrEnum):
    """How a health problem bears on a revocation."""

    BLOCKS = "blocks"
    LIMITS = "limits"


class Proof(StrEnum):
    """How it is known that a search would have found the account, had there been one."""

    BY_ID = "by_id"
    """A read by immutable id, answered by an endpoint that is alive."""
    PROVED = "proved"
    """The very same search found a known account, written in another case."""
    LISTED = "listed"
    """Every account was listed, and compared."""
    NOT_HELD = "not_held"
    """The system was not seen to hold such a key for anybody: nothing was searched."""
    UNPROVED = "unproved"
    """It found nobody, and nothing says that it could have: no answer at all."""
    FAILED = "failed"
    """It could not be made; the reason stands in `Location.unread`."""


@dataclass(frozen=True, slots=True)
class Match:
    """One account that a search returned, and what the vendor says of whose it is.

    A connector tells; `lockstep.domain.systems.finding` decides. ``account.known_keys`` is every
    identity key that the vendor itself holds, so that the key that found it can be judged.

    Args:
        found_by: the strongest key that found it.
        seen: what stands in it as far as the search's own answer says so; its ``unread`` names
            what the answer does not say. It spares the first look, never the read-back by id.
        name: the person's name at the vendor, for people to compare.
        created_at: when the account was made (UTC), where the vendor says so.
        last_used_at: when it was last used (UTC), where the vendor says so.
    """

    account: Account
    found_by: KeyKind
    seen: Observation | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)
    created_at: datetime | None = None
    last_used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """One key that was searched for, and how it is known that the search can find."""

    kind: KeyKind
    value: str = field(repr=False)
    proof: Proof


@dataclass(frozen=True, slots=True)
class Location:
    """What the searches by every usable key returned. Nothing is decided here.

    ``listed`` is how many accounts were listed and compared, where a list answered. ``unread``
    says why some searches could not be made while others found somebody: an account may stand
    that nobody has seen.
    """

    matches: tuple[Match, ...]
    searches: tuple[Search, ...]
    listed: int | None = None
    unread: tuple[Unread, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether every search was made."""
        return not self.unread

    @property
    def keys_tried(self) -> tuple[KeyKind, ...]:
        """Kinds of the keys that were searched, strongest first; without values."""
        tried = {search.kind for search in self.searches}
        return tuple(kind for kind in KeyKind if kind in tried)


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

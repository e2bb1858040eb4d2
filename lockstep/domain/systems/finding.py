"""Whose account it is, and when "nobody" is proved: one law for every system.

Connectors tell what their searches returned and what the vendor holds of each account; here is
decided. The table for readers is in docs/whose-account.md; the conformance suite holds a row of it
for each rule.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Proof
from lockstep.domain.systems.keys import comparable, local_part, mail_domain

_NUMBERS = (KeyKind.WORKER_ID, KeyKind.EMPLOYEE_NUMBER)
_WEAK = (KeyKind.USERNAME, KeyKind.EMAIL)


class Verdict(StrEnum):
    """Whose an account is."""

    LEAVERS = "leavers"
    SET_ASIDE = "set_aside"
    """Somebody else's: not touched, and named in the evidence."""
    IN_DOUBT = "in_doubt"
    """A person decides; nobody touches it until then."""


class Reason(StrEnum):
    """Why. Public: stands in evidence; never rename."""

    PICKED = "picked"
    """A person said that it is the leaver's."""
    PINNED = "pinned"
    """HR named this account for this system."""
    KNOWN = "known"
    """It was found to be the leaver's before, in this case."""
    NUMBER = "number"
    """The vendor itself holds the leaver's worker id, employee number or external id."""
    ONLY_ONE = "only_one"
    """The only account under any address or user name of the leaver, and nothing contradicts."""
    NOT_PICKED = "not_picked"
    """A person said that it is not the leaver's."""
    OTHER_NUMBER = "other_number"
    """The vendor holds another worker id or employee number: somebody else's."""
    OTHER_ACCOUNT = "other_account"
    """A stronger key names another account as the leaver's."""
    MADE_AFTER_CUTOFF = "made_after_cutoff"
    NAME_IN_PART = "name_in_part"
    """The user name agrees before the @ only."""
    OTHER_DOMAIN = "other_domain"
    """The user name agrees, and all its addresses are in domains that the leaver has none in."""
    SEVERAL = "several"
    """Several accounts, by addresses and user names only."""
    TWO_RANGES = "two_ranges"
    """Only the number agrees, and several HR systems here number different people."""
    WITHDRAWN = "withdrawn"
    """This case had found it, a key was withdrawn since, and no other proves it the leaver's."""
    NOT_ALL_SEARCHED = "not_all_searched"
    """A search failed: what it would have found may speak against this account."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One account that was found, and what the law says of it."""

    match: Match
    verdict: Verdict
    reason: Reason


@dataclass(frozen=True, slots=True)
class Finding:
    """Every account that the searches returned, judged."""

    judged: tuple[Judged, ...]

    @property
    def leavers(self) -> tuple[Match, ...]:
        return tuple(one.match for one in self.judged if one.verdict is Verdict.LEAVERS)

    @property
    def set_aside(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.judged if one.verdict is Verdict.SET_ASIDE)

    @property
    def in_doubt(self) -> tuple[Judged, ...]:
        return tuple(one for one in self.judged if one.verdict is Verdict.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class Picks:
    """What people decided about accounts of one system, by the vendor's immutable id."""

    theirs: frozenset[str] = field(default=frozenset(), repr=False)
    others: frozenset[str] = field(default=frozenset(), repr=False)


def judge(
    matches: Sequence[Match],
    keys: LeaverKeys,
    *,
    system: str,
    cutoff: datetime,
    picks: Picks | None = None,
    known: Iterable[Account] = (),
    is_whole: bool = True,
    is_one_range: bool = True,
) -> Finding:
    """Say of every account that was found whose it is.

    Args:
        matches: what the searches of one system returned, each account once.
        keys: the leaver's.
        system: for account ids that HR gave for this system.
        cutoff: an account made later is not taken by an address alone (UTC).
        picks: what people decided before; it outweighs everything.
        known: accounts of the leaver that this case has found before.
        is_whole: whether every search was made. While one is missing, what it would have found
            may contradict: then a name or an address alone takes no account.
        is_one_range: whether a number names one person here. Where several HR systems number
            different people, one of theirs may bear the leaver's number.
    """
    picks = picks or Picks()
    bench = _Bench(
        keys,
        system=system,
        cutoff=cutoff,
        picks=picks,
        known=known,
        is_whole=is_whole,
        is_one_range=is_one_range,
    )
    matches = (*matches, *bench.not_found_again(matches))
    decided = bench.decided(matches)
    rest = [match for match in matches if match.account.id not in decided]
    # What was only known from before settles nothing about another account.
    settles = any(
        one.verdict is Verdict.LEAVERS and one.reason is not Reason.KNOWN
        for one in decided.values()
    )
    several = len(rest) > 1 or any(
        one.reason is Reason.KNOWN or one.verdict is Verdict.IN_DOUBT for one in decided.values()
    )
    for match in rest:
        decided[match.account.id] = bench.weak(match, settles=settles, several=several)
    return Finding(tuple(bench.kept(decided[match.account.id]) for match in matches))


class _Bench:
    """The leaver's keys in comparable form, and the rules that look at one account."""

    def __init__(
        self,
        keys: LeaverKeys,
        *,
        system: str,
        cutoff: datetime,
        picks: Picks,
        known: Iterable[Account],
        is_whole: bool,
        is_one_range: bool,
    ) -> None:
        self._cutoff = cutoff
        self._is_whole = is_whole
        self._is_one_range = is_one_range
        self._picks = picks
        self._known = {account.id: account for account in known}
        self._withdrawn = keys.withdrawn_of(system)
        self._not_found_again: set[str] = set()
        self._pinned = set(keys.account_ids(system))
        self._numbers = {kind: _comparable(keys, kind) for kind in _NUMBERS}
        self._any_number = set().union(*self._numbers.values())
        self._externals = _comparable(keys, KeyKind.EXTERNAL_ID) | self._any_number
        self._weak = _comparable(keys, *_WEAK)
        self._domains = {mail_domain(value) for value in self._weak} - {""}

    def not_found_again(self, matches: Sequence[Match]) -> list[Match]:
        """What this case had found before a key was withdrawn, and no other key finds now."""
        if not self._withdrawn:
            return []
        found = {match.account.id for match in matches}
        lost = [account for account in self._known.values() if account.id not in found]
        self._not_found_again = {account.id for account in lost}
        return [Match(account, KeyKind.ACCOUNT_ID) for account in lost]

    def kept(self, judged: Judged) -> Judged:
        """What this case had found is never set aside in silence because a key was withdrawn."""
        account = judged.match.account.id
        is_word = judged.reason in {Reason.PICKED, Reason.NOT_PICKED}
        if is_word or judged.verdict is Verdict.LEAVERS or account not in self._known:
            return judged
        return Judged(judged.match, Verdict.IN_DOUBT, Reason.WITHDRAWN)

    def decided(self, matches: Sequence[Match]) -> dict[str, Judged]:
        """The accounts about which a person, HR or a number has the say."""
        found = {match.account.id: self._by_word(match) for match in matches}
        numbered = [
            match
            for match in matches
            if found[match.account.id] is None and self._holds_number(match)
        ]
        others = [
            match
            for match in matches
            if found[match.account.id] is None
            and match not in numbered
            and self._shares_weak(match)
            and not self._other_number(match)
        ]
        # A number alone is enough. Where it finds several accounts, or an address of the leaver
        # finds another one, two number ranges may have met: then the account must also hold an
        # address or user name of the leaver, or none at all.
        meets = len(numbered) > 1 or bool(others)
        for match in numbered:
            doubt = self._doubt_of_number(match, meets=meets)
            found[match.account.id] = Judged(
                match,
                Verdict.IN_DOUBT if doubt else Verdict.LEAVERS,
                doubt or Reason.NUMBER,
            )
        return {account: one for account, one in found.items() if one is not None}

    def weak(self, match: Match, *, settles: bool, several: bool) -> Judged:
        """An account that only an address or a user name speaks for."""
        if settles:
            other = self._other_number(match)
            reason = Reason.OTHER_NUMBER if other else Reason.OTHER_ACCOUNT
            return Judged(match, Verdict.SET_ASIDE, reason)
        doubt = self._contradiction(match) or (Reason.SEVERAL if several else None)
        if doubt is None and not self._is_whole:
            doubt = Reason.NOT_ALL_SEARCHED
        if doubt is None:
            return Judged(match, Verdict.LEAVERS, Reason.ONLY_ONE)
        return Judged(match, Verdict.IN_DOUBT, doubt)

    def _by_word(self, match: Match) -> Judged | None:
        """What a person, HR or this case has said of this very account before."""
        account = match.account.id
        if account in self._picks.others:
            return Judged(match, Verdict.SET_ASIDE, Reason.NOT_PICKED)
        if account in self._picks.theirs:
            return Judged(match, Verdict.LEAVERS, Reason.PICKED)
        if account in self._not_found_again:
            return Judged(match, Verdict.IN_DOUBT, Reason.WITHDRAWN)
        if account in self._known and not self._withdrawn:
            return Judged(match, Verdict.LEAVERS, Reason.KNOWN)
        if account in self._pinned or match.found_by is KeyKind.ACCOUNT_ID:
            is_other = self._other_number(match)  # two strong keys of which one must be wrong
            verdict = Verdict.IN_DOUBT if is_other else Verdict.LEAVERS
            return Judged(match, verdict, Reason.OTHER_NUMBER if is_other else Reason.PINNED)
        return None

    def _contradiction(self, match: Match) -> Reason | None:
        if self._other_number(match):
            return Reason.OTHER_NUMBER
        if self._pinned:
            return Reason.OTHER_ACCOUNT
        if match.created_at is not None and match.created_at > self._cutoff:
            return Reason.MADE_AFTER_CUTOFF
        return self._of_name(match)

    def _of_name(self, match: Match) -> Reason | None:
        held = _weak_of(match)
        if not held:
            return None
        shared = held & self._weak
        if not shared:
            ours = {local_part(value) for value in self._weak}
            in_part = any(local_part(value) in ours for value in held)
            return Reason.NAME_IN_PART if in_part else Reason.OTHER_DOMAIN
        theirs = {mail_domain(value) for value in held} - {""}
        if any("@" in value for value in shared) or not theirs or not self._domains:
            return None
        return None if theirs & self._domains else Reason.OTHER_DOMAIN

    def _doubt_of_number(self, match: Match, *, meets: bool) -> Reason | None:
        """Why the leaver's number is not enough for this account; None where it is.

        Where several HR systems number different people, an address or a user name must agree
        too. While a search is missing, whether two ranges meet is not known: an account of another
        domain than all of the leaver's waits for it.
        """
        if self._other_number(match):
            return Reason.OTHER_NUMBER
        held = _weak_of(match)
        if not held or held & self._weak:
            return None
        if meets:
            return Reason.SEVERAL
        if self._weak and not self._is_one_range:
            return Reason.TWO_RANGES
        theirs = {mail_domain(value) for value in held} - {""}
        is_elsewhere = bool(theirs and self._domains and not theirs & self._domains)
        return Reason.NOT_ALL_SEARCHED if is_elsewhere and not self._is_whole else None

    def _holds_number(self, match: Match) -> bool:
        numbers = _held(match, *_NUMBERS) & self._any_number
        return bool(numbers or _held(match, KeyKind.EXTERNAL_ID) & self._externals)

    def _other_number(self, match: Match) -> bool:
        """Whether the vendor holds a number of a kind that we know, and it is not ours.

        A number of ours under another kind's name is no contradiction: systems keep worker ids as
        employee numbers, and the other way. An external id may be anything; one that is written
        like a number of ours (W-2 beside W-1) is another number of that range.
        """
        other = any(
            bool(held := _held(match, kind))
            and bool(self._numbers[kind])
            and not held & self._any_number
            for kind in _NUMBERS
        )
        external = _held(match, KeyKind.EXTERNAL_ID)
        return other or (
            not external & self._externals
            and any(is_alike(one, ours) for one in external for ours in self._externals)
        )

    def _shares_weak(self, match: Match) -> bool:
        return bool(_weak_of(match) & self._weak)


class Absence(StrEnum):
    """Whether "nobody" is proved."""

    PROVED = "proved"
    TOO_FEW_KEYS = "too_few_keys"
    """One key may be misspelt or renamed; two that differ and both find nobody are evidence."""
    UNPROVED = "search_not_proved"
    """The searches found nobody, and nothing shows that they could have."""
    KEY_WITHDRAWN = "key_withdrawn"
    """The keys that are left find nobody; the one that was withdrawn might have."""


def absence(
    location: Location, *, accept_single_key: bool, withdrawn: Collection[Key] = ()
) -> Absence:
    """Whether a search that found no account of the leaver may settle a system.

    Keys are counted by what they say, not by their kind: one word as user name and as address is
    one key. A search that was not proved to find counts as not made. A system that can be searched
    in one way only may be accepted by policy. Whoever withdraws a key (``withdrawn``: those of this
    system) must not prove by that that nobody is there: a person says so.
    """
    enough = 1 if accept_single_key else 2
    searched = {
        comparable(one.kind, one.value)
        for one in location.searches
        if one.proof is not Proof.NOT_HELD
    }
    proved = {
        comparable(one.kind, one.value)
        for one in location.searches
        if one.proof not in {Proof.UNPROVED, Proof.NOT_HELD}
    }
    if len(proved) >= enough:
        return Absence.KEY_WITHDRAWN if withdrawn else Absence.PROVED
    return Absence.UNPROVED if len(searched) >= enough else Absence.TOO_FEW_KEYS


def not_read(location: Location, keys: LeaverKeys, *, system: str) -> tuple[str, ...]:
    """The accounts of a system that HR named and that no read by id has answered for.

    Whatever else was found: a named account counts as gone only where its own id says so.
    """
    answered = {
        one.value
        for one in location.searches
        if one.kind is KeyKind.ACCOUNT_ID and one.proof not in _NO_ANSWER
    }
    found = {match.account.id for match in location.matches}
    return tuple(one for one in keys.account_ids(system) if one not in answered | found)


_NO_ANSWER = frozenset({Proof.UNPROVED, Proof.NOT_HELD, Proof.FAILED})
_DIGITS = re.compile(r"[0-9]+")


def is_alike(one: str, other: str) -> bool:
    """Whether two numbers are written alike: the same but for digits, as of one range.

    Bare digits must be equally many: a counter of five and an id of twelve are two ranges.
    """
    if one.isdecimal() or other.isdecimal():
        return one.isdecimal() and other.isdecimal() and len(one) == len(other)
    shapes = [_DIGITS.sub("9", value) for value in (one, other)]
    return shapes[0] == shapes[1] and "9" in shapes[0]


def _comparable(keys: LeaverKeys, *kinds: KeyKind) -> set[str]:
    found = {comparable(kind, value) for kind in kinds for value in keys.of_kind(kind)}
    return found - {""}


def _held(match: Match, *kinds: KeyKind) -> set[str]:
    """What the vendor itself holds of these kinds, in comparable form."""
    wanted: Collection[KeyKind] = kinds
    found = {
        comparable(key.kind, key.value) for key in match.account.known_keys if key.kind in wanted
    }
    return found - {""}


def _weak_of(match: Match) -> set[str]:
    return _held(match, *_WEAK)

"""Whose account it is, and when "nobody" is proved: the law, row by row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import Account, Location, Match, Proof, Search
from lockstep.domain.systems.finding import Absence, Picks, Reason, Verdict, absence, judge

CUTOFF = datetime(2026, 11, 30, 10, tzinfo=UTC)
SYSTEM = "okta-prod"
LEAVERS, ASIDE, DOUBT = Verdict.LEAVERS, Verdict.SET_ASIDE, Verdict.IN_DOUBT


def key(kind: str, value: str, system: str | None = None) -> Key:
    return Key(KeyKind(kind), value, system)


def leaver(*keys: tuple[str, str], pinned: str = "") -> LeaverKeys:
    made = [key(kind, value) for kind, value in keys]
    if pinned:
        made.append(key("account_id", pinned, SYSTEM))
    return LeaverKeys((key("worker_id", "W-1"), *made))


def account(
    name: str, *held: tuple[str, str], by: str = "email", made: datetime | None = None
) -> Match:
    keys = tuple(key(kind, value) for kind, value in held)
    return Match(Account(name, known_keys=keys), KeyKind(by), created_at=made)


def told(
    keys: LeaverKeys,
    *matches: Match,
    picks: Picks | None = None,
    known: tuple[str, ...] = (),
    is_whole: bool = True,
    is_one_range: bool = True,
) -> dict[str, tuple[Verdict, Reason]]:
    finding = judge(
        matches,
        keys,
        system=SYSTEM,
        cutoff=CUTOFF,
        picks=picks,
        known=[Account(name) for name in known],
        is_whole=is_whole,
        is_one_range=is_one_range,
    )
    return {one.match.account.id: (one.verdict, one.reason) for one in finding.judged}


MAIL = ("email", "ana@example.com")
OLD = ("email", "ana.old@example.com")
NUMBER = ("employee_number", "10442")
OTHER = ("employee_number", "20777")


def test_one_account_under_an_address_is_the_leavers() -> None:
    """A weak key is enough for one account that contradicts nothing, in whatever case."""
    assert told(leaver(MAIL), account("a", ("email", "Ana@Example.COM"))) == {
        "a": (LEAVERS, Reason.ONLY_ONE)
    }


def test_an_account_that_hr_named_decides() -> None:
    """The address belongs to somebody else by now: the named one is taken, the other is not."""
    assert told(leaver(MAIL, pinned="a"), account("a", by="account_id"), account("b", MAIL)) == {
        "a": (LEAVERS, Reason.PINNED),
        "b": (ASIDE, Reason.OTHER_ACCOUNT),
    }


def test_every_account_that_hr_named_is_the_leavers() -> None:
    """Several accounts of one leaver may be named."""
    keys = LeaverKeys((*leaver(pinned="a").keys, key("account_id", "b", SYSTEM)))

    assert {verdict for verdict, _ in told(keys, account("a"), account("b")).values()} == {LEAVERS}


def test_an_id_of_another_system_names_nothing_here() -> None:
    """Account ids count in the system for which they were given."""
    keys = LeaverKeys((*leaver(MAIL).keys, key("account_id", "a", "aws-prod")))

    assert told(keys, account("a", MAIL), account("b", MAIL))["a"] == (DOUBT, Reason.SEVERAL)


def test_an_address_beside_a_named_account_that_is_gone_asks() -> None:
    """The named account is not there; whoever has the address is another account."""
    assert told(leaver(MAIL, pinned="a"), account("b", MAIL)) == {
        "b": (DOUBT, Reason.OTHER_ACCOUNT)
    }


def test_a_named_account_with_another_number_asks() -> None:
    """Two strong keys of which one must be wrong."""
    assert told(leaver(NUMBER, pinned="a"), account("a", OTHER, by="account_id")) == {
        "a": (DOUBT, Reason.OTHER_NUMBER)
    }


def test_a_number_that_the_vendor_holds_decides() -> None:
    """By number, whatever the address has become."""
    renamed = account("a", NUMBER, ("email", "ana.cruz@example.com"), by="employee_number")

    assert told(leaver(NUMBER, MAIL), renamed) == {"a": (LEAVERS, Reason.NUMBER)}


def test_an_address_of_another_number_is_set_aside_by_number() -> None:
    """An account with this address is somebody else's: by number."""
    theirs = account("b", OTHER, OLD)

    assert told(leaver(NUMBER, MAIL, OLD), account("a", NUMBER, MAIL), theirs) == {
        "a": (LEAVERS, Reason.NUMBER),
        "b": (ASIDE, Reason.OTHER_NUMBER),
    }


def test_a_worker_id_kept_as_employee_number_is_no_contradiction() -> None:
    """Systems keep one under the other's name."""
    held = account("a", ("employee_number", "W-1"), MAIL)

    assert told(leaver(NUMBER, MAIL), held) == {"a": (LEAVERS, Reason.NUMBER)}


def test_two_number_ranges_that_meet_ask() -> None:
    """The number finds a stranger of another employer, the address finds the leaver."""
    stranger = account("b", NUMBER, ("email", "bo@other.example"), by="employee_number")

    assert told(leaver(NUMBER, MAIL), stranger, account("a", MAIL)) == {
        "b": (DOUBT, Reason.SEVERAL),
        "a": (DOUBT, Reason.SEVERAL),
    }


def test_of_two_accounts_with_the_number_the_one_with_the_address_is_taken() -> None:
    """Two employers in one directory may count alike."""
    stranger = account("b", NUMBER, ("email", "bo@other.example"), by="employee_number")

    assert told(leaver(NUMBER, MAIL), account("a", NUMBER, MAIL), stranger) == {
        "a": (LEAVERS, Reason.NUMBER),
        "b": (DOUBT, Reason.SEVERAL),
    }


def test_two_accounts_of_one_leaver_by_number_are_both_taken() -> None:
    """A second account with the leaver's number and address is the leaver's too."""
    both = told(leaver(NUMBER, MAIL, OLD), account("a", NUMBER, MAIL), account("b", NUMBER, OLD))

    assert {verdict for verdict, _ in both.values()} == {LEAVERS}


def test_old_and_new_address_with_two_accounts_ask() -> None:
    """Several accounts by weak keys only: a person decides, nobody is touched."""
    assert told(leaver(MAIL, OLD), account("a", MAIL), account("b", OLD)) == {
        "a": (DOUBT, Reason.SEVERAL),
        "b": (DOUBT, Reason.SEVERAL),
    }


def test_another_number_alone_asks() -> None:
    """The only account under the address is somebody else's by number; is that all there is?"""
    assert told(leaver(NUMBER, MAIL), account("b", OTHER, MAIL)) == {
        "b": (DOUBT, Reason.OTHER_NUMBER)
    }


def test_an_account_made_after_the_cutoff_asks() -> None:
    """The address was given to a newer employee after the last day."""
    newer = account("b", MAIL, made=CUTOFF + timedelta(days=3))

    assert told(leaver(MAIL), newer) == {"b": (DOUBT, Reason.MADE_AFTER_CUTOFF)}


@pytest.mark.parametrize("login", ["jsmith@a.example", "JSmith@A.example"])
def test_a_user_name_that_agrees_before_the_at_only_asks(login: str) -> None:
    """The leaver's short name is somebody's of another partner."""
    keys = leaver(("username", "jsmith"), ("email", "jane.smith@b.example"))

    assert told(keys, account("j", ("username", login), by="username")) == {
        "j": (DOUBT, Reason.NAME_IN_PART)
    }


def test_a_user_name_of_another_domain_asks() -> None:
    """The same word before the @ in another domain is another name."""
    keys = leaver(("username", "jsmith@b.example"))

    assert told(keys, account("j", ("username", "jsmith@a.example"), by="username")) == {
        "j": (DOUBT, Reason.NAME_IN_PART)
    }


def test_a_short_name_whose_addresses_are_elsewhere_asks() -> None:
    """The short name agrees to the letter, and its address is another partner's."""
    keys = leaver(("username", "jsmith"), ("email", "jane.smith@b.example"))
    held = (("username", "jsmith"), ("email", "john.smith@a.example"))

    assert told(keys, account("j", *held, by="username")) == {"j": (DOUBT, Reason.OTHER_DOMAIN)}


def test_a_short_name_in_the_leavers_own_domain_is_enough() -> None:
    """Somebody who was renamed keeps the domain."""
    keys = leaver(("username", "jsmith"), ("email", "jane.smith@b.example"))
    held = (("username", "jsmith"), ("email", "jane.doe@b.example"))

    assert told(keys, account("j", *held, by="username")) == {"j": (LEAVERS, Reason.ONLY_ONE)}


def test_what_a_person_picked_outweighs_everything() -> None:
    """Also a number that says otherwise; what was not picked is set aside."""
    picks = Picks(theirs=frozenset({"b"}), others=frozenset({"a"}))

    assert told(leaver(NUMBER, MAIL), account("a", MAIL), account("b", OTHER), picks=picks) == {
        "a": (ASIDE, Reason.NOT_PICKED),
        "b": (LEAVERS, Reason.PICKED),
    }


def test_what_this_case_has_found_before_stays_and_settles_nothing_else() -> None:
    """A new account beside it may be the leaver's or not: a person decides."""
    assert told(leaver(MAIL, OLD), account("a", MAIL), account("b", OLD), known=("a",)) == {
        "a": (LEAVERS, Reason.KNOWN),
        "b": (DOUBT, Reason.SEVERAL),
    }


def test_a_new_account_after_the_first_is_gone_is_the_leavers() -> None:
    """A directory made the account anew under the same address: access is back."""
    assert told(leaver(MAIL), account("b", MAIL), known=("a",)) == {"b": (LEAVERS, Reason.ONLY_ONE)}


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (("email", "bo@example.com"), (DOUBT, Reason.TWO_RANGES)),
        (("email", "bo@other.example"), (DOUBT, Reason.TWO_RANGES)),
        (MAIL, (LEAVERS, Reason.NUMBER)),
        (("external_id", "x"), (LEAVERS, Reason.NUMBER)),
    ],
)
def test_of_several_hr_systems_a_number_alone_takes_nobody(
    held: tuple[str, str], found: tuple[Verdict, Reason]
) -> None:
    """The same number is somebody else's in another HR system: an address must agree too."""
    judged = told(leaver(NUMBER, MAIL), account("b", NUMBER, held), is_one_range=False)

    assert judged == {"b": found}


def test_while_a_search_is_missing_an_address_takes_nobody() -> None:
    """What the search would have found may contradict: another number, another account."""
    found = told(leaver(NUMBER, MAIL), account("a", MAIL), is_whole=False)

    assert found == {"a": (DOUBT, Reason.NOT_ALL_SEARCHED)}


@pytest.mark.parametrize("held", [MAIL, ("email", "ana.cruz@example.com"), ("username", "ana")])
def test_while_a_search_is_missing_a_number_is_enough(held: tuple[str, str]) -> None:
    """A strong key decides: the sign-in is not kept open for what a weak one may find."""
    found = told(leaver(NUMBER, MAIL), account("a", NUMBER, held), is_whole=False)

    assert found == {"a": (LEAVERS, Reason.NUMBER)}


def test_while_a_search_is_missing_a_number_elsewhere_waits() -> None:
    """Two number ranges may have met: the account is of a domain where the leaver has none."""
    stranger = account("b", NUMBER, ("email", "bo@other.example"), by="employee_number")

    assert told(leaver(NUMBER, MAIL), stranger, is_whole=False) == {
        "b": (DOUBT, Reason.NOT_ALL_SEARCHED)
    }


def test_while_a_search_is_missing_who_is_named_or_known_is_taken() -> None:
    """HR, a person or this case has said so: no search is needed for it."""
    keys = leaver(MAIL, pinned="a")
    picks = Picks(theirs=frozenset({"c"}))
    found = told(
        keys, account("a"), account("b"), account("c"), known=("b",), picks=picks, is_whole=False
    )

    assert {verdict for verdict, _ in found.values()} == {LEAVERS}


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ("W-2", Reason.OTHER_NUMBER),
        ("w-310", Reason.OTHER_NUMBER),
        ("20777", Reason.OTHER_NUMBER),
        ("W-1", Reason.NUMBER),
        ("2077712", Reason.ONLY_ONE),
        ("00u1abcd9XYZ", Reason.ONLY_ONE),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301", Reason.ONLY_ONE),
    ],
)
def test_an_external_id_written_like_a_number_of_ours_is_one(held: str, reason: Reason) -> None:
    """Many systems keep HR's number as external id; others keep any id there."""
    found = told(leaver(NUMBER, MAIL), account("a", ("external_id", held), MAIL))

    assert [why for _, why in found.values()] == [reason]


def search(kind: str, value: str, proof: Proof = Proof.PROVED) -> Search:
    return Search(KeyKind(kind), value, proof)


@pytest.mark.parametrize(
    ("searches", "verdict"),
    [
        ([search("email", "a@x.example"), search("username", "ana")], Absence.PROVED),
        ([search("email", "a@x.example")], Absence.TOO_FEW_KEYS),
        ([search("email", "a@x.example"), search("username", "A@X.example")], Absence.TOO_FEW_KEYS),
        ([], Absence.TOO_FEW_KEYS),
        (
            [search("email", "a@x.example"), search("username", "ana", Proof.UNPROVED)],
            Absence.UNPROVED,
        ),
        (
            [search("email", "a@x.example"), search("employee_number", "1", Proof.NOT_HELD)],
            Absence.TOO_FEW_KEYS,
        ),
        (
            [search("email", "a@x.example", Proof.LISTED), search("account_id", "u9", Proof.BY_ID)],
            Absence.PROVED,
        ),
    ],
)
def test_nobody_is_proved_by_two_words_that_were_searched(
    searches: list[Search], verdict: Absence
) -> None:
    """Keys count by what they say; an unproved search, or one for what nobody holds, does not."""
    assert absence(Location((), tuple(searches)), accept_single_key=False) is verdict


def test_a_policy_may_accept_one_key_but_no_unproved_search() -> None:
    """Accepting one key is no reason to believe a search that cannot find."""
    one = Location((), (search("email", "a@x.example", Proof.UNPROVED),))

    assert absence(one, accept_single_key=True) is Absence.UNPROVED
    proved = Location((), (search("email", "a@x.example"),))
    assert absence(proved, accept_single_key=True) is Absence.PROVED

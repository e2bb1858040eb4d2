"""Proving that a search can find: by known accounts, in another case, once a day."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from connectors.base import ConnectorFault
from connectors.kit.finding.proving import LIFE_S, Prover, together
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.systems.access import Account, Match, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.keys import comparable


def people(*addresses: str) -> list[Match]:
    return [
        Match(Account(name, known_keys=(Key(KeyKind.EMAIL, name),)), KeyKind.EMAIL)
        for name in addresses
    ]


class Directory:
    """A vendor's list and search; ``hidden`` people may not be asked for."""

    def __init__(self, *addresses: str, heeds_case: bool = False, hidden: str = "") -> None:
        self.people = people(*addresses)
        self.heeds_case = heeds_case
        self.hidden = hidden
        self.asked: list[str] = []

    async def sample(self) -> Sequence[Match]:
        return self.people

    async def ask(self, value: str) -> Sequence[Match]:
        self.asked.append(value)
        if self.hidden and value.lower() == self.hidden:
            raise ConnectorFault(
                FaultCategory.PERMISSION_MISSING, connector="club", operation="find"
            )
        wanted = value if self.heeds_case else value.lower()
        return [one for one in self.people if one.account.id == wanted]

    async def proof(self, prover: Prover, kind: KeyKind = KeyKind.EMAIL, wanted: str = "") -> Proof:
        return await prover.proof_of("mail", kind, wanted=wanted, sample=self.sample, ask=self.ask)


async def test_a_search_that_finds_a_known_account_is_proved_for_a_day() -> None:
    """Asked for in another case; not again within the day, and anew after it."""
    now = [0.0]
    prover, club = Prover(now=lambda: now[0]), Directory("ana@club.test")

    assert await club.proof(prover) is Proof.PROVED
    assert await club.proof(prover) is Proof.PROVED
    assert club.asked == ["ANA@CLUB.TEST"]
    now[0] = LIFE_S
    assert await club.proof(prover) is Proof.PROVED
    assert len(club.asked) == 2


async def test_a_search_that_heeds_case_is_unproved_and_asked_again() -> None:
    """That it was not proved is not remembered: somebody may mend it."""
    prover, club = Prover(), Directory("ana@club.test", heeds_case=True)

    assert await club.proof(prover) is Proof.UNPROVED
    club.heeds_case = False
    assert await club.proof(prover) is Proof.PROVED


async def test_what_nobody_holds_is_not_held() -> None:
    """No account of the sample has such a key: nothing was searched."""
    assert await Directory("a@club.test").proof(Prover(), KeyKind.EMPLOYEE_NUMBER) is Proof.NOT_HELD


async def test_nobody_at_all_is_a_whole_list() -> None:
    """An empty system has been listed."""
    assert await Directory().proof(Prover()) is Proof.LISTED


JOSE, IDN = "jos\u00e9@club.test", "ana@b\u00fccher.example"


@pytest.mark.parametrize("wanted", [JOSE, IDN, "ana@xn--bcher-kva.example"])
async def test_what_is_written_in_two_ways_needs_a_canary_of_its_kind(wanted: str) -> None:
    """A server that finds plain addresses may be blind for another form of a letter or domain."""
    prover, plain = Prover(), Directory("bo@club.test")

    assert await plain.proof(prover, wanted="ana@club.test") is Proof.PROVED
    assert await plain.proof(prover, wanted=wanted) is Proof.UNPROVED
    assert await Directory("bo@club.test", JOSE).proof(prover, wanted=wanted) is Proof.UNPROVED


@pytest.mark.parametrize("held", [JOSE, IDN, "ana@xn--bcher-kva.example"])
async def test_a_search_that_knows_every_form_is_proved(held: str) -> None:
    """The canary is asked for in another case, normal form and form of its domain."""

    class Wise(Directory):
        async def ask(self, value: str) -> Sequence[Match]:
            assert value != held
            wanted = comparable(KeyKind.EMAIL, value)
            known = [comparable(KeyKind.EMAIL, one.account.id) for one in self.people]
            return [self.people[known.index(wanted)]] if wanted in known else []

    assert await Wise("bo@club.test", held).proof(Prover(), wanted=JOSE) is Proof.PROVED


@pytest.mark.parametrize(
    ("wanted", "proof"),
    [("bo", Proof.NOT_HELD), ("bo@club.test", Proof.PROVED), ("", Proof.PROVED)],
)
async def test_a_name_of_another_shape_was_not_searched(wanted: str, proof: Proof) -> None:
    """A short name among names that are addresses finds nobody, whoever is there."""
    prover = Prover()
    club = Directory("ana@club.test")
    club.people = [
        Match(
            Account(one.account.id, known_keys=(Key(KeyKind.USERNAME, one.account.id),)),
            one.found_by,
        )
        for one in club.people
    ]

    assert await club.proof(prover, KeyKind.USERNAME, wanted) is proof
    assert await club.proof(prover, KeyKind.USERNAME, wanted) is proof


async def test_an_account_that_we_may_not_ask_for_is_passed_over() -> None:
    """Another one shows that the search finds."""
    club = Directory("ana@club.test", "bo@club.test", hidden="ana@club.test")

    assert await club.proof(Prover()) is Proof.PROVED


async def test_a_search_that_we_may_not_make_is_a_fault() -> None:
    """Where every known account is refused, the permission is what is missing."""
    club = Directory("ana@club.test", hidden="ana@club.test")

    with pytest.raises(ConnectorFault, match="permission_missing"):
        await club.proof(Prover())


@pytest.mark.parametrize(
    ("proofs", "proof"),
    [
        ([Proof.PROVED, Proof.UNPROVED], Proof.UNPROVED),
        ([Proof.PROVED, Proof.NOT_HELD], Proof.PROVED),
        ([Proof.NOT_HELD], Proof.NOT_HELD),
        ([], Proof.UNPROVED),
    ],
)
def test_searches_for_one_key_prove_together(proofs: list[Proof], proof: Proof) -> None:
    """A broken one spoils it; one for what nobody holds does not count."""
    assert together(proofs) is proof

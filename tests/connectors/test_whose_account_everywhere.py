"""Whose account it is, through a whole pass over every vendor: who is touched, and who is asked.

The law has its own tests (tests/domain/systems/test_finding.py); here every connector brings what
the law needs, and the pass of the activities touches nobody but the leaver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

from activities.passing import Pass
from connectors.base import ConnectorFault
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.outcomes import RevocationState
from lockstep.domain.systems.access import AccessKind, Proof
from lockstep.domain.systems.faults import FaultCategory
from lockstep.domain.systems.keys import local_part, mail_domain
from lockstep.storage.keys.subjects import Subject
from lockstep.storage.systems.revocations import Progress, Revocation
from lockstep.storage.systems.snapshots import Snapshot
from tests.connectors.conftest import Scene
from tests.connectors.harness import Harness
from tests.connectors.test_conformance import KEEPS_NO_AGE, KNOWS_EVERYBODY

DAY = timedelta(days=1)
WEAK = frozenset({KeyKind.USERNAME, KeyKind.EMAIL})
NUMBERS = frozenset({KeyKind.WORKER_ID, KeyKind.EMPLOYEE_NUMBER})
ELSEWHERE = "partner-b.example"


@dataclass(slots=True)
class Passed:
    """What became of one pass: whose accounts were touched, and what a person is asked."""

    work: Progress
    fault: ConnectorFault | None = None
    searches: int = 0
    touched: list[str] = field(default_factory=list)

    @property
    def asked(self) -> str:
        return f"{self.fault.category}.{self.fault.code}" if self.fault else ""

    @property
    def reasons(self) -> dict[str, str]:
        return {one.match.account.id: one.reason.value for one in self.work.finding.judged}


async def passed(
    scene: Scene,
    keys: LeaverKeys,
    *,
    cutoff: datetime | None = None,
    fails: Callable[[int], bool] | None = None,
) -> Passed:
    """Find, ask, shut the door: as an activity does for this leaver in this system.

    ``fails`` says of the vendor's searches, by their number, which are answered with 503.
    """
    connector = scene.connect()
    item = Revocation(
        case_id="c",
        system="any",
        tenant="t",
        policy="p",
        cutoff=cutoff or datetime.now(UTC) + DAY,
        state=RevocationState.SCHEDULED,
        outcome=None,
        required=True,
        accept_single_key=False,
        opening=1,
        is_reopened=False,
        is_superseded=False,
        attempts=0,
        retry_at=None,
        subject=Subject.new(keys, "", ""),
        snapshot=Snapshot(),
    )
    made = Passed(Progress(item.snapshot))
    work_on = Pass(connector, item, made.work, scene.transcript)
    scene.quiet()
    if fails is not None:
        scene.harness.script.instead = partial(_down, scene.harness, made, fails)
    try:
        await work_on.find()
        work_on.require_somebody()
        made.fault = await work_on.contain(await work_on.doors())
        work_on.require_searched()
        work_on.require_no_doubt()
    except ConnectorFault as fault:
        made.fault = fault
    made.touched = list(scene.effects)
    return made


def _down(
    harness: Harness, made: Passed, fails: Callable[[int], bool], request: httpx.Request
) -> httpx.Response | None:
    """503 to some searches; everything else reaches the peer."""
    blind: Callable[[httpx.Request], httpx.Response | None] = harness.blind  # type: ignore[attr-defined] - of those that search
    if blind(request) is None:
        return None
    made.searches += 1
    return httpx.Response(503, request=request) if fails(made.searches - 1) else None


def weak(keys: LeaverKeys) -> list[Key]:
    return [key for key in keys.keys if key.kind in WEAK]


def strong(keys: LeaverKeys) -> list[Key]:
    return [key for key in keys.keys if key.kind in NUMBERS]


async def test_the_only_account_under_an_address_is_closed(scene: Scene) -> None:
    """A pass touches whom it may: one account, by an address, in another case."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    keys = await scene.hire()
    shouted = LeaverKeys(
        tuple(
            Key(key.kind, key.value.upper()) if key.kind is KeyKind.EMAIL else key
            for key in weak(keys)
        )
    )
    made = await passed(scene, shouted)

    assert made.touched
    assert made.work.snapshot.done


@pytest.mark.parametrize(
    "numbered", [False, True], ids=["without numbers", "with the leaver's number, held by nobody"]
)
async def test_an_old_address_of_a_newer_employee_touches_nobody(
    scene: Scene, *, numbered: bool
) -> None:
    """Old and new address find two accounts: a person decides, also where HR gives a number."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    leaver, newer = await scene.hire(), await scene.hire()
    number = [Key(KeyKind.EMPLOYEE_NUMBER, "held-by-nobody")] if numbered else []
    made = await passed(scene, LeaverKeys((*weak(leaver), *weak(newer), *number)))

    assert made.fault
    assert made.fault.category is FaultCategory.AMBIGUOUS_MATCH
    assert made.touched == []
    assert len(made.work.finding.in_doubt) == 2


async def test_the_leavers_number_sets_the_newer_employee_aside(scene: Scene) -> None:
    """The vendor holds the leaver's number: that one is closed, and the other one is not."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    leaver, newer = await scene.hire(), await scene.hire()
    keys = LeaverKeys((*strong(leaver), *weak(leaver), *weak(newer)))
    made = await passed(scene, keys)

    leavers = made.work.finding.leavers
    aside = [one.match.account.id for one in made.work.finding.set_aside]
    if not leavers:  # this vendor holds no numbers: nobody is touched
        assert made.fault
        assert made.touched == []
        return
    assert len(leavers) == len(aside) == 1
    assert {action.access.ref for action in made.work.snapshot.done}.isdisjoint(aside)
    assert made.work.snapshot.done


async def test_a_short_name_of_another_partner_touches_nobody(scene: Scene) -> None:
    """The leaver's user name agrees with somebody's before the @ only: nobody is closed by it.

    A server that is asked for whole names only knows nothing of it, and finds nobody.
    """
    other = await scene.hire()
    full = [key.value for key in weak(other) if "@" in key.value]
    short = {local_part(value) for value in full} - {key.value for key in weak(other)}
    if scene.harness.kind in KNOWS_EVERYBODY or not short:
        return
    theirs = [Key(KeyKind.USERNAME, name) for name in sorted(short)]
    made = await passed(scene, LeaverKeys((*theirs, Key(KeyKind.EMAIL, f"jane.smith@{ELSEWHERE}"))))

    assert made.fault or made.work.finding.judged == ()
    assert made.work.finding.leavers == ()
    assert made.touched == []


async def test_the_same_name_in_another_domain_touches_nobody(scene: Scene) -> None:
    """An address is a name with its domain: before the @ alone it is another person's."""
    other = await scene.hire()
    full = [key.value for key in weak(other) if mail_domain(key.value)]
    if scene.harness.kind in KNOWS_EVERYBODY or not full:
        return
    moved = [Key(KeyKind.EMAIL, f"{local_part(value)}@{ELSEWHERE}") for value in full]
    made = await passed(scene, LeaverKeys(tuple(moved)))

    assert made.fault or made.work.finding.judged == ()
    assert made.work.finding.leavers == ()
    assert made.touched == []


@pytest.mark.parametrize(
    "spelled",
    [str, str.upper, str.title],
    ids=["the same", "in capitals", "in part in capitals"],
)
async def test_a_renamed_login_is_one_key_and_proves_no_absence(
    scene: Scene, spelled: Callable[[str], str]
) -> None:
    """User name and address are the same word: one key found nobody, which settles nothing."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    await scene.hire()
    word = "ana.cruz@renamed.example"
    keys = LeaverKeys((Key(KeyKind.USERNAME, spelled(word)), Key(KeyKind.EMAIL, word)))
    made = await passed(scene, keys)

    assert made.asked in {"unknown_worker.too_few_keys", "unknown_worker.search_not_proved"}
    assert made.touched == []


async def test_an_account_made_after_the_cutoff_touches_nobody(scene: Scene) -> None:
    """The address was given to somebody else after the last day: almost every vendor tells when."""
    if scene.harness.kind in KNOWS_EVERYBODY | KEEPS_NO_AGE:
        return
    newer = await scene.hire()
    made = await passed(
        scene, LeaverKeys(tuple(weak(newer))), cutoff=datetime.now(UTC) - 3650 * DAY
    )

    assert made.asked == "ambiguous_match.made_after_cutoff"
    assert made.touched == []


async def test_an_address_whose_account_has_another_number_touches_nobody(scene: Scene) -> None:
    """The only account under the address is somebody else's by number; none is taken for it."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    other = await scene.hire()
    mine = [Key(key.kind, f"another-{key.value}") for key in strong(other)]
    made = await passed(scene, LeaverKeys((*weak(other), *mine)))

    [match] = [one.match for one in made.work.finding.judged]
    holds = {key.kind for key in match.account.known_keys} & {key.kind for key in mine}
    if holds:
        assert made.asked == "ambiguous_match.other_number"
        assert made.touched == []
    else:  # nothing that this vendor holds contradicts
        assert made.reasons == {match.account.id: "only_one"}


async def test_an_account_that_hr_named_is_closed_alone(scene: Scene) -> None:
    """HR named one account; another one under an address of the leaver is left as it is."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    named, other = await scene.leaver(scene.connect()), await scene.leaver(scene.connect())
    keys = LeaverKeys((Key(KeyKind.ACCOUNT_ID, named.account.id), *weak(other.keys)))
    made = await passed(scene, keys)
    after = await scene.connect().look(other.account, scene.transcript)

    assert [match.account.id for match in made.work.finding.leavers] == [named.account.id]
    assert made.touched
    assert after.signs_in or not other.before.signs_in


async def test_a_named_account_that_is_gone_lets_no_other_be_taken(scene: Scene) -> None:
    """HR's id finds nothing any more, and the address is another account's: a person decides."""
    if scene.harness.kind in KNOWS_EVERYBODY:
        return
    other = await scene.hire()
    keys = LeaverKeys((Key(KeyKind.ACCOUNT_ID, "gone-since-long"), *weak(other)))
    made = await passed(scene, keys)

    assert made.asked == "ambiguous_match.other_account"
    assert made.touched == []


async def test_a_named_account_is_closed_while_every_search_fails(scene: Scene) -> None:
    """HR named it: the sign-in is shut at once, and the searches keep the system open."""
    if getattr(scene.harness, "blind", None) is None:  # it makes no search that could fail
        return
    named = await scene.leaver(scene.connect())
    keys = LeaverKeys((Key(KeyKind.ACCOUNT_ID, named.account.id), *weak(named.keys)))
    made = await passed(scene, keys, fails=lambda _: True)

    assert made.asked.startswith("vendor_error.")
    assert made.touched
    assert any(one.access.kind is AccessKind.SIGN_IN for one in made.work.snapshot.done)
    assert Proof.FAILED in {search.proof for search in made.work.location.searches}


async def test_an_address_beside_a_search_that_failed_touches_nobody(scene: Scene) -> None:
    """What the failed search hides may contradict: it is tried again before anybody is closed."""
    if getattr(scene.harness, "blind", None) is None:  # it makes no search that could fail
        return
    other = await scene.hire()
    keys = LeaverKeys((*weak(other), Key(KeyKind.EMAIL, "ana.cruz@renamed.example")))
    first = await passed(scene, keys, fails=lambda place: place == 0)
    last = await passed(scene, keys, fails=lambda place: place == first.searches - 1)

    assert all(made.asked.startswith("vendor_error.") for made in (first, last))
    assert first.touched == last.touched == []
    assert {*first.reasons.values(), *last.reasons.values()} == {"not_all_searched"}
    whole = await passed(scene, keys)
    assert whole.touched

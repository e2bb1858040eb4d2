"""The reckoning of one system, and when "nobody" is an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.domain.cases.clocks import VendorClock
from lockstep.domain.cases.outcomes import Closing, EvidenceGrade, Outcome, reckon
from lockstep.domain.systems.access import Access, AccessKind, Action, Observation, Residual

T0 = datetime(2026, 3, 10, 10, 0, tzinfo=UTC)
SIGN_IN = Access(AccessKind.SIGN_IN, "s1")
TOKEN = Access(AccessKind.TOKEN, "t1")


def _at(seconds: int) -> datetime:
    return T0 + timedelta(seconds=seconds)


def _closed(account: str = "a1", off: int | None = None, *left: Residual) -> Observation:
    return Observation(account, True, (), None if off is None else _at(off), left)


def _action(access: Access, seconds: int) -> Action:
    return Action(access, _at(seconds), "op")


RIGHT = VendorClock(timedelta(0))


def _reckon(
    before: Sequence[Access],
    after: Sequence[Observation],
    actions: Sequence[Action],
    *,
    confirmed_at: datetime,
    clock: VendorClock = RIGHT,
    stood_at: Mapping[str, datetime] | None = None,
) -> Closing:
    return reckon(
        before=before,
        after=after,
        actions=actions,
        confirmed_at=confirmed_at,
        clock=clock,
        stood_at=stood_at or {},
    )


def test_access_that_still_stands_is_never_reckoned() -> None:
    """Nothing is revoked without a read-back that shows nothing."""
    open_still = Observation("a1", True, (TOKEN,))
    with pytest.raises(ValueError, match="still stands"):
        _reckon((TOKEN,), [_closed(), open_still], [], confirmed_at=T0)


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        ((), (), Outcome.NOT_FOUND),
        ((), (_closed(),), Outcome.ALREADY_ABSENT),
        ((SIGN_IN,), (_closed(),), Outcome.REVOKED),
    ],
)
def test_the_two_looks_decide_the_outcome(
    before: tuple[Access, ...], after: tuple[Observation, ...], outcome: Outcome
) -> None:
    """No account, an account with nothing to close, an account that was closed."""
    assert _reckon(before, after, [], confirmed_at=T0).outcome is outcome


def test_a_lost_reply_hides_nothing() -> None:
    """What stood before counts as removed although no call of ours was answered."""
    closing = _reckon((SIGN_IN, TOKEN), [_closed()], [], confirmed_at=_at(9))
    assert closing.outcome is Outcome.REVOKED
    assert closing.removed == (SIGN_IN, TOKEN)
    assert closing.accepted_at is None
    assert closing.revoked_at == _at(9), "proved only by the read-back"


def test_the_last_door_decides_the_moment() -> None:
    """The vendor's record of the sign-in does not hide a token that was closed later."""
    closing = _reckon(
        before=(SIGN_IN, TOKEN),
        after=[_closed("a1", 2)],
        actions=[_action(SIGN_IN, 1), _action(TOKEN, 5)],
        confirmed_at=_at(9),
    )
    assert (closing.accepted_at, closing.revoked_at) == (_at(1), _at(5))
    assert closing.grade is EvidenceGrade.A


def test_an_account_that_was_off_before_us_keeps_its_own_moment() -> None:
    """Somebody else closed it: the vendor's record counts, not our look."""
    closing = _reckon((), [_closed("a1", -500)], [], confirmed_at=_at(9))
    assert closing.revoked_at == _at(-500)


def test_moments_are_whole_milliseconds() -> None:
    """The ledger writes milliseconds: a finer moment would give another duration from the rows."""
    fine = timedelta(microseconds=999)
    closing = _reckon(
        before=(SIGN_IN,),
        after=[Observation("a1", True, (), _at(2) + fine, ())],
        actions=[Action(SIGN_IN, _at(1) + fine, "op")],
        confirmed_at=_at(9) + fine,
    )
    assert (closing.accepted_at, closing.revoked_at, closing.confirmed_at) == (
        *(_at(1), _at(2), _at(9)),
    )


def test_residuals_of_all_accounts_are_kept_once() -> None:
    """What outlives the revocation is reported, whichever account it belongs to."""
    token, badge = Residual("access_token", 3600), Residual("offline_reader_cache", 60)
    closing = _reckon(
        before=(SIGN_IN,),
        after=[_closed("a1", None, token), _closed("a2", None, token, badge)],
        actions=[],
        confirmed_at=T0,
    )
    assert closing.residuals == (token, badge)


@given(
    accepted=st.lists(st.integers(-50, 50), max_size=4),
    recorded=st.lists(st.none() | st.integers(-50, 50), max_size=4),
    confirmed=st.integers(0, 60),
)
def test_no_moment_lies_after_its_proof(
    accepted: list[int], recorded: list[int | None], confirmed: int
) -> None:
    """R never lies after V; the grade is A exactly where each account's end is on record."""
    closing = _reckon(
        before=(SIGN_IN,),
        after=[_closed(str(number), off) for number, off in enumerate(recorded)],
        actions=[_action(SIGN_IN, seconds) for seconds in accepted],
        confirmed_at=_at(confirmed),
    )
    assert closing.revoked_at <= closing.confirmed_at
    ends = [off is not None and off <= confirmed + 2 for off in recorded]
    assert (closing.grade is EvidenceGrade.A) is (bool(ends) and all(ends))


@pytest.mark.parametrize(
    "clock",
    [
        VendorClock(timedelta(hours=-2)),
        VendorClock(timedelta(hours=2)),
        VendorClock(timedelta(seconds=-3)),
        VendorClock(None),
        VendorClock(timedelta(seconds=5), tolerance=timedelta(seconds=4)),
    ],
)
def test_the_record_of_a_clock_that_lies_counts_for_nothing(clock: VendorClock) -> None:
    """Behind, ahead or unknown: our look is the proof, and the grade says so."""
    closing = _reckon(
        (SIGN_IN,), [_closed("a1", -7200)], [], confirmed_at=_at(9), clock=clock, stood_at={}
    )
    assert (closing.revoked_at, closing.grade) == (_at(9), EvidenceGrade.B)


def test_a_record_before_our_last_look_at_it_standing_counts_for_nothing() -> None:
    """The vendor dates an end to before we saw access stand: that was an earlier end, or a lie."""
    closing = _reckon(
        (SIGN_IN,), [_closed("a1", -60)], [], confirmed_at=_at(9), stood_at={"a1": _at(3)}
    )
    assert (closing.revoked_at, closing.grade) == (_at(9), EvidenceGrade.B)


def test_a_record_within_tolerance_is_cut_to_what_we_saw() -> None:
    """A clock that is a second slow cannot date an end to before our look."""
    closing = _reckon(
        (SIGN_IN,), [_closed("a1", 2)], [], confirmed_at=_at(9), stood_at={"a1": _at(3)}
    )
    assert (closing.revoked_at, closing.grade) == (_at(3), EvidenceGrade.A)


def test_a_record_after_the_proof_counts_for_nothing() -> None:
    """What was proved gone at 9 did not end at 500."""
    closing = _reckon((), [_closed("a1", 500)], [], confirmed_at=_at(9))
    assert (closing.revoked_at, closing.grade) == (_at(9), EvidenceGrade.B)


def test_the_record_of_one_account_does_not_speak_for_another() -> None:
    """The first was off long ago; the second, without a record, is proved by our look alone."""
    closing = _reckon(
        (SIGN_IN,), [_closed("a1", -500), _closed("a2")], [], confirmed_at=_at(9), stood_at={}
    )
    assert (closing.revoked_at, closing.grade) == (_at(9), EvidenceGrade.B)


def test_the_record_of_a_sign_in_does_not_speak_for_a_token() -> None:
    """The reply to the token's end was lost: its moment is that of our look."""
    closing = _reckon((SIGN_IN, TOKEN), [_closed("a1", -500)], [], confirmed_at=_at(9))
    assert (closing.revoked_at, closing.grade) == (_at(9), EvidenceGrade.B)


@given(
    ended=st.integers(0, 50),
    skew=st.integers(-10_000, 10_000),
    acted=st.booleans(),
)
def test_no_clock_makes_a_time_shorter(ended: int, skew: int, *, acted: bool) -> None:
    """Whatever a vendor's clock says, R lies at most the tolerance before the true end."""
    true, clock = _at(ended), VendorClock(timedelta(seconds=skew))
    closing = _reckon(
        (SIGN_IN,),
        [Observation("a1", True, (), true + timedelta(seconds=skew))],
        [Action(SIGN_IN, true, "op")] if acted else [],
        confirmed_at=_at(60),
        clock=clock,
        stood_at={"a1": _at(0)},
    )
    assert true - clock.tolerance <= closing.revoked_at <= _at(60)
    assert not acted or closing.revoked_at >= true

"""The check of a pack, step by step; docs/evidence-format.md describes the same steps in words.

What a step needs and an earlier step could not establish is not used: the step says NOT CHECKED.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from lockstep.evidence.format.notes import VerifierKey
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.verify import steps_file
from lockstep.evidence.verify.content import steps as steps_content
from lockstep.evidence.verify.heads import steps as steps_head
from lockstep.evidence.verify.heads import timestamp
from lockstep.evidence.verify.heads.earlier import read_earlier
from lockstep.evidence.verify.heads.heads import WitnessKey
from lockstep.evidence.verify.report import (
    Level,
    NotCheckedError,
    RefutedError,
    Report,
    Step,
    UnusableError,
    Verdict,
    shown,
    shown_name,
)
from lockstep.evidence.verify.state import Held, Result, State
from lockstep.evidence.verify.zip.archive import Archive, Limits


class _Plan(NamedTuple):
    """One step: what it shows, how, and the steps that must have passed before it."""

    number: int
    title: str
    work: Callable[[State], Result]
    needs: tuple[int, ...] = ()


PLAN = (
    _Plan(1, "The file is a sound archive", steps_file.sound_archive),
    _Plan(2, "The statement is signed by your key", steps_file.signed_statement, (1,)),
    _Plan(3, "Every file is as stated", steps_file.stated_files, (2,)),
    _Plan(4, "The ledger's head is signed by your key", steps_head.signed_head, (1,)),
    _Plan(5, "The entries make the tree of that head", steps_head.tree, (4,)),
    _Plan(6, "Older heads are part of that tree", steps_head.older_heads, (5,)),
    _Plan(7, "Others vouch for the head", steps_head.vouched, (4,)),
    _Plan(8, "Policies and metric are as adopted", steps_content.adopted_documents, (2, 5)),
    _Plan(9, "The entries follow on each other", steps_content.entries, (2, 5)),
    _Plan(10, "Times and population are as recomputed", steps_content.population, (2, 8, 9)),
    _Plan(11, "The scores are as recomputed", steps_content.scores, (2, 8, 9)),
    _Plan(12, "The sample is as drawn again", steps_content.drawn_sample, (10,)),
    _Plan(13, "The names fit the commitments", steps_content.named_people, (2, 9)),
)


def verify_pack(
    path: Path,
    *,
    keys: Sequence[VerifierKey],
    tsa_root: bytes | None = None,
    previous: str | None = None,
    witnesses: Sequence[WitnessKey] = (),
    earlier: Path | None = None,
    limits: Limits | None = None,
) -> Report:
    """Check a pack against what the reader holds; no network, no database, nothing is written.

    What it does not check is listed in `report.NOT_CHECKED_BY_THIS`.

    Args:
        path: the ZIP file.
        keys: verifier keys of the ledger, which reached the reader by another way than the pack.
        tsa_root: root certificates (PEM or DER) of trusted time stamp authorities.
        previous: a signed checkpoint that the reader kept from before.
        witnesses: whose cosignature on the head the reader trusts.
        earlier: a pack that the reader kept: what it withheld is looked at where this one shows it.
        limits: what the pack may ask of this machine.

    Raises:
        UnusableError: if there is nothing to check or to check with. Nothing else is raised,
            whatever the file holds.
    """
    if not keys:
        raise UnusableError("a verifier key is needed: without one anybody could have signed")
    roots = None if tsa_root is None else timestamp.read_roots(tsa_root)
    bounds = limits or Limits()
    kept = None if earlier is None else read_earlier(earlier, keys, bounds)
    held = Held(tuple(keys), roots, previous, witnesses, kept)
    try:
        archive = Archive.open(path, bounds)
    except RefutedError as error:
        return _unsound(error)
    try:
        return _check(State(held, archive))
    finally:
        archive.close()


def _check(state: State) -> Report:
    steps: list[Step] = []
    passed: set[int] = set()
    for plan in PLAN:
        step = _step(plan, state, passed)
        steps.append(step)
        if step.verdict in {Verdict.PASS, Verdict.WARN}:
            passed.add(plan.number)
    is_refuted = any(step.verdict is Verdict.FAIL for step in steps)
    if is_refuted:
        return Report(tuple(steps), Level.NONE, _facts(state))
    return Report(tuple(steps), state.level, _score(state) | _facts(state), state.caveat)


def _step(plan: _Plan, state: State, passed: set[int]) -> Step:
    missing = [number for number in plan.needs if number not in passed]
    try:
        if missing:
            return _not_done(plan, missing[0])
        result = plan.work(state)
    except NotCheckedError as error:
        return Step(plan.number, plan.title, Verdict.NOT_CHECKED, _sentence(str(error)))
    except RefutedError as error:
        return Step(plan.number, plan.title, Verdict.FAIL, _sentence(str(error)), error.details)
    sentence = _sentence(result.sentence)
    return Step(plan.number, plan.title, result.verdict, sentence, result.details)


def _unsound(error: RefutedError) -> Report:
    """Of a file whose structure is no sound archive, nothing else is looked at."""
    first, *others = PLAN
    failed = Step(first.number, first.title, Verdict.FAIL, _sentence(str(error)), error.details)
    return Report((failed, *(_not_done(plan, first.number) for plan in others)), Level.NONE)


def _not_done(plan: _Plan, missing: int) -> Step:
    sentence = f"It builds on step {missing}, which did not pass."
    return Step(plan.number, plan.title, Verdict.NOT_CHECKED, sentence)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _score(state: State) -> dict[str, str]:
    """The first thing to read: the score, never without what it could be instead."""
    if not state.score:
        return {}
    return {"score": f"{state.score}, but {state.caveat}" if state.caveat else state.score}


def _facts(state: State) -> dict[str, str]:
    """What the pack says of itself, where that is signed."""
    if state.statement is None:
        return {}
    scope = state.statement.scope
    about = f"partner {shown_name(scope.partner)}" if scope.partner else "everybody"
    return {
        "tenant": shown_name(scope.tenant),
        "log": shown_name(scope.origin),
        "as of": instant_text(scope.as_of),
        "period": f"{instant_text(scope.start)} to {instant_text(scope.end)}",
        "about": f"case {shown(scope.case_id)}" if scope.case_id else about,
        "made by": shown(state.statement.tool),
    }

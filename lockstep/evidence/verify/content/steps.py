"""Steps 8 to 13: what the entries say, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lockstep.domain.counting import counted
from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.people.population import in_scope
from lockstep.evidence.verify.content import documents, figures, people, sample
from lockstep.evidence.verify.report import NotCheckedError, RefutedError, Verdict, shown
from lockstep.evidence.verify.state import CLOCK_TOLERANCE_MS, Result, State

LONGEST_SILENCE_MS = 25 * 3_600_000
"""A ledger says something every 24 hours, if only that its heart beats."""

_SOME = 5

DROPPED_WITHIN_MS = 365 * 86_400_000
"""For so long it is said that a source of HR was taken out: its silence is not measured then."""


def adopted_documents(state: State) -> Result:
    """Step 8. Policies and metric in the pack are those that the ledger adopted."""
    statement = state.need(state.statement)
    state.need_sound(
        *(layout.policy_name(digest) for digest in statement.policies),
        layout.metric_name(statement.metric),
    )
    ledger = state.need(state.ledger)
    if ledger.problem:
        raise NotCheckedError("the entries cannot be followed to their end, see step 9")
    history = ledger.history
    documents.check_policies(state.archive, statement, history)
    state.definition = documents.check_metric(state.archive, statement, history)
    sentence = f"{len(statement.policies)} policies and the metric's definition are as adopted"
    if next(reversed(history.metrics)) != statement.metric:
        later = ("another definition of the metric was adopted later, and not used",)
        return Result(sentence, later, Verdict.WARN)
    return Result(sentence)


def entries(state: State) -> Result:
    """Step 9. Entries are canonical, of one tenant, told once, and follow on each other."""
    statement, ledger = state.need(state.statement), state.need(state.ledger)
    if ledger.problem:
        raise RefutedError(ledger.problem)
    counts, withheld = statement.counts, state.tree.size != ledger.disclosed
    stated = counts.get("leaves"), counts.get("entries_disclosed")
    if stated != (state.tree.size, ledger.disclosed):
        raise RefutedError("the statement counts other entries than there are")
    if statement.is_full and withheld:
        raise RefutedError("entries are withheld from a pack that claims to show all")
    as_of = statement.scope.as_of
    if ledger.newest > as_of + CLOCK_TOLERANCE_MS:
        raise RefutedError(
            f"an entry was recorded at {instant_text(ledger.newest)}, after the pack's own instant,"
            f" {instant_text(as_of)}: open work would seem shorter than it is"
        )
    remarks = tuple(_remarks(state))
    entries = counted(ledger.disclosed, "entry tells", "entries tell")
    sentence = f"{entries} of {counted(len(ledger.history.cases), 'case')}"
    return Result(sentence, remarks, Verdict.WARN if remarks else Verdict.PASS)


def _remarks(state: State) -> Iterator[str]:
    """What does not refute the entries and should be known."""
    statement, ledger = state.need(state.statement), state.need(state.ledger)
    history = ledger.history
    withheld, scope = state.tree.size - ledger.disclosed, statement.scope
    if withheld and not scope.coming and scope.partner is None and scope.case_id is None:
        yield (
            f"{counted(withheld, 'entry is', 'entries are')} withheld, as of cases whose cutoff was"
            " to come when the pack was made: one that is made after their cutoffs shows them"
        )
    if statement.scope.as_of - ledger.newest > LONGEST_SILENCE_MS:
        yield (
            f"the newest entry is of {instant_text(ledger.newest)}, more than a day before the"
            " pack's own instant: the ledger stood still, or its tail was cut"
        )
    if history.unknown:
        unknown = counted(history.unknown, "entry is", "entries are")
        yield f"{unknown} of kinds that this verifier does not know"
    if history.restored:
        yield (
            f"the ledger was restored from a backup {history.restored} times: what was recorded"
            " after the backup is lost, and heads signed over it do not fit any more"
        )
    for name, at in history.feeds.dropped(since=statement.scope.as_of - DROPPED_WITHIN_MS):
        yield f"the HR source {name} is not expected any more since {instant_text(at)}"
    keys = state.need(state.keys)
    said = {(row["from"], row["to"], row["signature"]) for row in history.hand_overs}
    for step in keys.used:
        if (step.old.to_text(), step.new.to_text(), step.signature) not in said:
            yield "a hand-over of the key is not recorded among the entries"
    if history.keys and not {key.to_text() for key in keys.trusted} & set(history.keys):
        yield "the entries name another key than yours as the ledger's"
    beyond = sum(not in_scope(facts, statement.scope) for facts in history.cases.values())
    if beyond:
        cases = counted(beyond, "case is", "cases are")
        yield f"{cases} shown that the pack does not claim to be about"


def population(state: State) -> Result:
    """Step 10. Every row and cell of the population's files, both ways."""
    state.need_sound(*(table.file for table in figures.TABLES), layout.SYSTEMS)
    state.leavers = figures.check_population(
        state.archive,
        state.need(state.statement),
        state.need(state.ledger),
        state.need(state.definition),
    )
    return Result(f"{len(state.leavers)} leavers, and every cell is as recomputed")


def scores(state: State) -> Result:
    """Step 11. The official score and that of the period, byte by byte."""
    state.need_sound(layout.SCORE, layout.PERIOD_SCORE)
    told = figures.check_scores(
        state.archive,
        state.need(state.statement),
        state.need(state.ledger),
        state.need(state.definition),
    )
    state.score, state.caveat = told.official, told.caveat
    says = f"{told.official}; of the period alone: {told.period}, as recomputed"
    if told.caveat:
        return Result(f"{told.official}, but {told.caveat}", (says,), Verdict.WARN)
    return Result(says)


def drawn_sample(state: State) -> Result:
    """Step 12. The sample is drawn again, and the sampled leavers' figures are recomputed."""
    state.need_sound(
        layout.SAMPLE, *(name for name in state.archive.names if name.startswith("leavers/"))
    )
    statement, ledger = state.need(state.statement), state.need(state.ledger)
    wanted = sample.check_draw(state.archive, statement, state.need(state.leavers))
    sample.check_cases(state.archive, statement, ledger, state.need(state.definition), wanted)
    if not wanted:
        return Result("no sample was asked for")
    who = counted(len(wanted), "leaver is", "leavers are")
    return Result(f"{who} shown in detail, the ones that had to be")


def named_people(state: State) -> Result:
    """Step 13. Every name is one that the ledger was committed to."""
    is_identified = state.need(state.statement).scope.identified
    if (layout.PEOPLE in state.archive) != is_identified:
        raise RefutedError("the statement and the files disagree on whether people are named")
    if not is_identified:
        raise NotCheckedError("the pack names nobody")
    state.need_sound(*(name for name in state.archive.names if name.startswith("identified/")))
    found = people.check_people(state.archive, state.need(state.ledger), state.leavers or ())
    remarks = []
    if found.unnamed:
        who = counted(found.unnamed, "leaver is", "leavers are")
        remarks.append(f"{who} not named: erased, or corrected by HR since")
    if found.missing:
        who = counted(len(found.missing), "leaver has", "leavers have")
        remarks.append(f"{who} no row, as if there were nobody: {_some(found.missing)}")
    says = f"{counted(found.named, 'name is', 'names are')} confirmed"
    return Result(says, tuple(remarks), Verdict.WARN if remarks else Verdict.PASS)


def _some(case_ids: Sequence[str]) -> str:
    """The first few by id, and that there are more."""
    named = ", ".join(f"case {shown(case_id)}" for case_id in case_ids[:_SOME])
    return f"{named}, …" if len(case_ids) > _SOME else named

"""Lockstep with one mistake each, and what must notice it.

A mistake stands where the figure is made, so that all who share that code make it together; only
what comes to the figure in another way can notice.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from lockstep.cli import render
from lockstep.evidence.format import dsse
from lockstep.evidence.format.notes import split_note
from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.ledger import amendments, fold, history
from lockstep.evidence.ledger.case_book import CaseBook
from lockstep.evidence.ledger.feeds import FeedBook
from lockstep.evidence.ledger.history import facts_document, facts_from_document
from lockstep.evidence.pack import scores
from lockstep.evidence.pack.cases import document as case_document
from lockstep.evidence.pack.people import draw, population
from lockstep.evidence.pack.people.population_files import Table
from lockstep.evidence.verify.content import figures, people, sample
from lockstep.evidence.verify.heads import heads
from lockstep.scorecard import counting, explain, judging, metric
from lockstep.scorecard.facts import CaseFacts
from lockstep.scorecard.measures import Durations
from lockstep.scorecard.policies import PolicyTerms
from lockstep.storage.score import projection
from lockstep.storage.score.scores import Reading

YEARS = timedelta(days=3000)
DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Args:
        noticed: the beginning of what the check that must notice it says, as a pattern.
        is_written: the mistake is made while the story happens, not when somebody reads.
    """

    plant: Callable[[pytest.MonkeyPatch], None]
    noticed: str
    is_written: bool = False


def everywhere(patch: pytest.MonkeyPatch, right: Callable[..., Any], wrong: object) -> None:
    """Replace a function under every name by which Lockstep, or its comparison, holds it."""
    ours = ("lockstep.", "tests.agreement.")
    for module in [held for name, held in sys.modules.items() if name.startswith(ours)]:
        for name in [name for name, held in vars(module).items() if held is right]:
            patch.setattr(module, name, wrong)


# --- facts --------------------------------------------------------------------------------------


def fold_forgets_reopenings(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(fold.CHANGES, "finding:raised", lambda facts, entry: facts)


def fold_believes_late_waivers(patch: pytest.MonkeyPatch) -> None:
    right = fold.CHANGES["decision:waive"]

    def wrong(facts, entry):
        late = replace(facts, cutoff_at=facts.cutoff_at + YEARS // timedelta(milliseconds=1))
        return replace(right(late, entry), cutoff_at=facts.cutoff_at)

    patch.setitem(fold.CHANGES, "decision:waive", wrong)


def fold_lets_one_person_move_the_cutoff(patch: pytest.MonkeyPatch) -> None:
    right = fold.CHANGES["case:amended"]
    system = {"type": "system"}
    patch.setitem(
        fold.CHANGES,
        "case:amended",
        lambda facts, entry: right(facts, {**entry, "actor": system}),
    )


def fold_keeps_the_first_kind(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fold, "restated", lambda before, after, entry, sla: after)


def fold_gives_more_time_to_the_late(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(amendments, "more_time_counts", lambda facts, entry: True)


def fold_begins_the_lag_anew(patch: pytest.MonkeyPatch) -> None:
    right = fold.restated

    def wrong(before, after, entry, sla):
        said = instant_ms(entry["data"]["hr_recorded_at"])
        return replace(right(before, after, entry, sla), recorded_at=said)

    patch.setattr(fold, "restated", wrong)


def packing_a_case_loses_its_waivers(patch: pytest.MonkeyPatch) -> None:
    right = CaseBook._unpack_item
    patch.setattr(
        CaseBook, "_unpack_item", lambda *given: replace(right(*given), waived_until=None)
    )


def projection_keeps_whole_seconds(patch: pytest.MonkeyPatch) -> None:
    def wrong(facts):
        document = facts_document(facts)
        for item in document["items"]:
            item["off_at"] = item["off_at"] and item["off_at"] // 1000 * 1000
        return document

    patch.setattr(projection, "facts_document", wrong)


def projection_takes_waived_for_closed(patch: pytest.MonkeyPatch) -> None:
    def wrong(facts):
        deciding = [item for item in facts.items if item.required] or facts.items
        return not facts.rescinded and any(not item.outcome for item in deciding)

    patch.setattr(projection, "is_open", wrong)


def closing_resolves_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setitem(history._NOTES, "case:closed", lambda history, entry: None)


# --- clocks -------------------------------------------------------------------------------------


def counting_forgets_who_was_called_off(patch: pytest.MonkeyPatch) -> None:
    """What HR took back is gone, whenever that was."""
    everywhere(patch, counting._called_off, lambda case, at: case)


def counting_begins_every_clock_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(counting.Counting, "_first", lambda self, case: case.cutoff_at)


def counting_follows_nobody(patch: pytest.MonkeyPatch) -> None:
    """Whoever is reported anew has a clock of their own."""
    patch.setattr(counting.Counting, "_goes_on", lambda *given: False)


def judging_counts_who_had_nothing(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, judging._nothing_was_taken, lambda case, items: False)


def judging_forgets_waivers(patch: pytest.MonkeyPatch) -> None:
    right = judging.judge_items

    def wrong(case, as_of):
        kept = right(case, as_of)
        bare = right(_with_items(case, waived_until=None), as_of)
        return tuple(row._replace(facts=told.facts) for row, told in zip(bare, kept, strict=True))

    everywhere(patch, right, wrong)


def judging_lets_optional_systems_decide(patch: pytest.MonkeyPatch) -> None:
    everywhere(patch, judging.deciding, lambda items: items)


def policies_forget_what_is_missing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PolicyTerms, "missing", lambda *given: set())


def policies_let_everything_decide(patch: pytest.MonkeyPatch) -> None:
    """Also what the policy does not know."""
    right = PolicyTerms._applied
    patch.setattr(
        PolicyTerms,
        "_applied",
        lambda terms, item, kind: (
            right(terms, item, kind) if item.system in terms.systems else item
        ),
    )


def policies_keep_each_case_its_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(PolicyTerms, "applied", lambda terms, case: case)


def judging_lets_early_make_up_for_late(patch: pytest.MonkeyPatch) -> None:
    """Access that went before the cutoff counts below 0."""
    right = judging.judge_items

    def wrong(case, as_of):
        return tuple(
            row._replace(exposure_ms=(row.facts.off_at - case.cutoff_at) * row.facts.accounts)
            if row.facts.off_at is not None
            else row
            for row in right(case, as_of)
        )

    everywhere(patch, right, wrong)


def command_line_counts_one_account(patch: pytest.MonkeyPatch) -> None:
    right = render.times_of

    def wrong(view, now=None):
        rows = [replace(row, accounts=min(row.accounts, 1)) for row in view.revocations]
        return right(replace(view, revocations=rows), now)

    everywhere(patch, right, wrong)


# --- scores -------------------------------------------------------------------------------------


def scores_close_open_work_when_it_is_due(patch: pytest.MonkeyPatch) -> None:
    def wrong(facts):
        items = tuple(
            replace(item, off_at=facts.cutoff_at + item.sla_ms, outcome="revoked", grade="B")
            if item.off_at is None
            else item
            for item in facts.items
        )
        return replace(facts, items=items)

    _documents(patch, lambda facts: [wrong(facts)])


def scores_forget_old_open_work(patch: pytest.MonkeyPatch) -> None:
    right = Reading.documents

    async def wrong(reading, *, start, **asked):
        first = start.timestamp() * 1000
        async for page in right(reading, start=start, **asked):
            yield [text for text in page if json.loads(text)["cutoff_at"] >= first]

    patch.setattr(Reading, "documents", wrong)


def percentiles_ignore_what_is_open(patch: pytest.MonkeyPatch) -> None:
    right = Durations.add

    def wrong(durations, ms, *, is_open):
        if not is_open:
            right(durations, ms, is_open=False)

    patch.setattr(Durations, "add", wrong)


def evidence_does_not_matter(patch: pytest.MonkeyPatch) -> None:
    everywhere(
        patch,
        judging.credit_parts,
        lambda verdict, metric: metric.credit(verdict.worst_ttr_ms, verdict.worst_sla_ms),
    )


def sites_are_mixed_up(patch: pytest.MonkeyPatch) -> None:
    right = metric._Groups._tally

    def wrong(groups, dimension, name):
        return right(groups, dimension, "manila" if dimension == "site" else name)

    patch.setattr(metric._Groups, "_tally", wrong)


def explanation_forgets_penalties(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(explain, "penalty_of", lambda *given: 0)


def heartbeats_are_not_heard(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(FeedBook, "take_heard", lambda book, entry: None)


def scheduled_counts_what_has_begun(patch: pytest.MonkeyPatch) -> None:
    right = Reading.scheduled
    patch.setattr(
        Reading, "scheduled", lambda reading, *, after: right(reading, after=after - YEARS)
    )


# --- packs --------------------------------------------------------------------------------------


def pack_scores_at_another_instant(patch: pytest.MonkeyPatch) -> None:
    right = scores.pack_scores

    def wrong(history, definition, scope, *, withheld):
        later = replace(scope, as_of=scope.as_of + 1000)
        return right(history, definition, later, withheld=withheld)

    everywhere(patch, right, wrong)


def population_drops_waived_systems(patch: pytest.MonkeyPatch) -> None:
    right = population.system_rows

    def wrong(line) -> Iterator[dict[str, Any]]:
        return (row for row in right(line) if not row["waived_until"])

    everywhere(patch, right, wrong)


def population_has_who_was_rescinded(patch: pytest.MonkeyPatch) -> None:
    right = population.exclusion

    def wrong(line, scope):
        reason = right(line, scope)
        return "" if reason == "rescinded" else reason

    everywhere(patch, right, wrong)


def exceptions_do_not_tell_reopenings(patch: pytest.MonkeyPatch) -> None:
    right = population.item_exceptions
    everywhere(patch, right, lambda result: (name for name in right(result) if name != "reopened"))


def sample_is_drawn_from_the_other_end(patch: pytest.MonkeyPatch) -> None:
    def wrong(case_ids, n, seed):
        hashed = ((draw.draw_hash(seed, case_id), case_id) for case_id in case_ids)
        return [case_id for _, case_id in heapq.nlargest(n, hashed)]

    everywhere(patch, draw.draw_sample, wrong)


def detail_drops_a_system(patch: pytest.MonkeyPatch) -> None:
    right = case_document.case_document

    def wrong(*given):
        document = right(*given)
        return {**document, "systems": document["systems"][:-1]}

    everywhere(patch, right, wrong)


def counts_are_one_too_high(patch: pytest.MonkeyPatch) -> None:
    right = Table.__init__

    def wrong(table, *given):
        right(table, *given)
        table.rows = 1

    patch.setattr(Table, "__init__", wrong)


def workbook_has_seconds(patch: pytest.MonkeyPatch) -> None:
    right = Table.sheet

    def wrong(table, name):
        sheet = right(table, name)
        places = [place for place, column in enumerate(sheet.header) if column.endswith("_ms")]
        rows = (
            [
                str(int(cell) // 1000) if cell and at in places else cell
                for at, cell in enumerate(row)
            ]
            for row in sheet.rows
        )
        return replace(sheet, rows=rows)

    patch.setattr(Table, "sheet", wrong)


# --- verifier -----------------------------------------------------------------------------------


def verifier_has_a_clock_of_its_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        figures,
        "judge",
        lambda case, metric, as_of: judging.judge(case, metric, as_of + DAY),
    )


def verifier_takes_any_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(dsse, "_check_signatures", lambda *given: None)
    patch.setattr(heads, "open_note", lambda note, keys: (split_note(note)[0], list(keys)))


def verifier_trusts_the_packs_score(patch: pytest.MonkeyPatch) -> None:
    told = figures.Told("as stated", "as stated", "")
    patch.setattr(figures, "check_scores", lambda *given: told)


def verifier_trusts_the_cells(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(figures.Comparison, "_compare", lambda *given: None)


def verifier_trusts_the_sample(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sample, "zip_longest", lambda *given: ())


def verifier_trusts_the_names(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(people, "_confirms", lambda *given: True)


def _with_items(case: CaseFacts, **changes: object) -> CaseFacts:
    return replace(case, items=tuple(replace(item, **changes) for item in case.items))


def _documents(patch: pytest.MonkeyPatch, change: Callable[[CaseFacts], list[CaseFacts]]) -> None:
    """What the score service reads is changed on the way."""
    right = Reading.documents

    async def wrong(reading, **asked):
        async for page in right(reading, **asked):
            told = [each for text in page for each in change(facts_from_document(json.loads(text)))]
            yield [json.dumps(facts_document(facts)) for facts in told]

    patch.setattr(Reading, "documents", wrong)


OFFICIAL = "official score: served and rows"
MUTANTS = (
    Mutant(fold_forgets_reopenings, r"facts: fold and rows/\S+/items/\d/"),
    Mutant(fold_believes_late_waivers, r"facts: fold and rows/\S+/items/\d/waived_until"),
    Mutant(fold_lets_one_person_move_the_cutoff, r"facts: fold and rows/\S+/recorded_at"),
    Mutant(fold_keeps_the_first_kind, r"(?:.*\n)*facts: fold and rows/\S+/kind"),
    Mutant(fold_gives_more_time_to_the_late, r"(?:.*\n)*facts: fold and rows/\S+/items/\d/sla_ms"),
    Mutant(fold_begins_the_lag_anew, r"facts: fold and rows/\S+/recorded_at"),
    Mutant(packing_a_case_loses_its_waivers, r"facts: fold and rows/\S+/items/\d/waived_until"),
    Mutant(
        projection_keeps_whole_seconds, r"facts: kept and rows/\S+/items/\d/off_at", is_written=True
    ),
    Mutant(projection_takes_waived_for_closed, r"columns of \S+/is_open", is_written=True),
    Mutant(closing_resolves_nothing, r"findings/\d/resolved_at"),
    Mutant(counting_forgets_who_was_called_off, r"clocks of \S+/state"),
    Mutant(counting_begins_every_clock_anew, r"clocks of \S+/"),
    Mutant(counting_follows_nobody, r"clocks of \S+/"),
    Mutant(judging_counts_who_had_nothing, r"clocks of \S+/state"),
    Mutant(judging_forgets_waivers, r"clocks of \S+/"),
    Mutant(judging_lets_optional_systems_decide, r"clocks of \S+/ratio"),
    Mutant(policies_forget_what_is_missing, r"official score under each policy/\d/missing"),
    Mutant(policies_let_everything_decide, r"official score under each policy/\d/value"),
    Mutant(policies_keep_each_case_its_time, r"official score under each policy/\d/value"),
    Mutant(judging_lets_early_make_up_for_late, r"clocks of \S+/exposure"),
    Mutant(command_line_counts_one_account, r"`cases show` of \S+/exposure_ms"),
    Mutant(scores_close_open_work_when_it_is_due, f"{OFFICIAL}/"),
    Mutant(scores_forget_old_open_work, f"{OFFICIAL}/n"),
    Mutant(percentiles_ignore_what_is_open, f"{OFFICIAL}/ttr/"),
    Mutant(evidence_does_not_matter, f"{OFFICIAL}/quality"),
    Mutant(sites_are_mixed_up, "score by site manila"),
    Mutant(explanation_forgets_penalties, "costs: explained and rows/penalty/"),
    Mutant(heartbeats_are_not_heard, f"{OFFICIAL}/"),
    Mutant(scheduled_counts_what_has_begun, "scheduled"),
    Mutant(pack_scores_at_another_instant, r"score\.json and served"),
    Mutant(population_drops_waived_systems, r"population/leaver_systems\.csv and rows"),
    Mutant(population_has_who_was_rescinded, r"population/leavers\.csv and rows"),
    Mutant(exceptions_do_not_tell_reopenings, r"population/exceptions\.csv and rows"),
    Mutant(sample_is_drawn_from_the_other_end, "sample"),
    Mutant(detail_drops_a_system, r"case\.json of \S+: rows"),
    Mutant(counts_are_one_too_high, "counts and rows"),
    Mutant(workbook_has_seconds, r"sheet Leavers/\d+/time_to_revocation_ms"),
    Mutant(verifier_has_a_clock_of_its_own, "verifier: remarks"),
    Mutant(verifier_takes_any_signature, "verifier: another key"),
    Mutant(verifier_trusts_the_packs_score, r"verifier: a lie in score/score\.json"),
    Mutant(verifier_trusts_the_cells, r"verifier: a lie in population/leavers\.csv"),
    Mutant(verifier_trusts_the_sample, r"verifier: a lie in population/sample\.csv"),
    Mutant(verifier_trusts_the_names, r"verifier: a lie in identified/commitments\.csv"),
)

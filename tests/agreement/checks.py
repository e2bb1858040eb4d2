"""Every figure, taken from each place that tells it, compared with every other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from fractions import Fraction
from operator import itemgetter

from sqlalchemy import text

from lockstep.cli.render import times_of
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question, to_moment
from lockstep.control.score.rules import Rules
from lockstep.evidence.ledger.case_book import CaseBook
from lockstep.evidence.ledger.history import History, facts_document, facts_from_document
from lockstep.scorecard.counting import Counting
from lockstep.scorecard.definition import DEFAULT
from lockstep.scorecard.metric import Window, judge
from lockstep.storage.ledger.checkpoints import leaves
from lockstep.storage.score.scores import Scores
from tests.agreement.reckoning import DAY, Document, by_policy, costs_of, feeds_of, reckon, score_of
from tests.agreement.rows import Rows, facts_of, read_rows
from tests.agreement.stage import Stage
from tests.support.casework import TENANT

YEAR = 365 * DAY


def same(what: str, left: object, right: object) -> None:
    """Fail with the places where two values differ."""
    found = _differences(what, left, right)
    assert not found, "\n".join(["they disagree:", *found[:20]])


def _differences(what: str, left: object, right: object) -> list[str]:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        names = [*left, *(name for name in right if name not in left)]
        return [
            line
            for name in names
            for line in _differences(f"{what}/{name}", left.get(name), right.get(name))
        ]
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [
            line
            for place, (one, other) in enumerate(zip(left, right, strict=True))
            for line in _differences(f"{what}/{place}", one, other)
        ]
    return [] if left == right else [f"{what}: {left!r} and {right!r}"]


@dataclass(frozen=True, slots=True)
class Told:
    """What the rows say at the instant of the newest head, by case id."""

    rows: Rows
    facts: dict[str, Document]
    cases: dict[str, Document]
    as_of: int
    size: int
    root: str

    def of(self, partner: str | None) -> list[Document]:
        wanted = self.cases.values()
        return [case for case in wanted if partner is None or case["partner"] == partner]


async def told_by_rows(stage: Stage) -> Told:
    """Read the rows, and reckon everything from them."""
    rows = await read_rows(stage)
    [(as_of, size, root)] = stage.book.ask(
        "select (extract(epoch from signed_at) * 1000)::bigint, size, encode(root, 'hex')"
        " from checkpoints order by size desc limit 1"
    )
    facts = {case_id: facts_of(rows, case_id, diary) for case_id, diary in stage.diary.items()}
    cases = {case_id: reckon(each, as_of, facts) for case_id, each in facts.items()}
    return Told(rows, facts, cases, as_of, size, root)


# --- facts --------------------------------------------------------------------------------------


async def fold_anew(stage: Stage, size: int, *, hot: int = 1) -> History:
    """A fresh fold over the leaves; ``hot`` cases are kept as objects, the rest is packed."""
    history = History(cases=CaseBook(hot=hot))
    async for leaf in leaves(stage.engine, 0, size):
        history.add(leaf.index, json.loads(leaf.body))
    return history


async def facts_agree(stage: Stage, told: Told) -> None:
    """Rows, the sequencer's projection and a fresh fold tell the same of every case."""
    history = await fold_anew(stage, told.size)
    async with stage.engine.connect() as connection:
        query = text("select * from case_facts")
        kept = {row["case_id"]: row for row in (await connection.execute(query)).mappings()}
    same(
        "facts: fold and rows",
        {case_id: _plain(facts_document(facts)) for case_id, facts in history.cases.items()},
        told.facts,
    )
    same("facts: kept and rows", {key: row["document"] for key, row in kept.items()}, told.facts)
    order = itemgetter("raised_at", "case_id", "system")
    found = sorted((asdict(row) for row in history.findings), key=order)
    same("findings", found, sorted(told.rows.findings, key=order))
    same("policies", history.policies, told.rows.policies)
    for case_id, row in kept.items():
        case = told.cases[case_id]
        fact = told.facts[case_id]
        earlier = min(fact["cutoff_at"], fact["shown_cutoff_at"])
        same(f"cutoff that counts of {case_id}", fact["cutoff_at"], earlier)
        same(
            f"columns of {case_id}",
            {name: row[name] for name in ("partner", "cutoff_at", "is_open")},
            {
                "partner": case["partner"],
                "cutoff_at": to_moment(case["shown_cutoff_at"]),
                "is_open": case["open_items"] > 0,
            },
        )


def clocks_agree(told: Told) -> None:
    """The metric's clocks of every case are those of docs/scorecard.md, to the millisecond."""
    counting = Counting(DEFAULT, map(facts_from_document, told.facts.values()))
    for case_id, case in told.cases.items():
        counted = counting.of(facts_from_document(told.facts[case_id]), told.as_of)
        judged = judge(counted, DEFAULT, told.as_of)
        same(
            f"clocks of {case_id}",
            {
                "state": judged.state,
                "ratio": judged.ratio,
                "grade": judged.grade,
                "ttr": judged.ttr_ms,
                "late": judged.late_ms,
                "lag": judged.hr_lag_ms,
                "operational": judged.operational_ms,
                "exposure": judged.exposure_ms,
                "open_items": judged.open_items,
                "open_late": judged.open_late_ms,
                "tier0_late": judged.tier0_late_ms,
                "items": [
                    [row.system, row.ttr_ms, row.due_at, row.late_ms, row.is_open, row.exposure_ms]
                    for row in judged.items
                ],
            },
            {name: case[name] for name in _CLOCKS}
            | {"items": [[item[name] for name in _ITEM_CLOCKS] for item in case["items"]]},
        )


_CLOCKS = (
    *("state", "ratio", "grade", "ttr", "late", "lag", "operational", "exposure"),
    *("open_items", "open_late", "tier0_late"),
)
_ITEM_CLOCKS = ("system", "ttr", "due_at", "late", "is_open", "exposure")


def shown_clocks_agree(told: Told) -> None:
    """`lockstep cases show` tells the same times.

    By design it shows the cutoff that a case works by, and every account that a rehearsal saw: it
    is compared where neither makes a difference. What was rescinded has no clocks.
    """
    for case_id, case in told.cases.items():
        view = told.rows.views[case_id]
        accounts = {row.system: row.accounts for row in view.revocations}
        rehearsed = any(accounts[item["system"]] != item["accounts"] for item in case["items"])
        if case["told"]["rescinded"] or case["cutoff_at"] != case["shown_cutoff_at"] or rehearsed:
            continue
        times = times_of(view, to_moment(told.as_of))
        same(
            f"`cases show` of {case_id}",
            asdict(times),
            {
                "hr_lag_ms": case["lag"],
                "time_to_revocation_ms": case["ttr"],
                "operational_ms": case["operational"],
                "exposure_ms": case["exposure"],
                "is_open": case["open_items"] > 0,
            },
        )


def _plain(document: Document) -> Document:
    plain: Document = json.loads(json.dumps(document))
    return plain


# --- scores -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: whole days of UTC, the last one included, and whose cases."""

    first: date
    last: date
    partner: str | None = None

    @property
    def start(self) -> int:
        return _midnight(self.first)

    @property
    def end(self) -> int:
        return _midnight(self.last) + DAY


def _midnight(day: date) -> int:
    return (day - date(1970, 1, 1)) // timedelta(days=1) * DAY


@dataclass(frozen=True, slots=True)
class Served:
    """The two scores that belong to a pack, as `lockstep score` and the API serve them."""

    official: Document
    period: Document


async def scores_agree(stage: Stage, told: Told, asked: Asked) -> Served:
    """What is served, official and of a period, is what the rows give.

    By design: a pack scores a period that has not ended up to its own instant, and so do we here.
    Call it before an export: the entry that records one is not under the head any more.
    """
    service = ScoreService(Scores(stage.engine), Rules(tenant=TENANT))
    moment = to_moment(told.as_of)
    window = Window(asked.start, min(asked.end, told.as_of))
    official = await service.read(
        Question(None, asked.partner, in_full=True, sealed=True), as_of=moment
    )
    period = await service.read(Question(window, asked.partner, sealed=True), as_of=moment)
    await service.aclose()
    cases = told.of(asked.partner)
    year, as_of = Window(told.as_of - YEAR, told.as_of), told.as_of
    feeds = feeds_of(stage.feeds, cases, as_of)
    _equals_rows("official score", official["score"], cases, window=year, as_of=as_of, feeds=feeds)
    _equals_rows("period's score", period["score"], cases, window=window, as_of=as_of, feeds=feeds)
    for what, served, its in (("official", official, year), ("period", period, window)):
        under = by_policy(cases, its, as_of, told.rows.policies, feeds=feeds)
        same(f"{what} score under each policy", served["score"]["by_policy"], under)
    for dimension in ("partner", "site", "kind"):
        parts = official["by"][dimension]
        for name, part in parts.items():
            mine = [case for case in cases if case[dimension] == name]
            what = f"score by {dimension} {name}"
            _equals_rows(what, part, mine, window=year, as_of=as_of, feeds=feeds, among=cases)
        counted = sum(part["n"] for part in parts.values())
        same(f"n by {dimension}", counted, official["score"]["n"])
    _costs_agree(official, cases, year, as_of)
    if asked.partner is None:
        ahead = [
            case
            for case in cases
            if case["shown_cutoff_at"] > told.as_of and case["kind"] != "involuntary"
        ]
        same("scheduled", official["scheduled"], sum(case["open_items"] > 0 for case in ahead))
    return Served(official["score"], period["score"])


def _equals_rows(
    what: str,
    served: Document,
    cases: list[Document],
    *,
    window: Window,
    as_of: int,
    feeds: list[Document],
    among: list[Document] | None = None,
) -> None:
    ours = score_of(cases, *window, as_of, feeds=feeds, among=cases if among is None else among)
    same(f"{what}: served and rows", {name: served[name] for name in ours}, ours)


def _costs_agree(official: Document, cases: list[Document], window: Window, as_of: int) -> None:
    """Each case is said to have cost what it costs, and together they are what is missing.

    The sum alone would say little: what the limits give back is reckoned from the rest.
    """
    value = official["score"]["value"]
    if value is None:
        return
    losses, penalties = costs_of(cases, *window, as_of)
    told: dict[str, dict[str, str]] = {"penalty": {}, "loss": {}}
    for cost in official["explain"]:
        if cost["code"] == "penalty":
            told["penalty"][cost["case"]] = cost["points"]
        elif cost["code"] in {"slow", "late", "late_open", "called_off", "evidence"}:
            told["loss"][cost["case"]] = cost["points"]
    same("costs: explained and rows", told, {"penalty": penalties, "loss": losses})
    points = [Fraction(cost["points"]) for cost in official["explain"]]
    rounding = Fraction(5, 1000) + len(points) * Fraction(5, 100_000)
    same("costs add up", abs(20 - Fraction(value) - sum(points)) <= rounding, right=True)

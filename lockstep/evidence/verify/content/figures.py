"""Steps 10 and 11: population and scores, recomputed from the entries and compared."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from lockstep.domain.counting import counted
from lockstep.evidence.ledger.history import History
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import CaseLine, PackScope
from lockstep.evidence.pack.people.columns import (
    EXCEPTION_COLUMNS,
    EXCLUDED_COLUMNS,
    LEAVER_COLUMNS,
    POLICY_SYSTEM_COLUMNS,
    SYSTEM_COLUMNS,
)
from lockstep.evidence.pack.people.population import (
    CaseRows,
    case_rows,
    counting_of,
    in_scope,
    policy_system_rows,
)
from lockstep.evidence.pack.scores import pack_scores
from lockstep.evidence.pack.text_files import Row, cell_text, json_bytes
from lockstep.evidence.pack.withheld import could_be
from lockstep.evidence.verify.content.ledger import Ledger
from lockstep.evidence.verify.content.tables import Comparison, Rank, Table
from lockstep.evidence.verify.report import MAX_DETAILS, RefutedError, shown
from lockstep.evidence.verify.statement import Statement
from lockstep.evidence.verify.zip.archive import Archive
from lockstep.scorecard.definition import Definition
from lockstep.scorecard.metric import judge
from lockstep.scorecard.policies import PolicyError

TABLES = (
    Table(layout.LEAVERS, LEAVER_COLUMNS, 1),
    Table(layout.LEAVER_SYSTEMS, SYSTEM_COLUMNS, 2),
    Table(layout.EXCEPTIONS, EXCEPTION_COLUMNS, 3),
    Table(layout.NOT_IN_POPULATION, EXCLUDED_COLUMNS, 1),
)
_SYSTEMS = Table(layout.SYSTEMS, POLICY_SYSTEM_COLUMNS, 3)
_BEYOND = "an instant lies beyond the calendar"


class Lines:
    """Cases as the population's files show them, each made anew when it is asked for."""

    def __init__(self, ledger: Ledger, definition: Definition, scope: PackScope) -> None:
        self._ledger = ledger
        self._definition = definition
        self._scope = scope
        self._counting = counting_of(ledger.history, definition, scope)

    def line(self, case_id: str) -> CaseLine:
        """One case, judged at the pack's instant."""
        facts = self._ledger.history.cases[case_id]
        facts = self._counting.of(facts, self._scope.as_of)
        result = judge(facts, self._definition, self._scope.as_of)
        return CaseLine(facts, result, self._ledger.openings[case_id].hex())

    def rows(self, line: CaseLine) -> Sequence[Sequence[Row]]:
        """The rows of one case, for each of `TABLES`."""
        if not in_scope(line.facts, self._scope):
            return ((),) * len(TABLES)
        found: CaseRows = case_rows(line, self._scope)
        leaver = () if found.leaver is None else (found.leaver,)
        excluded = () if found.excluded is None else (found.excluded,)
        return leaver, found.systems, found.exceptions, excluded

    def ranker(self, place: int) -> Callable[[Sequence[str]], Rank | None]:
        """Where a row of the table at ``place`` belongs; see `tables.Ranker`."""
        table = TABLES[place]
        names = table.columns[: table.named_by]

        def rank(cells: Sequence[str]) -> Rank | None:
            case_id = cells[0]
            if case_id not in self._ledger.history.cases:
                return None
            line = self.line(case_id)
            for index, row in enumerate(self.rows(line)[place]):
                if [cell_text(row[name]) for name in names] == list(cells[: table.named_by]):
                    return line.facts.first_leaf, index
            return None

        return rank


def check_population(
    archive: Archive, statement: Statement, ledger: Ledger, definition: Definition
) -> list[str]:
    """The ids of the population's cases; the files say of them what follows from the entries.

    Raises:
        RefutedError: if a row is missing, does not belong, or differs; the details name them.
    """
    lines = Lines(ledger, definition, statement.scope)
    tables = [Comparison(archive, table, lines.ranker(place)) for place, table in enumerate(TABLES)]
    leavers = []
    try:
        for case_id in ledger.history.cases:
            line = lines.line(case_id)
            found = lines.rows(line)
            for table, rows in zip(tables, found, strict=True):
                for index, row in enumerate(rows):
                    table.expect(row, (line.facts.first_leaf, index))
            if found[0]:
                leavers.append(case_id)
    except OverflowError:
        raise RefutedError(_BEYOND) from None
    tables.append(_check_systems(archive, statement.policies, ledger.history))
    _report(tables)
    _check_counts(statement.counts, [table.rows for table in tables])
    return leavers


def _check_systems(archive: Archive, policies: Iterable[str], history: History) -> Comparison:
    rows = _policy_rows(policies, history)
    names = _SYSTEMS.columns[: _SYSTEMS.named_by]
    places = {
        tuple(cell_text(row[name]) for name in names): place for place, row in enumerate(rows)
    }

    def rank(cells: Sequence[str]) -> Rank | None:
        place = places.get(tuple(cells[: _SYSTEMS.named_by]))
        return None if place is None else (place, 0)

    table = Comparison(archive, _SYSTEMS, rank)
    for place, row in enumerate(rows):
        table.expect(row, (place, 0))
    return table


def _policy_rows(policies: Iterable[str], history: History) -> list[Row]:
    """Rows of adopted policies, which may say anything: nothing but their digest was checked."""
    rows: list[Row] = []
    is_read = True
    try:
        for digest in sorted(policies):
            policy = history.policies[digest]
            rows += policy_system_rows(digest, policy)
            decided = [type(row["required"]) is bool for row in policy["systems"]]
            is_read = is_read and all(decided)
    except (KeyError, TypeError, AttributeError):
        is_read = False
    for row in rows:
        numbers = [cell for name, cell in row.items() if name.startswith("sla_")]
        texts = [cell for name, cell in row.items() if not name.startswith("sla_")]
        is_read = is_read and all(type(number) is int and number >= 0 for number in numbers)
        is_read = is_read and all(map(_is_text, texts))
    if not is_read:
        raise RefutedError("an adopted policy cannot be read")
    return rows


def _is_text(cell: object) -> bool:
    return type(cell) is str


def _report(tables: Sequence[Comparison]) -> None:
    for table in tables:
        table.finish()
    problems = [problem for table in tables for problem in table.problems]
    if problems:
        raise RefutedError(
            "the files say something else than the entries", tuple(problems[:MAX_DETAILS])
        )


def _check_counts(counts: Mapping[str, int], rows: Sequence[int]) -> None:
    leavers, systems, _, excluded, _ = rows
    found = {"leavers": leavers, "leaver_systems": systems, "not_in_population": excluded}
    wrong = [name for name, count in found.items() if counts.get(name) != count]
    if wrong:
        raise RefutedError(f"the statement counts other {', '.join(wrong)} than there are")


class Told(NamedTuple):
    """Both scores in words; ``caveat`` says what withheld entries could make of the official one.

    ``caveat`` is empty where the pack shows every entry.
    """

    official: str
    period: str
    caveat: str


def check_scores(
    archive: Archive, statement: Statement, ledger: Ledger, definition: Definition
) -> Told:
    """The scores in words; both files are byte by byte what is recomputed.

    Raises:
        RefutedError: if one is not; the details name the members that differ.
    """
    try:
        withheld = ledger.tree.size - ledger.disclosed
        found = pack_scores(ledger.history, definition, statement.scope, withheld=withheld)
    except OverflowError:
        raise RefutedError(_BEYOND) from None
    except PolicyError:
        raise RefutedError("an adopted policy cannot be read") from None
    problems: list[str] = []
    documents = found.official, found.period
    for name, document in zip((layout.SCORE, layout.PERIOD_SCORE), documents, strict=True):
        raw = archive.read(name)
        if raw != json_bytes(document):
            problems += _differences(name, raw, document)
    if problems:
        raise RefutedError(
            "a score is another than the entries give", tuple(problems[:MAX_DETAILS])
        )
    caveat = "" if found.withheld is None else _caveat(found.withheld)
    return Told(_in_words(found.official), _in_words(found.period), caveat)


def _caveat(withheld: Mapping[str, Any]) -> str:
    entries = counted(withheld["entries"], "entry is", "entries are")
    return f"{entries} withheld, and {could_be(withheld)}"


def _in_words(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return f"no score can be given ({', '.join(score['unscored'])})"
    return f"{score['value']} of {score['max']} over {counted(score['n'], 'leaver')}"


def _differences(name: str, raw: bytes, document: Mapping[str, Any]) -> list[str]:
    try:
        found: Any = json.loads(raw)
        members = {**document, **found}
    except (ValueError, TypeError, RecursionError):
        return [f"{name} cannot be read"]
    problems = [
        f"{name}: {shown(member)} is {_brief(found.get(member))},"
        f" the entries give {_brief(document.get(member))}"
        for member in members
        if found.get(member) != document.get(member)
    ]
    return problems or [f"{name} is not in the form that such a file has"]


def _brief(value: object) -> str:
    return shown(json.dumps(value))

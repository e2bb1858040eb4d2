"""The score's documents for people: a panel, tables, plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from operator import itemgetter
from typing import Any

from rich.console import RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from lockstep.cli.render import NONE, duration, instant
from lockstep.control.score.words import CAPS, READINGS, UNDETECTED, UNSCORED, money, percent
from lockstep.domain.counting import counted
from lockstep.domain.counting import entries as entries_of
from lockstep.scorecard.numbers import decimal_text
from lockstep.storage.score.scores import MetricReport

Document = Mapping[str, Any]

_CELLS = 20
_DIGEST = 12
_COLOURS = {"audit_proof": "green", "on_target": "green", "high_risk": "red"}


def panel(document: Document) -> Panel:
    """The score with all that is needed to read it."""
    score = document["score"]
    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column()
    lines = list(_no_leavers(document) if _is_empty(score) else _facts(score))
    for name, text in [*lines, *_frame(document)]:
        rows.add_row(name, text)
    whole = Table.grid()
    for part in (headline(document), "", rows):
        whole.add_row(part)
    about = "" if document["partner"] is None else f" of {escape(document['partner'])}"
    return Panel(
        whole,
        title=f"[bold]Access revocation[/]{about}",
        title_align="left",
        border_style=_colour(score),
        padding=(1, 2),
        expand=False,
    )


def headline(document: Document) -> str:
    """The value against its target, or why there is none."""
    score = document["score"]
    target = f"target {score['target']}"
    if _is_empty(score):
        of = f" of {escape(document['partner'])}" if document["partner"] is not None else ""
        when = " yet" if score["window"]["official"] else " in this window"
        return f"[bold]No leavers{of}{when}[/]"
    if score["value"] is None:
        reasons = "; ".join(UNSCORED[reason] for reason in score["unscored"])
        return f"[bold red]Not scored[/]  {reasons}"
    value = Fraction(score["value"])
    full = min(_CELLS, int(value * _CELLS / Fraction(score["max"])))
    colour = _colour(score)
    bar = f"[{colour}]{'█' * full}[/][dim]{'░' * (_CELLS - full)}[/]"
    reading = f"[{colour}]{READINGS[score['reading']]}[/]"
    return f"[bold]{score['value']}[/] / {score['max']}   {bar}   {target}   {reading}"


def _is_empty(score: Document) -> bool:
    return list(score["unscored"]) == ["no_leavers"]


def _no_leavers(document: Document) -> Iterator[tuple[str, str]]:
    score = document["score"]
    scheduled = document["scheduled"] or score["excluded"].get("future", 0)
    if score["pending"] or scheduled:
        yield (
            "waiting",
            f"{score['pending']} open and in time, {scheduled} with their cutoff to come",
        )
    elif document["partner"] is None and score["window"]["official"]:
        yield "next", "report a leaver with `lockstep terminate`, or let HR post to /hooks/"
    else:
        yield "next", "look at another window or partner: see `lockstep cases`"
    yield "why", "no leavers is not a perfect score: there is none"


def _facts(score: Document) -> Iterator[tuple[str, str]]:
    yield "leavers", f"n {score['n']}, {score['label']}{_excluded(score['excluded'])}"
    rate, bound = score["within_sla_rate"], score["wilson_lower"]
    if rate is not None:
        text = f"{score['within_sla']} of {score['n']} ({percent(rate)})"
        yield "within SLA", f"{text}; the process can surely do {percent(bound)} (Wilson, 95 %)"
    yield "to revocation", spread(score["ttr"])
    yield (
        "operational",
        f"{spread(score['operational'])} [dim]not counting HR's lag[/]",
    )
    yield "HR lag", spread(score["hr_lag"])
    yield "exposure", _exposure(score["exposure"])
    yield "open", _open(score)
    if score["waivers"]["cases"] or score["waivers"]["in_vain"]:
        waivers = score["waivers"]
        flag = " [yellow](many)[/]" if waivers["flagged"] else ""
        yield "waivers", f"{counted(waivers['cases'], 'case')}{flag}, {waivers['in_vain']} in vain"
    grades = ", ".join(f"{name} {count}" for name, count in score["grades"].items())
    yield "evidence", grades or NONE
    for hit in score["caps"]:
        worst = " ".join(filter(None, (hit["worst"]["case"], hit["worst"]["system"])))
        yield "[red]cap[/]", f"[red]{hit['limit']}[/]: {CAPS[hit['code']]} ({escape(worst)})"


def _frame(document: Document) -> Iterator[tuple[str, str]]:
    score, ledger = document["score"], document["ledger"]
    window = score["window"]
    kind = "official" if window["official"] else "for looking"
    yield "window", f"{_day(window['start'])} to {_day(window['end'])} ({kind})"
    versions = ", ".join(digest[:_DIGEST] for digest in score["policies"]) or NONE
    definition = score["definition"]
    yield "SLA versions", versions
    yield "definition", f"{definition['version']} ({definition['sha256'][:_DIGEST]})"
    if ledger["unsealed_since"]:
        since = f"[red]entries since {_day(ledger['unsealed_since'])} are not sealed[/]"
        yield "[red]ledger[/]", f"{since}: is a worker running? See `lockstep ledger verify`"
    elif ledger["size"]:
        size = entries_of(ledger["size"])
        yield "ledger", f"{size} under the head of {_day(ledger['signed_at'])}"
    if ledger["facts"]["proved"] is False:
        says = "somebody changed them in the database; a worker folds them anew"
        yield "[red]facts[/]", f"[red]{says}[/]"
    elif changed := ledger["facts"]["changed_at"]:
        cases = ledger["facts"]["changed_cases"]
        yield "facts", f"[yellow]of {cases} changed by another hand, put right {_day(changed)}[/]"
    yield "HR feed", _silence(score)
    yield "not looked for", f"[yellow]{'; '.join(UNDETECTED.values())}[/]: no cap by these yet"
    if (dimension := document["dimension"]) is not None:
        yield "dimension", _dimension(dimension)
    changes = (document["trend"] or {}).get("changes", [])
    known = [f"{row['change']} in {row['days']} days" for row in changes if row["change"]]
    if known:
        yield "trend", ", ".join(known)


def _silence(score: Document) -> str:
    """When the stalest source of HR was heard."""
    if not score["feeds"]:
        return "[yellow]no source is expected[/]: nobody would notice if HR fell silent"
    worst = max(score["feeds"], key=itemgetter("age_ms"))
    age, source = duration(worst["age_ms"]), escape(worst["source"])
    text = f"{source} was heard {age} ago"
    if worst["heard_at"] is None:
        text = f"{source} was never heard, and is expected for {age}"
    return f"[red]{text}[/]" if "hr_feed_stale" in score["unscored"] else text


def _dimension(dimension: Document) -> str:
    value = dimension["value"] or f"{dimension['low']} to {dimension['high']}"
    lacking = [*dimension["missing"], *(f"{name} (stale)" for name in dimension["stale"])]
    names = ", ".join(lacking).replace("_", " ")
    text = f"{value} of {dimension['max']}, {READINGS[dimension['reading']]}"
    return f"{text}; not known: {names}" if names else text


def _exposure(exposure: Document) -> str:
    accounts, tier0 = exposure["account_hours"], exposure["tier0_account_hours"]
    leavers = exposure["leaver_hours"]
    return f"{accounts} account-hours, of these {tier0} in tier 0; {leavers} leaver-hours"


def _open(score: Document) -> str:
    late = score["open_overdue"]
    pending = f"{score['pending']} in time"
    if not late:
        return f"{pending}, none overdue"
    return f"{pending}, [red]{late} overdue[/] (costs {score['penalty']} points)"


def _excluded(excluded: Mapping[str, int]) -> str:
    if not excluded:
        return ""
    parts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in excluded.items())
    return f" [dim](not counted: {parts})[/]"


def spread(ranks: Mapping[str, Any]) -> str:
    """Percentiles; one that falls on open work is a lower bound and says so."""
    parts = []
    for name, rank in ranks.items():
        if rank is not None:
            text = duration(rank["ms"])
            parts.append(f"{name} " + (f"≥ {text} (open)" if rank["open"] else text))
    return "  ".join(parts) or NONE


def breakdown(name: str, groups: Mapping[str, Document]) -> RenderableType:
    """One line per partner, site, category, system or kind; the worst first."""
    if not groups:
        return f"Nothing to break down by {name}."
    table = Table(box=None, pad_edge=False)
    for column in (name, "score", "n", "within SLA", "surely", "p50", "max", "overdue", "cap"):
        table.add_column(column, justify="left" if column == name else "right", no_wrap=True)
    for group, found in sorted(groups.items(), key=lambda row: (_rank(row[1]), row[0])):
        table.add_row(
            escape(group) or NONE,
            f"[{_colour(found)}]{found['value'] or NONE}[/]",
            str(found["n"]),
            percent(found["within_sla_rate"]) if found["within_sla_rate"] else NONE,
            percent(found["wilson_lower"]) if found["wilson_lower"] else NONE,
            _rank_text(found["ttr"]["p50"]),
            _rank_text(found["ttr"]["max"]),
            str(found["open_overdue"]),
            found["caps"][0]["limit"] if found["caps"] else NONE,
        )
    return table


def _rank(found: Document) -> tuple[int, Fraction]:
    """The lowest score first; what has none comes last."""
    value = found["value"]
    return (1, Fraction(0)) if value is None else (0, Fraction(value))


def _rank_text(rank: Document | None) -> str:
    if rank is None:
        return NONE
    return f"≥ {duration(rank['ms'])}" if rank["open"] else duration(rank["ms"])


def explanation(costs: list[Document]) -> Iterator[str]:
    """What cost which points, the worst first, and what to do next."""
    if not costs:
        yield "\nNothing cost a point."
        return
    yield "\n[bold]What cost points, and what to do[/]"
    for cost in costs:
        points = decimal_text(-Fraction(cost["points"]), 2)
        sign = "" if points.startswith("-") else "+"
        shown = f"{sign}{points}" if Fraction(cost["points"]) else "    –"
        yield f"{shown:>7}  {escape(cost['text'])}"
        yield f"         [dim]{escape(cost['advice'])}[/]"


def penalties(document: Document) -> Iterator[RenderableType]:
    """Each partner's late cases and what they cost."""
    if not document["partners"]:
        yield f"No leaver with a cutoff in {document['month']} is judged yet."
    for partner in document["partners"]:
        total = money(partner["total"], partner["currency"])
        yield (
            f"[bold]{escape(partner['partner']) or 'no partner'}[/]  "
            f"{partner['late']} late of {partner['judged']}  {total}"
        )
        if partner["cases"]:
            yield _late_table(partner)


def _late_table(partner: Document) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("case", "cutoff", "late", "hours", "systems", "amount"):
        table.add_column(column, justify="right" if column in {"hours", "amount"} else "left")
    for case in partner["cases"]:
        late = duration(case["late_ms"])
        table.add_row(
            case["case"],
            _day(case["cutoff"]),
            f"≥ {late} (open)" if case["open"] else late,
            str(case["started_hours"]),
            ", ".join(case["systems"]),
            money(case["amount"], partner["currency"]),
        )
    return table


def report_row(report: MetricReport) -> dict[str, str]:
    """A report as plain data."""
    return {
        "report": report.report_id,
        "metric": report.metric,
        "value": report.value,
        "as_of": report.as_of.isoformat(),
        "source": report.source,
        "recorded_at": report.recorded_at.isoformat(),
    }


def report_table(reports: list[MetricReport]) -> Table:
    """One line per report."""
    table = Table(box=None, pad_edge=False)
    for column in ("metric", "value", "as of", "source", "recorded"):
        table.add_column(column, justify="right" if column == "value" else "left", no_wrap=True)
    for row in reports:
        table.add_row(
            row.metric.replace("_", " "),
            row.value,
            instant(row.as_of),
            escape(row.source),
            instant(row.recorded_at),
        )
    return table


def _colour(score: Document) -> str:
    return _COLOURS.get(score["reading"] or "", "yellow" if score["value"] else "dim")


def _day(text: str) -> str:
    """An instant of a document, to the minute."""
    return f"{text[:10]} {text[11:16]}Z"

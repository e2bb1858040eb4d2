"""The clocks and the score once more, straight from docs/scorecard.md.

Written for the comparison only, without a line of `lockstep.scorecard`: plain loops over plain
dicts, one figure after the other. Instants and durations are whole milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from typing import Any

HOUR = 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY

Document = dict[str, Any]


def decimal(value: Fraction, places: int) -> str:
    """``value`` rounded half to even."""
    with localcontext() as context:
        context.prec = 200
        exact = Decimal(value.numerator) / Decimal(value.denominator)
        return str(exact.quantize(Decimal(1).scaleb(-places), ROUND_HALF_EVEN))


def reckon_item(case: Document, item: Document, as_of: int) -> Document:
    """Clocks of one system: R - E, the time allowed, how late, how exposed."""
    cutoff, off_at = case["cutoff_at"], item["off_at"]
    allowed = item["sla_ms"]
    if item["waived_until"] is not None:
        allowed = max(allowed, item["waived_until"] - cutoff)
    is_open = off_at is None and not case["rescinded"]
    taken = max(0, (as_of if off_at is None else off_at) - cutoff)
    if case["rescinded"]:
        taken = 0
    return {
        **item,
        "allowed": allowed,
        "due_at": cutoff + allowed,
        "is_open": is_open,
        "ttr": taken,
        "late": max(0, taken - allowed),
        "exposure": taken * item["accounts"],
    }


def counted(case: Document, others: Mapping[str, Document], as_of: int) -> Document:
    """A case by definition 2: no clock is begun anew, and none is stopped by HR's later word."""
    first = case["cutoff_at"]
    if case["shown_cutoff_at"] <= as_of:
        chain = [case]
        for each in chain:  # grows while it is read
            first = min(first, each["cutoff_at"], each["first_cutoff_at"] or each["cutoff_at"])
            for name in each["earlier"]:
                before = others.get(name)
                if before is None or before in chain or before["called_off_at"] is None:
                    continue
                soon = each["opened_at"] - before["called_off_at"] <= 30 * DAY
                if soon and before["first_leaf"] < each["first_leaf"]:
                    chain.append(before)
    case = {**case, "cutoff_at": first, "moved": first < case["cutoff_at"]}
    off = case["called_off_at"]
    if off is None or off < first:
        return {**case, "taken_back": False}
    ended = {"outcome": "called_off", "grade": "D", "off_at": off}
    items = [item if item["off_at"] is not None else item | ended for item in case["items"]]
    return {**case, "rescinded": False, "items": items, "taken_back": True}


def is_untouched(case: Document, items: Sequence[Document]) -> bool:
    """Nobody was found, or everything was gone before we heard; a word alone proves nothing."""
    looked = False
    for item in items:
        if item["openings"] > 1:
            return False
        gone_before = item["outcome"] == "already_absent" and item["off_at"] < case["received_at"]
        looked = looked or item["outcome"] == "not_found" or gone_before
        by_word = item["outcome"] == "attested" and item["accounts"] == 0
        if not (gone_before or by_word or item["outcome"] == "not_found"):
            return False
    return looked


def reckon(case: Document, as_of: int, others: Mapping[str, Document]) -> Document:
    """One case: its slowest required system decides; every system, where none is required."""
    return _reckoned(case, counted(case, others, as_of), as_of)


def _reckoned(told: Document, case: Document, as_of: int) -> Document:
    """The same of a case whose clocks and items are settled."""
    items = [reckon_item(case, item, as_of) for item in case["items"]]
    deciding = [item for item in items if item["required"]] or items
    ratio = max((Fraction(item["ttr"], item["allowed"]) for item in deciding), default=Fraction(0))
    unfinished = [item for item in deciding if item["is_open"]]
    ttr = max((item["ttr"] for item in deciding), default=0)
    lag = max(0, case["recorded_at"] - case["cutoff_at"])
    if case["rescinded"]:
        state = "rescinded"
    elif case["cutoff_at"] > as_of:
        state = "future"
    elif unfinished:
        state = "overdue" if ratio >= 1 else "pending"
    elif all(item["outcome"] == "not_found" and item["openings"] == 1 for item in items):
        state = "no_access"
    elif case["taken_back"]:
        state = "called_off"
    elif is_untouched(case, items) and not any(item["late"] for item in deciding):
        state = "untouched"
    else:
        state = "done"
    grades = [item["grade"] or "D" for item in deciding if not item["is_open"]]
    return {
        **case,
        "told": told,
        "base": case,
        "items": items,
        "deciding": deciding,
        "state": state,
        "scored": state in {"done", "overdue", "called_off"},
        "ratio": ratio,
        "grade": max(grades, default=""),
        "ttr": ttr,
        "late": max((item["late"] for item in deciding), default=0),
        "lag": lag,
        "operational": max(0, ttr - lag),
        "exposure": sum(item["exposure"] for item in items),
        "open_items": len(unfinished),
        "open_late": max((item["late"] for item in unfinished), default=0),
        "tier0_late": max((i["late"] for i in unfinished if i["tier"] == "0"), default=0),
    }


def credit(case: Document) -> Fraction:
    """g(r), at most what the evidence allows (reference: audit, 5.4)."""
    ratio = case["ratio"]
    if ratio <= Fraction(1, 4):
        speed = Fraction(1)
    elif ratio <= 1:
        speed = 1 - Fraction(4, 100) * (ratio - Fraction(1, 4)) / Fraction(3, 4)
    else:
        speed = max(Fraction(0), (4 - ratio) / 6)
    grade = "D" if case["open_items"] else case["grade"]
    return min(speed, {"C": Fraction(98, 100), "D": Fraction(9, 10)}.get(grade, Fraction(1)))


def penalty(case: Document) -> Fraction:
    """Points that an open overdue case takes off."""
    if not case["open_late"]:
        return Fraction(0)
    weeks = case["open_late"] // WEEK
    points = min(Fraction(3), Fraction(1, 2) + Fraction(weeks, 2))
    return points * 2 if case["tier0_late"] else points


def feeds_of(
    feeds: Mapping[str, tuple[int, int | None]], cases: Sequence[Document], as_of: int
) -> list[Document]:
    """How long each source of HR is silent: by its heartbeat, and by what it said of a case."""
    rows = []
    for name, (since, beat) in sorted(feeds.items()):
        told = [
            min(case["received_at"], case["opened_at"]) for case in cases if case["source"] == name
        ]
        heard = max([*told, *([] if beat is None else [beat])], default=None)
        last = since if heard is None else max(since, heard)
        rows.append(
            {
                "source": name,
                "expected_since": _instant(since),
                "heard_at": None if heard is None else _instant(heard),
                "age_ms": max(0, as_of - last),
            }
        )
    return rows


def _instant(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def score_of(
    cases: Iterable[Document],
    start: int,
    end: int,
    as_of: int,
    *,
    feeds: Sequence[Document] = (),
    among: Iterable[Document] = (),
) -> Document:
    """The members of a score's document that can be reckoned by hand; findings cap nothing here.

    ``cases`` are as `reckon` made them; ``among``: those among which a clock may run on.
    """
    mine = _of_window(cases, start, end, as_of, among)
    scored = [case for case in mine if case["scored"]]
    counted = [case for case in mine if case["scored"] or case["state"] == "pending"]
    silence = max((feed["age_ms"] for feed in feeds), default=None)
    is_stale = silence is not None and silence > 7 * DAY
    quality, base, taken_off, capped, value = worth_of(scored)
    within = sum(case["ratio"] <= 1 for case in scored)
    return {
        "n": len(scored),
        "pending": len(counted) - len(scored),
        "excluded": dict(Counter(case["state"] for case in mine if case not in counted)),
        "within_sla": within,
        "within_sla_rate": decimal(Fraction(within, len(scored)), 4) if scored else None,
        "early": sum(map(_is_early, scored)),
        "quality": None if quality is None else decimal(quality, 4),
        "base": None if base is None else decimal(base, 2),
        "penalty": decimal(taken_off, 2),
        "value": None if value is None or is_stale else decimal(value, 2),
        "unscored": ["hr_feed_stale"] * is_stale + ["no_leavers"] * (not scored),
        "feed_age_ms": silence,
        "feeds": list(feeds),
        "caps": [_cap(capped)] if capped else [],
        "open_overdue": sum(case["open_late"] > 0 for case in scored),
        "ttr": _spread([(case["ttr"], case["open_items"] > 0) for case in scored]),
        "hr_lag": _spread([(case["lag"], False) for case in scored]),
        "operational": _spread([(case["operational"], case["open_items"] > 0) for case in scored]),
        "exposure": _exposure(counted),
        "grades": dict(
            Counter(
                item["grade"] or "none"
                for case in counted
                for item in case["items"]
                if not item["is_open"]
            )
        ),
        "policies": sorted({case["policy"] for case in counted}),
        "waivers": _waivers(counted),
    }


def worth_of(
    scored: Sequence[Document],
) -> tuple[Fraction | None, Fraction | None, Fraction, list[Document], Fraction | None]:
    """Quality, what it is worth, what open cases take off, cases that cap it, and the value."""
    capped = [case for case in scored if case["tier0_late"] > DAY]
    taken_off = min(Fraction(10), sum(map(penalty, scored), Fraction(0)))
    if not scored:
        return None, None, taken_off, capped, None
    quality = sum(map(credit, scored), Fraction(0)) / len(scored)
    base = max(Fraction(0), 20 - 50 * (1 - quality))
    value = max(Fraction(0), base - taken_off)
    return quality, base, taken_off, capped, min(value, Fraction(135, 10)) if capped else value


def by_policy(
    cases: Iterable[Document],
    window: tuple[int, int],
    as_of: int,
    policies: Mapping[str, Document],
    *,
    feeds: Sequence[Document] = (),
) -> list[Document]:
    """What the score would be, had every case pinned one and the same policy."""
    cases = list(cases)
    mine = _of_window(cases, *window, as_of, cases)
    mine = [case for case in mine if case["scored"] or case["state"] == "pending"]
    digests = sorted({case["policy"] for case in mine})
    is_stale = any(feed["age_ms"] > 7 * DAY for feed in feeds)
    rows: list[Document] = []
    for digest in digests[:20] if len(digests) > 1 else ():
        systems = {row["system"]: row for row in policies[digest]["systems"]}
        under = [_under(case, digest, policies[digest], as_of) for case in mine]
        value = worth_of([case for case in under if case["scored"]])[-1]
        missing = {
            name
            for case in mine
            for name, row in systems.items()
            if row["required"] and name not in {item["system"] for item in case["items"]}
        }
        rows.append(
            {
                "policy": digest,
                "cases": sum(case["policy"] == digest for case in mine),
                "value": None if value is None or is_stale else decimal(value, 2),
                "missing": sorted(missing),
            }
        )
    return rows


def _under(case: Document, digest: str, policy: Document, as_of: int) -> Document:
    """A case as it would stand under a policy; unchanged under its own."""
    if case["policy"] == digest:
        return case
    base, systems = case["base"], {row["system"]: row for row in policy["systems"]}

    def asked(name: str) -> Document:
        row = systems[name]
        seconds = policy["sla_s"][f"{base['kind']}.{row['tier']}"]
        return {"tier": row["tier"], "required": row["required"], "sla_ms": 1000 * seconds}

    items = [
        item | (asked(item["system"]) if item["system"] in systems else {"required": False})
        for item in base["items"]
    ]
    known = {item["system"] for item in items}
    for name, row in systems.items():
        if row["required"] and name not in known:
            items.append(_UNDECIDED | asked(name) | {"system": name, "category": row["category"]})
    return _reckoned(case["told"], {**base, "items": items}, as_of)


_UNDECIDED: Document = {
    "accounts": 0,
    "outcome": "",
    "grade": "",
    "off_at": None,
    "read_back_at": None,
    "first_attempt_at": None,
    "waived_until": None,
    "waived_in_vain": False,
    "openings": 1,
}


def costs_of(
    cases: Sequence[Document], start: int, end: int, as_of: int
) -> tuple[dict[str, str], dict[str, str]]:
    """The points that each case costs by its lost credit, and by its penalty; none that cost 0."""
    scored = [case for case in _of_window(cases, start, end, as_of, cases) if case["scored"]]
    lost = {case["case_id"]: 50 * (1 - credit(case)) / len(scored) for case in scored}
    open_late = {case["case_id"]: penalty(case) for case in scored}
    losses, penalties = (
        {case_id: decimal(points, 4) for case_id, points in each.items() if points}
        for each in (lost, open_late)
    )
    return losses, penalties


def _of_window(
    cases: Iterable[Document], start: int, end: int, as_of: int, among: Iterable[Document]
) -> list[Document]:
    """By their cutoff; older ones for as long as they are open."""
    others = {each["case_id"]: each["told"] for each in among}
    return [
        case
        for case in (reckon(each["told"], as_of, others) for each in cases)
        if start <= case["cutoff_at"] < end or (case["cutoff_at"] < start and case["open_items"])
    ]


def _is_early(case: Document) -> bool:
    ends = [item["off_at"] for item in case["deciding"]]
    return not case["open_items"] and all(end < case["cutoff_at"] for end in ends)


def _cap(capped: Sequence[Document]) -> Document:
    worst = min(capped, key=lambda case: (-case["tier0_late"], case["case_id"]))
    systems = [
        item["system"]
        for item in worst["deciding"]
        if item["is_open"] and item["tier"] == "0" and item["late"] == worst["tier0_late"]
    ]
    return {
        "code": "open_tier0",
        "limit": "13.50",
        "count": len(capped),
        "worst": {
            "case": worst["case_id"],
            "system": min(systems),
            "since_ms": worst["tier0_late"],
        },
    }


def _spread(durations: Sequence[tuple[int, bool]]) -> Document:
    """Nearest ranks; what is open ranks after all that is closed, and is "at least"."""
    closed = sorted(taken for taken, is_open in durations if not is_open)
    everything = sorted(taken for taken, _ in durations)

    def at(percent: int) -> Document | None:
        if not everything:
            return None
        place = -(-percent * len(everything) // 100) - 1
        if place < len(closed):
            return {"ms": closed[place], "open": False}
        return {"ms": everything[place], "open": True}

    p95 = at(95) if len(everything) >= 20 else None
    return {"p50": at(50), "p90": at(90), "p95": p95, "max": at(100)}


def _exposure(counted: Sequence[Document]) -> Document:
    items = [item for case in counted for item in case["items"]]
    longest = (
        max((item["ttr"] for item in case["items"] if item["exposure"]), default=0)
        for case in counted
    )
    total = {
        "account": sum(item["exposure"] for item in items),
        "tier0_account": sum(item["exposure"] for item in items if item["tier"] == "0"),
        "leaver": sum(longest),
    }
    hours = {f"{name}_hours": decimal(Fraction(taken, HOUR), 2) for name, taken in total.items()}
    return {f"{name}_ms": str(taken) for name, taken in total.items()} | hours


def _waivers(counted: Sequence[Document]) -> Document:
    waived = sum(
        any(item["waived_until"] is not None for item in case["items"]) for case in counted
    )
    share = Fraction(waived, len(counted)) if counted else Fraction(0)
    return {
        "cases": waived,
        "in_vain": sum(any(item["waived_in_vain"] for item in case["items"]) for case in counted),
        "share": decimal(share, 4),
        "flagged": share > Fraction(5, 100),
    }

"""A second reckoning, written from docs/evidence-format.md alone, sections 6 to 10.

It shares no code with the product: plain dictionaries, the standard library, no regard for speed.
Where it and the verifier disagree, the page is wrong or the code is.
"""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEK, DAY, HOUR = 604_800_000, 86_400_000, 3_600_000


def ms(text: str) -> int:
    moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(milliseconds=1)


def iso(at: int | None) -> str:
    if at is None:
        return ""
    moment = EPOCH + timedelta(milliseconds=at)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def half_even(value: Fraction, places: int) -> str:
    scaled = round(value * 10**places)
    return f"{scaled // 10**places}.{scaled % 10**places:0{places}}"


# --- section 6 ------------------------------------------------------------------------------------


def facts(entries: list[tuple[int, dict[str, Any]]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Cases by id, and findings."""
    policies: dict[str, Any] = {}
    cases: dict[str, Any] = {}
    findings: list[dict[str, Any]] = []
    for leaf, entry in entries:
        kind, data, name = entry["kind"], entry.get("data", {}), entry.get("case")
        at = ms(entry["occurred_at"])
        if kind == "policy:adopted":
            policies[entry["policy"]] = data["document"]
        if kind == "finding:raised":
            findings.append(
                {
                    "kind": data["finding"],
                    "at": at,
                    "case": name or "",
                    "system": entry.get("system", ""),
                    "resolved": None,
                }
            )
        resolve(findings, entry, at)
        if kind == "case:opened" or (kind == "case:rescinded" and name not in cases):
            cases[name] = opened(leaf, entry, policies)
        elif name in cases:
            change(cases[name], entry, at, policies)
    return cases, findings


def resolve(findings: list[dict[str, Any]], entry: dict[str, Any], at: int) -> None:
    """What an entry resolves: a closing all but doubts, what is said of doubts the doubts."""
    kind, data = entry["kind"], entry.get("data", {})
    look = kind == "watch:look" and not {"in_doubt", "category"} & set(data)
    of_doubts = look or kind in {"decision:pick", "revocation:outcome"}
    for finding in findings:
        is_doubt = finding["kind"] == "account_in_doubt"
        if finding["case"] != entry.get("case") or finding["resolved"] is not None:
            continue
        if kind == "case:closed" and not is_doubt:
            finding["resolved"] = at
        if of_doubts and is_doubt and finding["system"] == entry.get("system"):
            finding["resolved"] = at


def feeds(entries: list[tuple[int, dict[str, Any]]]) -> list[tuple[str, int, int | None]]:
    """The expected sources by name: expected since, last heard."""
    since: dict[str, int] = {}
    heard: dict[str, int] = {}
    expected: list[str] = []
    begun: set[str] = set()
    for _, entry in entries:
        data, recorded = entry.get("data", {}), ms(entry["recorded_at"])
        at = min(ms(entry["occurred_at"]), recorded)
        source = ""
        if entry["kind"] == "feed:expected":
            expected = data["sources"]
            since = dict.fromkeys(expected, at) | since
        elif entry["kind"] == "feed:heard":
            source = data["source"]
        elif entry["kind"] in {"case:opened", "case:rescinded"} and entry["case"] not in begun:
            begun.add(entry["case"])
            source, at = data["source"], min(ms(data["received_at"]), recorded)
        if source:
            heard[source] = max(at, heard.get(source, at))
    return [(name, since[name], heard.get(name)) for name in sorted(expected)]


def opened(leaf: int, entry: dict[str, Any], policies: dict[str, Any]) -> dict[str, Any]:
    data = entry["data"]
    items = []
    for system in data["systems"] if entry["kind"] == "case:opened" else ():
        policy = policies[entry["policy"]]
        row = next(row for row in policy["systems"] if row["system"] == system)
        items.append(
            {
                **{member: row[member] for member in ("system", "category", "tier", "required")},
                "sla_ms": 1000 * policy["sla_s"][f"{data['termination']}.{row['tier']}"],
                "accounts": 0,
                "outcome": "",
                "grade": "",
                "off": None,
                "read_back": None,
                "first": None,
                "until": None,
                "in_vain": False,
                "openings": 1,
            }
        )
    return {
        "case": entry["case"],
        "subject": entry["subject"],
        "policy": entry["policy"],
        "kind": data["termination"],
        **{member: data[member] for member in ("source", "partner", "site", "zone")},
        "N": ms(data["hr_recorded_at"]),
        "E": ms(data["cutoff_at"]),
        "shown": ms(data["cutoff_at"]),
        "received": ms(data["received_at"]),
        "rescinded": entry["kind"] == "case:rescinded",
        "begun": ms(data["cutoff_at"]) <= ms(entry["recorded_at"]) and "waits" not in data,
        "leaf": leaf,
        "items": items,
        "opened": ms(entry["recorded_at"]),
        "off": None,
        "first": ms(data["cutoff_at"])
        if entry["kind"] == "case:opened" and data["termination"] == "involuntary"
        else None,
        "earlier": data.get("earlier", []),
    }


def dismiss(case: dict[str, Any], cutoff: int) -> None:
    if case["kind"] == "involuntary":
        case["first"] = cutoff if case["first"] is None else min(case["first"], cutoff)


def amend(
    case: dict[str, Any], entry: dict[str, Any], data: dict[str, Any], policies: dict[str, Any]
) -> None:
    case["shown"] = new = ms(data["cutoff_at"])
    dismiss(case, new)
    two = entry["actor"]["type"] != "person" or "second_person" in data
    counts, old = ms(entry["recorded_at"]) < case["E"] and two, case["E"]
    if new < old or counts:
        case["E"] = new
    if "termination" in data:
        restate(case, data, policies, counts=counts, moved=case["E"] != old)


def restate(
    case: dict[str, Any],
    data: dict[str, Any],
    policies: dict[str, Any],
    *,
    counts: bool,
    moved: bool,
) -> None:
    case.update(kind=data["termination"])
    dismiss(case, case["shown"])
    case.update({member: data[member] for member in ("partner", "site", "zone")})
    case["N"] = ms(data["hr_recorded_at"]) if moved else case["N"]
    for item in case["items"]:
        seconds = policies[case["policy"]]["sla_s"][f"{case['kind']}.{item['tier']}"]
        if counts or 1000 * seconds < item["sla_ms"]:
            item["sla_ms"] = 1000 * seconds


def change(case: dict[str, Any], entry: dict[str, Any], at: int, policies: dict[str, Any]) -> None:
    kind, data = entry["kind"], entry.get("data", {})
    item = next((row for row in case["items"] if row["system"] == entry.get("system")), {})
    if kind == "case:amended":
        amend(case, entry, data, policies)
    elif kind == "case:rescinded":
        if not case["begun"] and not case["rescinded"]:
            case["rescinded"], case["off"] = True, min(at, ms(entry["recorded_at"]))
    elif kind == "case:begun":
        case["begun"] = True
    elif kind == "revocation:attempt":
        item["accounts"] = len(data["accounts"])
        item["first"] = at if item["first"] is None else item["first"]
    elif kind == "revocation:outcome":
        item.update(
            outcome=data["outcome"],
            grade=data["grade"],
            accounts=len(data["accounts"]),
            off=ms(data["revoked_at"]),
            read_back=ms(data["confirmed_at"]),
        )
    elif kind == "decision:attest" and not item["outcome"]:
        strong = data["grade"] == "C" and "artefact_sha256" in data and "second_person" in data
        item.update(outcome="attested", off=at, grade="C" if strong else "D")
    elif kind == "decision:waive" and not item["outcome"]:
        item["outcome"] = "waived"
        counts = "second_person" in data and "until" in data and at < case["E"] + item["sla_ms"]
        item.update(until=ms(data["until"])) if counts else item.update(in_vain=True)
    elif kind == "finding:raised" and data["finding"] == "access_returned":
        item.update(outcome="", grade="", off=None, read_back=None, openings=item["openings"] + 1)


# --- section 7 ------------------------------------------------------------------------------------


def counted(
    case: dict[str, Any], cases: dict[str, Any], definition: dict[str, Any], as_of: int
) -> dict[str, Any]:
    """Section 7, "What a definition of form 2 counts"."""
    if "rules" not in definition:
        return case
    chain = [case]
    for each in chain:
        for name in each["earlier"]:
            before = cases.get(name)
            if before is None or before["off"] is None or before in chain:
                continue
            days = definition["rules"]["continue_days"] * DAY
            if before["leaf"] < each["leaf"] and each["opened"] <= before["off"] + days:
                chain.append(before)
    first = min(cutoff for c in chain for cutoff in (c["E"], c["first"]) if cutoff is not None)
    cutoff = case["E"] if case["shown"] > as_of else first
    case = {**case, "E": cutoff}
    if case["off"] is None or case["off"] < cutoff:
        return case
    gone = {"outcome": "called_off", "grade": "D", "off": case["off"]}
    items = [row if row["off"] is not None else row | gone for row in case["items"]]
    return {**case, "rescinded": False, "items": items}


def untouched(case: dict[str, Any], found: dict[str, Any], definition: dict[str, Any]) -> bool:
    if "rules" not in definition or found["late"]:
        return False
    looked = False
    for row in found["rows"]:
        absent = row["outcome"] == "already_absent" and row["off"] < case["received"]
        word = row["outcome"] == "attested" and not row["accounts"]
        if row["openings"] > 1 or not (row["outcome"] == "not_found" or absent or word):
            return False
        looked |= not word
    return looked


def judged(case: dict[str, Any], as_of: int, definition: dict[str, Any]) -> dict[str, Any]:
    cutoff, rows = case["E"], []
    for item in case["items"]:
        sla = max(1, item["sla_ms"])
        if item["until"] is not None and item["until"] > cutoff + sla:
            sla = item["until"] - cutoff
        end = as_of if item["off"] is None else item["off"]
        ttr = 0 if case["rescinded"] else max(0, end - cutoff)
        rows.append(
            {
                **item,
                "sla": sla,
                "due": cutoff + sla,
                "open": item["off"] is None and not case["rescinded"],
                "ttr": ttr,
                "late": max(0, ttr - sla),
                "exposure": ttr * item["accounts"],
            }
        )
    deciding = [row for row in rows if row["required"]] or rows
    still = [row for row in deciding if row["open"]]
    gone = [row for row in deciding if not row["open"]]
    found: dict[str, Any] = {
        "rows": rows,
        "deciding": deciding,
        "ratio": max((Fraction(row["ttr"], row["sla"]) for row in deciding), default=Fraction(0)),
        "ttr": max((row["ttr"] for row in deciding), default=0),
        "late": max((row["late"] for row in deciding), default=0),
        "open_items": len(still),
        "open_late": max((row["late"] for row in still), default=0),
        "tier0_late": max((row["late"] for row in still if row["tier"] == "0"), default=0),
        "grade": max((row["grade"] or "D" for row in gone), default=""),
        "lag": max(0, case["N"] - cutoff),
        "exposure": sum(row["exposure"] for row in rows),
    }
    found["operational"] = max(0, found["ttr"] - found["lag"])
    if case["rescinded"]:
        state = "rescinded"
    elif cutoff > as_of:
        state = "future"
    elif still:
        state = "overdue" if found["ratio"] >= 1 else "pending"
    elif all(row["outcome"] == "not_found" and row["openings"] == 1 for row in rows):
        state = "no_access"
    elif any(row["outcome"] == "called_off" for row in rows):
        state = "called_off"
    elif untouched(case, found, definition):
        state = "untouched"
    else:
        state = "done"
    return found | {"state": state, "scored": state in {"done", "overdue", "called_off"}}


# --- section 8 ------------------------------------------------------------------------------------


def leaver(case: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """The cells of a leaver's row, the hash of the leaf left out."""
    firsts = [row["first"] for row in case["items"] if row["first"] is not None]
    looks = [row["read_back"] for row in case["items"] if row["read_back"] is not None]
    within = "pending"
    if found["scored"]:
        within = "yes" if found["ratio"] <= 1 else "no"
    return {
        "case_id": case["case"],
        "worker_ref": case["subject"],
        "separation_type": case["kind"],
        "partner": case["partner"],
        "site": case["site"],
        "hr_source": case["source"],
        "hr_recorded_at": iso(case["N"]),
        "effective_end_utc": iso(case["shown"]),
        "scored_cutoff_utc": iso(case["E"]),
        "worker_tz": case["zone"],
        "policy": case["policy"],
        "sla_class": f"{case['kind']}:" + "+".join(sorted({r["tier"] for r in found["deciding"]})),
        "received_at": iso(case["received"]),
        "first_action_utc": iso(min(firsts, default=None)),
        "last_verified_utc": iso(max(looks, default=None)),
        "state": found["state"],
        "worst_ratio": half_even(found["ratio"], 4),
        "within_sla": within,
        "late_seconds": math.ceil(Fraction(found["late"], 1000)),
        "time_to_revocation_ms": found["ttr"],
        "hr_lag_ms": found["lag"],
        "operational_ms": found["operational"],
        "exposure_account_ms": found["exposure"],
        "open_items": found["open_items"],
        "evidence_grade_min": found["grade"],
        "ledger_index": case["leaf"],
    }


def exclusion(case: dict[str, Any], found: dict[str, Any], scope: dict[str, int]) -> str:
    if case["rescinded"]:
        return "rescinded"
    if not scope["start"] <= case["shown"] < scope["end"]:
        return "outside_period"
    if case["shown"] > scope["as_of"]:
        return "future"
    return found["state"] if found["state"] in {"no_access", "untouched"} else ""


def draw(leavers: list[str], n: int, seed: str) -> list[str]:
    return sorted(leavers, key=lambda c: hashlib.sha256(f"{seed}\n{c}".encode()).hexdigest())[:n]


# --- section 9 ------------------------------------------------------------------------------------


def score(
    cases: dict[str, Any],
    findings: list[dict[str, Any]],
    definition: dict[str, Any],
    *,
    start: int,
    end: int,
    as_of: int,
    sources: list[tuple[str, int, int | None]],
) -> dict[str, Any]:
    """The figures of a score that the formula is about."""
    rules = {name: Fraction(value) for name, value in definition["credit"].items()}
    fines = {name: Fraction(value) for name, value in definition["penalty"].items()}
    places, rates = definition["rounding"]["score_places"], definition["rounding"]["rate_places"]
    belong = []
    for case in cases.values():
        found = judged(case, as_of, definition)
        if start <= case["E"] < end or (case["E"] < start and found["open_items"]):
            belong.append((case, found))
    n = [(case, found) for case, found in belong if found["scored"]]
    pending = [(case, found) for case, found in belong if found["state"] == "pending"]
    excluded: dict[str, int] = {}
    for _, found in belong:
        if found["state"] in {"rescinded", "no_access", "untouched", "future"}:
            excluded[found["state"]] = excluded.get(found["state"], 0) + 1
    credits_ = [credit(found, rules, definition["evidence"]) for _, found in n]
    fine = Fraction(0)
    for _, found in n:
        if found["open_late"]:
            points = min(
                fines["per_case"],
                fines["at_once"] + fines["per_week"] * (found["open_late"] // WEEK),
            )
            fine += points * (fines["tier0_factor"] if found["tier0_late"] else 1)
    fine = min(fines["limit"], fine)
    hits = caps(n, belong, findings, definition, end=end, as_of=as_of)
    value = quality = base = None
    silence = silent(sources, as_of)
    longest = definition["unscored"]["feed_age_days"] * DAY
    is_stale = (silence["feed_age_ms"] or 0) > longest
    unscored = ["hr_feed_stale"] * is_stale + ["no_leavers"] * (not n)
    if n:
        quality = sum(credits_, Fraction(0)) / len(n)
        base = max(
            Fraction(0), Fraction(definition["max"]) - Fraction(definition["slope"]) * (1 - quality)
        )
        value = max(Fraction(0), min([base - fine, *(Fraction(hit["limit"]) for hit in hits)]))
    within = sum(found["ratio"] <= 1 for _, found in n)
    counted = [row for _, found in [*n, *pending] for row in found["rows"]]
    grades: dict[str, int] = {}
    for row in counted:
        if not row["open"]:
            grades[row["grade"] or "none"] = grades.get(row["grade"] or "none", 0) + 1
    return {
        "n": len(n),
        "pending": len(pending),
        "excluded": excluded,
        "within_sla": within,
        "within_sla_rate": half_even(Fraction(within, len(n)), rates) if n else None,
        "value": None if unscored or value is None else half_even(value, places),
        "quality": None if quality is None else half_even(quality, rates),
        "base": None if base is None else half_even(base, places),
        "penalty": half_even(fine, places),
        "caps": hits,
        "unscored": unscored,
        **silence,
        "ttr": percentiles([(f["ttr"], f["open_items"] > 0) for _, f in n], definition),
        "hr_lag": percentiles([(f["lag"], False) for _, f in n], definition),
        "operational": percentiles(
            [(f["operational"], f["open_items"] > 0) for _, f in n], definition
        ),
        "open_overdue": sum(found["open_late"] > 0 for _, found in n),
        "early": sum(
            not found["open_items"]
            and found["ttr"] == 0
            and all(row["off"] < case["E"] for row in found["deciding"])
            for case, found in n
        ),
        "grades": grades,
        "policies": sorted({case["policy"] for case, _ in [*n, *pending]}),
        "account_ms": str(sum(row["exposure"] for row in counted)),
        "tier0_account_ms": str(sum(row["exposure"] for row in counted if row["tier"] == "0")),
        "leaver_ms": str(
            sum(
                max((row["ttr"] for row in found["rows"] if row["exposure"]), default=0)
                for _, found in [*n, *pending]
            )
        ),
        "waived": sum(
            any(row["until"] is not None for row in found["rows"]) for _, found in [*n, *pending]
        ),
        "in_vain": sum(any(row["in_vain"] for row in found["rows"]) for _, found in [*n, *pending]),
    }


def silent(sources: list[tuple[str, int, int | None]], as_of: int) -> dict[str, Any]:
    rows = [
        {
            "source": name,
            "expected_since": iso(since),
            "heard_at": None if heard is None else iso(heard),
            "age_ms": max(0, as_of - max(since, since if heard is None else heard)),
        }
        for name, since, heard in sources
    ]
    return {"feed_age_ms": max((row["age_ms"] for row in rows), default=None), "feeds": rows}


def credit(found: dict[str, Any], rules: dict[str, Fraction], evidence: dict[str, str]) -> Fraction:
    r, full, nothing = found["ratio"], rules["full_until"], rules["nothing_from"]
    if r <= full:
        g = Fraction(1)
    elif r <= 1:
        g = 1 - rules["on_time_loss"] * (r - full) / (1 - full)
    elif r >= nothing:
        g = Fraction(0)
    else:
        g = rules["late_from"] * (nothing - r) / (nothing - 1)
    return min(g, Fraction(evidence["D" if found["open_items"] else found["grade"]]))


def caps(
    n: list[tuple[dict[str, Any], dict[str, Any]]],
    belong: list[tuple[dict[str, Any], dict[str, Any]]],
    findings: list[dict[str, Any]],
    definition: dict[str, Any],
    *,
    end: int,
    as_of: int,
) -> list[dict[str, Any]]:
    names = {case["case"] for case, _ in belong}
    standing = [
        row
        for row in findings
        if row["at"] <= as_of
        and (row["resolved"] is None or row["resolved"] > as_of)
        and (row["at"] <= end or row["case"] in names)
    ]
    rules, places = definition["caps"], definition["rounding"]["score_places"]
    hits = []
    for code, kinds in (
        ("population", {"leaver_without_case", "orphan_account"}),
        ("access_used", {"access_used"}),
    ):
        patience = rules[code].get("after_hours", -1) * HOUR
        rows = [r for r in standing if r["kind"] in kinds and as_of - r["at"] > patience]
        if rows:
            worst = min(rows, key=lambda row: (row["at"], row["case"], row["system"]))
            hits.append((code, len(rows), worst["case"], worst["system"], as_of - worst["at"]))
    late = [
        (case, found)
        for case, found in n
        if found["tier0_late"] > rules["open_tier0"]["after_hours"] * HOUR
    ]
    if late:
        case, found = min(late, key=lambda pair: (-pair[1]["tier0_late"], pair[0]["case"]))
        system = min(
            row["system"]
            for row in found["deciding"]
            if row["open"] and row["tier"] == "0" and row["late"] == found["tier0_late"]
        )
        hits.append(("open_tier0", len(late), case["case"], system, found["tier0_late"]))
    hits.sort(key=lambda hit: (Fraction(rules[hit[0]]["limit"]), hit[0]))
    return [
        {
            "code": code,
            "limit": half_even(Fraction(rules[code]["limit"]), places),
            "count": count,
            "worst": {"case": case, "system": system, "since_ms": since},
        }
        for code, count, case, system, since in hits
    ]


def percentiles(rows: list[tuple[int, bool]], definition: dict[str, Any]) -> dict[str, Any]:
    closed = sorted(value for value, is_open in rows if not is_open)
    every = sorted(value for value, _ in rows)
    found: dict[str, Any] = {}
    for name, percent in (("p50", 50), ("p90", 90), ("p95", 95), ("max", 100)):
        if not rows or (name == "p95" and len(rows) < definition["p95_from"]):
            found[name] = None
            continue
        place = math.ceil(Fraction(percent * len(rows), 100)) - 1
        is_open = place >= len(closed)
        found[name] = {"ms": every[place] if is_open else closed[place], "open": is_open}
    return found

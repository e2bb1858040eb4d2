"""The population's files as they must be, written from reckoned cases alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.agreement.reckoning import Document, decimal
from tests.agreement.rows import Rows
from tests.agreement.stage import at_ms

Line = dict[str, str]

_EXPLAINED = {
    "later_cutoff_not_counted": "The cutoff was moved back too late or by one person alone: the"
    " first one counts for the score.",
    "late": "Access was proved gone only after the time allowed.",
    "open_overdue": "Access is not proved gone, and the time allowed has passed.",
    "open": "Access is not proved gone; the time allowed has not passed yet.",
    "waived": "Two people waived it before the deadline; until then it is not late.",
    "waived_in_vain": "It was waived too late, by one person alone or without an end: not counted.",
    "first_cutoff_counts": "A dismissal was put off, or the case goes on from one that was called"
    " off: the first cutoff counts for the score.",
    "called_off": "HR took it back after its cutoff had come; nothing was revoked until then.",
    "untouched": "No system had an account, or all access was gone before HR told us.",
    "attested": "A person said that access is gone; no system was read back.",
    "reopened": "Access had returned after it was proved gone; the first clock runs on.",
    "rescinded": "HR took the termination back before anything was revoked.",
    "future": "The cutoff had not come when the pack was made.",
    "outside_period": "Heard of in the period, or first meant for it; its cutoff lies outside.",
    "no_access": "No system in scope knew the leaver.",
}


@dataclass(frozen=True, slots=True)
class Period:
    """What a pack was asked for; instants in milliseconds, the end not included."""

    start: int
    end: int
    as_of: int

    def has(self, moment: int) -> bool:
        return self.start <= moment < self.end


@dataclass(slots=True)
class Sheets:
    """The rows of the five files, in order."""

    leavers: list[Line]
    systems: list[Line]
    exceptions: list[Line]
    excluded: list[Line]
    policies: list[Line]

    @property
    def by_file(self) -> dict[str, list[Line]]:
        return {
            "population/leavers.csv": self.leavers,
            "population/leaver_systems.csv": self.systems,
            "population/exceptions.csv": self.exceptions,
            "population/not_in_population.csv": self.excluded,
            "population/systems.csv": self.policies,
        }


def sheets_of(cases: Sequence[Document], period: Period, rows: Rows) -> Sheets:
    """All rows of these cases, in the order of their first leaves."""
    made = Sheets([], [], [], [], [])
    for case in sorted(cases, key=lambda case: case["first_leaf"]):
        reason = _excluded_for(case, period)
        if not reason:
            made.leavers.append(_leaver(case, rows))
            made.systems += [_system(case, item) for item in case["items"]]
            made.exceptions += _exceptions(case)
        elif any(map(period.has, (case["shown_cutoff_at"], case["cutoff_at"], _heard(case)))):
            made.excluded.append(_excluded(case, reason, rows))
    made.policies = list(_policies({case["policy"] for case in cases}, rows))
    return made


def sample_of(leavers: Sequence[Line], n: int, seed: str) -> list[str]:
    """Who is drawn: the smallest hashes of seed and case id."""
    ids = [row["case_id"] for row in leavers]
    ids.sort(key=lambda case_id: hashlib.sha256(f"{seed}\n{case_id}".encode()).hexdigest())
    return ids[:n]


def _heard(case: Document) -> int:
    heard: int = case["received_at"]
    return heard


def _excluded_for(case: Document, period: Period) -> str:
    if case["rescinded"]:
        return "rescinded"
    if not period.has(case["shown_cutoff_at"]):
        return "outside_period"
    if case["shown_cutoff_at"] > period.as_of:
        return "future"
    return case["state"] if case["state"] in {"no_access", "untouched"} else ""


def _who(case: Document) -> Line:
    return {
        "case_id": case["case_id"],
        "worker_ref": case["subject"],
        "separation_type": case["kind"],
        "partner": case["partner"],
        "site": case["site"],
        "hr_source": case["source"],
        "hr_recorded_at": _instant(case["recorded_at"]),
        "effective_end_utc": _instant(case["shown_cutoff_at"]),
        "scored_cutoff_utc": _instant(case["cutoff_at"]),
    }


def _leaver(case: Document, rows: Rows) -> Line:
    leaf, digest = rows.opened[case["case_id"]]
    tries = [item["first_attempt_at"] for item in case["items"] if item["first_attempt_at"]]
    looks = [item["read_back_at"] for item in case["items"] if item["read_back_at"]]
    tiers = sorted({item["tier"] for item in case["deciding"]})
    return {
        **_who(case),
        "worker_tz": case["zone"],
        "policy": case["policy"],
        "sla_class": f"{case['kind']}:{'+'.join(tiers)}",
        "received_at": _instant(case["received_at"]),
        "first_action_utc": _instant(min(tries, default=None)),
        "last_verified_utc": _instant(max(looks, default=None)),
        "state": case["state"],
        "worst_ratio": decimal(case["ratio"], 4),
        "within_sla": _answer(None if not case["scored"] else case["ratio"] <= 1),
        "late_seconds": str((case["late"] + 999) // 1000),
        "time_to_revocation_ms": str(case["ttr"]),
        "hr_lag_ms": str(case["lag"]),
        "operational_ms": str(case["operational"]),
        "exposure_account_ms": str(case["exposure"]),
        "open_items": str(case["open_items"]),
        "evidence_grade_min": case["grade"],
        "ledger_index": str(leaf),
        "leaf_hash": digest,
    }


def _system(case: Document, item: Document) -> Line:
    return {
        "case_id": case["case_id"],
        "system": item["system"],
        "category": item["category"],
        "tier": item["tier"],
        "required": _answer(item["required"]),
        "sla_ms": str(item["sla_ms"]),
        "due_at": _instant(item["due_at"]),
        "accounts": str(item["accounts"]),
        "outcome": item["outcome"],
        "grade": item["grade"],
        "first_attempt_at": _instant(item["first_attempt_at"]),
        "off_at": _instant(item["off_at"]),
        "read_back_at": _instant(item["read_back_at"]),
        "time_to_revocation_ms": str(item["ttr"]),
        "late_ms": str(item["late"]),
        "within_sla": _answer(_in_time(item)),
        "openings": str(item["openings"]),
        "waived_until": _instant(item["waived_until"]),
    }


def _in_time(item: Document) -> bool | None:
    if item["late"]:
        return False
    return None if item["is_open"] else True


def _exceptions(case: Document) -> Iterator[Line]:
    if case["moved"]:
        yield _exception(case, "first_cutoff_counts", None)
    elif case["shown_cutoff_at"] > case["cutoff_at"]:
        yield _exception(case, "later_cutoff_not_counted", None)
    for item in case["items"]:
        for reason in _reasons(item):
            yield _exception(case, reason, item)


def _reasons(item: Document) -> Iterator[str]:
    if item["is_open"]:
        yield "open_overdue" if item["late"] else "open"
    elif item["late"]:
        yield "late"
    if item["waived_until"] is not None:
        yield "waived"
    if item["waived_in_vain"]:
        yield "waived_in_vain"
    if item["outcome"] in ("attested", "called_off"):
        yield item["outcome"]
    if item["openings"] > 1:
        yield "reopened"


def _exception(case: Document, reason: str, item: Document | None) -> Line:
    known = ("system", "required", "due_at", "off_at", "late_ms", "grade", "openings")
    line = dict.fromkeys((*known, "waived_until"), "")
    if item is not None:
        row = _system(case, item)
        line |= {name: row[name] for name in line}
    explained = {"reason": reason, "explanation": _EXPLAINED[reason]}
    return {"case_id": case["case_id"], **explained, **line}


def _excluded(case: Document, reason: str, rows: Rows) -> Line:
    leaf, digest = rows.opened[case["case_id"]]
    return {
        **_who(case),
        "received_at": _instant(case["received_at"]),
        "reason": reason,
        "explanation": _EXPLAINED[reason],
        "ledger_index": str(leaf),
        "leaf_hash": digest,
    }


def _policies(digests: set[str], rows: Rows) -> Iterator[Line]:
    for digest in sorted(digests):
        document = rows.policies[digest]
        for system in sorted(document["systems"], key=lambda row: row["system"]):
            sla = document["sla_s"]
            kinds = ("involuntary", "voluntary", "contract_end")
            yield {
                "policy": digest,
                "policy_version": document["version"],
                "system": system["system"],
                "connector": system["connector"],
                "category": system["category"],
                "tier": system["tier"],
                "required": _answer(system["required"]),
                **{f"sla_{kind}_s": str(sla[f"{kind}.{system['tier']}"]) for kind in kinds},
            }


def _instant(moment: int | None) -> str:
    if moment is None:
        return ""
    return at_ms(moment).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment % 1000:03}Z"


def _answer(value: bool | None) -> str:  # noqa: FBT001 - the value is all there is
    if value is None:
        return "pending"
    return "yes" if value else "no"

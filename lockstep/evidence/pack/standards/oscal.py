"""A pack as OSCAL assessment results: the figures, judged per statement of NIST SP 800-53.

Model of version 1.2.1 (https://pages.nist.gov/OSCAL), of which only members are used that 1.1.2
has too. Every id is a UUID of version 5, so that the same pack gives the same document.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lockstep.evidence.format.plain import instant_text
from lockstep.evidence.pack import layout
from lockstep.evidence.pack.model import CaseLine, PackSummary
from lockstep.evidence.pack.print.clock_text import duration_text
from lockstep.evidence.pack.standards.oscal_statements import STATEMENTS, Statement, Tally
from lockstep.scorecard.numbers import decimal_text

OSCAL_VERSION = "1.2.1"
MAX_EXCEPTIONS = 500
"""Exceptions with an observation of their own; all of them stand in population/exceptions.csv."""

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, layout.PREDICATE_TYPE)
_PROPS = "https://lockstep.invalid/ns/oscal"
_CATALOG = "https://csrc.nist.gov/pubs/sp/800/53/r5/upd1/final"
_MEDIA_TYPES = {
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "md": "text/markdown",
    "pdf": "application/pdf",
    "tsr": "application/timestamp-reply",
    "txt": "text/plain",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}

Json = dict[str, Any]


class _Ids:
    """UUIDs of version 5 under one document, whose own id names pack and question."""

    def __init__(self, summary: PackSummary) -> None:
        scope = summary.scope
        ledger = uuid.uuid5(_NAMESPACE, f"{scope.origin}\n{summary.root}")
        asked = (
            *(scope.start, scope.end, scope.partner, scope.case_id),
            *(scope.sample_n, scope.seed, scope.identified),
        )
        self.document = uuid.uuid5(ledger, "\n".join(map(repr, asked)))

    def of(self, *name: str) -> str:
        return str(uuid.uuid5(self.document, "\n".join(name)))


def assessment_results(
    summary: PackSummary, lines: Iterable[CaseLine], files: Mapping[str, str]
) -> dict[str, Any]:
    """The document as JSON data; `files` are the pack's other files with their SHA-256 in hex.

    ``lines`` is the whole population. It is read once; leavers that ``files`` shows in detail and
    at most `MAX_EXCEPTIONS` others that missed their time have an observation of their own.
    """
    ids = _Ids(summary)
    tally = Tally()
    cases: list[Json] = []
    missed: list[str] = []
    for line in lines:
        tally.add(line)
        is_shown = layout.case_name(line.facts.case_id) in files
        is_exception = line.result.within_sla is False and len(missed) < MAX_EXCEPTIONS
        if is_shown or is_exception:
            cases.append(_observe_case(line, ids, summary, files))
        if is_exception:
            missed.append(cases[-1]["uuid"])
    tested = [statement for statement in STATEMENTS if statement.tested(tally)]
    cases = [*(_observe_statement(one, tally, ids, summary, files) for one in tested), *cases]
    findings = [_finding(one, tally, ids, missed) for one in tested]
    result = _result(summary, tally, ids)
    result |= {"observations": cases} if cases else {}  # the model has no empty lists
    result |= {"findings": findings} if findings else {}
    return {
        "assessment-results": {
            "uuid": str(ids.document),
            "metadata": _metadata(summary, ids),
            "import-ap": {
                "href": f"#{ids.of('no plan')}",
                "remarks": "Continuous monitoring: there is no assessment plan.",
            },
            "results": [result],
            "back-matter": {"resources": _resources(ids, files)},
        }
    }


def _metadata(summary: PackSummary, ids: _Ids) -> Json:
    scope = summary.scope
    return {
        "title": "Access revocation of leavers: results from an evidence pack",
        "last-modified": instant_text(scope.as_of),
        "version": f"{summary.size}",
        "oscal-version": OSCAL_VERSION,
        "props": [
            _prop("ledger-origin", scope.origin),
            _prop("ledger-size", str(summary.size)),
            _prop("ledger-root-sha256", summary.root),
            _prop("metric-sha256", summary.metric),
        ],
        "parties": [
            {"uuid": ids.of("tenant"), "type": "organization", "name": _string(scope.tenant)}
        ],
    }


def _result(summary: PackSummary, tally: Tally, ids: _Ids) -> Json:
    scope = summary.scope
    return {
        "uuid": ids.of("result"),
        "title": f"Leavers from {_day(scope.start)} to before {_day(scope.end)}",
        "description": _described(summary, tally),
        "start": instant_text(scope.start),
        "end": instant_text(max(scope.start, min(scope.end, scope.as_of))),
        "props": _scope_props(summary),
        "local-definitions": {"assessment-assets": _assets(summary, ids)},
        "reviewed-controls": _reviewed(),
    }


def _described(summary: PackSummary, tally: Tally) -> str:
    scope = summary.scope
    part = f" of partner {scope.partner}" if scope.partner else ""
    part += f", case {scope.case_id} alone" if scope.case_id else ""
    text = (
        f"{tally.leavers} leavers{part} whose cutoff lies in the period; {tally.scored} of them"
        f" count, {tally.late} of these missed the time allowed and {tally.overdue} are open past"
        f" it. Slowest: {duration_text(tally.slowest_ms)}. Recompute all of it from the ledger's"
        " entries in the pack."
    )
    if not tally.scored:
        text += " Nothing was tested, so there is no finding: that is no proof that it works."
    return text


def _scope_props(summary: PackSummary) -> list[Json]:
    scope = summary.scope
    props = [_prop(f"count-{name.replace('_', '-')}", str(n)) for name, n in summary.counts.items()]
    props += [_prop("policy-sha256", digest) for digest in summary.policies]
    if scope.sample_n:
        props.append(_prop("sample-size", str(scope.sample_n)))
        props += [_prop("sample-seed", scope.seed)] if scope.seed.strip() else []
    return sorted(props, key=lambda prop: (prop["name"], prop["value"]))


def _assets(summary: PackSummary, ids: _Ids) -> Json:
    return {
        "components": [
            {
                "uuid": ids.of("tool"),
                "type": "software",
                "title": "Lockstep",
                "description": "Revokes access, reads every system back, keeps the proof.",
                "props": [{"name": "version", "value": _string(summary.tool_version)}],
                "status": {"state": "operational"},
            }
        ],
        "assessment-platforms": [
            {
                "uuid": ids.of("platform"),
                "title": "Lockstep",
                "uses-components": [{"component-uuid": ids.of("tool")}],
            }
        ],
    }


def _reviewed() -> Json:
    statements: dict[str, list[str]] = {}
    for one in STATEMENTS:
        statements.setdefault(one.control, []).append(one.id)
    return {
        "description": f"Statements of NIST SP 800-53 r5 ({_CATALOG}). Ids of other frameworks"
        " stand as properties of the findings; controls/mapping.csv says what each leaves out.",
        "control-selections": [
            {
                "include-controls": [
                    {"control-id": control, "statement-ids": names}
                    for control, names in statements.items()
                ]
            }
        ],
    }


def _observe_statement(
    statement: Statement,
    tally: Tally,
    ids: _Ids,
    summary: PackSummary,
    files: Mapping[str, str],
) -> Json:
    misses, tested = statement.misses(tally), statement.tested(tally)
    evidence = (layout.LEAVERS, layout.LEAVER_SYSTEMS, layout.EXCEPTIONS)
    return {
        "uuid": ids.of("observation", statement.id),
        "title": statement.title,
        "description": f"{tested} examined, {misses} missed. {statement.criterion}",
        "props": [_prop("examined", str(tested)), _prop("missed", str(misses))],
        "methods": ["EXAMINE"],
        "types": ["control-objective"],
        "origins": _origins(ids),
        "relevant-evidence": _evidence(evidence, ids, files),
        "collected": instant_text(summary.scope.as_of),
    }


def _observe_case(
    line: CaseLine, ids: _Ids, summary: PackSummary, files: Mapping[str, str]
) -> Json:
    case_id = line.facts.case_id
    evidence = (layout.timeline_name(case_id), layout.case_name(case_id), layout.LEAVERS)
    return {
        "uuid": ids.of("observation", "case", case_id),
        "title": f"Leaver {case_id}",
        "description": _case_text(line),
        "props": _case_props(line),
        "methods": ["EXAMINE"],
        "types": ["finding" if line.result.within_sla is False else "control-objective"],
        "origins": _origins(ids),
        "relevant-evidence": _evidence(evidence, ids, files),
        "collected": instant_text(summary.scope.as_of),
    }


def _case_text(line: CaseLine) -> str:
    result = line.result
    time = duration_text(result.ttr_ms)
    match result.state:
        case "done":
            late = f", {duration_text(result.late_ms)} too late" if result.late_ms else ", in time"
            return f"All access was off {time} after the cutoff{late}."
        case "overdue" | "pending":
            late = f", {duration_text(result.late_ms)} past due" if result.late_ms else ""
            return f"Open for {time}{late}: {result.open_items} systems are not proved closed."
        case "called_off":
            return f"HR took it back {time} after its cutoff; nothing was revoked until then."
        case _:
            return _NOT_COUNTED[result.state]


_NOT_COUNTED = {
    "rescinded": "HR took the termination back before anything was revoked.",
    "future": "The cutoff is still to come.",
    "no_access": "No system in scope knew the leaver.",
    "untouched": "No system had an account, or all access was gone before HR told us.",
}


def _case_props(line: CaseLine) -> list[Json]:
    facts, result = line.facts, line.result
    props = [
        _prop("case", facts.case_id),
        _prop("subject", facts.subject),
        _prop("ledger-leaf", str(facts.first_leaf)),
        _prop("ledger-leaf-sha256", line.leaf_hash),
        _prop("policy-sha256", facts.policy),
        _prop("state", result.state),
        _prop("cutoff", instant_text(facts.cutoff_at)),
        _prop("time-to-revocation-ms", str(result.ttr_ms)),
        _prop("part-of-sla", decimal_text(result.ratio, 4)),
    ]
    return [*props, _prop("evidence-grade", result.grade)] if result.grade else props


def _finding(statement: Statement, tally: Tally, ids: _Ids, missed: Sequence[str]) -> Json:
    misses = statement.misses(tally)
    observations = [ids.of("observation", statement.id)]
    if statement.about_time:
        observations += missed
    return {
        "uuid": ids.of("finding", statement.id),
        "title": statement.title,
        "description": f"{misses} of {statement.tested(tally)} missed. {statement.criterion}",
        "props": [_prop(framework, control) for framework, control in statement.also],
        "origins": _origins(ids),
        "target": {
            "type": "statement-id",
            "target-id": statement.id,
            "status": {
                "state": "not-satisfied" if misses else "satisfied",
                "reason": "fail" if misses else "pass",
            },
        },
        "related-observations": [{"observation-uuid": name} for name in observations],
    }


def _origins(ids: _Ids) -> list[Json]:
    return [{"actors": [{"type": "tool", "actor-uuid": ids.of("tool")}]}]


def _evidence(names: Iterable[str], ids: _Ids, files: Mapping[str, str]) -> list[Json]:
    rows = [
        {"href": f"#{ids.of('file', name)}", "description": f"{name} of this pack."}
        for name in names
        if name in files
    ]
    return rows or [{"description": "The ledger's entries in this pack."}]


def _resources(ids: _Ids, files: Mapping[str, str]) -> list[Json]:
    plan = {
        "uuid": ids.of("no plan"),
        "title": "No assessment plan",
        "description": "Access is revoked, read back and judged continuously, for every leaver,"
        " by the policy that each case has pinned. No plan was drawn up for this period.",
    }
    return [plan, *(_resource(name, files[name], ids) for name in sorted(files))]


def _resource(name: str, digest: str, ids: _Ids) -> Json:
    link: Json = {"href": f"../{quote(name)}"}
    media_type = _MEDIA_TYPES.get(name.rpartition(".")[2])
    if media_type:
        link["media-type"] = media_type
    link["hashes"] = [{"algorithm": "SHA-256", "value": digest}]
    return {"uuid": ids.of("file", name), "title": name, "rlinks": [link]}


def _prop(name: str, value: str) -> Json:
    return {"name": name, "ns": _PROPS, "value": _string(value)}


def _string(text: str) -> str:
    """A string as OSCAL wants it: on one line, not blank at its ends."""
    return " ".join(text.split()) or "none"


def _day(at: int) -> str:
    return instant_text(at)[:10]

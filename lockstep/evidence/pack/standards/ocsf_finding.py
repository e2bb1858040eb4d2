"""The Compliance Finding (2003) of one case: was all access off within the time allowed?"""

from __future__ import annotations

from typing import Any

from lockstep.evidence.pack.model import CaseLine
from lockstep.evidence.pack.print.clock_text import duration_text
from lockstep.evidence.pack.standards.ocsf_classes import Shape
from lockstep.scorecard.metric import ItemResult

Json = dict[str, Any]

_PASS, _WARNING, _FAIL, _OTHER = (1, "Pass"), (2, "Warning"), (3, "Fail"), (99, "Not applicable")
_LOW, _MEDIUM, _HIGH = (2, "Low"), (3, "Medium"), (4, "High")

_CONTROL = "A leaver's access is revoked within the time that policy allows"
_REQUIREMENTS = (
    "NIST SP 800-53 PS-4",
    "NIST SP 800-53 AC-2(3)",
    "SOC 2 CC6.2",
    "SOC 2 CC6.3",
    "ISO/IEC 27001 A.5.18",
    "PCI DSS 8.2.5",
    "HIPAA 164.308(a)(3)(ii)(C)",
    "CIS Controls 6.2",
)
_STANDARDS = (
    "NIST SP 800-53 r5",
    "SOC 2",
    "ISO/IEC 27001:2022",
    "PCI DSS v4.0.1",
    "HIPAA Security Rule",
    "CIS Controls v8",
)
_SHAPE = Shape(
    2003, "Compliance Finding", 1, "Create", "Leaver judged", lambda _user, _refs, _system: {}
)


def compliance_finding(line: CaseLine) -> tuple[Shape, int, Json]:
    """Class and activity, the time of the finding in milliseconds, and the class's members.

    The time is when the verdict arose, not when the pack was made: the same case has the same
    finding in every pack until something about it changes.
    """
    facts, result = line.facts, line.result
    at = _verdict_at(line)
    status_id, status = _status(line)
    members: Json = {
        "message": f"Case {facts.case_id}: {_told(line)}",
        "status_id": 1,
        "status": "New",
        "start_time": facts.cutoff_at,
        "compliance": {
            "control": _CONTROL,
            "standards": list(_STANDARDS),
            "requirements": list(_REQUIREMENTS),
            "status_id": status_id,
            "status": status,
            "status_code": result.state,
            "status_details": [_told(line)],
        },
        "finding_info": {
            "uid": f"{facts.case_id}/access-revocation",
            "title": _CONTROL,
            "types": ["access revocation"],
            "created_time": at,
        },
        "evidences": [
            {
                "name": "The ledger's entry that opened the case",
                "user": {"uid": facts.subject, "type_id": 1, "type": "User"},
                "data": {"leaf": facts.first_leaf, "leaf_hash": line.leaf_hash},
            }
        ],
    }
    if result.items and status_id != _OTHER[0]:  # OCSF has no empty lists
        members["compliance"]["checks"] = [_check(item) for item in result.items]
        members["resources"] = [
            {"name": item.system, "type": item.facts.category} for item in result.items
        ]
    if (worse := _severity(line, status_id)) is not None:
        members["severity_id"], members["severity"] = worse
    return _SHAPE, at, members


def _verdict_at(line: CaseLine) -> int:
    facts, result = line.facts, line.result
    if result.state == "overdue":  # since the first time allowed that passed
        return min((item.due_at for item in result.items if item.late_ms), default=result.due_at)
    if result.state in {"pending", "future"}:
        return facts.opened_at
    ends = [item.off_at for item in facts.items if item.off_at is not None]
    return facts.closed_at or max(ends, default=facts.opened_at)


def _status(line: CaseLine) -> tuple[int, str]:
    """OCSF's Warning is a check without a result for want of information."""
    result = line.result
    if result.state in {"rescinded", "future"}:
        return _OTHER
    if result.within_sla is None:
        return _WARNING
    if not result.within_sla:
        return _FAIL
    return _WARNING if result.is_open or result.grade == "D" else _PASS


def _severity(line: CaseLine, status_id: int) -> tuple[int, str] | None:
    """None leaves it informational."""
    if status_id == _FAIL[0]:
        return _HIGH if line.result.tier0_overdue else _MEDIUM
    return _LOW if status_id == _WARNING[0] else None


def _told(line: CaseLine) -> str:
    result = line.result
    open_items = f"{result.open_items} systems are open"
    late = (
        f"late by {duration_text(result.late_ms)}" if result.late_ms else "within the time allowed"
    )
    return {
        "done": f"all access off {duration_text(result.ttr_ms)} after the cutoff, {late}.",
        "overdue": f"{open_items}, and a time allowed has passed.",
        "pending": f"{open_items}, none past the time allowed.",
        "rescinded": "HR took the termination back before anything was revoked.",
        "future": "the cutoff was still to come.",
        "no_access": "no system in scope knew the leaver.",
        "untouched": "no system had an account, or all access was gone before HR told us.",
        "called_off": f"HR took it back {duration_text(result.ttr_ms)} after the cutoff had come;"
        " nothing was revoked until then.",
    }[result.state]


def _check(item: ItemResult) -> Json:
    facts = item.facts
    status_id, status = _PASS
    if item.late_ms:
        status_id, status = _FAIL
    elif item.is_open or facts.grade == "D":
        status_id, status = _WARNING
    outcome = facts.outcome.replace("_", " ") or "open"
    return {
        "name": f"Access off in {item.system}",
        "uid": item.system,
        "desc": outcome if facts.required else f"{outcome}, not required",
        "status_id": status_id,
        "status": status,
    }

"""The one signed statement over every other file of a pack (in-toto Statement v1 in DSSE)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lockstep.evidence.format.dsse import seal_envelope
from lockstep.evidence.format.notes import Signer
from lockstep.evidence.format.plain import instant_text, plain_bytes
from lockstep.evidence.pack.layout import PREDICATE_TYPE, STATEMENT_TYPE
from lockstep.evidence.pack.model import PackSummary


def predicate(summary: PackSummary) -> dict[str, Any]:
    """What the pack claims: text and whole numbers only."""
    scope = summary.scope
    sample = {"n": scope.sample_n, "seed": scope.seed} if scope.sample_n else None
    return {
        "format": scope.format,
        "tenant": scope.tenant,
        "origin": scope.origin,
        "as_of": instant_text(scope.as_of),
        "period": {"from": instant_text(scope.start), "to": instant_text(scope.end)},
        "scope": {
            "partner": scope.partner,
            "case": scope.case_id,
            **({} if scope.coming else {"coming": "withheld"}),
        },
        "sample": sample,
        "identified": scope.identified,
        "tool": {"name": "lockstep", "version": summary.tool_version},
        "counts": dict(summary.counts),
        "policies": list(summary.policies),
        "metric": summary.metric,
        "ocsf": scope.ocsf,
    }


def sealed_statement(summary: PackSummary, digests: Mapping[str, str], signer: Signer) -> bytes:
    """The envelope around the statement; ``digests`` are SHA-256 in hex by file name."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest}} for name, digest in sorted(digests.items())
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": predicate(summary),
    }
    return seal_envelope(plain_bytes(statement), signer)

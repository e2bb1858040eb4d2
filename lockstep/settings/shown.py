"""The settings as people may see them: what is named here and nothing else.

A new key of a settings table stays unseen until somebody adds it here. No secret, no reference to
one, no address with credentials in it, and no path of this machine is ever shown.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import lockstep
from connectors.registry import MANUAL
from lockstep.control.score.policy_changes import span_text
from lockstep.evidence.pack.layout import FORMAT
from lockstep.scorecard.definition import DEFAULT
from lockstep.settings.errors import SettingsError
from lockstep.settings.root import Settings
from lockstep.storage.cases.rows import pin


def shown(settings: Settings) -> dict[str, Any]:
    """Plain data: strings, whole numbers, booleans, lists and objects of these."""
    pinned = pin(settings.to_policy())
    return {
        "versions": {
            "lockstep": lockstep.__version__,
            "policy": settings.policy.version,
            "policy_sha256": pinned.digest,
            "metric": f"{DEFAULT.metric} {DEFAULT.version}",
            "metric_sha256": DEFAULT.digest,
            "evidence_format": str(FORMAT),
        },
        "installation": _installation(settings),
        "policy": _policy(settings),
        "systems": _systems(settings),
        "sources": [
            {
                "name": name,
                "kind": table.kind,
                "secrets": len(table.secrets),
                "partners": sorted(table.partners or ()),
                "sites": sorted(table.sites or ()),
            }
            for name, table in sorted(settings.sources.items())
        ],
        "sign_in": _sign_in(settings),
        "groups": [
            {
                "name": name,
                "group": table.group,
                "roles": sorted(role.value for role in table.roles),
                "partners": sorted(table.partners),
                "sealed": table.sealed,
                "sites": sorted(table.sites or ()),
            }
            for name, table in sorted(settings.groups.items())
        ],
        "tokens": [
            {
                "name": name,
                "rights": sorted(right.value for right in table.rights),
                "partners": sorted(table.partners or ()),
                "sites": sorted(table.sites or ()),
            }
            for name, table in sorted(settings.tokens.items())
        ],
        "brake": {
            "per_hour": settings.brake.per_hour,
            "workforce": settings.brake.workforce,
            "share_percent": f"{settings.brake.share * 100:g}",
            "dismissals_per_hour": settings.brake.dismissals_per_hour,
        },
        "ledger": {
            "origin": settings.ledger_origin,
            "heartbeat": text_of(settings.ledger.heartbeat),
            "anchors": [
                {"name": name, "kind": table.kind}
                for name, table in sorted(settings.ledger.anchors.items())
            ],
        },
        "scorecard": _scorecard(settings),
        "retention": {
            "names": text_of(settings.retention.names),
            "packs": text_of(settings.retention.packs),
        },
    }


def text_of(span: timedelta) -> str:
    """A duration for people."""
    return span_text(int(span.total_seconds()))


def _installation(settings: Settings) -> dict[str, Any]:
    return {
        "tenant": settings.tenant,
        "origin": settings.origin,
        "database": settings.database.mode,
        "temporal": settings.temporal.mode,
        "namespace": settings.temporal.namespace,
        "log_level": settings.log.level,
        "session_idle": text_of(settings.console.idle),
        "session_lifetime": text_of(settings.console.lifetime),
    }


def _policy(settings: Settings) -> dict[str, Any]:
    policy = settings.to_policy()
    document = policy.as_document()
    limits = document["sla_s"]
    assert isinstance(limits, dict)  # noqa: S101 - as `Policy.as_document` says
    return {
        "end_of_day": policy.cutoff.end_of_day.isoformat("minutes"),
        "involuntary_at_notice": policy.cutoff.involuntary_at_notice,
        "same_people": [", ".join(group) for group in policy.same_people],
        "warn_at_percent": round(policy.warn_at * 100),
        "watch": [text_of(delay) for delay in policy.watch],
        "vendor_clock_tolerance": text_of(policy.vendor_clock_tolerance),
        "attest_in_pairs": [tier.value for tier in settings.console.attest_in_pairs],
        "pick_in_pairs": [tier.value for tier in settings.console.pick_in_pairs],
        "prolong_in_pairs": [kind.value for kind in settings.console.prolong_in_pairs],
        "sla": {name: text_of(timedelta(seconds=limit)) for name, limit in limits.items()},
    }


def _systems(settings: Settings) -> list[dict[str, Any]]:
    rows = []
    for row in settings.to_policy().systems:
        table = settings.systems[row.system]
        rows.append(
            {
                "name": row.system,
                "connector": row.connector,
                "category": row.category.value,
                "tier": row.tier.value,
                "required": row.required,
                "accept_single_key": row.accept_single_key,
                "start_to_close": "–" if row.connector == MANUAL else text_of(table.start_to_close),
                "timeout": "–" if row.connector == MANUAL else text_of(table.timeout),
                "concurrency": table.concurrency,
                "limit": str(settings.limit(row.system) or "–"),
                "wakes_per_minute": "–" if row.connector == MANUAL else table.wakes_per_minute,
            }
        )
    return rows


def _sign_in(settings: Settings) -> dict[str, Any]:
    oidc = settings.oidc
    if oidc is None:
        return {"way": "one-time link" if settings.one_time_links else "none"}
    return {
        "way": "OpenID Connect",
        "name": oidc.name,
        "issuer": oidc.issuer,
        "client_id": oidc.client_id,
        "client_auth": oidc.client_auth.value if oidc.client_auth else "as the provider offers",
        "scopes": list(oidc.scopes),
        "groups_claim": oidc.groups_claim,
        "name_claim": oidc.name_claim,
        "keys": {kind.value: claim for kind, claim in sorted(oidc.keys.items())},
    }


def _scorecard(settings: Settings) -> dict[str, Any]:
    table = settings.scorecard
    rules = table.to_rules(tenant=settings.tenant, heartbeat=settings.ledger.heartbeat)
    return {
        "target": f"{float(DEFAULT.target):g} of {float(DEFAULT.max_score):g}",
        "window_days": DEFAULT.window_days,
        "weights": dict(rules.weights),
        "report_validity": text_of(table.report_validity),
        "is_pushed": bool(table.url),
        "metrics_by_partner": table.metrics_by_partner,
        "penalties": [
            {
                "partner": name,
                "currency": terms.currency,
                "per_case": terms.per_case,
                "per_started_hour": terms.per_started_hour,
                "cap_per_case": terms.cap_per_case,
            }
            for name, terms in sorted(table.penalties.items())
        ],
    }


def secret_marks(settings: Settings) -> tuple[str, ...]:
    """How credentials of the configured systems begin; what follows must not be shown.

    Of a system whose file cannot be read nothing is known, and nothing is spoken to it.
    """
    found: dict[str, None] = {}
    for name in settings.connected:
        with suppress(SettingsError):
            found |= dict.fromkeys(settings.manifest(name).secret_marks)
    return tuple(found)

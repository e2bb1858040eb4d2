"""The capability index: what each connector can do, needs and leaves, as its manifest says.

``lockstep connectors`` prints it and docs/connectors.md is made from it.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.base import ConnectorManifest


def index(manifests: Iterable[ConnectorManifest]) -> list[dict[str, object]]:
    """One entry for each connector, as JSON values.

    ``abilities`` says of each what it sees; ``residuals`` the bound in seconds, null where nobody
    states one; ``revives_on_unblock`` is null where nobody has looked.
    """
    return [_entry(one) for one in manifests]


def _entry(manifest: ConnectorManifest) -> dict[str, object]:
    revives = manifest.revives_on_unblock
    return {
        "kind": manifest.kind,
        "title": manifest.title,
        "category": manifest.category.value,
        "grade": manifest.grade.value,
        "abilities": {ability.value: sees for ability, sees in manifest.abilities.items()},
        "permissions": list(manifest.permissions),
        "proves": manifest.proves,
        "residuals": dict(manifest.residual_s),
        "limit": None if manifest.limit is None else str(manifest.limit),
        "calls": manifest.calls,
        "counts_seats": manifest.counts_seats,
        "revives_on_unblock": None if revives is None else sorted(kind.value for kind in revives),
        "enforced_at": {
            "how": manifest.enforced_at.how.value,
            "places": manifest.enforced_at.places,
        },
    }

"""`lockstep connectors`: what each connector can do, needs and leaves open."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from connectors.base import ConnectorManifest
from connectors.index import index
from connectors.registry import MANIFESTS
from lockstep.cli.context import JsonOption, out, print_json
from lockstep.domain.systems.abilities import Enforcement

_TAKES_HOLD = {
    Enforcement.ONE_PLACE: "in {}",
    Enforcement.EACH_READ: "at each of: {}; each is read back",
    Enforcement.NOT_READ: "at: {}; these cannot be read back",
}


def connectors(as_json: JsonOption = False) -> None:
    """List every connector: abilities, best grade, limit, what an unblock revives, residuals."""
    if as_json:
        print_json(index(MANIFESTS.values()))
        return
    table = Table(box=None, pad_edge=False)
    for name in ("connector", "category", "grade", "limit", "abilities", "a block"):
        table.add_column(name, no_wrap=name in {"connector", "grade"})
    for one in MANIFESTS.values():
        table.add_row(
            one.kind,
            one.category.value,
            one.grade.value,
            str(one.limit or "–"),
            ", ".join(one.abilities) or "–",
            escape(_block(one)),
        )
    out.print(table)
    out.print("Permissions, residuals and what each ability sees: --json, or docs/connectors.md.")


def _block(manifest: ConnectorManifest) -> str:
    place = manifest.enforced_at
    holds = f"takes hold {_TAKES_HOLD[place.how].format(place.places)}"
    revives = manifest.revives_on_unblock
    if revives is None:
        return f"{holds}; what an unblock revives is not known"
    kinds = ", ".join(sorted(kind.value.replace("_", " ") for kind in revives))
    return f"{holds}; an unblock revives {kinds or 'nothing else'}"

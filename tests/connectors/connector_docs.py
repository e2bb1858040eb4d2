"""Writes the part of docs/connectors.md that the manifests decide.

``python -m tests.connectors.connector_docs`` rewrites it; a test compares it.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from connectors.base import ConnectorManifest, OptionSpec
from connectors.registry import MANIFESTS
from connectors.scim.dialects import DIALECTS, Dialect
from lockstep.domain.systems.abilities import Enforcement

PAGE = Path(__file__).parents[2] / "docs" / "connectors.md"
BEGIN = "<!-- from the manifests: python -m tests.connectors.connector_docs -->\n"
END = "<!-- end -->"


def peer(kind: str) -> str:
    """What the connector is proved against, as its harness says it. A simulation is called one."""
    said: str = import_module(f"tests.connectors.{kind}.harness").PEER
    return said


def described(manifests: Iterable[ConnectorManifest]) -> str:
    """A table of connectors, then what each needs and proves."""
    known = list(manifests)
    rows = [
        "| kind | system | category | grade | abilities | proved against | residuals (bound) |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{one.kind}` | {one.title} | {one.category} | {one.grade} "
            f"| {', '.join(f'`{each}`' for each in one.abilities) or 'none'} | {peer(one.kind)} "
            f"| {_residuals(one)} |"
            for one in known
        ),
    ]
    return "\n".join([*rows, *(line for one in known for line in _section(one)), ""])


def page_with(text: str, page: str) -> str:
    """``page`` with ``text`` between the marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{text}{END}{after}"


def _residuals(manifest: ConnectorManifest) -> str:
    bounds = (
        f"`{what}` ({'unknown' if seconds is None else f'{seconds} s'})"
        for what, seconds in manifest.residual_s.items()
    )
    return ", ".join(bounds) or "none"


def _section(manifest: ConnectorManifest) -> list[str]:
    return [
        "",
        f"### `{manifest.kind}`: {manifest.title}",
        "",
        f"Read-back: {manifest.proves}",
        "",
        f"Limit: {_limit(manifest)}",
        "",
        f"A block {_hold(manifest)}.",
        "",
        *_abilities(manifest),
        "Permissions:",
        "",
        *(f"- {permission}" for permission in manifest.permissions),
        "",
        "Options:",
        "",
        *(f"- `{option.name}`{_nature(option)}: {option.summary}" for option in manifest.options),
        *(_dialects() if manifest.kind == "scim" else ()),
    ]


def _abilities(manifest: ConnectorManifest) -> list[str]:
    told = [f"- `{ability}`: {sees}" for ability, sees in manifest.abilities.items()]
    return ["Abilities, and what each sees:", "", *told, ""] if told else []


_TAKES_HOLD = {
    Enforcement.ONE_PLACE: "takes hold in {}",
    Enforcement.EACH_READ: "takes hold at many places, and each is read back: {}",
    Enforcement.NOT_READ: "takes hold at many places, and none can be read back: {}",
}


def _hold(manifest: ConnectorManifest) -> str:
    place, revives = manifest.enforced_at, manifest.revives_on_unblock
    holds = _TAKES_HOLD[place.how].format(place.places)
    if revives is None:
        return f"{holds}. What an unblock revives is not known"
    kinds = ", ".join(sorted(f"`{kind}`" for kind in revives))
    return f"{holds}. Before anything was stripped, an unblock revives {kinds or 'nothing else'}"


def _dialects() -> list[str]:
    """The products that speak SCIM, with what their rows rest on."""
    told = ((word, row) for word, row in DIALECTS.items() if row.sources)
    return [
        "",
        "Dialects, from the products' documents; none of them was a peer of our tests:",
        "",
        *(f"- `{word}`: {_dialect(row)}" for word, row in told),
    ]


def _dialect(row: Dialect) -> str:
    filters = ", ".join(sorted(row.searched))
    told = [
        f"{row.title}, at `{row.at}` ({', '.join(row.sources)})",
        f"limit {row.limit}" if row.limit else "",
        f"filters by {filters} only" if filters else "",
        f"DELETE: {row.deletes}",
        f"beyond its SCIM: {'; '.join(row.beyond)}" if row.beyond else "",
        f"not verified: {'; '.join(row.unverified)}",
    ]
    return ". ".join(filter(None, told)) + "."


def _limit(manifest: ConnectorManifest) -> str:
    option, by_word = manifest.limit_by
    stated = [f"{limit} for {word}" for word, limit in by_word.items() if limit]
    if stated:
        return f"by `{option}`: {', '.join(stated)}; else `limit` of the system sets one"
    if manifest.limit is None:
        return "none built in; `limit` of the system sets one"
    calls = f"about {manifest.calls} calls for one leaver"
    return f"{manifest.limit} for each credential, as the vendor documents; {calls}"


def _nature(option: OptionSpec) -> str:
    words = ["secret"] if option.secret else []
    words += ["required"] if option.required else []
    words += [f"default {option.default}"] if option.default is not None else []
    return f" ({', '.join(words)})" if words else ""


if __name__ == "__main__":
    text = described(MANIFESTS.values())
    PAGE.write_text(page_with(text, PAGE.read_text("utf-8")), "utf-8")

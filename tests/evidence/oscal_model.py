"""The part of OSCAL's assessment results model that we write, transcribed for the tests.

Source: NIST's JSON schema of OSCAL 1.2.1 (http://csrc.nist.gov/ns/oscal/1.2.1/oscal-ar-schema.json,
public domain). Names, what is required, and forms of values. The model is closed: a member that is
not here is a fault, although OSCAL may know it. Beyond the schema: references must lead somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[45][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_INSTANT = r"(19|2[0-9])[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z"
FORMS = {
    "uuid": re.compile(_UUID),
    "token": re.compile(r"[^\W\d][\w.\-]*"),
    "string": re.compile(r"\S(.*\S)?"),
    "line": re.compile(r"[^\n]+"),
    "text": re.compile(r"(?s).*"),
    "instant": re.compile(_INSTANT),
    "uri": re.compile(r"[a-zA-Z][a-zA-Z0-9+\-.]+:.+"),
    "reference": re.compile(r"[!-~]*"),
    "state": re.compile(r"satisfied|not-satisfied"),
    "target": re.compile(r"statement-id|objective-id"),
    "actor": re.compile(r"tool|assessment-platform|party"),
    "party type": re.compile(r"person|organization"),
    "component state": re.compile(r"under-development|operational|disposition|other"),
}

Members = dict[str, str]
MODEL: dict[str, tuple[Members, Members]] = {
    "document": ({"assessment-results": "results document"}, {}),
    "results document": (
        {"uuid": "uuid", "metadata": "metadata", "import-ap": "import", "results": "[result]"},
        {"back-matter": "back matter"},
    ),
    "metadata": (
        {
            "title": "line",
            "last-modified": "instant",
            "version": "string",
            "oscal-version": "string",
        },
        {"props": "[prop]", "parties": "[party]"},
    ),
    "party": ({"uuid": "uuid", "type": "party type"}, {"name": "string"}),
    "prop": ({"name": "token", "value": "string"}, {"ns": "uri"}),
    "import": ({"href": "reference"}, {"remarks": "text"}),
    "result": (
        {
            "uuid": "uuid",
            "title": "line",
            "description": "text",
            "start": "instant",
            "reviewed-controls": "reviewed",
        },
        {
            "end": "instant",
            "props": "[prop]",
            "local-definitions": "definitions",
            "observations": "[observation]",
            "findings": "[finding]",
        },
    ),
    "definitions": ({}, {"assessment-assets": "assets"}),
    "assets": ({"assessment-platforms": "[platform]"}, {"components": "[component]"}),
    "platform": ({"uuid": "uuid"}, {"title": "line", "uses-components": "[use]"}),
    "use": ({"component-uuid": "uuid"}, {}),
    "component": (
        {
            "uuid": "uuid",
            "type": "string",
            "title": "line",
            "description": "text",
            "status": "component status",
        },
        {"props": "[prop]"},
    ),
    "component status": ({"state": "component state"}, {}),
    "reviewed": ({"control-selections": "[selection]"}, {"description": "text"}),
    "selection": ({"include-controls": "[control]"}, {}),
    "control": ({"control-id": "token"}, {"statement-ids": "[token]"}),
    "observation": (
        {"uuid": "uuid", "description": "text", "methods": "[string]", "collected": "instant"},
        {
            "title": "line",
            "props": "[prop]",
            "types": "[token]",
            "origins": "[origin]",
            "relevant-evidence": "[evidence]",
        },
    ),
    "evidence": ({"description": "text"}, {"href": "reference"}),
    "origin": ({"actors": "[origin actor]"}, {}),
    "origin actor": ({"type": "actor", "actor-uuid": "uuid"}, {}),
    "finding": (
        {"uuid": "uuid", "title": "line", "description": "text", "target": "finding target"},
        {"props": "[prop]", "origins": "[origin]", "related-observations": "[related]"},
    ),
    "finding target": ({"type": "target", "target-id": "token", "status": "finding status"}, {}),
    "finding status": ({"state": "state"}, {"reason": "token"}),
    "related": ({"observation-uuid": "uuid"}, {}),
    "back matter": ({}, {"resources": "[resource]"}),
    "resource": ({"uuid": "uuid"}, {"title": "line", "description": "text", "rlinks": "[link]"}),
    "link": ({"href": "reference"}, {"media-type": "string", "hashes": "[hash]"}),
    "hash": ({"algorithm": "string", "value": "string"}, {}),
}
"""Object to (required, allowed) members; "[x]" is a list of at least one x."""


def faults(document: Any) -> list[str]:
    """Everything in which a document is not as the model asks."""
    found = list(_checked(document, "document", ""))
    return found or list(_dangling(document["assessment-results"]))


def _checked(value: Any, form: str, path: str) -> Iterator[str]:
    if form.startswith("["):
        if not isinstance(value, list) or not value:
            yield f"{path}: not a list, or an empty one"
            return
        for number, one in enumerate(value):
            yield from _checked(one, form[1:-1], f"{path}[{number}]")
    elif form in FORMS:
        if not isinstance(value, str) or not FORMS[form].fullmatch(value):
            yield f"{path}: no {form}"
    elif not isinstance(value, dict):
        yield f"{path}: no {form}"
    else:
        required, allowed = MODEL[form]
        known = required | allowed
        yield from (f"{path}.{name} is missing" for name in required.keys() - value.keys())
        yield from (f"{path}.{name} is unknown" for name in value.keys() - known.keys())
        for name, held in value.items():
            if name in known:
                yield from _checked(held, known[name], f"{path}.{name}")


def _dangling(results: dict[str, Any]) -> Iterator[str]:
    """Ids that are used twice, and references to what is not there."""
    defined = list(_values(results, "uuid"))
    if len(set(defined)) != len(defined):
        yield "an id is used twice"
    for member in ("component-uuid", "actor-uuid", "observation-uuid"):
        yield from (f"{member} {one}" for one in _values(results, member) if one not in defined)
    hrefs = [href for href in _values(results, "href") if href.startswith("#")]
    yield from (f"href {href}" for href in hrefs if href[1:] not in defined)


def _values(value: Any, member: str) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get(member), str):
            yield value[member]
        for held in value.values():
            yield from _values(held, member)
    elif isinstance(value, list):
        for held in value:
            yield from _values(held, member)

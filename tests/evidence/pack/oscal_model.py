"""What OSCAL asks of assessment results: NIST's model, and what that does not say.

The model is that of OSCAL 1.2.3, as `oscal-bindings` generates it from NIST's JSON schema; the
assessment results of 1.2.1, which packs name, have the same members and forms. It is closed: a
member that it does not know is a fault. It reads instants and short texts more kindly than the
schema does, and no schema asks that references lead somewhere: both are looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from oscal_bindings.v1.models import AssessmentResultsDocument
from pydantic import ValidationError

_INSTANT = re.compile(
    r"(19|2[0-9])[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]+)?Z"
)
_INSTANTS = {"last-modified", "start", "end", "collected"}
_SHORT = re.compile(r"\S(.*\S)?")
_PROSE = {"title", "description", "remarks"}


def faults(document: Any) -> list[str]:
    """Everything in which a document is not as OSCAL asks."""
    # Not from JSON text: pydantic then drops a member with an underscore for its hyphen unseen.
    try:
        AssessmentResultsDocument.model_validate(document)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in found]
    return [*_misshapen(document), *_dangling(document["assessment-results"])]


def _misshapen(document: Any) -> Iterator[str]:
    for member, value in _texts(document):
        if member in _INSTANTS and not _INSTANT.fullmatch(str(value)):
            yield f"{member} is no instant in UTC"
        if member not in _PROSE and not _SHORT.fullmatch(str(value)):
            yield f"{member} is empty, or has a blank at an end"


def _dangling(results: dict[str, Any]) -> Iterator[str]:
    """Ids that are used twice, and references to what is not there."""
    defined = list(_values(results, "uuid"))
    if len(set(defined)) != len(defined):
        yield "an id is used twice"
    for member in ("component-uuid", "actor-uuid", "observation-uuid"):
        yield from (f"{member} {one}" for one in _values(results, member) if one not in defined)
    hrefs = [href for href in _values(results, "href") if href.startswith("#")]
    yield from (f"href {href}" for href in hrefs if href[1:] not in defined)


def _values(results: Any, member: str) -> Iterator[str]:
    return (value for name, value in _texts(results) if name == member)


def _texts(value: Any, member: str = "") -> Iterator[tuple[str, Any]]:
    """Every plain value with the name of the member that holds it, alone or in a list."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield from _texts(held, name)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held, member)
    else:
        yield member, value

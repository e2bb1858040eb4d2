"""The part of a recipe whose keys and types are right, so that all else about it is told too.

What is wrong is left out, or is a stand-in where a recipe must have it. Nothing is told of a
stand-in, nor of what is judged by looking at it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection
from typing import Any, Final

from connectors.recipe.lines import Place

_STAND_INS: Final[dict[str, Any]] = {
    "title": "-",
    "proves": "-",
    "auth": {"kind": "bearer", "secret": "token"},
    "record": {"get": "GET /{id}", "keys": {"email": "email"}},
    "find": {"compared": {"email": "email"}},
    "everybody": {"call": "GET /"},
    "sign_in": {"doors": [{"at": "shut", "shut": True}], "block": "POST /{id}"},
}
_LOOKED_AT: Final[dict[str, frozenset[str]]] = {
    "options": frozenset({"options", "auth", "residuals"}),
    "auth": frozenset({"auth", "options"}),
    "record": frozenset({"record", "find", "search"}),
    "everybody": frozenset({"everybody", "search"}),
}
_OF_ONE: Final = frozenset({"holdings", "options"})
"""Tables by name: one that is wrong says nothing of the others."""


def sound_part(
    document: dict[str, Any], wrong: Collection[Place]
) -> tuple[dict[str, Any], set[Place]]:
    """A recipe that can be read, and the places of which nothing may be told."""
    sound, silent = copy.deepcopy(document), set[Place]()
    for place in wrong:
        top = str(place[0]) if place else ""
        if top in _OF_ONE and len(place) > 1 and isinstance(sound.get(top), dict):
            sound[top].pop(place[1], None)
            silent.add(place[:2])
        elif top in _STAND_INS:
            sound[top] = copy.deepcopy(_STAND_INS[top])
        else:
            sound.pop(top, None)
        if top not in _OF_ONE or top == "options":
            silent |= {(each,) for each in _LOOKED_AT.get(top, {top})}
    return sound, silent


def is_silent(place: Place, silent: Collection[Place]) -> bool:
    return any(place[: len(one)] == one for one in silent)

"""Things by name that are loaded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


class Lazy(Mapping[str, T]):
    """Manifests by kind; which kinds there are is known without loading any.

    Args:
        places: by kind, the module with its ``MANIFEST``.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = places
        self.loaded: dict[str, T] = {}

    def __getitem__(self, kind: str) -> T:
        if kind not in self.loaded:
            manifest: T = import_module(self._places[kind]).MANIFEST
            self.loaded[kind] = manifest
        return self.loaded[kind]

    def __contains__(self, kind: object) -> bool:
        return kind in self._places or kind in self.loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

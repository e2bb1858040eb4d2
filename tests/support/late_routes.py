"""Routes that work out their parameters and models when they are first asked.

An application has a hundred of them, which takes 0.25 s; most tests make one and ask three. What
runs in a process of its own makes them all at once, and so does test_late_routes.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import compile_path, get_name

_DEFAULTS = APIRouter.__init__.__kwdefaults__


class LateRoute(APIRoute):
    """Knows its address and methods; any other question makes the route that it stands for."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.methods = {method.upper() for method in options.get("methods") or ["GET"]}
        self.name = options.get("name") or get_name(endpoint)
        self._late: dict[str, Any] | None = options

    def __getattr__(self, name: str) -> Any:
        """What is not there yet."""
        options, self._late = self.__dict__.get("_late"), None
        if options is None:
            raise AttributeError(name)
        super().__init__(self.path, self.endpoint, **options)
        return getattr(self, name)


@contextmanager
def late_routes(kind: type[APIRoute] = LateRoute) -> Iterator[None]:
    """Within, a router's routes are of this kind unless it says otherwise."""
    before = _DEFAULTS["route_class"]
    _DEFAULTS["route_class"] = kind
    try:
        yield
    finally:
        _DEFAULTS["route_class"] = before

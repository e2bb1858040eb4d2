"""Structured logs on standard error: an allow-list of fields, never a name or a secret."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any, TextIO

import structlog

from lockstep.domain.visible import visible

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "logger", "case_id", "system", "attempt", "round", "fault",
        "audience", "operation", "code", "error", "activity", "source", "inbox_id", "verdict",
        "look", "status", "count", "seconds", "port", "address", "revision", "policy", "secret_age",
        "connector", "exception", "path", "method", "anchor", "kind", "target",
        "export_id", "incident",
    }
)  # fmt: skip
"""Everything else is dropped: what is not allowed cannot leak."""

_ALWAYS = r"(?:bearer|basic)\s+\S+|whsec_\S+"
_LIMIT = 2000


class _Allowing:
    """Lets through the fields that are allowed, without what looks like a credential."""

    def __init__(self, marks: Iterable[str]) -> None:
        self._secrets = re.compile("|".join([_ALWAYS, *map(_behind, marks)]), re.IGNORECASE)

    def __call__(
        self, _logger: object, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {name: self._clean(value) for name, value in event.items() if name in ALLOWED}

    def _clean(self, value: object) -> object:
        if isinstance(value, int | float | bool | None):
            return value
        text = type(value).__name__ if isinstance(value, BaseException) else str(value)
        return self._secrets.sub("[redacted]", text)[:_LIMIT]


def _behind(mark: str) -> str:
    """What a mark begins: all to the next blank, where it is not the beginning of a mere word."""
    if mark.endswith((" ", ":")):
        blank = r"\s+" if mark.endswith(" ") else r"\s*"
        return rf"{re.escape(mark.strip())}{blank}\S+"
    return rf"{re.escape(mark)}[\w-]{{8,}}\S*"


def _where(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace a traceback by its places: messages and values of an exception may be personal."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        places = []
        trace = error.__traceback__
        while trace is not None:
            code = trace.tb_frame.f_code
            places.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}")
            trace = trace.tb_next
        event["exception"] = f"{type(error).__name__} at {' > '.join(places[-8:])}"
    return event


def _first_line(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Keep the first line: asyncio and others append the failed task, its exception's text too."""
    event["event"] = str(event.get("event", "")).partition("\n")[0]
    return event


def _seen(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """For a terminal: no text of somebody else's steers it."""
    return {
        name: visible(value) if isinstance(value, str) else value for name, value in event.items()
    }


class _Forgiving:
    """A stream that never raises: whoever tells of a full disk must not be ended by it.

    What cannot be written is dropped, and how many lines that were is said once there is room.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lost = 0

    def write(self, text: str) -> None:
        try:
            if self._lost:
                self._stream.write(f'{{"event": "log_lines_lost", "count": {self._lost}}}\n')
                self._stream.flush()
                self._lost = 0
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # no room, nobody at the other end, or closed
            self._lost += 1

    def flush(self) -> None:
        """Nothing: each line is flushed where it is written."""


def configure_logging(
    *, level: str = "info", text: bool = False, marks: Iterable[str] = ()
) -> None:
    """Set up structlog and the standard library alike; call once per process.

    Args:
        level: below it, nothing is written.
        text: for a terminal, not as JSON.
        marks: how the credentials of the configured systems begin, or what stands before them:
            what follows is not written.
    """
    allow = _Allowing(marks)
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    stream: Any = _Forgiving(sys.stderr)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if text
        else structlog.processors.JSONRenderer()
    )
    for_people: list[Any] = [_seen] if text else []  # JSON escapes what it has to
    structlog.configure(
        processors=[*shared, _where, allow, *for_people, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _first_line],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _where,
                allow,
                *for_people,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    # httpx names full URLs, which hold e-mail addresses; never at any level.
    for noisy in ("httpx", "httpcore", "botocore", "boto3", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)

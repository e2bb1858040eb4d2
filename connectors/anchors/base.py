"""The contract of an anchor: a place outside the database that keeps copies of checkpoints.

Whoever owns the database and the signing key can rewrite the ledger and sign it again. Copies
that somebody else keeps show it: they name another root for the same size. An anchor publishes
one checkpoint when asked; when, how often and what if not is decided elsewhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

from connectors.base import OptionSpec

MAX_CODE = 200
"""Characters of a fault's code."""
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""Hosts to which things may travel in clear, and never through a proxy."""
MAX_NOTE = 64 * 1024
"""Bytes of a copy that are read for comparison; no checkpoint comes near."""
CONNECT_S = 5.0
ANSWER_S = 15.0
"""Seconds for a connection, and for one answer: below the patience of the whole publication."""

Given = ParamSpec("Given")
Result = TypeVar("Result")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class AnchorFault(Exception):  # noqa: N818 - "fault" is the word of docs/architecture.md
    """A checkpoint could not be published.

    Args:
        code: short reason for people; bounded, printable, without secrets and bodies.
        transient: it may pass by itself; otherwise somebody must change something. Both are
            retried, because a peer is also mended by others.
    """

    def __init__(self, code: str, *, transient: bool = True) -> None:
        self.code = _UNPRINTABLE.sub(" ", code).strip()[:MAX_CODE] or "unknown"
        self.transient = transient
        super().__init__(self.code)


class AnchorUnfit(AnchorFault):
    """The place can never take a checkpoint as it is set up: another place or setting is needed.

    It is not retried, until a worker starts anew or somebody checks. ``code`` says what to change.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code, transient=False)


class AnchorConflict(AnchorFault):
    """The place holds another checkpoint of the same size: one of the two was rewritten."""

    def __init__(self, code: str) -> None:
        super().__init__(code, transient=False)


async def _cannot_prove(_: int) -> Sequence[bytes]:
    raise AnchorFault("no proof that the ledger has only grown is at hand", transient=False)


@dataclass(frozen=True, slots=True)
class AnchorCheckpoint:
    """One signed head of the ledger, as it leaves the house.

    Args:
        origin: the ledger's name, first line of the note.
        size: leaves under the head.
        note: the signed note's exact bytes (C2SP signed-note).
        signed_at: when it was signed (UTC); the same at every repetition.
        grown_from: gives the proof (RFC 6962, 2.1.2) that a head of fewer leaves, one or more, is
            of the same ledger; raises `AnchorFault`.
    """

    origin: str
    size: int
    note: bytes
    signed_at: datetime
    grown_from: Callable[[int], Awaitable[Sequence[bytes]]] = field(
        default=_cannot_prove, repr=False, compare=False
    )

    @property
    def digest(self) -> str:
        """SHA-256 of the note, hexadecimal."""
        return hashlib.sha256(self.note).hexdigest()

    @property
    def key(self) -> str:
        """Names origin and size in 32 hexadecimal digits: the same at every repetition."""
        return hashlib.sha256(f"{self.origin}\n{self.size}".encode()).hexdigest()[:32]

    @property
    def safe_origin(self) -> str:
        """The origin as one harmless part of a path."""
        return _NOT_IN_NAME.sub("_", self.origin).strip(".") or "_"


class Anchor(Protocol):
    """One configured place."""

    @property
    def kind(self) -> str:
        """The name under which the registry knows this kind."""

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """Put the checkpoint there and return the receipt.

        Publishing the same checkpoint again, also at the same time, is harmless.

        Raises:
            AnchorConflict: the place holds another checkpoint of this size.
            AnchorUnfit: the place can never take one as it is set up.
            AnchorFault: anything else that a place or a network does.
        """

    async def aclose(self) -> None:
        """Close connections."""


@dataclass(frozen=True, slots=True)
class AnchorOptions:
    """Everything an anchor is built from.

    Args:
        name: the configured name, for instance ``auditor-bucket``.
        settings: the options of ``[ledger.anchors.<name>]``; no secrets.
        secrets: resolved secret values by option name; never shown in ``repr``.
        home: folder from which relative paths start.
        data_dir: folder that the anchor may use for itself.
    """

    name: str
    settings: Mapping[str, object]
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    home: Path = Path()
    data_dir: Path = Path()

    def text(self, option: str) -> str:
        """A text without line breaks; empty when it is not given. Raises ValueError."""
        value = self.settings.get(option, "")
        if not isinstance(value, str) or _UNPRINTABLE.search(value):
            raise ValueError(f"{option}: give one line of plain text")
        return value

    def number(self, option: str, *, low: int, high: int) -> int:
        """A whole number within bounds. Raises ValueError."""
        value = self.settings.get(option)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{option}: give a whole number from {low} to {high}")
        return value

    def texts(self, option: str) -> tuple[str, ...]:
        """One text or a list of texts. Raises ValueError."""
        value = self.settings.get(option, ())
        given = [value] if isinstance(value, str) else value
        if not isinstance(given, list) or not given:
            raise ValueError(f"{option}: give at least one")
        for item in given:
            if not isinstance(item, str) or _UNPRINTABLE.search(item):
                raise ValueError(f"{option}: give a list of plain texts")
        return tuple(given)

    def file(self, option: str) -> Path | None:
        """An existing file; None when it is not given. Raises ValueError."""
        if not (value := self.text(option)):
            return None
        path = self.home / value
        if not path.is_file():
            raise ValueError(f"{option}: there is no file {value}")
        return path

    def secret(self, option: str) -> str:
        return self.secrets.get(option, "")


class AnchorFactory(Protocol):
    """Builds an anchor; raises ``ValueError`` naming the option that is wrong."""

    def __call__(self, options: AnchorOptions) -> Anchor: ...


@dataclass(frozen=True, slots=True)
class AnchorManifest:
    """What registry, settings and documentation know about a kind of anchor.

    Args:
        kind: registry name.
        build: makes one from its options.
        options: accepted options, secrets included.
        proves: what a copy there shows, and to whom.
    """

    kind: str
    build: AnchorFactory
    options: tuple[OptionSpec, ...]
    proves: str


CA_FILE = OptionSpec(
    "ca_file", "root certificate (PEM) of a private authority", required=False, default=""
)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, against the machine's roots or only ``ca_file``.

    Raises:
        ValueError: if the file holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except ssl.SSLError:
        raise ValueError("ca_file: holds no certificate in PEM form") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def redacted(text: str, secrets: Collection[str]) -> str:
    """A peer's text, dropped whole if it holds a secret."""
    return "redacted" if any(secret and secret in text for secret in secrets) else text


class OwnThread:
    """Runs an anchor's blocking calls, one after the other, apart from everybody else's.

    A peer that hangs for longer than anybody waits blocks this thread and nothing more.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"anchor-{name}")

    async def run(
        self, work: Callable[Given, Result], *args: Given.args, **kwargs: Given.kwargs
    ) -> Result:
        def call() -> Result:
            return work(*args, **kwargs)

        return await asyncio.get_running_loop().run_in_executor(self._pool, call)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

"""Two worlds that differ in what is sealed, and how they look to somebody who may not know of it.

The second world's database is a copy of the first one's, so that whoever has a session or a token
in one has it in the other, and every id is the same.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from fastapi import FastAPI
from sqlalchemy.engine import make_url

from lockstep.settings import load_settings
from lockstep.storage.keys.keyring import Keyring
from lockstep.web.app import build_app
from tests.conftest import Database

MASKS = {
    re.compile(pattern): to
    for pattern, to in {
        # An instant, as data and as people read it.
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00)?( UTC)?": "INSTANT",
        r"\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT": "INSTANT",
        r"\b\d\d:\d\d(:\d\d)?\b": "INSTANT",
        # A length of time that ends now.
        r'"(\w*_ms|\w*_hours|ms)":"?[\d.]+"?': r'"\1":SPAN',
        r"\b\d+(\.\d+)? (ms|seconds?|s|minutes?|min|h)( \d+ (s|min))?\b": "SPAN",
        r"(?m)^(lockstep_\w*_seconds(\{[^}]*\})?) [\d.e+-]+$": r"\1 SPAN",
        # What is random every time.
        r'name="once" value="[^"]*"': 'name="once"',
        r"\b[ruetbvi][a-z2-7]{12,32}\b": "RANDOM",
        r"\b[avrfdi]-?[0-9a-f]{12,16}\b": "RANDOM",
        r'("id":|/console/hr/)\d+': r"\1RANDOM",
        r"search=[A-Za-z0-9_-]+": "search=RANDOM",
        r'"mono small hash">[0-9a-f]+<': '"mono small hash"><',
        # Where "now" is drawn.
        r'\b(x1|x2|x|y|width|points|d)="[-\d., MLHVZ]+"': r"\1",
        # A look of a worker is good for a minute.
        r"(?s)<div class=\"note warn\" data-stalled-unknown>.*?</div>": "",
        r"\brep_[0-9a-f]{32}\b": "RANDOM",
        r"lst_[A-Za-z0-9_-]{20,}": "RANDOM",
    }.items()
}
HEADS = {
    re.compile(pattern): to
    for pattern, to in {
        r'"(size|checkpoint)":\d+': r'"\1":HEAD',
        r"\d+ <span class=\"quiet\">\(\d+ more wait": "HEAD <span>(HEAD more wait",
        r'"(note|leaf_index)":("[^"]*"|\d+)': r'"\1":HEAD',
        r'\[("[A-Za-z0-9+/]{43}=",?)*\]': "[PROOF]",
        r"\b[0-9a-f]{64}\b": "ROOT",
        r"\b[A-Za-z0-9+/]{43}=": "ROOT",
        r"\b\d+ entr(y|ies)\b": "HEAD entries",
        r"checkpoints/\d+": "checkpoints/HEAD",
        r">\d+<": ">HEAD<",
    }.items()
}
"""For whoever may export: the heads of the ledger are what a pack is compared with (ADR 8, 9)."""
_PASSED_OVER = frozenset({"date", "content-length"})


@dataclass(frozen=True, slots=True)
class Ask:
    """One request."""

    method: str
    path: str
    options: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody with a session or a token, the same in both worlds."""

    name: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    cookies: dict[str, str] = field(default_factory=dict, repr=False)
    csrf: str = field(default="", repr=False)
    exports: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What one request was answered, with what differs every time masked."""

    status: int
    text: str
    """Headers and body."""

    @classmethod
    def of(cls, answer: httpx.Response, *, heads: bool = False) -> Look:
        """``heads``: the asker may see the heads of the ledger, which are masked then."""
        kept = {k: v for k, v in answer.headers.items() if k not in _PASSED_OVER}
        body = f"{json.dumps(kept)}\n{answer.text}"
        for masks in (MASKS, HEADS if heads else {}):
            for pattern, to in masks.items():
                body = pattern.sub(to, body)
        return cls(answer.status_code, body)


@dataclass
class World:
    """One installation."""

    app: FastAPI
    database: Database

    async def ask(self, ask: Ask, who: Visitor) -> Look:
        """One request of somebody."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:8080", cookies=who.cookies
        ) as client:
            options = dict(ask.options)
            if ask.method != "GET" and "json" not in options and "content" not in options:
                options["data"] = {"csrf": who.csrf, **dict(options.get("data", {}))}
            headers = {**who.headers, **dict(options.pop("headers", {}))}
            answer = await client.request(ask.method, ask.path, headers=headers, **options)
            return Look.of(answer, heads=who.exports)


@contextmanager
def copied(database: Database) -> Iterator[Database]:
    """A copy of a database in which nobody works."""
    name = f"t_{secrets.token_hex(6)}"
    url = make_url(database.superuser_url)
    admin = url.set(drivername="postgresql", database="postgres").render_as_string()
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 60000) from pg_stat_activity where datname = %s",
            [url.database],
        )
        connection.execute(
            f"create database {name} template {url.database} owner lockstep_owner".encode()
        )
    yield Database(
        *(
            make_url(each).set(database=name).render_as_string(hide_password=False)
            for each in (database.app_url, database.owner_url, database.superuser_url)
        )
    )
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)".encode())


@asynccontextmanager
async def installed(folder: Path, database: Database, ring: Keyring) -> AsyncIterator[World]:
    """The web application on a database, with the settings of a folder."""
    app = build_app(load_settings(folder / "lockstep.toml"), database.app_url, ring)
    async with app.router.lifespan_context(app):
        yield World(app, database)

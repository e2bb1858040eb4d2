"""schemathesis finds no 5xx and no answer that the OpenAPI description does not tell.

The whole application is served over HTTP, its cases really run on Temporal, and every call has a
token with every right. `python -m tests.web.fuzz_openapi` does the same for longer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import secrets
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lockstep.composition import Root
from lockstep.control.packs.export import Requester
from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import PackMaking
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from tests.support.board import asks_second
from tests.support.casework import EMAIL
from tests.support.exporting import Packing
from tests.support.ledgers import LedgerBook
from tests.web.console.conftest import Site, site  # noqa: F401 - a fixture
from tests.web.console.ward import BADGE, DOOR, VAULT, Ward, ward_settings, warding
from tests.web.fuzz_openapi import GIVEN, SECONDS, SEED

SHORT_S = 20
PATIENCE_S = 120
FIXED_SEED = 4
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
TOKENS = {f"fuzz-{number}": secrets.token_urlsafe(32) for number in range(60)}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
)
ROOT = Path(__file__).parents[2]

DOUBTFUL = "in.doubt@example.com"
"""An address that several accounts have."""


@dataclass
class Tally:
    """Counts the answers of an application by route and status."""

    app: ASGIApp
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def count(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "?")
                self.seen[f"{scope['method']} {route}", message["status"]] += 1
            await send(message)

        await self.app(scope, receive, count)

    def told(self) -> str:
        """The figures, a route per line."""
        routes: dict[str, dict[int, int]] = {}
        for (route, status), count in sorted(self.seen.items()):
            routes.setdefault(route, {})[status] = count
        lines = [f"{route}: {statuses}" for route, statuses in routes.items()]
        return "\n".join([*lines, f"{self.seen.total()} requests"])


@pytest.fixture
def site_settings(temporal, tmp_path) -> str:
    """A source, and tokens that may do everything."""
    (tmp_path / "hr.secret").write_text(SECRET)
    rights = json.dumps([right.value for right in Permission])
    tables = [
        '[sources.hr]\nsecrets = ["file:hr.secret"]',
        '[console]\npick_in_pairs = ["0"]',
    ]
    for name, secret in TOKENS.items():
        (tmp_path / f"{name}.token").write_text(secret)
        owner = f'owner = {{ email = "{name}@example.com" }}'
        tables.append(f'[tokens.{name}]\nsecret = "file:{name}.token"\nrights = {rights}\n{owner}')
    basis, _, _ = ward_settings(temporal.address).partition("[tokens.")
    return "\n".join([basis, *tables])


@pytest.fixture
async def known(site, client, database) -> AsyncIterator[dict[str, list[str]]]:  # noqa: F811
    """By name, what is there and what can be done: cases in every state, requests, a pack."""
    olivia = await site.sign_in(Role.OPERATOR)
    now = datetime.now(UTC)
    async with warding(site, client) as ward:
        cases = [await ward.stuck(f"W-{number}") for number in range(4)]
        soon = timedelta(days=3)
        cases += [await ward.open(f"W-1{n}", due=soon) for n in range(10)]
        dismissed = {"due": soon, "kind": TerminationKind.INVOLUNTARY}
        cases += [await ward.open(f"W-3{n}", **dismissed) for n in range(2)]
        doubtful = await _in_doubt(ward)
        for case in cases[:2]:
            await asks_second(ward.work, case, system=BADGE)
        requests = await ward.sql("select request_id from requests")
        closed, export_id = await _exported(site, ward, database)
        yield {
            "case_id": [*(case.case_id for case in cases), closed],
            "in_doubt": [doubtful],
            "system": [DOOR, VAULT, BADGE],
            "request_id": [row.request_id for row in requests],
            "export_id": [export_id],
            "event": [await _reported(site, ward)],
            "source": ["hr"],
            "user": [olivia.principal.user_id],
            "until": [(now + timedelta(hours=hours)).isoformat() for hours in (1, 2, 20)],
            "access_ends_at": [(now + timedelta(days=days)).isoformat() for days in (1, 9)],
            "last_working_day": [(now + timedelta(days=5)).date().isoformat()],
            "as_of": [(now - timedelta(days=1)).date().isoformat()],
            "seen": [""],
            "key": [EMAIL],
            "name": ["note.txt"],
            "content": [base64.b64encode(b"ended by hand").decode()],
        }


async def _in_doubt(ward: Ward) -> str:
    """A case in which it is in doubt, in two systems, whose an account is."""
    for system in (DOOR, VAULT):
        ward.connectors[system].meet(f"acc-{system}", DOUBTFUL)
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "W-50-unknown"), Key(KeyKind.EMAIL, DOUBTFUL)))
    case = await ward.open("W-50", keys=keys)
    for system in (DOOR, VAULT):
        await ward.until(case, system, "needs_person")
    return case.case_id


async def _reported(site: Site, ward: Ward) -> str:  # noqa: F811
    """A report by the first token that it can change still."""
    day = (datetime.now(UTC) + timedelta(days=20)).date().isoformat()
    answer = await (await site.visitor()).post(
        "/api/events",
        headers={
            "authorization": f"Bearer {TOKENS['fuzz-0']}",
            "idempotency-key": "known-0123456789",
        },
        json={"worker_id": "W-900", "kind": "voluntary", "zone": "UTC", "last_working_day": day},
    )
    while await ward.dispatcher.drain_once():
        pass
    return str(answer.json()["id"])


async def _exported(site: Site, ward: Ward, database) -> tuple[str, str]:  # noqa: F811
    """A closed case, and a finished pack with it."""
    book = LedgerBook(database.app_url, database.superuser_url, site.folder)
    book.signer = site.signer
    try:
        packing = Packing(site.engine, site.ring, book, site.folder)
        packing.work = ward.work
        case = await packing.opened("W-20")
        for system in (DOOR, VAULT, BADGE):
            await packing.prove(case, system)
        await packing.work.close(case.case_id, 1)
        await packing.seal()
    finally:
        book.close()
    root = Root(site.settings, site.stores)
    exporter, exports = root.exporter, site.stores.exports
    export_id, _ = await exporter.order(packing.order(), Requester(token="fuzz-0"))
    folder = PacksFolder(root.packs_folder)
    await PackMaking(exporter, exports, folder).make(export_id)
    made = await exports.get(export_id)
    assert made is not None
    assert made.file_name, made.error
    return case.case_id, export_id


@contextlib.asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """The application on a port of its own; its address."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await task


async def schemathesis(
    address: str, *options: str, known: dict[str, list[str]], folder: Path
) -> tuple[int, str]:
    """Run it as a user does; its exit code, and what it printed."""
    seconds = os.environ.get(SECONDS) or str(SHORT_S)
    seed = os.environ.get(SEED, str(FIXED_SEED))
    given = {"tokens": [*TOKENS.values()], "secret": SECRET, "known": known}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{address}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--max-time", seconds, "--continue-on-failure"),
        *("--generation-database", "none", "--no-color", "--warnings", "off"),
        *("--request-timeout", str(PATIENCE_S)),
        *(("--seed", seed) if seed else ()),
        *options,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.web.fuzz_hooks",
            GIVEN: json.dumps(given),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, printed.decode()


@pytest.mark.timeout(int(os.environ.get(SECONDS) or SHORT_S) + 600)
async def test_nothing_that_schemathesis_sends_gets_a_5xx_or_an_undocumented_answer(
    site,  # noqa: F811
    known,
    tmp_path,
):
    """Whatever fits the description or breaks it: the answer is one that the description tells."""
    tally = Tally(site.app)
    async with served(tally) as address:
        code, printed = await schemathesis(address, known=known, folder=tmp_path)
    sys.stdout.write(f"{printed}\n{tally.told()}\n")

    assert code == 0, printed
    assert not [seen for seen in tally.seen if seen[1] >= 500]
    assert {status for _, status in tally.seen} >= {200, 202, 404, 422}


async def test_schemathesis_finds_a_field_that_nobody_described(site, tmp_path):  # noqa: F811
    """A check that is switched off, or a description that takes anything, would find nothing."""
    forged = JSONResponse({"status": "ok", "surprise": 1})

    async def forging(scope: Scope, receive: Receive, send: Send) -> None:
        await (forged if scope["path"] == "/healthz" else site.app)(scope, receive, send)

    async with served(forging) as address:
        # The time that is given is used up: it ends by the failure, which comes at once.
        once = ("--include-path", "/healthz", "--phases", "fuzzing", "--max-failures", "1")
        code, printed = await schemathesis(address, *once, known={}, folder=tmp_path)

    assert code == 1, printed
    assert "surprise" in printed

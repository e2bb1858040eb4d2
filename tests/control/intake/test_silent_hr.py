"""From HR's silence to the auditor: not scored after eight days, and back after a heartbeat."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from lockstep.control.intake.whose_case import WhoseCase
from lockstep.control.score.metric import ScoreService
from lockstep.control.score.questions import Question
from lockstep.control.score.rules import Rules
from lockstep.domain.cases.cutoff import CutoffRule
from lockstep.domain.intake.numbering import Numbering
from lockstep.evidence.format.dsse import seal_envelope
from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import Report, Verdict
from lockstep.scorecard.numbers import DAY_MS
from lockstep.storage.intake.feeds import Feeds
from lockstep.storage.score.scores import Scores
from lockstep.web.app import assemble
from lockstep.web.hooks.routes import Hooks
from lockstep.web.hooks.signatures import Verifier
from tests.evidence.packs import files_of, zip_of
from tests.evidence.verdicts import failed, told
from tests.support.casework import TENANT
from tests.support.exporting import Packing, verified
from tests.support.ledgers import LedgerBook, settle
from tests.support.scoring import ms
from tests.web.conftest import SECRET, signed

DAYS = timedelta(days=1)
PAYROLL = "payroll"
"""Expected, and silent; every leaver of these tests is reported by another source."""


@pytest.fixture
def book(database, tmp_path) -> Iterator[LedgerBook]:
    made = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    yield made
    made.close()


@pytest.fixture
async def packing(engine, ring, book, tmp_path) -> Packing:
    """One leaver, revoked everywhere; payroll is expected for 20 days and was heard 8 days ago."""
    made = Packing(engine, ring, book, tmp_path)
    await made.work.adopt()
    feeds, now = Feeds(engine, TENANT), datetime.now(UTC)
    await feeds.expect(["hr", PAYROLL], at=now - 20 * DAYS)
    silent = now - 8 * DAYS
    await feeds.hear(PAYROLL, sent_at=silent, received_at=silent)
    await made.revoked("W-1")
    return made


@pytest.fixture
async def service(engine) -> AsyncIterator[ScoreService]:
    made = ScoreService(Scores(engine), Rules(tenant=TENANT))
    yield made
    await made.aclose()


async def heartbeat(packing: Packing) -> int:
    """One that payroll sends, through the assembled application; the status."""
    hooks = Hooks(
        tenant=TENANT,
        inbox=packing.work.inbox,
        whose=WhoseCase(packing.work.cases, packing.work.inbox, Numbering((PAYROLL,))),
        feeds=Feeds(packing.engine, TENANT),
        verifiers={PAYROLL: Verifier([SECRET])},
        rule=CutoffRule(),
        max_body_bytes=1024,
    )
    transport = httpx.ASGITransport(assemble(packing.engine, hooks))
    raw = b'{"type": "feed.heartbeat"}'
    async with httpx.AsyncClient(transport=transport, base_url="http://lockstep") as client:
        answer = await client.post(f"/hooks/{PAYROLL}", content=raw, headers=signed(raw))
    return answer.status_code


def resigned(path: Path, book: LedgerBook, name: str, document: dict) -> Path:
    """The pack as an operator would forge it: one file replaced, the statement signed anew."""
    files = files_of(path.read_bytes())
    raw = (json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode()
    said = json.loads(base64.b64decode(json.loads(files.pop(layout.STATEMENT))["payload"]))
    for subject in said["subject"]:
        if subject["name"] == name:
            subject["digest"]["sha256"] = hashlib.sha256(raw).hexdigest()
    files[name] = raw
    files[layout.STATEMENT] = seal_envelope(plain_bytes(said), book.signer)
    forged = path.with_name("forged.zip")
    forged.write_bytes(zip_of(files))
    return forged


def check(path: Path, book: LedgerBook) -> Report:
    return verify_pack(path, keys=book.trusted())


async def test_eight_days_of_silence_and_a_heartbeat(packing, book, service):
    """Score, pack and verifier agree: none while payroll is silent, and again when it is heard."""
    await packing.seal()
    silent = await service.read(Question(in_full=True))
    pack = await packing.export()
    report = verified(pack, packing)
    score = json.loads(files_of(pack.path.read_bytes())[layout.SCORE])

    assert (silent["score"]["value"], silent["score"]["unscored"]) == (None, ["hr_feed_stale"])
    assert silent["score"]["n"] == score["n"] == 1
    assert 8 * DAY_MS <= score["feed_age_ms"] <= silent["score"]["feed_age_ms"] < 9 * DAY_MS
    [cost] = silent["explain"]
    assert cost["text"].startswith("HR source payroll has not been heard for 8 d")
    assert {row["value"] for row in silent["by"]["partner"].values()} == {None}
    assert (score["value"], score["unscored"]) == (None, ["hr_feed_stale"])
    assert "No score can be given (hr_feed_stale)" in told(report, 11)
    assert b"HR was not heard for too long" in files_of(pack.path.read_bytes())[layout.README]

    assert await heartbeat(packing) == 202
    heard = await service.read(Question())
    await packing.seal()
    again = await packing.export()
    verified(again, packing)
    rescored = json.loads(files_of(again.path.read_bytes())[layout.SCORE])

    assert heard["score"]["value"] == rescored["value"] == "20.00"
    assert rescored["unscored"] == []
    assert {row["source"] for row in rescored["feeds"]} == {"hr", PAYROLL}
    assert rescored["feed_age_ms"] < DAY_MS


@pytest.mark.parametrize("name", [layout.SCORE, layout.PERIOD_SCORE])
async def test_a_real_pack_whose_score_hides_it_is_refused(packing, book, name):
    """The operator edits the score and signs again: refuted at the step of the scores alone."""
    await packing.seal()
    pack = await packing.export()
    score = json.loads(files_of(pack.path.read_bytes())[name])
    feeds = [row | {"age_ms": 0} for row in score["feeds"]]
    better = score | {"value": "20.00", "unscored": [], "feed_age_ms": 0, "feeds": feeds}
    report = check(resigned(pack.path, book, name, better), book)

    assert check(resigned(pack.path, book, name, score), book).is_verified
    assert failed(report) == {11}
    assert 'unscored is [], the entries give ["hr_feed_stale"]' in told(report, 11)


@pytest.mark.parametrize("partner", ["northwind", "contoso"])
async def test_a_partners_pack_and_score_agree_on_the_silence(packing, book, service, partner):
    """With its own cases and without any: the entries about sources are in every pack."""
    await packing.seal()
    [(signed_at,)] = book.ask("select max(signed_at) from checkpoints")
    served = (await service.read(Question(partner=partner), as_of=signed_at))["score"]
    pack = await packing.export(partner=partner)
    verified(pack, packing)
    score = json.loads(files_of(pack.path.read_bytes())[layout.SCORE])

    withheld = score.pop("withheld")  # of a pack only: the page has everything to score
    assert (withheld is None) is (partner == "northwind"), "contoso's pack hides the other's cases"
    if withheld is not None:
        assert score.pop("label") == "partial"
        served.pop("label")
    assert score == served
    assert score["unscored"][0] == "hr_feed_stale"
    assert score["feed_age_ms"] >= 8 * DAY_MS


async def test_silence_is_measured_at_the_instant_of_the_score(engine, packing, book, service):
    """Heard now, it is fresh now; a head that is signed eight days later has no score."""
    assert await heartbeat(packing) == 202
    for source in ("hr", PAYROLL):
        now = datetime.now(UTC)
        await Feeds(engine, TENANT).hear(source, sent_at=now, received_at=now)
    values = {}
    for days in (6, 8):
        later = datetime.now(UTC) + days * DAYS
        await Feeds(engine, TENANT).expect(["hr", PAYROLL])
        sequencer = book.sequencer(now=lambda moment=later: moment)
        await asyncio.to_thread(settle, sequencer)
        sequencer.close()
        [(signed_at,)] = book.ask("select max(signed_at) from checkpoints")
        pack = await packing.export()
        score = json.loads(files_of(pack.path.read_bytes())[layout.SCORE])
        served = (await service.read(Question(), as_of=signed_at))["score"]
        assert ms(signed_at) == ms(later)
        assert score["feeds"] == served["feeds"]
        values[days] = score["value"]
        report = check(pack.path, book)
        assert report.is_verified
        assert report.steps[10].verdict is Verdict.PASS

    assert values == {6: "20.00", 8: None}


async def test_an_installation_without_sources_says_so(engine, ring, book, tmp_path, service):
    """Cases by the command line alone: scored, with no age and no feed in document and pack."""
    made = Packing(engine, ring, book, tmp_path)
    await made.work.adopt()
    await Feeds(engine, TENANT).expect([])
    await made.revoked("W-1", source="cli")
    await made.seal()
    served = (await service.read(Question()))["score"]
    pack = await made.export()
    verified(pack, made)
    score = json.loads(files_of(pack.path.read_bytes())[layout.SCORE])

    assert served["value"] == score["value"] == "20.00"
    assert (score["feed_age_ms"], score["feeds"]) == (None, [])
    assert (served["feed_age_ms"], served["feeds"]) == (None, [])

"""The API of evidence packs: who may order and fetch what, and what every answer says."""

from __future__ import annotations

import base64
import hashlib
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI

from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs, PackMaking
from lockstep.control.people.tokens import Tokens
from lockstep.domain.rights import Permission
from lockstep.storage.board.views import CaseViews
from lockstep.storage.packs.orders import Exports
from lockstep.storage.packs.views import ExportViews
from lockstep.web.api.auth import Gate, add_answers
from lockstep.web.api.evidence import Packs, evidence_router
from tests.support.exporting import Packing
from tests.support.ledgers import LedgerBook

PATH = "/api/evidence/exports"
BOOK = {
    "auditor": ("a" * 40, {Permission.EXPORT}),
    "dpo": ("d" * 40, {Permission.EXPORT, Permission.IDENTIFIED}),
    "board": ("b" * 40, {Permission.SCORE, Permission.REPORT}),
    "odd": ("o" * 40, {Permission.IDENTIFIED}),
}
NEVER = "eaaaaaaaaaaaa"


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {BOOK[name][0]}"}


class Api:
    """A client of the API, and the jobs behind it."""

    def __init__(self, client: httpx.AsyncClient, packing: Packing, jobs: ExportJobs) -> None:
        self.client = client
        self.packing = packing
        self.jobs = jobs

    def wish(self, **changes: object) -> dict[str, object]:
        order = self.packing.order()
        return {"from": order.first.isoformat(), "to": order.last.isoformat(), **changes}

    async def order(self, who: str = "auditor", **changes: object) -> httpx.Response:
        return await self.client.post(PATH, json=self.wish(**changes), headers=bearer(who))

    async def get(self, path: str = "", who: str = "auditor") -> httpx.Response:
        return await self.client.get(f"{PATH}{path}", headers=bearer(who))


@pytest.fixture
async def api(engine, ring, database, tmp_path):
    """The routes over one leaver under a signed head; no job has run yet."""
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    packing = Packing(engine, ring, book, tmp_path)
    await packing.work.adopt()
    await packing.revoked("W-1")
    await packing.seal()
    exports, folder = Exports(engine), tmp_path / "packs"
    app = FastAPI()
    reading = ExportViews(engine), CaseViews(engine, ring)
    app.include_router(
        evidence_router(Gate(Tokens(BOOK)), Packs(packing.exporter, exports, folder, *reading))
    )
    add_answers(app)
    packs = PacksFolder(folder)
    making = PackMaking(packing.exporter, exports, packs)
    jobs = ExportJobs(making.make, exports, folder=packs, keep=timedelta(days=30))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://lockstep") as client:
        yield Api(client, packing, jobs)
    book.close()


async def test_an_order_is_taken_made_and_fetched(api):
    """202 at once, progress while it waits, then the file with its digest."""
    ordered = await api.order(sample=1)
    one = ordered.json()["export_id"]
    assert (ordered.status_code, ordered.headers["location"]) == (202, f"{PATH}/{one}")
    assert ordered.json()["state"] == "pending"
    early = await api.get(f"/{one}/file")
    assert (early.status_code, early.json()["error"]) == (409, "not_ready")

    await api.jobs.step()
    told = (await api.get(f"/{one}")).json()
    fetched = await api.get(f"/{one}/file")
    size = told["checkpoint"]
    assert (told["state"], told["progress"]) == ("done", {"done": size, "all": size})
    assert told["requested_by"] == "token:auditor"
    assert fetched.headers["content-type"] == "application/zip"
    assert hashlib.sha256(fetched.content).hexdigest() == told["sha256"]
    digest = base64.b64encode(hashlib.sha256(fetched.content).digest()).decode()
    assert fetched.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert one in fetched.headers["content-disposition"]


async def test_an_export_that_is_worked_on_is_running(api):
    """Somebody has claimed it and lives."""
    one = (await api.order()).json()["export_id"]
    await Exports(api.packing.engine).claim(timedelta(seconds=60))
    assert (await api.get(f"/{one}")).json()["state"] == "running"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer " + "x" * 40}, 401),
        ({"authorization": "Basic " + "a" * 40}, 401),
        (bearer("board"), 403),
        (bearer("odd"), 403),
    ],
)
async def test_nobody_without_the_right_orders_sees_or_fetches(api, headers, status):
    """On every route, whether or not there is such an export; and nothing is ordered."""
    one = (await api.order()).json()["export_id"]
    await api.jobs.step()
    answers = [
        await api.client.post(PATH, json=api.wish(), headers=headers),
        *[
            await api.client.get(f"{PATH}{path}", headers=headers)
            for path in ("", f"/{one}", f"/{one}/file", f"/{NEVER}", f"/{NEVER}/file")
        ],
    ]
    assert {answer.status_code for answer in answers} == {status}
    assert len(await Exports(api.packing.engine).newest()) == 1


async def test_names_need_a_right_of_their_own(api):
    """To order them and to fetch them; that such a pack exists may be seen."""
    refused = await api.order(identified=True, reason="sample")
    assert (refused.status_code, refused.json()["error"]) == (403, "right_needed")
    one = (await api.order("dpo", identified=True, reason="sample")).json()["export_id"]
    await api.jobs.step()

    assert (await api.get(f"/{one}/file", "auditor")).status_code == 403
    assert (await api.get(f"/{one}/file", "dpo")).status_code == 200
    seen = await api.get("", "auditor")
    assert seen.json()["exports"][0]["identified"] is True
    assert "sample" not in str(seen.json()["exports"][0].get("reason", ""))


async def test_why_people_are_named_is_shown_to_nobody(api):
    """The reason is kept encrypted and leaves by no answer."""
    reason = "the lawyer of a leaver asked"
    one = (await api.order("dpo", identified=True, reason=reason)).json()["export_id"]
    for path in ("", f"/{one}"):
        assert "lawyer" not in (await api.get(path, "dpo")).text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"from": "2026-10-02", "to": "2026-10-01"}, "ends before it begins"),
        ({"from": "yesterday"}, "from: "),
        ({"sample": 2000}, "from 0 to 1000"),
        ({"identified": True}, "needs a reason"),
        ({"ocsf": "1.7"}, "ocsf"),
        ({"checkpoint": 3}, "no head of exactly 3"),
        ({"previous": "hello"}, "no signed note"),
        ({"colour": "blue"}, "colour"),
        ({"case": "c1", "partner": "x"}, "not both"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(api, changes, says):
    """In one line that names what to change, without quoting what was sent."""
    answer = await api.order("dpo", **changes)
    assert answer.status_code == 422
    [problem] = answer.json()["problems"]
    assert says in problem
    assert "yesterday" not in answer.text
    assert await Exports(api.packing.engine).newest() == []


async def test_bodies_are_bounded_json(api):
    """Neither another type, nor too much, nor no JSON."""
    headers = {**bearer("auditor"), "content-type": "application/json"}
    for content, status in ((b"x" * 200_000, 413), (b"{", 422), (b"[]", 422), (b"\xff", 422)):
        answer = await api.client.post(PATH, content=content, headers=headers)
        assert answer.status_code == status
    answer = await api.client.post(PATH, data={"from": "x"}, headers=bearer("auditor"))
    assert answer.status_code == 415


async def test_too_many_orders_are_refused(api):
    """Each can be hours of work."""
    for _ in range(20):
        assert (await api.order()).status_code == 202
    answer = await api.order()
    assert answer.status_code == 422
    assert "wait already" in answer.text


@pytest.mark.parametrize("name", ["../secret", "e1", "E" + "a" * 12, NEVER, "%2e%2e"])
async def test_what_is_not_there_is_not_found(api, name):
    """Nor anything outside the folder."""
    for path in (f"/{name}", f"/{name}/file"):
        assert (await api.get(path)).status_code in {404, 422}


async def test_a_file_that_is_gone_is_said_to_be(api):
    """Deleted after its time, kept at a command line, or on another machine."""
    one = (await api.order()).json()["export_id"]
    await api.jobs.step()
    (api.packing.folder / "packs" / f"{one}.zip").unlink()
    gone = await api.get(f"/{one}/file")
    assert (gone.status_code, gone.json()["error"]) == (404, "file_not_here")
    await Exports(api.packing.engine).expire([one])
    gone = await api.get(f"/{one}/file")
    assert (gone.status_code, gone.json()["error"]) == (404, "file_deleted")
    pack = await api.packing.export()
    gone = await api.get(f"/{pack.export_id}/file")
    assert (gone.status_code, gone.json()["error"]) == (404, "kept_elsewhere")


async def test_the_list_is_bounded(api):
    """And the newest stand first."""
    ids = [(await api.order()).json()["export_id"] for _ in range(3)]
    listed = (await api.get("?limit=2")).json()["exports"]
    assert [each["export_id"] for each in listed] == ids[:0:-1]
    assert (await api.get("?limit=100000")).status_code == 422

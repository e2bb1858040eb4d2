"""The page `Evidence`: who sees, orders, fetches and checks which packs, and what it says."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from lockstep.control.packs.folder import PacksFolder
from lockstep.control.packs.jobs import ExportJobs, PackMaking
from lockstep.domain.cases.leavers import Key, KeyKind
from lockstep.domain.cases.terminations import TerminationKind
from lockstep.domain.rights import Permission, Role
from lockstep.storage.packs.orders import Exports
from tests.evidence.packs import files_of, zip_of
from tests.support.exporting import Packing
from tests.support.ledgers import LedgerBook
from tests.web.console.conftest import Browser, Site, text_of

HOME = "/console/evidence"
NEVER = "eaaaaaaaaaaaa"
HOSTILE = "<script>alert(1)</script>\u202e" + "Ä🙂" * 60


class Desk:
    """The site over a ledger with two partners' leavers, and the jobs that make packs."""

    def __init__(self, site: Site, packing: Packing, jobs: ExportJobs) -> None:
        self.site = site
        self.packing = packing
        self.jobs = jobs

    async def auditor(self, **who: object) -> Browser:
        return await self.site.sign_in(Role.AUDITOR, **who)

    def wish(self, **changes: object) -> dict[str, object]:
        order = self.packing.order()
        return {"from": order.first.isoformat(), "to": order.last.isoformat(), **changes}

    async def ordered(self, who: Browser, **changes: object) -> str:
        """The id of a pack that is ordered and made."""
        answer = await who.post(f"{HOME}/packs", self.wish(**changes))
        assert answer.status_code == 303, text_of(answer)
        assert await self.jobs.step()
        return answer.headers["location"].rpartition("/")[2]


@pytest.fixture
async def desk(site, database, tmp_path) -> AsyncIterator[Desk]:
    book = LedgerBook(database.app_url, database.superuser_url, tmp_path)
    book.signer = site.signer
    packing = Packing(site.engine, site.ring, book, tmp_path)
    await packing.work.adopt()
    await packing.revoked("W-1")
    await packing.revoked("W-2", partner="contoso")
    await packing.seal()
    exports, folder = Exports(site.engine), PacksFolder(tmp_path / ".lockstep" / "packs")
    making = PackMaking(packing.exporter, exports, folder)
    jobs = ExportJobs(making.make, exports, folder=folder, keep=timedelta(days=30))
    yield Desk(site, packing, jobs)
    book.close()


async def acts(desk: Desk, kind: str = "access:acted") -> list[str]:
    """What the ledger says that people did, or were denied."""
    query = text(
        "select convert_from(body, 'utf8')::jsonb #>> '{data,act}' from ledger_entries"
        " where kind = :kind order by id"
    )
    async with desk.site.engine.connect() as connection:
        return list((await connection.scalars(query, {"kind": kind})).all())


async def test_a_pack_is_ordered_made_fetched_and_verified(desk):
    """Its page shows how far it is, then the file; each act is on record."""
    who = await desk.auditor()
    answer = await who.post(f"{HOME}/packs", desk.wish(sample="1"))
    place = answer.headers["location"]
    waiting = await who.part(place)
    assert "waits for its turn" in waiting.text
    assert 'hx-trigger="every 1s"' in waiting.text

    await desk.jobs.step()
    done, listed = await who.part(place), await who.get(HOME)
    fetched = await who.get(f"{place}/file")
    checked = await who.post(f"{place}/verify")

    assert "ready" in done.text
    assert "every 1s" not in done.text
    assert place.rpartition("/")[2] in listed.text
    assert "Olivia Operator" in listed.text
    assert fetched.headers["content-type"] == "application/zip"
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert files_of(fetched.content)
    assert "Verified" in text_of(checked)
    assert {"evidence.order", "evidence.download"} <= set(await acts(desk))


async def test_an_uploaded_pack_is_verified_step_by_step(desk):
    """All 13 steps, each with a verdict in plain words; after a change it says which one fails."""
    who = await desk.auditor()
    place = f"{HOME}/packs/{await desk.ordered(who, sample='1')}"
    raw = (await who.get(f"{place}/file")).content
    files = files_of(raw)
    files["population/leavers.csv"] += b"one,more\n"

    good = await who.post(f"{HOME}/verify", files={"pack": ("pack.zip", raw)})
    bad = await who.post(f"{HOME}/verify", files={"pack": ("pack.zip", zip_of(files))})

    assert "Verified" in text_of(good)
    assert all(f"{number}. " in text_of(good) for number in range(1, 14))
    assert "Refuted" in text_of(bad)
    assert "3. Every file is as stated fails" in text_of(bad)


async def test_what_is_no_pack_is_refused_in_words(desk):
    """Nothing, a text, another ledger's key, a truncated file, a bomb: never a fault of ours."""
    who = await desk.auditor()
    place = f"{HOME}/packs/{await desk.ordered(who)}"
    raw = (await who.get(f"{place}/file")).content

    def upload(content: bytes, **fields: str):
        return who.post(f"{HOME}/verify", fields, files={"pack": ("p.zip", content)})

    assert "Choose the pack" in (await who.post(f"{HOME}/verify")).text
    assert "cannot be checked" in (await upload(b"just words")).text
    assert (await upload(b"just words")).status_code == 422
    assert "key cannot be used" in (await upload(raw, key="no key <b>")).text
    other = "other+a5b8f9d1+AbCd"
    assert (await upload(raw, key=other)).status_code == 422
    cut = await upload(raw[: len(raw) // 2])
    assert "cannot be checked" in cut.text or "Refuted" in cut.text
    assert "Refuted" in text_of(await upload(_bomb()))
    assert "Refuted" in text_of(await upload(_lying_bomb()))


def _bomb() -> bytes:
    """A file that unpacks to a thousand times its size."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("statement.dsse.json", "w", force_zip64=True) as file,
    ):
        for _ in range(96):
            file.write(bytes(1024 * 1024))
    return out.getvalue()


def _lying_bomb() -> bytes:
    """A bomb whose headers say that it is small."""
    raw = bytearray(_bomb())
    place = raw.rfind(b"PK\x01\x02")
    struct.pack_into("<L", raw, place + 24, 100)
    return bytes(raw)


async def test_a_larger_upload_is_refused_unread(desk):
    """Whichever way the form's token is sent."""
    who = await desk.auditor()
    too_large = str(21 * 1024 * 1024)
    for headers in ({}, {"x-csrf-token": who.csrf}):
        answer = await who.client.post(
            f"{HOME}/verify",
            content=b"--x--",
            headers={
                "content-type": "multipart/form-data; boundary=x",
                "content-length": too_large,
                **headers,
            },
        )
        assert (answer.status_code, "20 MiB" in answer.text) == (413, True)


async def test_somebody_of_one_partner_sees_its_packs_only(desk):
    """Full packs and others' are absent from list, page, progress, file and verification."""
    everybody = await desk.auditor()
    full = await desk.ordered(everybody)
    theirs = await desk.ordered(everybody, partner="contoso")
    ours = await desk.ordered(everybody, partner="northwind")
    who = await desk.auditor(partners={"northwind"})

    listed = (await who.get(HOME)).text
    assert (ours in listed, theirs in listed, full in listed) == (True, False, False)
    assert "contoso" not in listed
    for hidden in (full, theirs, NEVER, "x", "e" + "a" * 500, "%00"):
        for ask in (who.get, who.part):
            assert (await ask(f"{HOME}/packs/{hidden}")).status_code == 404
        assert (await who.get(f"{HOME}/packs/{hidden}/file")).status_code == 404
        assert (await who.post(f"{HOME}/packs/{hidden}/verify")).status_code == 404
    assert (await who.get(f"{HOME}/packs/{ours}/file")).status_code == 200


async def test_somebody_of_one_partner_orders_for_it_only(desk):
    """Another partner, everybody, and another's case are refused, and the first is on record."""
    who = await desk.auditor(partners={"northwind"})
    async with desk.site.engine.connect() as connection:
        rows = dict((await connection.execute(text("select partner, case_id from cases"))).all())

    assert (await who.post(f"{HOME}/packs", desk.wish(partner="contoso"))).status_code == 404
    assert (await who.post(f"{HOME}/packs", desk.wish())).status_code == 422
    other = await who.post(f"{HOME}/packs", desk.wish(case=rows["contoso"]))
    own = await who.post(f"{HOME}/packs", desk.wish(case=rows["northwind"]))

    assert (other.status_code, own.status_code) == (404, 303)
    assert await acts(desk, "access:denied") == ["POST /console/evidence/packs"] * 2


async def test_a_pack_of_a_hidden_case_is_hidden(desk):
    """A coming dismissal, and a case about oneself, whatever the rights."""
    sealed = await desk.packing.opened(
        "W-9", kind=TerminationKind.INVOLUNTARY, due=timedelta(days=2)
    )
    own = await desk.packing.opened("W-8", due=timedelta(days=1))
    await desk.packing.seal()
    chief = await desk.auditor(more={Permission.SEALED})
    packs = [await desk.ordered(chief, case=case.case_id) for case in (sealed, own)]
    who = await desk.auditor(keys=[Key(KeyKind.WORKER_ID, "W-8")])
    listed = (await who.get(HOME)).text

    assert packs[0] not in listed
    assert (await who.get(f"{HOME}/packs/{packs[0]}/file")).status_code == 404
    assert packs[1] not in listed
    assert (await who.post(f"{HOME}/packs", desk.wish(case=own.case_id))).status_code == 404
    assert packs[0] in (await chief.get(HOME)).text


async def test_names_need_the_right_and_a_reason(desk):
    """Neither ordered nor fetched nor checked without it; the reason is for those who have it."""
    who = await desk.auditor()
    without = await desk.site.sign_in(more={Permission.EXPORT})
    named = desk.wish(identified="yes", reason="court order 7")

    assert (await who.post(f"{HOME}/packs", desk.wish(identified="yes"))).status_code == 422
    assert (await without.post(f"{HOME}/packs", named)).status_code == 403
    one = await desk.ordered(who, identified="yes", reason="court order 7")

    page = await without.get(f"{HOME}/packs/{one}")
    assert (page.status_code, "court order" in page.text) == (200, False)
    assert "court order 7" in (await who.get(f"{HOME}/packs/{one}")).text
    assert (await without.get(f"{HOME}/packs/{one}/file")).status_code == 403
    assert (await without.post(f"{HOME}/packs/{one}/verify")).status_code == 403
    assert 'name="identified"' not in (await without.get(HOME)).text
    assert len(await acts(desk, "access:denied")) == 3


@pytest.mark.parametrize("role", [Role.HR, Role.OPERATOR, Role.APPROVER, Role.VIEWER, Role.ADMIN])
async def test_other_roles_see_nothing_of_it(site, role):
    """No page, no list, no checkpoint, no key."""
    who = await site.sign_in(role)
    for path in ("", "/packs", f"/packs/{NEVER}", "/checkpoints/1", "/key"):
        assert (await who.get(f"{HOME}{path}")).status_code == 403
    for path in ("/packs", "/verify", f"/packs/{NEVER}/verify"):
        assert (await who.post(f"{HOME}{path}")).status_code == 403


async def test_an_order_that_makes_no_sense_is_explained(desk):
    """The form comes back with what was given, as text."""
    who = await desk.auditor()
    for changes, said in (
        ({"from": "2026-12-31", "to": "2026-01-01"}, "ends before it begins"),
        ({"from": "never"}, "give a day"),
        ({"sample": "ten"}, "give a whole number"),
        ({"sample": "100000"}, "from 0 to"),
        ({"checkpoint": "1"}, "no head of exactly 1"),
        ({"partner": HOSTILE}, "too long") if len(HOSTILE) > 200 else ({}, ""),
    ):
        answer = await who.post(f"{HOME}/packs", desk.wish(**changes))
        if said:
            assert (answer.status_code, said in answer.text) == (422, True), changes
        assert "<script>alert" not in answer.text


async def test_hostile_words_are_only_shown(desk):
    """A partner's name of HR and a person's name, in list, page and form."""
    partner = HOSTILE[:150]
    await desk.packing.revoked("W-3", partner=partner)
    await desk.packing.seal()
    who = await desk.auditor(name=HOSTILE[:150])
    one = await desk.ordered(who, partner=partner)
    for path in (HOME, f"{HOME}/packs/{one}"):
        page = await who.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text


async def test_the_list_is_bounded_and_pages_through_a_thousand(desk):
    """Each order once, the newest first."""
    who = await desk.auditor()
    one = await desk.ordered(who)
    copy = text(
        "insert into exports (export_id, parameters, requested_at, requested_by, state)"
        " select 'e' || lpad(translate(n::text, '0189', 'abcd'), 12, 'x'), parameters,"
        " requested_at - (n / 3 + 1) * interval '1 minute', requested_by, 'failed'"
        " from exports, generate_series(1, 1000) n"
    )
    async with desk.site.engine.begin() as connection:
        await connection.execute(copy)
    seen: list[str] = []
    path = HOME
    while path:
        page = (await who.get(path)).text
        found = page.split('href="/console/evidence/packs/')[1:]
        ids = [part[:13] for part in found if part[13] == '"']
        assert 0 < len(ids) <= 25
        seen += ids
        _, older, rest = page.partition('href="/console/evidence?before=')
        path = f"{HOME}?before={rest[:13]}" if older else ""
    assert (len(seen), len(set(seen)), seen[0]) == (1001, 1001, one)


async def test_the_ledger_and_its_copies_are_told(desk):
    """Size, head, age, key and anchors; the checkpoint is handed out exactly as signed."""
    who = await desk.auditor()
    page = await who.get(HOME)
    size = desk.packing.book.ask("select max(size) from checkpoints")[0][0]
    note = await who.get(f"{HOME}/checkpoints/{size}")
    key = desk.site.signer.verifier.to_text()

    assert key in page.text.replace("&#43;", "+")
    assert (await who.get(f"{HOME}/key")).text.strip() == key
    assert "No anchors" in page.text
    [(stored,)] = desk.packing.book.ask(f"select note from checkpoints where size = {size}")
    assert note.content == bytes(stored)
    for wrong in ("0", "-1", "x", "9" * 400, "٣"):
        assert (await who.get(f"{HOME}/checkpoints/{wrong}")).status_code == 404


async def test_an_empty_installation_says_what_to_expect(site):
    """Nothing signed, no key, no packs."""
    who = await site.sign_in(Role.AUDITOR)
    page = text_of(await who.get(HOME))
    assert "No packs yet." in page
    assert "No head was signed yet" in page
    answer = await who.post(
        f"{HOME}/packs", {"from": "2026-01-01", "to": datetime.now(UTC).date().isoformat()}
    )
    assert "no signed head yet" in answer.text
    nobody = await site.sign_in(Role.AUDITOR, partners=set())
    assert "No partner is yours" in text_of(await nobody.get(HOME))

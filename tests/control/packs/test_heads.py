"""Which heads a pack can stand on: earlier ones, and never a broken ledger's."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from lockstep.control.packs.order import OrderError
from lockstep.evidence.format.notes import Checkpoint, FileSigner, sign_note
from lockstep.evidence.ledger.entries import Entry, EntryKind
from lockstep.evidence.pack.entries_file import ExportError
from lockstep.storage.ledger.keys import hand_over
from lockstep.storage.packs.orders import Exports
from tests.support.casework import (
    SYSTEM,
    TENANT,
)
from tests.support.exporting import Reader, files_left, leavers, ledger_kinds, states, verified
from tests.support.ledgers import ORIGIN

# --- earlier heads ------------------------------------------------------------------------------


async def test_a_pack_proves_that_the_ledger_only_grew(some):
    """From a head that an auditor kept, in a full pack and in one that withholds."""
    old = Reader((await some.export()).path).files["ledger/checkpoint.txt"].decode()
    await some.revoked("W-5")
    await some.seal()
    for options in ({}, {"partner": "contoso"}):
        pack = await some.export(previous=old, **options)
        report = verified(pack, some, previous=old)
        assert "kept" in report.steps[5].sentence
        assert list(Reader(pack.path).json("ledger/consistency.json")) == [old.split("\n")[1]]


async def test_heads_of_earlier_days_are_in_the_pack(some):
    """The last of each day and the last before each bound; a withheld one with its proof."""
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
    for number, back in enumerate((40, 40, 3)):
        await some.opened(f"W-old-{number}", partner="other")
        size = await some.seal()
        signed_at = noon - timedelta(days=back) + timedelta(minutes=number)
        some.book.tamper(
            f"update checkpoints set signed_at = '{signed_at.isoformat()}' where size = {size}"
        )
    sizes = [size for size, _, _ in some.book.heads()]
    await some.opened("W-now")
    await some.seal()
    pack = await some.export(partner="contoso")
    verified(pack, some)
    notes = Reader(pack.path).files["ledger/checkpoints.txt"].decode().split("---\n")

    assert [int(note.split("\n")[1]) for note in notes] == [sizes[0], *sizes[2:]]


async def test_a_head_that_does_not_fit_is_refused(some):
    """Forged, or of a history that was rewritten since: a finding, not a fault of ours."""
    forged = sign_note(Checkpoint(ORIGIN, 3, b"\1" * 32).body(), some.book.signer)
    with pytest.raises(ExportError, match="not a head of this ledger"):
        await some.export(previous=forged)
    assert files_left(some) == []


@pytest.mark.parametrize(
    ("note", "says"),
    [
        (lambda book: sign_note(Checkpoint("x/y", 3, b"\1" * 32).body(), book.signer), "another"),
        (lambda book: sign_note(Checkpoint(ORIGIN, 999, b"\1" * 32).body(), book.signer), "newer"),
        (lambda book: sign_note(Checkpoint(ORIGIN, 0, b"\1" * 32).body(), book.signer), "empty"),
        (lambda _: "hello", "no signed note"),
    ],
)
async def test_a_head_that_cannot_be_compared_is_said_so(some, note, says):
    """Before anything is read."""
    with pytest.raises(OrderError, match=says):
        await some.export(previous=note(some.book))


async def test_a_pack_from_before_a_hand_over_of_the_key_verifies(some):
    """By the old key, which an auditor still holds; a later pack by both."""
    old, new = some.book.signer, FileSigner.generate(ORIGIN)
    size = some.book.heads()[-1][0]
    some.book.append(hand_over(TENANT, old, new.verifier, datetime.now(UTC)))
    some.book.signer = new
    await some.seal()
    before = await some.export(checkpoint=size)
    verified(before, some, keys=[old.verifier])
    after = await some.export()
    for key in (old, new):
        verified(after, some, keys=[key.verifier])


async def test_another_key_than_the_ledgers_makes_no_pack(some):
    """It could not be verified by anybody."""
    some.book.signer = FileSigner.generate(ORIGIN)
    with pytest.raises(ExportError, match="not the key that the ledger is signed by"):
        await some.export()
    assert (files_left(some), await states(some)) == ([], ["failed"])


# --- a broken ledger ----------------------------------------------------------------------------

REWRITTEN = """
update ledger_entries e set body = other, leaf_hash = sha256('\\x00'::bytea || other)
  from (select id, convert_to(replace(convert_from(body, 'UTF8'), 'cebu', 'rome'), 'UTF8') as other
          from ledger_entries where kind = 'case:opened' order by id limit 1) changed
 where changed.id = e.id
"""
"""Changed by somebody who knows how entries are hashed."""


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("update ledger_entries set body = body || ' ' where id = 5", "is not what was hashed"),
        (REWRITTEN, "do not give the root"),
        ("delete from ledger_leaves where leaf_index = 5", "leaf 5"),
        ("delete from ledger_leaves where leaf_index > 5", "leaf 6"),
        ("update ledger_entries set kind = 'watch:look' where kind = 'case:opened'", "row says"),
    ],
)
async def test_a_broken_ledger_is_never_exported(some, harm, says):
    """The place is named; no file, no entry that claims an export."""
    some.book.tamper(harm)
    with pytest.raises((ExportError, RuntimeError), match=says):
        await some.export()

    assert files_left(some) == []
    [row] = await Exports(some.engine).newest()
    assert row.state == "failed"
    assert re.search(says, row.error)
    assert "evidence:exported" not in await ledger_kinds(some)


async def test_an_entry_that_cannot_be_folded_is_named_with_what_to_do(some):
    """Its place, its case and the command; the verifier would refute a pack that shows it."""
    [case, *_] = [row for row in await leavers(some) if row["partner"] == "northwind"]
    now = datetime.now(UTC)
    some.book.append(
        Entry(
            kind=EntryKind.REVOCATION_OUTCOME,
            key="bad",
            tenant=TENANT,
            occurred_at=now,
            recorded_at=now,
            case_id=case["case_id"],
            system=SYSTEM,
        )
    )
    await some.seal()
    place = some.book.order().index("bad")
    with pytest.raises(ExportError) as refused:
        await some.export()
    verified(await some.export(partner="contoso"), some)

    assert f"entry {place}: " in str(refused.value)
    assert f"(case {case['case_id']}, revocation:outcome)" in str(refused.value)
    for word in ("`lockstep ledger refold`", "newest release", "--partner"):
        assert word in str(refused.value)
    assert len(str(refused.value)) < 500  # so much of it stands in the list of exports


async def test_a_ledger_without_a_head_or_a_metric_says_what_to_do(packing):
    """A fresh installation: one line, not a traceback."""
    with pytest.raises(OrderError, match="no signed head yet"):
        await packing.export()

"""Step 7: time stamps over the head, and witnesses on it."""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path

import pytest

from lockstep.evidence.format.notes import FileSigner, add_signature, split_note
from lockstep.evidence.format.plain import instant_ms
from lockstep.evidence.verify.heads import timestamp
from lockstep.evidence.verify.heads.heads import WitnessKey
from lockstep.evidence.verify.report import Level, UnusableError, Verdict
from tests.evidence.authority import Authority
from tests.evidence.ledgers import AS_OF, Book, handover, story
from tests.evidence.packs import make_pack, scope_of
from tests.evidence.verdicts import check, failed, told, verdict


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tsa") / "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("tsa") / "other")


# --- time stamps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_a_time_stamp_anchors(
    book: Book, authority: Authority, tmp_path: Path, digest: str
) -> None:
    """An authority that the reader trusts has seen this very head."""
    token = authority.stamp(book.checkpoint().encode(), digest=digest)
    raw = make_pack(book, anchors={"tsa.tsr": token})
    report = check(tmp_path, raw, book, tsa_root=authority.root)

    assert report.is_verified
    assert report.level is Level.ANCHORED
    assert "anchors/tsa.tsr: 20" in told(report, 7)


def test_a_time_stamp_of_another_tree(book: Book, authority: Authority, tmp_path: Path) -> None:
    """A true stamp, over another head."""
    token = authority.stamp(book.checkpoint(50).encode())
    raw = make_pack(book, anchors={"tsa.tsr": token})
    report = check(tmp_path, raw, book, tsa_root=authority.root)

    assert failed(report) == {7}
    assert "stamps something else" in told(report, 7)
    assert report.level is Level.NONE


def test_a_time_stamp_of_another_authority(
    book: Book, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """Anybody can run an authority; only one that the reader trusts counts."""
    token = stranger.stamp(book.checkpoint().encode())
    raw = make_pack(book, anchors={"tsa.tsr": token})
    report = check(tmp_path, raw, book, tsa_root=authority.root)
    assert report.is_verified
    assert verdict(report, 7) is Verdict.NOT_CHECKED
    assert "not by the authority that you gave" in told(report, 7)
    assert report.level is Level.UNANCHORED


def test_one_trusted_authority_among_others_is_enough(
    book: Book, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    """A pack may be stamped by several; a reader need not trust them all."""
    note = book.checkpoint().encode()
    anchors = {"a.tsr": stranger.stamp(note), "b.tsr": authority.stamp(note)}
    report = check(tmp_path, make_pack(book, anchors=anchors), book, tsa_root=authority.root)
    assert report.level is Level.ANCHORED


@pytest.mark.parametrize("place", [10, 60, 200, 500, -40, -1])
def test_a_damaged_time_stamp(book: Book, authority: Authority, tmp_path: Path, place: int) -> None:
    """Wherever a bit is turned, it stamps nothing: refuted, or nobody's whom the reader trusts."""
    token = bytearray(authority.stamp(book.checkpoint().encode()))
    token[place] ^= 0x55
    raw = make_pack(book, anchors={"tsa.tsr": bytes(token)})
    report = check(tmp_path, raw, book, tsa_root=authority.root)
    assert failed(report) == {7} or report.level is Level.UNANCHORED


def test_a_stamp_of_the_trusted_authority_that_does_not_hold(
    book: Book, authority: Authority, tmp_path: Path
) -> None:
    """Its certificate is there and its signature is not: that is no other authority's stamp."""
    token = bytearray(authority.stamp(book.checkpoint().encode()))
    token[-1] ^= 0x55
    raw = make_pack(book, anchors={"tsa.tsr": bytes(token)})
    report = check(tmp_path, raw, book, tsa_root=authority.root)
    assert failed(report) == {7}
    assert "does not hold" in told(report, 7)


@pytest.mark.parametrize("token", [b"", b"0", b"\x30\x03\x02\x01\x02", bytes(300_000)])
def test_what_is_no_time_stamp(
    book: Book, authority: Authority, tmp_path: Path, token: bytes
) -> None:
    """Refuted, not stumbled over."""
    raw = make_pack(book, anchors={"tsa.tsr": token})
    assert failed(check(tmp_path, raw, book, tsa_root=authority.root)) == {7}


def test_a_time_stamp_without_a_root_is_not_checked(
    book: Book, authority: Authority, tmp_path: Path
) -> None:
    """The pack cannot say whom to trust."""
    token = authority.stamp(book.checkpoint().encode())
    report = check(tmp_path, make_pack(book, anchors={"tsa.tsr": token}), book)
    assert verdict(report, 7) is Verdict.NOT_CHECKED
    assert "--tsa-root" in told(report, 7)
    assert report.level is Level.UNANCHORED


def test_receipts_that_are_no_time_stamps_are_left_alone(book: Book, tmp_path: Path) -> None:
    """A receipt of a file or a bucket proves nothing offline."""
    report = check(tmp_path, make_pack(book, anchors={"bucket.txt": b"stored"}), book)
    assert report.is_verified
    assert report.level is Level.UNANCHORED


def test_without_the_library_the_step_says_so(
    book: Book, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The single file may stand on a machine that has `cryptography` alone."""
    monkeypatch.setattr(timestamp, "tsp", None)
    token = authority.stamp(book.checkpoint().encode())
    raw = make_pack(book, anchors={"tsa.tsr": token})
    report = check(tmp_path, raw, book, tsa_root=authority.root)
    assert report.is_verified
    assert verdict(report, 7) is Verdict.NOT_CHECKED
    assert "rfc3161-client is not installed" in told(report, 7)


@pytest.mark.parametrize("root", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_root_that_is_none_is_unusable(book: Book, tmp_path: Path, root: bytes) -> None:
    """The reader's own file is wrong, not the pack."""
    with pytest.raises(UnusableError):
        check(tmp_path, make_pack(book), book, tsa_root=root)


# --- witnesses ------------------------------------------------------------------------------------


def timed_key(signer: FileSigner) -> str:
    """A witness's key as C2SP tlog-cosignature writes it: type 4."""
    public = signer.verifier.public
    raw = signer.name.encode() + b"\n\x04" + public
    hint = hashlib.sha256(raw).digest()[:4].hex()
    return f"{signer.name}+{hint}+{base64.b64encode(bytes([4]) + public).decode()}"


def cosign(note: str, signer: FileSigner, *, at: int = 1_790_000_000) -> str:
    """A timed cosignature on a note."""
    body, _ = split_note(note)
    message = f"cosignature/v1\ntime {at}\n{body}".encode()
    hint = WitnessKey.parse(timed_key(signer)).id
    raw = base64.b64encode(hint + struct.pack(">Q", at) + signer.sign(message)).decode()
    return f"{note}\N{EM DASH} {signer.name} {raw}\n"


def test_a_cosignature_of_a_witness(book: Book, tmp_path: Path) -> None:
    """Plain or timed, by a key that the reader trusts: WITNESSED."""
    plain, timed = FileSigner.generate("client.example"), FileSigner.generate("witness.example/w1")
    note = cosign(add_signature(book.checkpoint(), plain), timed)
    raw = make_pack(book, checkpoint=note)
    for text in (plain.verifier.to_text(), timed_key(timed)):
        report = check(tmp_path, raw, book, witnesses=[WitnessKey.parse(text)])
        assert report.is_verified
        assert report.level is Level.WITNESSED


def test_a_witness_outranks_a_time_stamp(book: Book, authority: Authority, tmp_path: Path) -> None:
    """Both are said."""
    witness = FileSigner.generate("witness.example/w1")
    note = cosign(book.checkpoint(), witness)
    raw = make_pack(book, checkpoint=note, anchors={"tsa.tsr": authority.stamp(note.encode())})
    key = WitnessKey.parse(timed_key(witness))
    report = check(tmp_path, raw, book, witnesses=[key], tsa_root=authority.root)
    assert report.level is Level.WITNESSED
    assert "tsa.tsr" in told(report, 7)


def test_a_strangers_cosignature_is_passed_over(book: Book, tmp_path: Path) -> None:
    """It is worth nothing to this reader, and no fraud."""
    note = cosign(book.checkpoint(), FileSigner.generate("witness.example/w1"))
    report = check(tmp_path, make_pack(book, checkpoint=note), book)
    assert report.is_verified
    assert report.level is Level.UNANCHORED


@pytest.mark.parametrize("is_timed", [True, False])
def test_a_forged_cosignature(book: Book, tmp_path: Path, *, is_timed: bool) -> None:
    """Under the witness's name and key id, over another head."""
    witness = FileSigner.generate("witness.example/w1")
    sign, text = (
        (cosign, timed_key(witness))
        if is_timed
        else (
            add_signature,
            witness.verifier.to_text(),
        )
    )
    line = sign(book.checkpoint(50), witness).splitlines(keepends=True)[-1]
    raw = make_pack(book, checkpoint=book.checkpoint() + line)
    report = check(tmp_path, raw, book, witnesses=[WitnessKey.parse(text)])
    assert failed(report) == {7}
    assert "witness.example/w1 is wrong" in told(report, 7)


def test_a_cosignature_without_its_time(book: Book, tmp_path: Path) -> None:
    """Cut after the key's id."""
    witness = FileSigner.generate("witness.example/w1")
    key = WitnessKey.parse(timed_key(witness))
    line = f"\N{EM DASH} {key.name} {base64.b64encode(key.id).decode()}\n"
    raw = make_pack(book, checkpoint=book.checkpoint() + line)
    assert failed(check(tmp_path, raw, book, witnesses=[key])) == {7}


def test_a_cosignature_beside_the_head(book: Book, authority: Authority, tmp_path: Path) -> None:
    """As an anchor brings it: the head's bytes stay those that were stamped."""
    witness = FileSigner.generate("witness.example/w1")
    line = cosign(book.checkpoint(), witness, at=AS_OF // 1000).splitlines(keepends=True)[-1]
    stamp = authority.stamp(book.checkpoint().encode())
    anchors = {"w.txt": line.encode(), "tsa.tsr": stamp, "bucket.txt": b"stored"}
    key = WitnessKey.parse(timed_key(witness))
    raw = make_pack(book, anchors=anchors)
    report = check(tmp_path, raw, book, witnesses=[key], tsa_root=authority.root)

    assert report.level is Level.WITNESSED
    assert "anchors/tsa.tsr: 20" in told(report, 7)
    assert "cosigned by witness.example/w1" in told(report, 7)


@pytest.mark.parametrize("receipt", ["forged", "huge", "mixed", "binary"])
def test_a_receipt_that_is_no_cosignature(book: Book, tmp_path: Path, receipt: str) -> None:
    """Forged it refutes; with anything else in it, it is a receipt like any other."""
    witness = FileSigner.generate("witness.example/w1")
    good = cosign(book.checkpoint(), witness).splitlines(keepends=True)[-1].encode()
    forged = cosign(book.checkpoint(50), witness).splitlines(keepends=True)[-1].encode()
    said = {
        "forged": forged,
        "huge": good * 1000,
        "mixed": b"stored\n" + good,
        "binary": b"\xff" + good,
    }
    raw = make_pack(book, anchors={"w.txt": said[receipt]})
    report = check(tmp_path, raw, book, witnesses=[WitnessKey.parse(timed_key(witness))])
    assert (failed(report) == {7}) is (receipt == "forged")
    assert report.level is (Level.NONE if receipt == "forged" else Level.UNANCHORED)


@pytest.mark.parametrize("is_handed_over", [False, True])
def test_the_ledgers_own_key_is_no_witness(
    book: Book, tmp_path: Path, *, is_handed_over: bool
) -> None:
    """By whatever name and kind it is given: nobody vouches for himself."""
    other = FileSigner.generate(book.signer.name)
    own = other if is_handed_over else book.signer
    disguised = FileSigner("witness.example/w1", own.private)
    note = cosign(book.checkpoint(), disguised)
    keys = [handover(book.signer, other)] if is_handed_over else []
    raw = make_pack(book, checkpoint=note, keys=keys)
    for text in (timed_key(disguised), disguised.verifier.to_text(), own.verifier.to_text()):
        with pytest.raises(UnusableError, match="nobody vouches for himself"):
            check(tmp_path, raw, book, witnesses=[WitnessKey.parse(text)])


@pytest.mark.parametrize(
    ("at", "says"),
    [
        (AS_OF // 1000 - 301, "before the head was"),
        (0, "before the head was"),
        (AS_OF // 1000 + 8 * 86_400, "more than a week after"),
        (2**64 - 1, "no day of the calendar"),
    ],
)
def test_a_cosignature_of_an_odd_time(book: Book, tmp_path: Path, at: int, says: str) -> None:
    """It is the witness's, and its clock or somebody's is wrong: said, never passed over."""
    witness = FileSigner.generate("witness.example/w1")
    raw = make_pack(book, checkpoint=cosign(book.checkpoint(), witness, at=at))
    report = check(tmp_path, raw, book, witnesses=[WitnessKey.parse(timed_key(witness))])

    assert report.is_verified
    assert verdict(report, 7) is Verdict.WARN
    assert says in told(report, 7)


def test_a_cosignature_says_when(book: Book, tmp_path: Path) -> None:
    """The instant at which the witness saw the head is what a reader can compare."""
    witness = FileSigner.generate("witness.example/w1")
    raw = make_pack(book, checkpoint=cosign(book.checkpoint(), witness, at=AS_OF // 1000 + 9))
    report = check(tmp_path, raw, book, witnesses=[WitnessKey.parse(timed_key(witness))])

    assert verdict(report, 7) is Verdict.PASS
    assert "witness.example/w1: 2026-10-05 06:00:09Z" in told(report, 7)


@pytest.mark.parametrize("change", ["", "a+b", "x+00000000+AAAA", "hash", "short"])
def test_a_witness_key_that_is_none_is_unusable(change: str) -> None:
    """The reader's own text is wrong."""
    text = timed_key(FileSigner.generate("witness.example/w1"))
    name, hint, encoded = text.split("+", 2)
    if change == "hash":
        change = f"{name}+00000000+{encoded}"
    if change == "short":
        change = f"{name}+{hint}+{base64.b64encode(bytes([4]) * 5).decode()}"
    with pytest.raises(UnusableError):
        WitnessKey.parse(change)


def test_a_head_that_was_stamped_before_it_was_signed(
    book: Book, authority: Authority, tmp_path: Path
) -> None:
    """The operator's clock runs ahead: known from the authority's."""
    scope = scope_of(as_of=instant_ms("2999-01-01T00:00:00.000Z"))
    token = authority.stamp(book.checkpoint().encode())
    raw = make_pack(book, scope=scope, anchors={"tsa.tsr": token})
    report = check(tmp_path, raw, book, tsa_root=authority.root)
    assert verdict(report, 7) is Verdict.WARN
    assert "clock ran ahead" in told(report, 7)

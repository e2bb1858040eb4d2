"""Archives that no honest writer makes are refused at the first step, before anything is read."""

from __future__ import annotations

import io
import resource
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.verify.report import RefutedError
from lockstep.evidence.verify.zip.archive import Archive, Limits
from tests.evidence.ledgers import Book, story
from tests.evidence.packs import files_of, make_pack, zip_of
from tests.evidence.verdicts import check, failed, told

LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


@pytest.fixture(scope="module")
def pack(book: Book) -> bytes:
    return make_pack(book)


def refused(tmp_path: Path, raw: bytes, book: Book, **limits: int) -> str:
    """Why the first step refuses it; nothing else is done."""
    report = check(tmp_path, raw, book, limits=Limits(**limits))
    assert failed(report) == {1}
    assert {step.verdict.value for step in report.steps[1:]} == {"NOT CHECKED"}
    return told(report, 1)


def renamed(raw: bytes, new: bytes) -> bytes:
    """The README under another name of the same length, in both of its places."""
    old = layout.README.encode()
    assert len(new) == len(old)
    assert raw.count(old) >= 2
    return raw.replace(old, new)


@pytest.mark.parametrize(
    "name",
    [
        b"../EADME.",
        b"/etc/pass",
        b"a/../b.md",
        b"a\\b\\cc.md",
        b"C:\\READ.M",
        b"READ\x00E.md",
        b"READ ME.m",
        b"READM\xc3\xa9.m",
        b"READM\xffE.m",
        b".ssh/keys",
        b"-rf/REA.m",
        b"a//b/c.md",
        b"READMEmd/",
        b"README.m.",
        b"nul.READM",
        b"a/CON.txt",
        b"READM\x1b[2J",
    ],
)
def test_names_that_lead_astray(book: Book, pack: bytes, tmp_path: Path, name: bytes) -> None:
    """Out of the folder, to a device, in another alphabet, or into the terminal."""
    said = refused(tmp_path, renamed(pack, name), book)
    assert "name that no pack has" in said
    assert said.isprintable()


@pytest.mark.parametrize(
    "other", ["README.md", "readme.MD"], ids=["the same", "the same to some systems"]
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name(book: Book, pack: bytes, tmp_path: Path, other: str) -> None:
    """One reader would see the first, another the last."""
    rows = [*files_of(pack).items(), (other, b"something else")]
    assert "two files of the name" in refused(tmp_path, zip_of(rows), book)


def test_a_file_that_is_a_folder_too(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Nobody could unpack both."""
    rows = [*files_of(pack).items(), ("ledger", b"")]
    assert "a file and a folder" in refused(tmp_path, zip_of(rows), book)


def test_a_bomb(book: Book, tmp_path: Path) -> None:
    """256 megabytes of nothing in a quarter of one; no memory is spent on it."""
    raw = zipped_zeros(256)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "a bomb" in refused(tmp_path, raw, book)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


def zipped_zeros(megabytes: int) -> bytes:
    """A tightly packed file of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        info = zipfile.ZipInfo(layout.README)
        info.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(info, "w", force_zip64=True) as member:
            for _ in range(megabytes):
                member.write(bytes(1024 * 1024))
    return out.getvalue()


def test_a_bomb_of_many_small_files(book: Book, tmp_path: Path) -> None:
    """Each alone would pass."""
    rows = [(f"a/{number}", bytes(1024 * 1024)) for number in range(100)]
    assert "a bomb" in refused(tmp_path, zip_of(rows), book)


def test_a_bomb_that_lies_about_its_size(book: Book, tmp_path: Path) -> None:
    """A stream ends where the headers say, or it is refused."""
    raw = bytearray(zip_of({layout.README: bytes(500_000)}))
    for mark, place in ((LOCAL, 22), (CENTRAL, 24)):
        at = raw.index(mark)
        raw[at + place : at + place + 4] = struct.pack("<L", 1000)
    assert "longer than the archive says" in refused(tmp_path, bytes(raw), book)


def test_too_many_files(book: Book, tmp_path: Path) -> None:
    """A directory is held in memory: it is bounded."""
    rows = [(f"a/{number}", b"") for number in range(20_001)]
    assert "more than 20000 files" in refused(tmp_path, zip_of(rows), book)


def with_info(pack: bytes, change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, raw in files_of(pack).items():
            info = zipfile.ZipInfo(name)
            if name == layout.README:
                change(info)
            archive.writestr(info, raw)
    return out.getvalue()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(book: Book, pack: bytes, tmp_path: Path, kind: int) -> None:
    """A file is a file."""

    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o644) << 16

    assert "a link, a folder or a device" in refused(tmp_path, with_info(pack, change), book)


def test_an_extra_field(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Some readers take names from there."""

    def change(info: zipfile.ZipInfo) -> None:
        info.extra = struct.pack("<HH", 0x7075, 4) + b"name"

    assert "extra field" in refused(tmp_path, with_info(pack, change), book)


def test_a_comment(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Of a file, and of the archive."""

    def change(info: zipfile.ZipInfo) -> None:
        info.comment = b"trust me"

    refused(tmp_path, with_info(pack, change), book)
    refused(tmp_path, pack[:-2] + b"\x01\x00x", book)


def test_another_method(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Stored or deflated, nothing else."""

    def change(info: zipfile.ZipInfo) -> None:
        info.compress_type = zipfile.ZIP_BZIP2

    assert "unknown way" in refused(tmp_path, with_info(pack, change), book)


def at_both(pack: bytes, local: int, central: int, value: bytes) -> bytes:
    """Overwrite a field of the first file in both of its headers."""
    raw = bytearray(pack)
    for mark, place in ((LOCAL, local), (CENTRAL, central)):
        at = raw.index(mark)
        raw[at + place : at + place + len(value)] = value
    return bytes(raw)


@pytest.mark.parametrize("flag", [0x1, 0x8, 0x20, 0x40, 0x2000])
def test_encryption_and_streams(book: Book, pack: bytes, tmp_path: Path, flag: int) -> None:
    """Neither is needed, and each can hide something."""
    raw = at_both(pack, 6, 8, struct.pack("<H", flag))
    assert "encrypted, or written as a stream" in refused(tmp_path, raw, book)


@pytest.mark.parametrize("place", [0, 4, 6, 8, 10, 12, 14, 18, 22, 26, 28, 30])
def test_headers_that_disagree(book: Book, pack: bytes, tmp_path: Path, place: int) -> None:
    """A field of the local header changed: all but the version needed must agree."""
    raw = bytearray(pack)
    raw[place] ^= 1
    if place == 4:
        assert check(tmp_path, bytes(raw), book).is_verified
    else:
        refused(tmp_path, bytes(raw), book)


def test_a_checksum_that_is_wrong_in_both_places(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Found when the file is unpacked."""
    raw = at_both(pack, 14, 16, b"\x00\x00\x00\x01")
    assert "damaged" in refused(tmp_path, raw, book)


def test_data_that_cannot_be_unpacked(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Somewhere in the first file."""
    raw = bytearray(pack)
    at = raw.index(LOCAL)
    data = at + 30 + int.from_bytes(raw[at + 26 : at + 28], "little")
    raw[data : data + 4] = b"\xff\xff\xff\xff"
    assert "damaged" in refused(tmp_path, bytes(raw), book)


@pytest.mark.parametrize("where", ["before", "before, of another kind", "between", "after"])
def test_something_hidden(book: Book, pack: bytes, tmp_path: Path, where: str) -> None:
    """Before the first file, between files and directory, or behind the end."""
    start = struct.unpack_from("<L", pack, pack.rindex(END) + 16)[0]
    hidden = {
        "before": b"PK" + b"\x00" * 30 + pack,
        "before, of another kind": b"#!/bin/sh\n" + pack,
        "between": pack[:start] + b"hidden" + pack[start:],
        "after": pack + b"hidden",
    }
    refused(tmp_path, hidden[where], book)


@pytest.mark.parametrize("size", [1000, -1, -22, -100])
def test_a_cut_archive(book: Book, pack: bytes, tmp_path: Path, size: int) -> None:
    """Wherever it is cut."""
    refused(tmp_path, pack[:size], book)


def test_a_file_inside_another(book: Book, tmp_path: Path) -> None:
    """Two entries of the directory that point to one place."""
    raw = bytearray(zip_of({"a": b"1", "b": b"1"}))
    second = raw.index(CENTRAL, raw.index(CENTRAL) + 1)
    raw[second + 42 : second + 46] = bytes(4)
    assert "overlaps" in refused(tmp_path, bytes(raw), book)


@pytest.mark.parametrize("place", range(4, 20))
def test_an_end_that_lies(book: Book, pack: bytes, tmp_path: Path, place: int) -> None:
    """Disks, counts, sizes and places: each must be right."""
    raw = bytearray(pack)
    raw[raw.rindex(END) + place] ^= 0x41
    refused(tmp_path, bytes(raw), book)


def zip64_ending(pack: bytes) -> bytes:
    """The same archive with its end in 64 bits too, as writers do for large ones."""
    at = pack.rindex(END)
    count, size, start = struct.unpack_from("<HLL", pack, at + 10)
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, at, 1)
    return pack[:at] + record + locator + pack[at:]


def test_an_end_in_64_bits(book: Book, pack: bytes, tmp_path: Path) -> None:
    """Read where it agrees with the other end and is needed; an archive this small needs none."""
    raw = zip64_ending(pack)
    assert check(tmp_path, raw, book, limits=Limits(wide=0)).is_verified
    assert "64-bit field" in refused(tmp_path, raw, book)


@pytest.mark.parametrize("place", range(76))
def test_an_end_in_64_bits_that_lies(book: Book, pack: bytes, tmp_path: Path, place: int) -> None:
    """Each field must be right, but for the versions of the writer and of what is needed."""
    raw = bytearray(zip64_ending(pack))
    raw[raw.rindex(END) - 76 + place] ^= 0x41
    if place in range(12, 16):
        assert check(tmp_path, bytes(raw), book, limits=Limits(wide=0)).is_verified
    else:
        refused(tmp_path, bytes(raw), book, wide=0)


def opened(tmp_path: Path, files: dict[str, bytes], **limits: int) -> Archive:
    path = tmp_path / "some.zip"
    path.write_bytes(zip_of(files))
    return Archive.open(path, Limits(**limits))


def test_lines_are_bounded(tmp_path: Path) -> None:
    """A line without end would fill the memory."""
    archive = opened(tmp_path, {"a": zlib.compress(b"") + b"x" * 600_000}, line=1000)
    with pytest.raises(RefutedError, match="longer than lines"):
        list(archive.lines("a"))
    archive.close()


def test_files_held_in_memory_are_bounded(tmp_path: Path) -> None:
    """Only small ones are."""
    archive = opened(tmp_path, {"a": b"x" * 1001}, small=1000)
    with pytest.raises(RefutedError, match="larger than"):
        archive.read("a")
    archive.close()


def test_lines_come_as_they_stand(tmp_path: Path) -> None:
    """Across the borders of blocks too."""
    lines = [b"x" * size for size in (0, 1, 100_000, 300_000, 5)]
    archive = opened(tmp_path, {"a": b"".join(line + b"\n" for line in lines)})
    assert list(archive.lines("a")) == lines
    archive.close()

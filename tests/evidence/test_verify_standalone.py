"""The single file: alone with Python and `cryptography`, from anywhere, with the same verdicts."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lockstep.evidence.pack import layout
from lockstep.evidence.verify import standalone
from tests.evidence.authority import Authority
from tests.evidence.ledgers import Book, story
from tests.evidence.packs import make_pack
from tests.evidence.verdicts import check, put

_START = """
import runpy, sys
libraries, file, *arguments = sys.argv[1:]
sys.path.append(libraries)
sys.argv = [file, *arguments]
try:
    runpy.run_path(file, run_name="__main__")
finally:
    foreign = sorted(
        name
        for name, module in sys.modules.items()
        if (getattr(module, "__file__", None) or "").startswith(libraries)
    )
    print("foreign:", *{name.partition(".")[0] for name in foreign}, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def book() -> Book:
    return story()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cryptography` and what it needs, and nothing else."""
    folder = tmp_path_factory.mktemp("libraries")
    for name in ("cryptography", "cffi", "pycparser"):
        for file in importlib.metadata.files(name) or ():
            part = Path(file.parts[0])
            target = Path(str(file.locate())).parents[len(file.parts) - 1] / part
            if ".." not in file.parts and not (folder / part).exists():
                (folder / part).symlink_to(target)
    return folder


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verifier") / "lockstep-verify.pyz"
    assert standalone.main([str(path)]) == 0
    return path


def run(
    alone: Path, verifier: Path, folder: Path, arguments: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Isolated (-I) and without site packages (-S), in a folder that has nothing of ours."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-c", _START, str(alone), str(verifier), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_it_verifies_with_cryptography_alone(
    alone: Path, verifier: Path, book: Book, tmp_path: Path
) -> None:
    """The very report that the installed command gives; no other library was loaded."""
    raw = make_pack(book)
    (tmp_path / "pack.zip").write_bytes(raw)
    (tmp_path / "kept.txt").write_text(book.checkpoint(50))
    key = book.signer.verifier.to_text()
    done = run(
        alone,
        verifier,
        tmp_path,
        ["pack.zip", "--key", key, "--previous", "kept.txt", "--json"],
    )
    wanted = check(tmp_path, raw, book, previous=book.checkpoint(50)).as_document()

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(json.dumps(wanted))
    loaded = set(done.stderr.rpartition("foreign:")[2].split())
    assert loaded <= {"cryptography", "_cffi_backend", "cffi", "pycparser"}


def test_it_refutes(alone: Path, verifier: Path, book: Book, tmp_path: Path) -> None:
    """Exit code 1, and the step in plain text."""
    raw = make_pack(book, tamper=put(layout.README, b"another"))
    (tmp_path / "pack.zip").write_bytes(raw)
    key = tmp_path / "ledger.vkey"
    key.write_text(book.signer.verifier.to_text() + "\n")
    done = run(alone, verifier, tmp_path, ["pack.zip", "--key", str(key)])

    assert done.returncode == 1
    assert " 3 FAIL        Every file is as stated" in done.stdout
    assert "- README.md was changed" in done.stdout
    assert "REFUTED, NOT ESTABLISHED" in done.stdout
    assert "What this does not check:" in done.stdout


def test_it_says_that_it_cannot_check_time_stamps(
    alone: Path, verifier: Path, book: Book, tmp_path: Path
) -> None:
    """Without rfc3161-client, and how else to do it; that is no failure."""
    authority = Authority.create(tmp_path / "tsa")
    token = authority.stamp(book.checkpoint().encode())
    (tmp_path / "pack.zip").write_bytes(make_pack(book, anchors={"tsa.tsr": token}))
    key = book.signer.verifier.to_text()
    arguments = ["pack.zip", "--key", key, "--tsa-root", "tsa/root.pem"]
    done = run(alone, verifier, tmp_path, arguments)

    assert done.returncode == 0, done.stderr
    assert "rfc3161-client is not installed" in done.stdout
    assert "VERIFIED, UNANCHORED" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["none.zip", "--key", "KEY"],
        ["text.zip", "--key", "KEY"],
        ["pack.zip", "--key", "a+b+c"],
        ["pack.zip", "--key", "no-such-file"],
        ["pack.zip", "--key", "KEY", "--previous", "text.zip"],
        ["pack.zip", "--key", "KEY", "--tsa-root", "text.zip"],
        ["pack.zip", "--key", "KEY", "--witness", "a+b+c"],
        ["pack.zip"],
    ],
    ids=" ".join,
)
def test_unusable_input(
    alone: Path, verifier: Path, book: Book, tmp_path: Path, arguments: list[str]
) -> None:
    """Exit code 2, one line, no traceback."""
    (tmp_path / "pack.zip").write_bytes(make_pack(book))
    (tmp_path / "text.zip").write_text("nothing of the kind")
    key = book.signer.verifier.to_text()
    given = [key if word == "KEY" else word for word in arguments]
    done = run(alone, verifier, tmp_path, given)

    assert done.returncode == 2
    assert "error: " in done.stderr
    assert "Traceback" not in done.stderr


def test_building_twice_gives_the_same_bytes() -> None:
    """Whoever builds it from the same sources can compare."""
    assert standalone.build() == standalone.build()


def test_the_builder_asks_for_a_place() -> None:
    """And for one only."""
    assert standalone.main([]) == 2

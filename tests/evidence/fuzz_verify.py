"""Throw damaged and dishonest packs at the verifier: ``python -m tests.evidence.fuzz_verify``.

Every one must end in a report or in "unusable", soon, and in little memory. What is changed is
changed on every level: bytes of the archive, bytes of a file under a new statement, and values
inside entries, policies and claims under a new tree, head and statement.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lockstep.evidence.format.plain import plain_bytes
from lockstep.evidence.pack import layout
from lockstep.evidence.verify.check import verify_pack
from lockstep.evidence.verify.report import UnusableError
from tests.evidence.authority import Authority
from tests.evidence.ledgers import AS_OF, DAY, digest_of, story
from tests.evidence.packs import Files, files_of, make_pack, zip_of
from tests.evidence.verdicts import rewrite

SECONDS = 20
MEGABYTES = 500

ODD: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53 - 1,
    -(2**53),
    1.5,
    "",
    "0",
    "=1+1",
    "x" * 5000,
    "\ud800",
    "\x00\x1b[2J",
    "9999-12-31T23:59:59.999Z",
    "0001-01-01T00:00:00.000Z",
    "0" * 64,
    "9" * 400,
    [],
    {},
    [[]] * 50,
    {"a": {"b": {}}},
)


class Fuzzer:
    """Makes packs that nobody should accept, and some that are as good as before."""

    def __init__(self, folder: Path) -> None:
        self.book = story()
        for day in range(8, 0, -1):  # more of these: of all others there are many
            self.book.expect("agency", "workday", at=AS_OF - day * DAY)
            self.book.hear("agency", AS_OF - day * DAY)
        self._authority = Authority.create(folder / "tsa")
        self._token = self._authority.stamp(self.book.checkpoint().encode())
        self._path = folder / "pack.zip"
        self._good = make_pack(self.book)
        self._ways: tuple[Callable[[random.Random], bytes], ...] = (
            self.damaged,
            self.cut_and_pasted,
            self.files_changed,
            self.signed_files_changed,
            self.entries_changed,
            self.policy_changed,
            self.claims_changed,
            self.any_archive,
            self.stamp_changed,
        )

    def pack(self, dice: random.Random) -> bytes:
        return dice.choice(self._ways)(dice)

    def damaged(self, dice: random.Random) -> bytes:
        """Some bytes of the archive are others."""
        return _damage(self._good, dice)

    def cut_and_pasted(self, dice: random.Random) -> bytes:
        """A part of the archive is gone, doubled, or elsewhere."""
        raw = self._good
        at, end = sorted(dice.randrange(len(raw)) for _ in range(2))
        to = dice.randrange(len(raw))
        kept = raw[:at] + raw[end:]
        return dice.choice((kept, raw[:end] + raw[at:], kept[:to] + raw[at:end] + kept[to:]))

    def files_changed(self, dice: random.Random) -> bytes:
        """A file is another one, is gone, or has another name."""
        files = files_of(self._good)
        name = dice.choice(list(files))
        raw = files.pop(name)
        other = dice.choice((name, _damage(name.encode(), dice).decode("latin-1"), "x/" + name))
        if dice.random() < 0.9:
            files[other] = _damage(raw, dice) if raw else b"x"
        with contextlib.suppress(UnicodeEncodeError):
            return zip_of(files)
        return self._good

    def signed_files_changed(self, dice: random.Random) -> bytes:
        """The operator signs damaged files."""

        def forge(files: Files) -> None:
            for _ in range(dice.randint(1, 3)):
                name = dice.choice(list(files))
                files[name] = _damage(files[name], dice) if files[name] else b"x"
                if name.endswith(".json") and dice.random() < 0.7:
                    files[name] = _json_damage(files[name], dice)

        return make_pack(self.book, forge=forge)

    def entries_changed(self, dice: random.Random) -> bytes:
        """The operator writes another ledger, and signs it."""
        lines = list(self.book.entries)
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(lines))
            match dice.randrange(5):
                case 0:
                    del lines[at]
                case 1:
                    lines.insert(at, dice.choice(lines))
                case 2:
                    lines[at] = _damage(lines[at], dice).replace(b"\n", b"")
                case _:
                    lines[at] = _json_damage(lines[at], dice).replace(b"\n", b"")
        return self._rewritten(lines)

    def policy_changed(self, dice: random.Random) -> bytes:
        """An adopted document with an odd value, under its right digest everywhere."""
        lines = list(self.book.entries)
        place = dice.choice([n for n, line in enumerate(lines) if b':adopted","o' in line])
        entry = json.loads(lines[place])
        data = entry["data"]
        if "document" not in data:
            return self._good
        old = digest_of(data["document"])
        document = json.loads(_json_damage(plain_bytes(data["document"]), dice))
        try:
            new = digest_of(document)
        except (ValueError, TypeError, AttributeError):  # a float has no digest
            return self._good
        data["document"] = document
        lines[place] = plain_bytes(entry)
        lines = [line.replace(old.encode(), new.encode()) for line in lines]
        return self._rewritten(lines, swap=(old, new, plain_bytes(document)))

    def claims_changed(self, dice: random.Random) -> bytes:
        """The statement claims odd things."""

        def claim(predicate: dict[str, Any]) -> None:
            changed = json.loads(_json_damage(plain_bytes(predicate), dice))
            if isinstance(changed, dict):
                predicate.clear()
                predicate.update(changed)

        try:
            return make_pack(self.book, claim=claim)
        except ValueError:  # not even the operator can write that down
            return self._good

    def any_archive(self, dice: random.Random) -> bytes:
        """Names and contents at random, or no archive."""
        if dice.random() < 0.2:
            return dice.randbytes(dice.randrange(400))
        names = [*files_of(self._good), "a", "a/b", "x" * 100, "A"]
        rows = [
            (dice.choice(names), dice.choice((b"", dice.randbytes(50), b"\x00" * 200_000)))
            for _ in range(dice.randint(0, 8))
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that names are double is the point
            return zip_of(rows)

    def stamp_changed(self, dice: random.Random) -> bytes:
        """A time stamp with some bytes changed."""
        return make_pack(self.book, anchors={"tsa.tsr": _damage(self._token, dice)})

    def verdict(self, raw: bytes) -> str:
        """What the verifier says; anything but a report or "unusable" comes out as it is."""
        self._path.write_bytes(raw)
        try:
            report = verify_pack(
                self._path,
                keys=[self.book.signer.verifier],
                previous=self.book.checkpoint(20),
                tsa_root=self._authority.root,
            )
        except UnusableError:
            return "unusable"
        json.dumps(report.as_document())
        failed = [step.number for step in report.steps if step.verdict == "FAIL"]
        return f"refuted by {failed[0]}" if failed else "verified"

    def _rewritten(self, lines: list[bytes], swap: tuple[str, str, bytes] | None = None) -> bytes:
        forge = rewrite(self.book, lines)

        def change(files: Files) -> None:
            forge(files)
            if swap is None:
                return
            old, new, raw = swap
            for name in (layout.policy_name, layout.metric_name):
                if name(old) in files:
                    del files[name(old)]
                    files[name(new)] = raw

        def claim(predicate: dict[str, Any]) -> None:
            predicate["counts"] |= {"leaves": len(lines), "entries_disclosed": len(lines)}

        return make_pack(self.book, forge=change, claim=claim)


def _damage(raw: bytes, dice: random.Random) -> bytes:
    if not raw:
        return raw
    changed = bytearray(raw)
    for _ in range(dice.choice((1, 1, 2, 8))):
        at = dice.randrange(len(changed))
        match dice.randrange(4):
            case 0:
                changed[at] = dice.randrange(256)
            case 1:
                changed[at] ^= 1 << dice.randrange(8)
            case 2 if len(changed) > 1:
                del changed[at]
            case _:
                changed.insert(at, dice.randrange(256))
    return bytes(changed)


def _json_damage(raw: bytes, dice: random.Random) -> bytes:
    """One value somewhere in a document is an odd one, or is gone."""
    try:
        document = json.loads(raw)
    except ValueError:
        return raw
    places = list(_places(document))
    if not places:
        return raw
    holder, key = dice.choice(places)
    if dice.random() < 0.2:
        del holder[key]
    else:
        holder[key] = dice.choice(ODD)
    try:
        return plain_bytes(document)
    except (ValueError, TypeError, AttributeError):
        return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        rows = list(value.items())
    elif isinstance(value, list):
        rows = list(enumerate(value))
    else:
        return
    for key, inner in rows:
        yield value, key
        yield from _places(inner)


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"longer than {SECONDS} seconds")


def main() -> int:
    """Run for some minutes; the seed of a pack that breaks the verifier is printed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    signal.signal(signal.SIGALRM, _too_slow)
    folder = Path(tempfile.mkdtemp())
    fuzzer = Fuzzer(folder)
    said: Counter[str] = Counter()
    slowest = 0.0
    end = time.monotonic() + given.minutes * 60
    seed = given.seed
    while time.monotonic() < end:
        raw = fuzzer.pack(random.Random(seed))
        started = time.monotonic()
        signal.alarm(SECONDS)
        try:
            said[fuzzer.verdict(raw)] += 1
        except BaseException:
            sys.stderr.write(f"seed {seed} broke it; the pack is in {folder}\n")
            raise
        finally:
            signal.alarm(0)
        slowest = max(slowest, time.monotonic() - started)
        seed += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    for word, count in sorted(said.items()):
        sys.stdout.write(f"{count:>8}  {word}\n")
    sys.stdout.write(f"{seed - given.seed} packs, slowest {slowest:.2f} s, peak {peak} MB\n")
    return int(peak > MEGABYTES)


if __name__ == "__main__":
    sys.exit(main())

"""Peers in an interface's file: whose they are by a comment, and taking some of them out.

Of the form: https://man7.org/linux/man-pages/man8/wg.8.html, CONFIGURATION FILE FORMAT.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from connectors.kit.lines.recorded import OTHER_FORM, Refusal

_SECTION = re.compile(r"\s*\[(\w+)\]\s*(?:#.*)?", re.ASCII)
_SETTING = re.compile(r"\s*(\w+)\s*=\s*(.*?)\s*(?:#.*)?", re.ASCII)
_NAME = re.compile(r"\s*#\s*name\s*:\s*(\S.*?)\s*", re.IGNORECASE)
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class FilePeer:
    """One peer of a file, and the lines that are its own.

    Args:
        key: its public key.
        name: what its comment says; "" for none.
        begins: its first line.
        ends: the line after its last.
    """

    key: str
    name: str = field(repr=False)
    begins: int
    ends: int


def public_key(text: str) -> str:
    """A public key, checked.

    Raises:
        Refusal: it is none.
    """
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise Refusal(OTHER_FORM) from None
    if len(raw) != _KEY_BYTES:
        raise Refusal(OTHER_FORM)
    return base64.b64encode(raw).decode()


def read_file(raw: bytes) -> tuple[FilePeer, ...]:
    """Every peer.

    Raises:
        Refusal: a file of another form: nothing is known of whom it lets in.
    """
    lines = _lines(raw)
    heads = [at for at, line in enumerate(lines) if _SECTION.fullmatch(line)]
    kinds = [_kind(lines[at]) for at in heads]
    if kinds.count("interface") != 1 or set(kinds) > {"interface", "peer"}:
        raise Refusal(OTHER_FORM)
    starts = [_start(lines, at) for at in heads]
    _only_comments(lines[: heads[0]])
    found = []
    for place, at in enumerate(heads):
        ends = starts[place + 1] if place + 1 < len(heads) else len(lines)
        settings = _settings(lines[at + 1 : ends])
        if kinds[place] == "peer":
            key = public_key(settings.get("publickey", ""))
            found.append(FilePeer(key, _named(lines[starts[place] : ends]), starts[place], ends))
    return tuple(found)


def without(raw: bytes | None, keys: Collection[str]) -> bytes | None:
    """The file without these peers; all else stays as it is. None where none of them is in it.

    Raises:
        Refusal: a file of another form.
    """
    if raw is None:
        raise Refusal("ENOENT")
    gone = [peer for peer in read_file(raw) if peer.key in keys]
    if not gone:
        return None
    taken = {at for peer in gone for at in range(peer.begins, peer.ends)}
    kept = [line for at, line in enumerate(raw.splitlines(keepends=True)) if at not in taken]
    return b"".join(kept)


def read_names(raw: bytes) -> Mapping[str, str]:
    """A file of one's own that tells whose a key is: ``KEY NAME``, one a line.

    Raises:
        Refusal: a line of another form, or a key of two people.
    """
    names: dict[str, str] = {}
    for line in _lines(raw):
        key, _, name = line.partition("#")[0].strip().partition(" ")
        if not key:
            continue
        checked = public_key(key)
        if not name.strip() or names.get(checked, name.strip()) != name.strip():
            raise Refusal(OTHER_FORM)
        names[checked] = name.strip()
    return names


def _lines(raw: bytes) -> list[str]:
    try:
        return [line.decode() for line in raw.splitlines()]
    except UnicodeDecodeError:
        raise Refusal(OTHER_FORM) from None


def _kind(line: str) -> str:
    found = _SECTION.fullmatch(line)
    return found[1].lower() if found else ""


def _start(lines: Sequence[str], head: int) -> int:
    """A comment with the name right above a peer is the peer's."""
    above = head > 0 and _kind(lines[head]) == "peer" and _NAME.fullmatch(lines[head - 1])
    return head - 1 if above else head


def _settings(lines: Sequence[str]) -> dict[str, str]:
    told: dict[str, str] = {}
    for line in lines:
        if found := _SETTING.fullmatch(line):
            told[found[1].lower()] = found[2]
        else:
            _only_comments([line])
    return told


def _only_comments(lines: Sequence[str]) -> None:
    if any(line.partition("#")[0].strip() for line in lines):
        raise Refusal(OTHER_FORM)


def _named(lines: Sequence[str]) -> str:
    names = [found[1] for line in lines if (found := _NAME.fullmatch(line))]
    if len(set(names)) > 1:
        raise Refusal("peer_of_two_names")
    return names[0] if names else ""

"""Which files may be handed in as a proof: by what they are, not by what they are called."""

from __future__ import annotations

import re
import unicodedata

from lockstep.control.refusals import RefusedError
from lockstep.domain.errors import Kind
from lockstep.storage.keys.artefacts import Upload

MOST_BYTES = 10 * 1024 * 1024
_LONGEST_NAME = 120
_MAGIC = {
    "application/pdf": b"%PDF-",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
}
_TYPES = {
    "pdf": "application/pdf",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "txt": "text/plain",
    "csv": "text/csv",
    "eml": "message/rfc822",
}
ENDINGS = tuple(sorted(_TYPES))
_HEADER = re.compile(r"[!-9;-~]+:.*\n", re.ASCII)
"""The first line of a mail (RFC 5322 section 2.2)."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class TooLargeError(RefusedError):
    """A file beyond `MOST_BYTES`."""

    kind = Kind.TOO_LARGE


def checked_upload(name: str, content: bytes) -> Upload:
    """The file, if its ending and its content agree on a kind that may be handed in.

    Raises:
        TooLargeError: if it is too large.
        RefusedError: saying what is wrong with it.
    """
    if len(content) > MOST_BYTES:
        raise TooLargeError("the file is too large: 10 MiB at most")
    if not content:
        raise RefusedError("the file is empty")
    plain = clean_name(name)
    media_type = _TYPES.get(plain.rpartition(".")[2].lower()) if "." in plain else None
    if media_type is None:
        raise RefusedError(f"a file of this kind cannot be handed in: {', '.join(ENDINGS)} can")
    magic = _MAGIC.get(media_type)
    fits = content.startswith(magic) if magic else _is_text(content, media_type)
    if not fits:
        raise RefusedError("the file is not what its name says: its content is something else")
    return Upload(plain, media_type, content)


def clean_name(name: str) -> str:
    """The file's own name: no path, nothing that steers a terminal or turns the text around."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(
        char for char in last if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    ).strip(" .")
    stem, dot, ending = shown.rpartition(".")
    if not dot:
        return shown[:_LONGEST_NAME] or "file"
    return f"{stem[:_LONGEST_NAME] or 'file'}.{ending[:10]}"


def _is_text(content: bytes, media_type: str) -> bool:
    """Text of no known binary kind; a mail begins with a header."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        if media_type != "message/rfc822":
            return False
        text = content.decode("latin-1")  # old mail says its charset part by part
    if _CONTROL.search(text):
        return False
    return media_type != "message/rfc822" or _HEADER.match(text) is not None

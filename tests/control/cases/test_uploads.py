"""What may be handed in as a proof, by ending and content."""

from __future__ import annotations

import pytest

from lockstep.control.cases.uploads import MOST_BYTES, TooLargeError, checked_upload, clean_name
from lockstep.control.refusals import RefusedError

GOOD = [
    ("a.pdf", b"%PDF-1.4 x", "application/pdf"),
    ("A.PNG", b"\x89PNG\r\n\x1a\n....", "image/png"),
    ("b.jpeg", b"\xff\xd8\xff\xe0", "image/jpeg"),
    ("b.jpg", b"\xff\xd8\xff\xe0", "image/jpeg"),
    ("c.txt", "Grüße\n".encode(), "text/plain"),
    ("d.csv", b"\xef\xbb\xbfa;b\n", "text/csv"),
    ("e.eml", b"From: a@example.com\r\nSubject: x\r\n\r\n\xe4\n", "message/rfc822"),
]


@pytest.mark.parametrize(("name", "content", "kind"), GOOD)
def test_each_kind_is_known_by_its_content(name, content, kind):
    """Ending and content agree."""
    assert checked_upload(name, content).media_type == kind


@pytest.mark.parametrize("name", [name for name, _, _ in GOOD])
@pytest.mark.parametrize("content", [b"MZ\x90\x00\x03\x00", b"\x00\x01\x02", b"\xfe\xff\x00a"])
def test_a_file_that_is_something_else_is_refused(name, content):
    """Whatever it is called."""
    with pytest.raises(RefusedError):
        checked_upload(name, content)


def test_a_file_may_have_ten_mebibytes_and_no_more():
    """To the byte."""
    assert len(checked_upload("a.txt", b"x" * MOST_BYTES).content) == MOST_BYTES
    with pytest.raises(TooLargeError):
        checked_upload("a.txt", b"x" * (MOST_BYTES + 1))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd.txt", "passwd.txt"),
        ("C:\\temp\\a.pdf", "a.pdf"),
        ("a\r\nb\x00.pdf", "ab.pdf"),
        ("gnp\u202efdp.txt", "gnpfdp.txt"),
        ("..", "file"),
        ("", "file"),
        ("é" * 500 + ".pdf", "é" * 120 + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(given, name):
    """No path, nothing that steers or turns the text around, not endless."""
    assert clean_name(given) == name

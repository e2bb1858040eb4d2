"""Signed notes and checkpoints against the published sample, and against manglings of it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format.merkle import EMPTY_ROOT
from lockstep.evidence.format.notes import (
    MAX_NOTE,
    Checkpoint,
    FileSigner,
    NoteError,
    VerifierKey,
    add_signature,
    open_note,
    parse_checkpoint,
    sign_note,
    split_note,
)

# The sample of c2sp.org/signed-note, which golang.org/x/mod/sumdb/note tests with too.
SAMPLE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SAMPLE_SIGNING_KEY = (
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
)
SAMPLE_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
SAMPLE = (
    f"{SAMPLE_TEXT}\n"
    "\N{EM DASH} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
ORIGIN = "acme/lockstep-ledger"


def test_the_published_note_verifies() -> None:
    """The sample's signature is by the sample's key."""
    key = VerifierKey.parse(SAMPLE_KEY)
    assert open_note(SAMPLE, [key]) == (SAMPLE_TEXT, [key])


def test_the_published_key_signs_the_published_note() -> None:
    """Ed25519 is deterministic: signing again gives the same bytes."""
    assert sign_note(SAMPLE_TEXT, FileSigner.parse(SAMPLE_SIGNING_KEY)) == SAMPLE


def test_keys_survive_their_text() -> None:
    """What is written can be read: both halves."""
    signer = FileSigner.generate(ORIGIN)
    assert FileSigner.parse(signer.to_text()) == signer
    assert VerifierKey.parse(signer.verifier.to_text()) == signer.verifier


@pytest.mark.parametrize("place", range(len(SAMPLE_KEY)))
def test_a_key_copied_wrongly_is_noticed(place: int) -> None:
    """One character off anywhere, and it is no key."""
    wrong = SAMPLE_KEY[:place] + chr(ord(SAMPLE_KEY[place]) + 1) + SAMPLE_KEY[place + 1 :]
    with pytest.raises(NoteError):
        VerifierKey.parse(wrong)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "a+b+c", "a b+00000000+AAAA", SAMPLE_SIGNING_KEY, "PeterNeumann++"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """A signing key is no verifier key either."""
    with pytest.raises(NoteError):
        VerifierKey.parse(text)


def test_an_error_about_a_signing_key_does_not_quote_it() -> None:
    """Nobody should find half of a secret in a log."""
    wrong = SAMPLE_SIGNING_KEY.replace("c74f20a3", "c74f20a4")
    with pytest.raises(NoteError) as caught:
        FileSigner.parse(wrong)
    assert "AYEKFALV" not in str(caught.value)


@given(st.data())
def test_a_changed_text_is_refuted(data: st.DataObject) -> None:
    """Whatever character of the text changes, the signature by the known key is wrong."""
    place = data.draw(st.integers(0, len(SAMPLE_TEXT) - 2))
    changed = SAMPLE_TEXT[:place] + "X" + SAMPLE_TEXT[place + 1 :]
    with pytest.raises(NoteError):
        open_note(SAMPLE.replace(SAMPLE_TEXT, changed), [VerifierKey.parse(SAMPLE_KEY)])


def test_signatures_of_strangers_are_passed_over() -> None:
    """A note signed by others only is signed by none of the keys asked for."""
    stranger, mine = FileSigner.generate("stranger"), FileSigner.generate("mine")
    note = sign_note("text\n", stranger)

    assert open_note(note, [mine.verifier]) == ("text\n", [])
    assert open_note(add_signature(note, mine), [mine.verifier])[1] == [mine.verifier]


def test_a_wrong_signature_under_a_known_name_and_id_refutes() -> None:
    """It does not count as a stranger's (signed-note, "Verifying")."""
    mine = FileSigner.generate("mine")
    body, ((name, raw),) = split_note(sign_note("text\n", mine))
    forged = base64.b64encode(raw[:-1] + bytes([raw[-1] ^ 1])).decode()
    with pytest.raises(NoteError, match="wrong"):
        open_note(f"{body}\n\N{EM DASH} {name} {forged}\n", [mine.verifier])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        SAMPLE[:-1],
        SAMPLE.replace("\N{EM DASH}", "-"),
        SAMPLE.replace(" x08go", " not base64 "),
        SAMPLE + "x" * MAX_NOTE,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    """Cut, lengthened, or with other signs."""
    with pytest.raises(NoteError):
        open_note(note, [VerifierKey.parse(SAMPLE_KEY)])


def test_a_checkpoint_survives_its_text() -> None:
    """Three lines: origin, size, root (tlog-checkpoint)."""
    head = Checkpoint(ORIGIN, 7, EMPTY_ROOT)
    assert head.body() == f"{ORIGIN}\n7\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
    assert parse_checkpoint(head.body()) == head


@pytest.mark.parametrize(
    "body",
    [
        "",
        "a\n1\n",
        "\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n01\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n-1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n\N{ARABIC-INDIC DIGIT ONE}\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
        "a\n1\nAAAA\n",
        "a\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    ],
)
def test_what_is_no_checkpoint_is_refused(body: str) -> None:
    """Sizes have one spelling, roots have 32 bytes."""
    with pytest.raises(NoteError):
        parse_checkpoint(body)


@pytest.mark.parametrize("name", ["", "with blank", "with+plus", "with\nline"])
def test_names_that_would_break_a_note_are_refused(name: str) -> None:
    """A name stands between blanks in a signature line, and between plus signs in a key."""
    with pytest.raises(NoteError):
        FileSigner.generate(name)

"""The keyring: what it wrote it opens, and nothing else does."""

from __future__ import annotations

import base64
import dataclasses
import json
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.storage.keys.keyring import Keyring, KeyringError

KEY = base64.b64encode(bytes(32)).decode()


@given(plain=st.binary(max_size=200), context=st.binary(max_size=40))
def test_what_was_encrypted_is_decrypted(plain, context):
    """Bytes come back as they were under the same context."""
    ring = Keyring.generate()

    assert ring.decrypt(ring.encrypt(plain, context=context), context=context) == plain


def test_the_same_bytes_never_look_the_same_twice(ring):
    """Two ciphertexts of one text differ, so that equal rows cannot be told."""
    assert ring.encrypt(b"x", context=b"") != ring.encrypt(b"x", context=b"")


@given(position=st.integers(min_value=0), mask=st.integers(min_value=1, max_value=255))
def test_an_altered_byte_is_refused_wherever_it_is(position, mask):
    """Key id, nonce, text and tag are all covered."""
    ring = Keyring.generate()
    cipher = bytearray(ring.encrypt(b"some text", context=b"c"))
    cipher[position % len(cipher)] ^= mask

    with pytest.raises(KeyringError):
        ring.decrypt(bytes(cipher), context=b"c")


def test_a_ciphertext_of_another_context_is_refused(ring):
    """A row's ciphertext cannot be moved into another row."""
    cipher = ring.encrypt(b"some text", context=b"row 1")

    with pytest.raises(KeyringError, match="does not open"):
        ring.decrypt(cipher, context=b"row 2")


@pytest.mark.parametrize("cipher", [b"", b"\x00", b"\x02k9" + bytes(40), b"\xff", b"\x02\xff\xfe"])
def test_an_unknown_key_is_named_as_such(ring, cipher):
    """Bytes under a key that the ring does not hold say so, whatever they are."""
    with pytest.raises(KeyringError, match="lacks the key"):
        ring.decrypt(cipher, context=b"")


def test_rotation_writes_with_the_new_key_and_reads_the_old(ring):
    """After a rotation old rows still open, new ones need the new key, and rows are still found."""
    old = ring.encrypt(b"old", context=b"")
    rotated = dataclasses.replace(
        ring, current="k2", keys={**ring.keys, "k2": secrets.token_bytes(32)}
    )

    assert rotated.decrypt(old, context=b"") == b"old"
    assert rotated.blind_index("a") == ring.blind_index("a")
    with pytest.raises(KeyringError, match="lacks the key"):
        ring.decrypt(rotated.encrypt(b"new", context=b""), context=b"")


def test_the_index_keeps_its_parts_apart(ring):
    """("ab", "c") and ("a", "bc") are two things, and another ring finds neither."""
    assert ring.blind_index("ab", "c") != ring.blind_index("a", "bc")
    assert ring.blind_index("ab", "c") != Keyring.generate().blind_index("ab", "c")


def test_a_saved_ring_is_for_its_owner_only_and_reads_back(ring, tmp_path):
    """The file has mode 0600 from its first byte, and holds the same ring."""
    path = tmp_path / "keyring.json"
    ring.save(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert Keyring.parse(path.read_text()) == ring


def test_saving_never_overwrites(ring, tmp_path):
    """A ring that is in use cannot be replaced by mistake: its data would be lost."""
    path = tmp_path / "keyring.json"
    ring.save(path)

    with pytest.raises(FileExistsError):
        Keyring.generate().save(path)
    assert Keyring.parse(path.read_text()) == ring


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("hunter2", "not what `lockstep init` writes"),
        ("", "not what `lockstep init` writes"),
        ('["hunter2"]', "not what `lockstep init` writes"),
        ('{"current": "hunter2"}', "not what `lockstep init` writes"),
        ("[" * 5000, "not what `lockstep init` writes"),
        (json.dumps({"current": "k1", "keys": {"k1": "hunter2!"}, "index": KEY}), "init"),
        (json.dumps({"current": "k1", "keys": {"k1": 7}, "index": KEY}), "init"),
        (json.dumps({"current": "hunter2", "keys": {"k1": KEY}, "index": KEY}), "current"),
        (json.dumps({"current": "k1", "keys": {"k1": "aHVudGVyMg=="}, "index": KEY}), "32 bytes"),
        (json.dumps({"current": "k1", "keys": {"k1": KEY}, "index": "aHVudGVyMg=="}), "32 bytes"),
        (json.dumps({"current": "kü", "keys": {"kü": KEY}, "index": KEY}), "key's name"),
        (json.dumps({"current": "k" * 99, "keys": {"k" * 99: KEY}, "index": KEY}), "key's name"),
    ],
)
def test_an_unusable_ring_is_refused_without_quoting_it(text, reason):
    """The error says what is wrong and shows nothing of the text."""
    with pytest.raises(KeyringError, match=reason) as caught:
        Keyring.parse(text)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_ring_does_not_show_its_keys(ring):
    """Printing a ring, in a log or a traceback, shows no key."""
    shown = repr(ring)

    for key in [*ring.keys.values(), ring.index]:
        assert repr(key) not in shown
        assert base64.b64encode(key).decode() not in shown


def test_a_keyring_of_before_reads_payloads_without_a_place(ring: Keyring) -> None:
    """Only a keyring whose text says nothing of it, which is how 0.1 wrote it."""
    document = json.loads(ring.to_text())
    assert document.pop("unbound") == []
    assert Keyring.parse(json.dumps(document)).unbound == set(ring.keys)
    assert Keyring.parse(ring.to_text()).unbound == frozenset()


@pytest.mark.parametrize("unbound", [["k9"], "k1", None, {"k1": 1}])
def test_a_wrong_unbound_is_refused(ring: Keyring, unbound: object) -> None:
    """Never read as "none" or "all" by chance."""
    document = {**json.loads(ring.to_text()), "unbound": unbound}
    with pytest.raises(KeyringError):
        Keyring.parse(json.dumps(document))

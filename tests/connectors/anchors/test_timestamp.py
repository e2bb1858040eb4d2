"""The anchor ``timestamp``: only an answer that verifies is a receipt."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from connectors.anchors.base import AnchorFault, AnchorUnfit
from tests.connectors.anchors.peers import (
    Authority,
    HttpPeer,
    TimeStampingAuthority,
    build,
    checkpoint,
)


@pytest.fixture
def tsa(tmp_path) -> TimeStampingAuthority:
    return TimeStampingAuthority(Authority.make(tmp_path))


@pytest.fixture
def peer(tsa) -> Iterator[HttpPeer]:
    with HttpPeer(tsa.answer) as made:
        yield made


def anchor_to(peer: HttpPeer, home, **settings: object):
    return build("timestamp", {"url": peer.url, "root": "root.pem", **settings}, home=home)


async def test_the_receipt_is_a_time_stamp_over_the_note(tmp_path, tsa, peer):
    """OpenSSL verifies it over the note's bytes, and over no others."""
    receipt = await anchor_to(peer, tmp_path).publish(checkpoint(7))

    assert tsa.says_verified(receipt, checkpoint(7).note)
    assert not tsa.says_verified(receipt, checkpoint(8).note)


async def test_the_authority_sees_a_digest_only(tmp_path, peer):
    """Neither the ledger's name nor the note travels."""
    await anchor_to(peer, tmp_path).publish(checkpoint(7))

    assert b"acme" not in peer.asked[0].body
    assert len(peer.asked[0].body) < 100


async def test_a_repetition_is_another_true_time_stamp(tmp_path, tsa, peer):
    """Each has its own nonce; both verify."""
    anchor = anchor_to(peer, tmp_path)
    receipts = [await anchor.publish(checkpoint(7)) for _ in range(2)]

    assert receipts[0] != receipts[1]
    assert all(tsa.says_verified(receipt, checkpoint(7).note) for receipt in receipts)


async def refusal(peer: HttpPeer, home, **settings: object) -> AnchorFault:
    with pytest.raises(AnchorFault) as caught:
        await anchor_to(peer, home, **settings).publish(checkpoint(7))
    return caught.value


async def test_a_time_stamp_over_another_digest_is_refused(tmp_path, tsa, peer):
    """Signed by the right authority, with our nonce: only the digest differs."""
    ours, other = (hashlib.sha256(checkpoint(size).note).digest() for size in (7, 8))
    peer.answer = lambda asked: (200, {}, tsa.reply(asked.body.replace(ours, other)))
    fault = await refusal(peer, tmp_path)

    assert str(fault) == "the time stamp does not verify: Mismatch between messages"
    assert not fault.transient


async def test_a_replayed_answer_is_refused(tmp_path, tsa, peer):
    """An old answer over the very same note lacks our nonce."""
    old = await anchor_to(peer, tmp_path).publish(checkpoint(7))
    peer.answer = lambda _: (200, {}, old)

    assert "Nonce mismatch" in str(await refusal(peer, tmp_path))


async def test_a_time_stamp_by_another_authority_is_refused(tmp_path, peer):
    """Only the configured root counts, whatever name the other one bears."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    impostor = TimeStampingAuthority(Authority.make(elsewhere))
    peer.answer = impostor.answer

    assert "does not verify" in str(await refusal(peer, tmp_path))


async def test_the_wanted_policy_must_be_named(tmp_path, peer):
    """An authority may serve several policies; only one is the auditor's."""
    await anchor_to(peer, tmp_path, policy="1.3.6.1.4.1.99999.1").publish(checkpoint(7))

    assert "Policy ID mismatch" in str(await refusal(peer, tmp_path, policy="1.2.3"))


def intermediate(root: Authority) -> Authority:
    """An authority below ``root``."""
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    pem = root.issue("below", (constraints, True))
    key = serialization.load_pem_private_key(pem.with_suffix(".key").read_bytes(), None)
    folder = root.folder / "below"
    folder.mkdir()
    return Authority(folder, key, x509.load_pem_x509_certificate(pem.read_bytes()))


@pytest.mark.parametrize(("name", "is_sorted"), [("long" * 15, True), ("i", False)])
async def test_an_authority_below_the_root(tmp_path, name, is_sorted):
    """Its chain is followed; certificates out of DER's order make the whole answer unreadable.

    X.690 section 11.6 orders a SET OF by its encodings: the shorter certificate comes first.
    OpenSSL puts the signer's first always, and the issuer's name makes the other one long.
    """
    root = Authority.make(tmp_path, name)
    tsa = TimeStampingAuthority(intermediate(root), certs=tmp_path / "below.pem")
    with HttpPeer(tsa.answer) as peer:
        if is_sorted:
            await anchor_to(peer, tmp_path).publish(checkpoint(7))
        else:
            assert "not a time stamp in strict DER" in str(await refusal(peer, tmp_path))


@pytest.mark.parametrize(
    ("answer", "reason", "transient"),
    [
        ((200, {}, b""), "not a time stamp", False),
        ((200, {}, b"<html>sign in</html>"), "not a time stamp", False),
        ((200, {}, secrets.token_bytes(1000)), "not a time stamp", False),
        # RFC 3161 section 2.4.2: rejection, badAlg, no token
        ((200, {}, bytes.fromhex("3009300702010203020780")), "status 2", False),
        ((200, {}, b"x" * 100_000), "too large", False),
        ((503, {}, b"later"), "status 503", True),
        ((429, {}, b"later"), "status 429", True),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), "status 302", False),
        ((404, {}, b""), "status 404", False),
        ((405, {}, b""), "status 405: there is no authority at this address", False),
        ((501, {}, b""), "status 501: there is no authority at this address", False),
    ],
)
async def test_what_is_no_time_stamp_is_a_fault(tmp_path, peer, answer, reason, transient):
    """Whatever comes back, it is refused with a short reason, and whether it may pass."""
    peer.answer = lambda _: answer
    fault = await refusal(peer, tmp_path)

    assert reason in str(fault)
    assert fault.transient is transient
    assert isinstance(fault, AnchorUnfit) is (answer[0] in {405, 501})


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "ftp://tsa.example.com"}, "url: give"),
        ({"url": "https://user:pass@tsa.example.com"}, "url: give"),
        ({"root": "none.pem"}, "root: there is no file"),
        ({"root": ""}, "root: give the file"),
        ({"root": "tsa.key"}, "root: holds no certificate"),
        ({"policy": "one.two"}, "policy: give"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, tsa, settings, reason):
    """A root that is no certificate would otherwise be found out at the first stamp."""
    with pytest.raises(ValueError, match=reason):
        build("timestamp", {"url": "http://x", "root": "root.pem", **settings}, home=tmp_path)

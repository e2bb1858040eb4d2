"""The anchor ``webhook``: a signed message over a real connection, the same at every repetition."""

from __future__ import annotations

import json

import pytest
from standardwebhooks import Webhook

from connectors.anchors.base import AnchorFault, AnchorUnfit
from tests.connectors.anchors.peers import HOOK_SECRET, SECRET, Authority, HttpPeer, build
from tests.connectors.anchors.peers import checkpoint as head


def anchor_to(peer: HttpPeer, home, **settings: object):
    url = f"{peer.url}/keep?token=in-the-address"
    return build("webhook", {"url": url, **settings}, {"secret": HOOK_SECRET}, home=home)


async def test_the_receiver_gets_the_note_signed(tmp_path):
    """Standard Webhooks verifies it; the document holds the note's exact text."""
    with HttpPeer() as peer:
        receipt = await anchor_to(peer, tmp_path).publish(head(7))
    [asked] = peer.asked
    document = Webhook(HOOK_SECRET).verify(asked.body, asked.headers)

    assert asked.headers["content-type"] == "application/json"
    assert document == {
        "type": "ledger.checkpoint",
        "timestamp": "2026-09-01T12:00:07.123456+00:00",
        "data": {"origin": head(7).origin, "size": 7, "note": head(7).note.decode()},
    }
    assert receipt.decode().split()[:2] == [asked.headers["webhook-id"], "204"]


async def test_a_repetition_has_the_same_id_and_bytes(tmp_path):
    """The receiver can tell a double; another size has another id."""
    with HttpPeer() as peer:
        anchor = anchor_to(peer, tmp_path)
        receipts = [await anchor.publish(head(size)) for size in (7, 7, 8)]
    first, second, third = peer.asked

    assert receipts[0] == receipts[1] != receipts[2]
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    assert third.headers["webhook-id"] != first.headers["webhook-id"]


@pytest.mark.parametrize(
    ("status", "transient"),
    [(302, False), (401, False), (404, False), (429, True), (500, True), (503, True)],
)
async def test_anything_but_success_is_a_fault(tmp_path, status, transient):
    """A redirect is not followed; the status says whether somebody must act."""
    with HttpPeer() as peer:
        peer.answer = lambda _: (status, {"Location": f"{peer.url}/elsewhere"}, SECRET.encode())
        with pytest.raises(AnchorFault) as caught:
            await anchor_to(peer, tmp_path).publish(head(7))

    assert (str(caught.value), caught.value.transient) == (f"status {status}", transient)
    assert len(peer.asked) == 1


@pytest.mark.parametrize("status", [405, 410, 501])
async def test_a_receiver_that_will_never_take_it_is_unfit(tmp_path, status):
    """It is gone, or is none: the fault is final, and says what to change."""
    with HttpPeer() as peer:
        peer.answer = lambda _: (status, {}, SECRET.encode())
        with pytest.raises(AnchorUnfit, match=rf"status {status}: the receiver .*correct url"):
            await anchor_to(peer, tmp_path).publish(head(7))


async def test_an_endless_answer_is_not_read(tmp_path):
    """The status is all that is needed."""
    with HttpPeer() as peer:
        peer.answer = lambda _: (200, {}, b"x" * 50_000_000)
        assert b" 200 " in await anchor_to(peer, tmp_path).publish(head(7))


async def test_a_private_authority_is_trusted_only_when_named(tmp_path):
    """Over TLS the receiver's certificate must chain to the machine's roots or to ``ca_file``."""
    authority = Authority.make(tmp_path)
    with HttpPeer(tls=authority.server()) as peer:
        with pytest.raises(AnchorFault, match="ConnectError"):
            await anchor_to(peer, tmp_path).publish(head(7))
        assert peer.asked == []

        await anchor_to(peer, tmp_path, ca_file="root.pem").publish(head(7))

    assert json.loads(peer.asked[0].body)["data"]["size"] == 7


@pytest.mark.parametrize(
    ("settings", "secret", "reason"),
    [
        ({"url": "http://example.com"}, HOOK_SECRET, "url: use https"),
        ({"url": "https://user:pass@example.com"}, HOOK_SECRET, "url: credentials"),
        ({"url": "https://example.com"}, "whsec_aHVudGVyMg==", "secret: write it"),
        ({"url": "https://example.com"}, SECRET, "secret: write it"),
        ({"url": "https://example.com", "ca_file": "none"}, HOOK_SECRET, "ca_file: there is no"),
    ],
)
def test_a_wrong_option_is_named_and_not_quoted(tmp_path, settings, secret, reason):
    """The address is safe, the secret strong, the file there."""
    with pytest.raises(ValueError, match=reason) as caught:
        build("webhook", settings, {"secret": secret}, home=tmp_path)

    assert secret not in str(caught.value)

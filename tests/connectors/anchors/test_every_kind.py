"""What every kind of anchor owes: harmless repetition, a fault for every trouble, no secrets."""

from __future__ import annotations

import asyncio
import base64
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.anchors.base import AnchorCheckpoint, AnchorFault, AnchorOptions
from connectors.anchors.registry import ANCHORS
from tests.connectors.anchors.peers import (
    HOOK_SECRET,
    SECRET,
    Authority,
    SimulatedWitness,
    build,
    checkpoint,
    free_port,
    silence,
)

NETWORK = ("s3", "webhook", "mail", "git", "timestamp", "witness")


def anchor_at(kind: str, port: int, home: Path):
    """An anchor whose peer is on loopback, with secrets where the kind knows any."""
    Authority.make(home)
    url = f"http://127.0.0.1:{port}"
    settings: dict[str, dict[str, object]] = {
        "s3": {"bucket": "copies", "retention_days": 1, "endpoint_url": url},
        "webhook": {"url": f"{url}/keep?key={SECRET}"},
        "mail": {
            "host": "127.0.0.1",
            "port": port,
            "to": "auditor@example.org",
            "sender": "ledger@acme.example",
            "username": "ledger",
        },
        "git": {"remote": f"{url}/copies.git", "author_name": "a", "author_email": "a@b.example"},
        "timestamp": {"url": f"{url}/?key={SECRET}", "root": "root.pem"},
        "witness": {"witnesses": [f"{SimulatedWitness().key} {url}/{SECRET}"], "needed": 1},
    }
    secrets = {
        "s3": {"access_key_id": "AKIALOCKSTEPSYNTHETIC", "secret_access_key": SECRET},
        "webhook": {"secret": HOOK_SECRET},
        "mail": {"password": SECRET},
        "git": {"token": SECRET},
    }
    return build(kind, settings[kind], secrets.get(kind, {}), home=home)


def says_nothing(fault: BaseException) -> bool:
    """Neither its text nor what it was raised from shows a secret."""
    shown = f"{fault!r} {fault} {fault.__cause__!r} {fault.__context__!r}"
    forms = (SECRET, HOOK_SECRET, base64.b64encode(SECRET.encode()).decode())
    return not any(form in shown for form in forms)


@pytest.mark.parametrize("kind", NETWORK)
async def test_a_peer_that_is_down_is_a_passing_fault(kind, tmp_path):
    """Nobody listens: it may come back, and the fault shows neither secret nor address."""
    anchor = anchor_at(kind, free_port(), tmp_path)
    with pytest.raises(AnchorFault) as caught:
        await anchor.publish(checkpoint(7))
    await anchor.aclose()

    assert caught.value.transient
    assert says_nothing(caught.value)


@pytest.mark.parametrize("kind", NETWORK)
async def test_a_peer_that_hangs_holds_nobody(kind, tmp_path):
    """The caller's patience ends the publication, and closing does not wait for it."""
    with silence() as port:
        anchor = anchor_at(kind, port, tmp_path)
        begun = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anchor.publish(checkpoint(7))
        await anchor.aclose()

    assert time.monotonic() - begun < 15


@contextmanager
def babble() -> Iterator[int]:
    """A peer that says something else in no protocol at all."""

    class Talker(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(2)
            self.request.sendall(f"{SECRET}\r\n".encode() * 20)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Talker) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.mark.parametrize("kind", NETWORK)
async def test_a_peer_that_talks_nonsense_is_a_fault(kind, tmp_path):
    """Nothing but a fault comes out, and nothing that the peer said is in it."""
    with babble() as port:
        anchor = anchor_at(kind, port, tmp_path)
        with pytest.raises(AnchorFault) as caught:
            await anchor.publish(checkpoint(7))
        await anchor.aclose()

    assert says_nothing(caught.value)


@pytest.mark.parametrize("kind", sorted(ANCHORS))
def test_every_kind_says_what_it_is(kind):
    """The registry's name, the manifest's and the built anchor's are one; each proves something."""
    manifest = ANCHORS[kind]

    assert manifest.kind == kind
    assert manifest.proves
    assert len({spec.name for spec in manifest.options}) == len(manifest.options)
    assert all(spec.summary for spec in manifest.options)


@pytest.mark.parametrize("kind", sorted(ANCHORS))
def test_every_kind_is_documented(kind):
    """The page names every kind with every option."""
    page = (Path(__file__).parents[3] / "docs" / "anchors.md").read_text()
    section = page.partition(f"## `{kind}`")[2].partition("\n## ")[0]

    assert section
    for spec in ANCHORS[kind].options:
        assert f"`{spec.name}`" in section


@pytest.mark.parametrize(
    ("origin", "safe"),
    [
        ("acme/lockstep-ledger", "acme_lockstep-ledger"),
        ("../../etc", "_.._etc"),
        ("..", "_"),
        ("a/é\\b", "a_b"),
    ],
)
def test_an_origin_is_one_harmless_part_of_a_path(origin, safe):
    """Whatever a ledger is called, its copies stay in their folder."""
    assert AnchorCheckpoint(origin, 1, b"", checkpoint(1).signed_at).safe_origin == safe


def test_a_faults_code_is_bounded_and_printable():
    """It goes into tables, logs and terminals."""
    fault = AnchorFault("a\x1b[31m\nb" + "c" * 500)

    assert fault.code == ("a [31m b" + "c" * 500)[:200]


def test_options_show_no_secret():
    """A traceback or a debugger's print may hold them."""
    options = AnchorOptions("outside", {}, {"token": SECRET})

    assert SECRET not in repr(options)

"""WireGuard's own traps: names, files, several interfaces; and real tunnels that go dead."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.kit.lines.recorded import Refusal
from connectors.wireguard import peers
from connectors.wireguard.connector import WireGuardConnector
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Proof
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.revoking import revoke
from tests.connectors.wireguard.harness import (
    Interface,
    WireGuardHarness,
    interface,
    name_of,
    new_key,
)
from tests.support.debian_packages import executable
from tests.support.homes import server_home
from tests.support.namespaces import Namespace, star

_MAIL = "ada@northwind.example.com"
_ADA = LeaverKeys((Key(KeyKind.EMAIL, _MAIL),))


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Namespace, dict[str, Namespace], Path]]:
    with server_home() as folder, star("wg", ["ada", "bob"]) as (middle, people):
        yield middle, people, folder


@pytest.fixture
def peer(
    place: tuple[Namespace, dict[str, Namespace], Path], tmp_path: Path
) -> Iterator[WireGuardHarness]:
    """Two interfaces, each with a file of its own."""
    with ExitStack() as stack:
        made = [stack.enter_context(interface(place[0], name_of(each), tmp_path)) for each in "ns"]
        for each in made:
            each.add(new_key(), "bob@northwind.example.com")
        yield WireGuardHarness(*made)


async def found(connector: WireGuardConnector, transcript: Transcript) -> Account:
    [match] = (await connector.locate(_ADA, transcript)).matches
    return match.account


async def closed(connector: WireGuardConnector, transcript: Transcript) -> tuple[Account, bool]:
    account = await found(connector, transcript)
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    return account, (await connector.read_back(account, transcript)).is_closed


async def test_every_device_goes_from_every_interface_and_file(
    peer: WireGuardHarness, transcript: Transcript
) -> None:
    """Two devices on two gateways; comments and other peers stay as they were, byte for byte."""
    phone, laptop = new_key(), new_key()
    north, south = peer.interfaces
    before = [each.config.read_text() for each in peer.interfaces]
    for each in peer.interfaces:
        each.add(laptop, _MAIL)
    south.add(phone, _MAIL)
    _, is_closed = await closed(peer.connect(), transcript)

    assert is_closed
    assert not any(each.has(key) for each in peer.interfaces for key in (phone, laptop))
    after = [each.config.read_text() for each in peer.interfaces]
    assert [text.strip() for text in after] == [text.strip() for text in before]
    assert north.config.stat().st_mode & 0o777 == 0o600
    assert len(north.wg("show", north.name, "peers").split()) == 1


async def test_an_interface_that_is_down_is_not_proved(
    peer: WireGuardHarness, transcript: Transcript
) -> None:
    """The other one is closed at once; the case stays open, and nothing is called absent."""
    north, south = peer.interfaces
    key = new_key()
    for each in peer.interfaces:
        each.add(key, _MAIL)
    connector = peer.connect()
    account = await found(connector, transcript)
    before = await connector.read_back(account, transcript)
    south.stop()
    with pytest.raises(ConnectorFault) as caught:
        await connector.contain(account, before, transcript)
    seen = await connector.read_back(account, transcript)
    places = [each.ref for each in await connector.places(transcript)]
    nobody = LeaverKeys((Key(KeyKind.EMAIL, "nobody@northwind.example.com"),))

    assert [action.access.ref for action in caught.value.actions] == [f"{key}@{north.name}"]
    assert not north.has(key)
    assert AccessKind.SIGN_IN in {row.kind for row in seen.unread}
    assert places == [north.name, south.name]
    with pytest.raises(ConnectorFault):
        await connector.locate(nobody, transcript)


async def test_a_peer_without_a_name_may_be_anybodys(
    peer: WireGuardHarness, transcript: Transcript
) -> None:
    """It is in no file, or no comment names it: that the leaver has none is not proved."""
    north, _ = peer.interfaces
    connector = peer.connect()
    proved = await connector.locate(_ADA, transcript)
    north.wg("set", north.name, "peer", new_key())
    doubted = await connector.locate(_ADA, transcript)
    health = await connector.health(transcript)

    assert [search.proof for search in proved.searches] == [Proof.LISTED]
    assert [search.proof for search in doubted.searches] == [Proof.UNPROVED]
    assert {problem.code for problem in health.problems} == {"peer_without_a_name"}


async def test_a_file_of_names_tells_whose_a_key_is(
    peer: WireGuardHarness, transcript: Transcript, tmp_path: Path
) -> None:
    """It wins over comments; a key that was given to somebody else since is not touched."""
    north, _ = peer.interfaces
    key, given_on = new_key(), new_key()
    north.add(key, "an old laptop")
    north.add(given_on, _MAIL)
    names = tmp_path / "names"
    names.write_text(f"# keys of people\n{key} {_MAIL}\n{given_on} {_MAIL} # phone\n")
    connector = peer.connect(names=str(names))
    account = await found(connector, transcript)
    before = await connector.read_back(account, transcript)
    names.write_text(f"{key} {_MAIL}\n{given_on} carl@northwind.example.com\n")
    await revoke(connector, account, before, transcript)

    assert (await connector.read_back(account, transcript)).is_closed
    assert not north.has(key)
    assert north.has(given_on)


async def test_the_program_of_the_kernels_interfaces_answers_as_the_socket_does(
    peer: WireGuardHarness, transcript: Transcript
) -> None:
    """`wg:` sees the same peers, takes one out, and a missing interface is a fault."""
    north, _ = peer.interfaces
    north.add(new_key(), _MAIL)
    by_socket = peer.connect(gateways={north.name: str(north.socket)})
    by_program = peer.connect(gateways={north.name: f"wg:{north.name}"})
    account = await found(by_program, transcript)
    seen = await by_program.read_back(account, transcript)

    assert seen == await by_socket.read_back(account, transcript)
    assert (await closed(by_program, transcript))[1]
    missing = peer.connect(gateways={north.name: "wg:lkwg-nothing"})
    with pytest.raises(ConnectorFault) as caught:
        await missing.read_back_at((await missing.places(transcript))[0], account, transcript)
    assert caught.value.category is FaultCategory.UNREACHABLE


async def test_the_private_key_is_never_kept(
    peer: WireGuardHarness, transcript: Transcript
) -> None:
    """The socket tells it with everything else; it is dropped before anything is digested."""
    north, _ = peer.interfaces
    connector = peer.connect(gateways={north.name: str(north.socket)})
    account = Account("0" * 32)
    await connector.look(account, transcript)
    [first] = [each for each in transcript.exchanges if each.operation == "device.get"]
    north.wg("set", north.name, "private-key", str(_file_with(north)))
    await connector.look(account, transcript)
    second = [each for each in transcript.exchanges if each.operation == "device.get"][-1]

    assert first.digest == second.digest


def _file_with(at: Interface) -> Path:
    path = at.config.with_suffix(".key")
    path.write_text(new_key())
    return path


@pytest.mark.parametrize(
    "text",
    [
        "<html>a proxy</html>\n",
        "",
        "[Peer]\nPublicKey = x\n",
        "[Interface]\n[Peer]\nPublicKey = dG9vIHNob3J0\n",
        "[Interface]\n[Peer]\nAllowedIPs = 10.0.0.1/32\n",
        "[Interface]\nnothing\n",
        "[Interface]\n# name: a\n# name: b\n[Peer]\n# name: c\nPublicKey = {key}\n",
    ],
)
def test_a_file_of_another_form_tells_nothing(text: str) -> None:
    """Of whom it lets in nothing is known: never an empty list."""
    with pytest.raises(Refusal):
        peers.read_file(text.replace("{key}", new_key()).encode())


def test_only_the_lines_of_a_peer_go() -> None:
    """Its name above it goes with it; other comments, blank lines and peers stay."""
    ada, bob = new_key(), new_key()
    text = (
        "[Interface]\nListenPort = 1 # here\n\n# the office\n# name: ada\n[peer]\n"
        f"publickey={ada} # laptop\nAllowedIPs = 10.0.0.2/32\n"
        f"# name: bob\n[Peer]\nPublicKey = {bob}\n"
    ).encode()
    left = peers.without(text, {ada})

    assert [peer.name for peer in peers.read_file(text)] == ["ada", "bob"]
    assert left is not None
    assert left.decode() == (
        "[Interface]\nListenPort = 1 # here\n\n# the office\n"
        f"# name: bob\n[Peer]\nPublicKey = {bob}\n"
    )
    assert peers.without(left, {ada}) is None


def test_a_namespace_ends_with_the_test_that_fails(tmp_path: Path) -> None:
    """And with it the programs in it: nothing is left for the next run."""

    def fail() -> None:
        with star("end", ["a"]) as (middle, people):
            names.extend([middle.name, people["a"].name])
            started.append(people["a"].start("sleep", "60", log=tmp_path / "log"))
            raise RuntimeError

    names: list[str] = []
    started: list[subprocess.Popen[bytes]] = []
    with pytest.raises(RuntimeError):
        fail()

    assert started[0].poll() is not None
    assert not any((Path("/run/netns") / name).exists() for name in names)


def _key_pair(at: Interface) -> tuple[Path, str]:
    path = at.config.with_suffix(".key")
    private = at.wg("genkey").strip()
    path.write_text(private)
    public = subprocess.run(
        [executable("wireguard-tools", ["wg"]), "pubkey"],
        input=private.encode(),
        check=True,
        capture_output=True,
        timeout=10,
    )
    return path, public.stdout.decode().strip()


async def test_the_tunnel_dies_and_stays_dead_after_a_restart(
    place: tuple[Namespace, dict[str, Namespace], Path], transcript: Transcript, tmp_path: Path
) -> None:
    """A ping through it works before and fails after, also once the file is read again."""
    middle, people, _ = place
    keys: dict[str, str] = {}
    with ExitStack() as stack:
        server = stack.enter_context(interface(middle, name_of("v"), tmp_path, port=51820))
        server_key = server.wg("show", server.name, "public-key").strip()
        middle.ip("addr", "add", "10.93.0.1/24", "dev", server.name)
        middle.ip("link", "set", server.name, "up")
        for number, (who, space) in enumerate(people.items(), start=2):
            near = stack.enter_context(interface(space, name_of(who[0]), tmp_path))
            path, keys[who] = _key_pair(near)
            server.add(
                keys[who], f"{who}@northwind.example.com", "allowed-ips", f"10.93.0.{number}/32"
            )
            near.wg(
                *("set", near.name, "private-key", str(path), "peer", server_key),
                *("allowed-ips", "10.93.0.1/32", "endpoint", f"10.91.{number - 1}.1:51820"),
            )
            space.ip("addr", "add", f"10.93.0.{number}/24", "dev", near.name)
            space.ip("link", "set", near.name, "up")
        assert all(space.pings("10.93.0.1") for space in people.values())
        connector = WireGuardConnector(
            ConnectorOptions(
                "vpn",
                {"gateways": {"v": str(server.socket)}, "config": str(server.config)},
            )
        )
        [match] = (await connector.locate(_ADA, transcript)).matches
        _, is_closed = await closed(connector, transcript)

        assert match.last_used_at is not None
        assert is_closed
        assert not people["ada"].pings("10.93.0.1")
        assert people["bob"].pings("10.93.0.1")
        server.stop()
        server.start()  # all that is left is what the file says
        assert server.has(keys["bob"])
        assert not server.has(keys["ada"])

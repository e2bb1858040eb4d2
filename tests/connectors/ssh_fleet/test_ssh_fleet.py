"""The fleet against real hosts: OpenSSH, PAM, sudo and the program as it is installed."""

from __future__ import annotations

import asyncio
import pwd
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.ssh_fleet.channel import Ask, Login, Refusal, Request, read
from connectors.ssh_fleet.connector import FleetConnector
from connectors.ssh_fleet.options import Address, Reread, hosts_in, keys_in
from lockstep.domain.cases.leavers import Key, KeyKind, LeaverKeys
from lockstep.domain.systems.access import AccessKind, Account, Observation, ProblemSeverity
from lockstep.domain.systems.faults import FaultCategory
from tests.connectors.revoking import revoke
from tests.connectors.ssh_fleet.harness import fingerprint, new_key
from tests.connectors.ssh_fleet.hosts import Keys, RealHost
from tests.connectors.ssh_fleet.memory_host import MemoryHost
from tests.support.homes import server_home
from tests.support.ports import free_port

_HOSTS = 2


class Fleet:
    """Two hosts that run, and the files that the settings name."""

    def __init__(self, folder: Path, hosts: list[RealHost], keys: Keys) -> None:
        self.folder = folder
        self.hosts = hosts
        self.keys = keys
        (folder / "known").write_text("".join(host.known for host in hosts))

    def connect(self, *, also: str = "", keys: str = "", **settings: object) -> FleetConnector:
        inventory, listed = self.folder / "hosts", self.folder / "keys"
        inventory.write_text("".join(f"{host.name}\n" for host in self.hosts) + also)
        listed.write_text(keys)
        said = {
            "hosts": str(inventory),
            "known_hosts": str(self.folder / "known"),
            "peoples_keys": str(listed),
            "gecos_holds": "worker_id",
            **settings,
        }
        secrets = {"private_key": self.keys.of("ours").read_text("utf-8")}
        return FleetConnector(ConnectorOptions("fleet", said, secrets))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with server_home() as folder:
        keys = Keys(folder)
        hosts = [RealHost(folder / str(number), keys) for number in range(_HOSTS)]
        with hosts[0].running(), hosts[1].running():
            yield Fleet(folder, hosts, keys)


@pytest.fixture
def transcript() -> Transcript:
    return Transcript()


async def seen_of(
    connector: FleetConnector, name: str, transcript: Transcript
) -> tuple[Account, Observation]:
    keys = LeaverKeys((Key(KeyKind.USERNAME, name),))
    [match] = (await connector.locate(keys, transcript)).matches
    return match.account, await connector.read_back(match.account, transcript)


async def test_the_leaver_is_out_everywhere_and_a_colleague_goes_on(
    fleet: Fleet, transcript: Transcript
) -> None:
    """Account, keys in shared accounts, certificates, sessions; `ssh` itself is the oracle."""
    keys = fleet.keys
    keys.certificate("anna-work", key_id="anna@ca", principal="shared")
    for host in fleet.hosts:
        host.create("anna", "Anna,,,,w-1", keys.line("anna-home"))
        host.create("annabel", "Annabel,,,,w-2", keys.line("annabel"))
        # A comment that names the leaver proves nothing: this key is Annabel's.
        named = keys.line("annabel").replace(" annabel", " anna@northwind.example.com")
        host.create("shared", "Team", "# the team", f"no-pty {keys.line('anna-old')}", named)
    first = fleet.hosts[0]
    told = f"anna {keys.fingerprint('anna-old')}\nanna id:anna@ca\n"
    connector = fleet.connect(keys=told)
    with first.session("anna", "anna-home") as theirs, first.session("shared", "annabel") as other:
        for host in fleet.hosts:
            assert host.gets_in("shared", "anna-old")
            assert host.gets_in("shared", "anna-work")
        account, before = await seen_of(connector, "anna", transcript)
        contained = await connector.contain(account, before, transcript)
        assert not any(host.gets_in("anna", "anna-home") for host in fleet.hosts)
        await revoke(connector, account, before, transcript)
        after = await connector.read_back(account, transcript)
        assert theirs.wait(timeout=10) != 0
        assert other.poll() is None

    assert len(contained) == _HOSTS
    assert {way.kind for way in before.standing} == {
        *(AccessKind.SIGN_IN, AccessKind.SESSION, AccessKind.SECRET, AccessKind.TOKEN)
    }
    assert after.is_closed
    assert [left.what for left in after.residuals] == ["shared_account_session"]
    for host in fleet.hosts:
        assert not host.gets_in("shared", "anna-old")
        assert not host.gets_in("shared", "anna-work")
        assert host.gets_in("shared", "annabel")
        assert host.gets_in("annabel", "annabel")
        kept = host.within("cat /home/shared/.ssh/authorized_keys; stat -c %U /home/shared/.ssh/*")
        assert kept.splitlines()[0] == "# the team"
        assert kept.splitlines()[-1] == "shared"
    with pytest.raises(KeyError):  # nothing of this is the machine's
        pwd.getpwnam("annabel")


async def test_a_host_that_is_down_is_named_and_keeps_no_other_open(
    fleet: Fleet, transcript: Transcript
) -> None:
    """It is not proved there; the others are closed. A name alone then waits for a person."""
    for host in fleet.hosts:
        host.create("ben", "Ben,,,,w-3", fleet.keys.line("ben"))
    gone = f"127.0.0.1:{free_port()}"
    connector = fleet.connect(also=f"{gone}\n")
    keys = LeaverKeys((Key(KeyKind.WORKER_ID, "w-3"),))
    location = await connector.locate(keys, transcript)
    account = location.matches[0].account
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)
    health = await connector.health(transcript)

    assert [row.code for row in location.unread] == [f"no_connection@{gone}"]
    assert after.standing == ()
    assert {row.code for row in after.unread} == {f"no_connection@{gone}"}
    assert not any(host.gets_in("ben", "ben") for host in fleet.hosts)
    assert [problem.severity for problem in health.problems] == [ProblemSeverity.LIMITS]
    assert gone in health.problems[0].summary


async def test_a_broken_revocation_list_is_noticed_and_left(
    fleet: Fleet, transcript: Transcript
) -> None:
    """Sshd lets nobody in by key: the host is named, and the program puts nothing there."""
    host = fleet.hosts[1]
    host.within("cp -p /etc/ssh/revoked /etc/ssh/kept; echo SSHKRLbroken >/etc/ssh/revoked")
    health = await fleet.connect().health(transcript)
    asked = f"revoke\nanna\n{fingerprint('x')}\n"
    told = host.within("lockstep-access", asked=asked)
    looked = host.within("lockstep-access", asked="about\n\n")
    left = host.within("cat /etc/ssh/revoked; mv /etc/ssh/kept /etc/ssh/revoked; ls /etc/ssh")

    [problem] = health.problems
    assert problem.code == FaultCategory.MISCONFIGURED
    assert f"not_let_in@{host.name}" in problem.summary
    assert "error\tno_krl" in told
    assert "krl\tbroken" in looked
    assert left.startswith("SSHKRLbroken\n")
    assert "revoked." not in left


_WRITES_RUBBISH = """#!/bin/sh
for word in "$@"; do
  [ "$word" != -k ] || makes=yes
  [ "${before:-}" != -f ] || file=$word
  before=$word
done
[ -z "${makes:-}" ] || { echo SSHKRLrubbish >"$file"; exit 0; }
exec /run/real "$@"
"""


def test_a_list_that_cannot_be_read_never_takes_the_others_place(fleet: Fleet) -> None:
    """An ssh-keygen that writes rubbish (a full disk, a broken release) locks nobody out."""
    host = fleet.hosts[1]
    host.create("eve", "Eve,,,,w-5", fleet.keys.line("eve"))
    asked = f"revoke\neve\n{fingerprint('y')}\n"
    assert "done\trevoke" in host.within("lockstep-access", asked=asked)
    kept = host.within("sha256sum /etc/ssh/revoked")
    host.within(
        "cp /usr/bin/ssh-keygen /run/real; cat >/run/fake; chmod 755 /run/fake;"
        " mount --bind /run/fake /usr/bin/ssh-keygen",
        asked=_WRITES_RUBBISH,
    )
    told = host.within("lockstep-access", asked=asked.replace(fingerprint("y"), fingerprint("z")))
    host.within("umount /usr/bin/ssh-keygen")

    assert "error\tkrl_unreadable" in told
    assert host.within("sha256sum /etc/ssh/revoked") == kept
    assert host.within("ls /etc/ssh | grep -c revoked.").strip() == "0"
    assert host.gets_in("eve", "eve")


def test_our_key_can_do_nothing_else(fleet: Fleet) -> None:
    """Neither a command, nor a name that is none, nor an account of the system, nor unlocking."""
    host = fleet.hosts[0]

    def asked(text: str, *command: str) -> str:
        return subprocess.run(
            host.ssh("lockstep", "ours", *command),
            check=False,
            capture_output=True,
            text=True,
            input=text,
            timeout=30,
        ).stdout

    assert "error\tno_request" in asked("", "id")
    assert "error\tbad_verb" in asked("unlock\nannabel\n")
    assert "error\tbad_name" in asked("lock\n-x; id\n")
    assert "error\tbad_spec" in asked("see\nannabel\nSHA256:a$(id)\n")
    for name in ("root", "daemon", "lockstep"):
        assert "error\tprotected" in asked(f"lock\n{name}\n")


async def test_another_host_in_its_place_is_not_spoken_to(
    fleet: Fleet, transcript: Transcript
) -> None:
    """Nothing is learnt: a key that is not in known_hosts ends the connection, by name."""
    wrong = fleet.folder / "wrong"
    wrong.write_text(fleet.hosts[0].known.replace(fleet.hosts[0].name.split(":")[1], "1"))
    connector = fleet.connect(known_hosts=str(wrong))
    with pytest.raises(ConnectorFault) as caught:
        await connector.look(Account("anna"), transcript)

    assert caught.value.category is FaultCategory.MISCONFIGURED
    assert caught.value.code.startswith("host_key@")


async def test_the_host_in_memory_says_what_a_real_one_says(fleet: Fleet) -> None:
    """The suite's peer is held to the program: one dialogue, the same rows but for numbers."""
    real, memory = fleet.hosts[0], MemoryHost()
    mine = fleet.keys.fingerprint("carl")
    real.create("carl", "Carl,,,,w-4", fleet.keys.line("carl"))
    memory.create("carl", "Carl,,,,w-4").sessions.append(1)
    memory.keys["carl"] = [mine]

    async def both(verb: str) -> None:
        request = Request(verb, "carl", (mine,))
        there, _ = read(real.within("lockstep-access", asked=request.text))
        here, _ = read(await memory.ask(request))
        assert [_plain(row) for row in there] == [_plain(row) for row in here]

    with real.session("carl", "carl"):
        for verb in ("lock", "lock", "end", "end", "revoke", "revoke", "take", "take", "see"):
            await both(verb)


def _plain(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("#" if word.isdigit() else word for word in row)


class _Memory:
    """A fleet in memory, which counts how many hosts are asked at a time."""

    def __init__(self, folder: Path, number: int) -> None:
        (folder / "hosts").write_text("".join(f"h{one}.example.com\n" for one in range(number)))
        (folder / "known").write_text("")
        self.folder, self.now, self.most = folder, 0, 0
        self.hosts = {f"h{one}.example.com": MemoryHost() for one in range(number)}
        for host in self.hosts.values():
            host.create("dora", "Dora").sessions.append(1)

    def connect(self, at_once: int) -> FleetConnector:
        said = {
            "hosts": str(self.folder / "hosts"),
            "known_hosts": str(self.folder / "known"),
            "at_once": at_once,
        }
        given = ConnectorOptions(
            "fleet", said, {"private_key": new_key()}, timeout=timedelta(seconds=0.2)
        )
        return FleetConnector(given, opener=self.ask)

    def ask(self, _: Login, address: Address) -> Ask:
        async def asked(request: Request) -> str:
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await asyncio.sleep(60 if address.host.startswith("h7.") else 0)
                return await self.hosts[address.host].ask(request)
            finally:
                self.now -= 1

        return asked


async def test_many_hosts_are_asked_some_at_a_time(tmp_path: Path, transcript: Transcript) -> None:
    """Three hundred of which one hangs: all others are closed, never more than so many at once."""
    fleet = _Memory(tmp_path, 300)
    connector = fleet.connect(at_once=40)
    account = Account("dora")
    before = await connector.read_back(account, transcript)
    await revoke(connector, account, before, transcript)
    after = await connector.read_back(account, transcript)

    assert fleet.most == 40
    assert after.standing == ()
    assert {row.code for row in after.unread} == {"no_answer@h7.example.com"}
    places = await connector.places(transcript)
    assert len(places) == 300


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("", FaultCategory.PERMISSION_MISSING),
        ("lockstep-access\t1\t1\nuser\ta\t1001\topen\n", FaultCategory.UNEXPECTED_ANSWER),
        ("lockstep-access\t2\t1\nend\n", FaultCategory.UNEXPECTED_ANSWER),
        ("lockstep-access\t1\t1\nerror\tnot_local\n", FaultCategory.MANAGED_ELSEWHERE),
        ("lockstep-access\t1\t1\nerror\twrite\nend\n", FaultCategory.VENDOR_ERROR),
    ],
)
def test_an_answer_that_is_not_whole_is_none(text: str, category: FaultCategory) -> None:
    """Cut short, of another program, or an error anywhere in it: nothing is concluded from it."""
    with pytest.raises(Refusal) as caught:
        read(text)

    assert caught.value.category is category


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("anna\n", "line 1: a name, then"),
        ("# x\nanna SHA256:short\n", "line 2: a name, then"),
        (f"anna {fingerprint('k')}\nben {fingerprint('k')}\n", "line 2: this key is another's"),
    ],
)
def test_a_list_of_keys_that_cannot_be_is_refused(tmp_path: Path, keys: str, said: str) -> None:
    """Each with its line; one key of two people is nobody's to take."""
    path = tmp_path / "keys"
    path.write_text(keys)
    with pytest.raises(ValueError, match=said):
        keys_in(str(path))


def test_an_inventory_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A host that is added is asked from then on; one that is none is refused with its line."""
    path = tmp_path / "hosts"
    path.write_text("one.example.com\nONE.example.com # twice\n")
    file = Reread(str(path), hosts_in)
    assert [host.name for host in file.get()] == ["one.example.com"]
    path.write_text("one.example.com\ntwo.example.com:2222\n")
    assert [host.name for host in file.get()] == ["one.example.com", "two.example.com:2222"]
    path.write_text("one.example.com\nhttp://x\n")
    with pytest.raises(ValueError, match="hosts: line 2: host or host:port"):
        file.get()

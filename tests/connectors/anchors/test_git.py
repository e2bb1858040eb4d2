"""The anchor ``git``: commits in a real remote, added and never forced."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.anchors.base import AnchorConflict, AnchorFault
from tests.connectors.anchors.peers import (
    SECRET,
    Authority,
    GitOverHttp,
    HttpPeer,
    build,
    checkpoint,
    free_port,
    git,
    silence,
)
from tests.support.children import child

AUTHOR = {"author_name": "Acme ledger", "author_email": "ledger@acme.example"}


@pytest.fixture
def theirs(tmp_path) -> Path:
    """The other organisation's bare repository, which nobody has pushed to yet."""
    made = tmp_path / "theirs" / "copies.git"
    made.mkdir(parents=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", made)
    git("config", "http.receivepack", "true", cwd=made)
    return made


@pytest.fixture
def anchor(tmp_path, theirs):
    return anchor_to(f"file://{theirs}", tmp_path)


def anchor_to(remote: str, home: Path, token: str = "", **settings: object):
    secrets = {"token": token} if token else {}
    return build("git", {"remote": remote, **AUTHOR, **settings}, secrets, home=home)


def content(theirs: Path, name: str, branch: str = "main") -> bytes:
    return git("show", f"{branch}:{name}", cwd=theirs).encode() + b"\n"


def commits(theirs: Path, branch: str = "main") -> list[str]:
    return git("log", "--format=%s", "--reverse", branch, cwd=theirs).splitlines()


async def test_the_branch_holds_the_note(anchor, theirs):
    """In a file of its own and in ``latest.txt``; the receipt names the commit."""
    receipt = (await anchor.publish(checkpoint(7))).decode().split()

    assert content(theirs, "7.txt") == content(theirs, "latest.txt") == checkpoint(7).note
    assert receipt[:3] == [git("rev-parse", "main", cwd=theirs), "refs/heads/main", "7.txt"]
    assert git("log", "--format=%an <%ae> %cn %aI", "main", cwd=theirs) == (
        "Acme ledger <ledger@acme.example> Acme ledger 2026-09-01T12:00:07+00:00"
    )
    git("fsck", "--strict", cwd=theirs)


async def test_checkpoints_add_up(anchor, theirs):
    """One commit each, every file stays, ``latest.txt`` follows the largest."""
    for size in (7, 9, 8):
        await anchor.publish(checkpoint(size))

    assert commits(theirs) == ["Checkpoint 7", "Checkpoint 9", "Checkpoint 8"]
    files = git("ls-tree", "--name-only", "main", cwd=theirs).split()
    assert files == ["7.txt", "8.txt", "9.txt", "latest.txt"]
    assert content(theirs, "latest.txt") == checkpoint(9).note


async def test_the_same_checkpoint_again_adds_no_commit(anchor, theirs):
    """A repetition finds it; so does another installation's anchor with a clone of its own."""
    first = await anchor.publish(checkpoint(7))

    assert await anchor.publish(checkpoint(7)) == first
    assert commits(theirs) == ["Checkpoint 7"]


async def test_another_checkpoint_of_the_same_size_is_a_conflict(anchor, theirs):
    """Nothing is pushed."""
    await anchor.publish(checkpoint(7))
    with pytest.raises(AnchorConflict, match=r"7\.txt holds another checkpoint"):
        await anchor.publish(checkpoint(7, root=b"\x02" * 32))

    assert commits(theirs) == ["Checkpoint 7"]


async def test_the_others_may_commit_too(anchor, theirs, tmp_path):
    """Their files and commits stay; ours go on top."""
    await anchor.publish(checkpoint(7))
    work = tmp_path / "work"
    git("clone", "--quiet", f"file://{theirs}", work)
    (work / "README").write_text("kept by the other organisation\n")
    git("add", "README", cwd=work)
    git("commit", "--quiet", "-m", "Say what this is", cwd=work)
    git("push", "--quiet", "origin", "main", cwd=work)
    await anchor.publish(checkpoint(8))

    assert commits(theirs) == ["Checkpoint 7", "Say what this is", "Checkpoint 8"]
    assert content(theirs, "README") == b"kept by the other organisation\n"


async def test_a_branch_that_moved_meanwhile_is_not_forced(anchor, theirs, tmp_path, monkeypatch):
    """Who was slower is refused by git, and the next attempt goes on top."""
    other = build("git", {"remote": f"file://{theirs}", **AUTHOR}, home=tmp_path, name="elsewhere")
    commit = anchor._commit

    async def slowly(*given):
        made = await commit(*given)
        await other.publish(checkpoint(8))
        return made

    monkeypatch.setattr(anchor, "_commit", slowly)
    with pytest.raises(AnchorFault, match="git push: failed to push"):
        await anchor.publish(checkpoint(7))
    monkeypatch.undo()
    await anchor.publish(checkpoint(7))

    assert commits(theirs) == ["Checkpoint 8", "Checkpoint 7"]
    assert content(theirs, "latest.txt") == checkpoint(8).note


async def test_two_publications_at_once_share_the_clone(tmp_path, theirs):
    """The worker and a command, say: one waits for the other."""
    anchors = [anchor_to(f"file://{theirs}", tmp_path) for _ in range(4)]
    await asyncio.gather(*(one.publish(checkpoint(7 + n)) for n, one in enumerate(anchors)))

    assert sorted(commits(theirs)) == [f"Checkpoint {size}" for size in (10, 7, 8, 9)]


async def test_what_a_killed_process_left_is_cleared_away(anchor, theirs, tmp_path):
    """Locks of git and half-written objects in the clone stop nobody."""
    await anchor.publish(checkpoint(7))
    clone = tmp_path / "data" / "outside.git"
    for lock in ("anchor.index.lock", "shallow.lock", "refs/anchor/tip.lock"):
        (clone / lock).touch()
    clone.with_suffix(".unfinished").touch()
    for path in (clone / "objects").rglob("*"):
        if path.is_file():
            path.chmod(0o600)
            path.write_bytes(b"")
    await anchor.publish(checkpoint(8))

    assert commits(theirs) == ["Checkpoint 7", "Checkpoint 8"]


def processes(word: str) -> str:
    return subprocess.run(
        ["pgrep", "-f", word], capture_output=True, text=True, check=False, timeout=120
    ).stdout


async def test_a_cancelled_publication_leaves_nothing_running(tmp_path, theirs, monkeypatch):
    """A peer that hangs is left within the caller's patience, and git's helpers go too."""
    with silence() as port:
        anchor = anchor_to(f"git://127.0.0.1:{port}/copies.git", tmp_path)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anchor.publish(checkpoint(7))
        async with asyncio.timeout(30):
            while processes(f"127.0.0.1:{port}"):  # noqa: ASYNC110 - killed, it ends by itself
                await asyncio.sleep(0.05)
    good = anchor_to(f"file://{theirs}", tmp_path)
    await good.publish(checkpoint(7))


async def test_a_remote_that_is_away_comes_back(anchor, theirs):
    """Git's own complaint is told, without the address's secrets; the next attempt works."""
    theirs.rename(theirs.with_name("moved"))
    with pytest.raises(AnchorFault, match=r"git ls-remote: '.*' does not appear to be a git"):
        await anchor.publish(checkpoint(7))
    theirs.with_name("moved").rename(theirs)
    await anchor.publish(checkpoint(7))

    assert commits(theirs) == ["Checkpoint 7"]


@contextlib.contextmanager
def daemon(root: Path) -> Iterator[int]:
    port = free_port()
    command = [
        *("git", "daemon", f"--base-path={root}", "--export-all", "--reuseaddr"),
        *("--enable=receive-pack", "--listen=127.0.0.1", f"--port={port}"),
    ]
    with child(command, stderr=subprocess.DEVNULL):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = subprocess.run(
                ["git", "ls-remote", f"git://127.0.0.1:{port}/copies.git"],
                capture_output=True,
                check=False,
                timeout=120,
            )
            if done.returncode == 0:
                break
        yield port


async def test_over_gits_own_protocol(tmp_path, theirs):
    """A second server of git's, over a real connection, also from a fresh clone."""
    with daemon(theirs.parent) as port:
        for size, home in ((7, tmp_path / "a"), (8, tmp_path / "a"), (9, tmp_path / "b")):
            await anchor_to(f"git://127.0.0.1:{port}/copies.git", home).publish(checkpoint(size))

    assert commits(theirs) == ["Checkpoint 7", "Checkpoint 8", "Checkpoint 9"]


async def test_over_https_with_a_token(tmp_path, theirs):
    """The token signs in, travels over TLS only, and stands in no command line and no file."""
    authority = Authority.make(tmp_path)
    backend = GitOverHttp(theirs.parent, f"ledger:{SECRET}")
    with HttpPeer(backend.answer, tls=authority.server()) as peer:
        remote = f"{peer.url}/copies.git"
        untrusting = anchor_to(remote, tmp_path, f"ledger:{SECRET}")
        with pytest.raises(AnchorFault, match="git ls-remote: unable to access"):
            await untrusting.publish(checkpoint(7))
        anchor = anchor_to(remote, tmp_path, f"ledger:{SECRET}", ca_file="root.pem")
        await anchor.publish(checkpoint(7))
        await anchor.publish(checkpoint(8))

    assert commits(theirs) == ["Checkpoint 7", "Checkpoint 8"]
    for path in (tmp_path / "data").rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes()


async def test_a_wrong_token_asks_nobody(tmp_path, theirs):
    """No prompt, no wait; the fault says so without the token."""
    backend = GitOverHttp(theirs.parent, "ledger:right")
    with HttpPeer(backend.answer) as peer:
        anchor = anchor_to(f"{peer.url}/copies.git", tmp_path, SECRET)
        with pytest.raises(AnchorFault) as caught:
            async with asyncio.timeout(60):
                await anchor.publish(checkpoint(7))

    assert "git ls-remote: " in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_no_configuration_of_the_machine_is_read(tmp_path, theirs, monkeypatch):
    """Neither hooks, nor rewritten addresses, nor credentials of whoever runs us."""
    config = tmp_path / ".gitconfig"
    config.write_text('[url "file:///nowhere/"]\n\tinsteadOf = "file:///"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_SSH_COMMAND", "false")
    await anchor_to(f"file://{theirs}", tmp_path).publish(checkpoint(7))
    monkeypatch.undo()

    assert commits(theirs) == ["Checkpoint 7"]


async def test_a_machine_without_git_says_so(tmp_path, theirs, monkeypatch):
    """A container image may lack the program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(AnchorFault, match="git is not installed") as caught:
        await anchor_to(f"file://{theirs}", tmp_path).publish(checkpoint(7))

    assert not caught.value.transient


async def test_a_branch_of_a_like_name_is_not_ours(anchor, theirs):
    """Git lists refs by their ending."""
    other = git("hash-object", "-t", "tree", "-w", "/dev/null", cwd=theirs)
    commit = git("commit-tree", other, "-m", "theirs", cwd=theirs)
    git("update-ref", "refs/heads/a/refs/heads/main", commit, cwd=theirs)
    await anchor.publish(checkpoint(7))

    assert commits(theirs) == ["Checkpoint 7"]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"remote": "--upload-pack=touch /tmp/x"}, "remote: use"),
        ({"remote": "ext::sh -c id"}, "remote: use"),
        ({"remote": "/srv/copies.git"}, "remote: use"),
        ({"remote": "http://git.example.com/x.git"}, "remote: use"),
        ({"remote": "git://git.example.com/x.git"}, "remote: use"),
        ({"remote": "https://user:pass@example.com/x.git"}, "remote: credentials"),
        ({"remote": "ssh://-oProxyCommand=id/x.git"}, "remote: neither"),
        ({"remote": "ssh://git@example.com/x.git"}, "ssh_key: give it"),
        ({"branch": "--force"}, "branch: use"),
        ({"branch": "a..b"}, "branch: use"),
        ({"branch": "+main"}, "branch: use"),
        ({"branch": "main:other"}, "branch: use"),
        ({"author_name": "x <y>"}, "author_name: give"),
        ({"author_email": ""}, "author_email: give"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, settings, reason):
    """Nothing can be taken for an option or a program."""
    with pytest.raises(ValueError, match=reason):
        anchor_to(**{"remote": "https://example.com/x.git", **settings}, home=tmp_path)


def test_ssh_is_given_one_key_and_one_host(tmp_path):
    """No agent, no configuration, no question; paths are quoted."""
    home = tmp_path / "a b'c"
    home.mkdir()
    for name in ("key", "hosts"):
        (home / name).touch()
    anchor = anchor_to("ssh://git@example.com/x.git", home, ssh_key="key", known_hosts="hosts")
    command = anchor._environment["GIT_SSH_COMMAND"]
    done = subprocess.run(
        ["sh", "-c", f"{command} -G example.com"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    settings = dict(line.partition(" ")[::2] for line in done.stdout.splitlines())

    assert settings["identityfile"] == str(home / "key")
    assert settings["userknownhostsfile"] == str(home / "hosts")
    assert settings["stricthostkeychecking"] == "true"
    assert settings["batchmode"] == "yes"
    assert "SSH_AUTH_SOCK" not in anchor._environment

"""Anchor ``git``: a branch of a repository that another organisation keeps.

One file per checkpoint and ``latest.txt``, one commit each, never forced: whoever fetched the
branch before holds what was there. A bare clone without history serves as a cache; it is made
anew whenever a publication did not end in order.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import fcntl
import os
import re
import shlex
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from urllib.parse import urlsplit

from connectors.anchors.base import (
    CA_FILE,
    LOOPBACK,
    MAX_NOTE,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    redacted,
)
from connectors.base import OptionSpec

KIND = "git"
_LATEST = "latest.txt"
_TIP = "refs/anchor/tip"
_SCHEMES = frozenset({"https", "ssh", "file"})
_CLEAR_SCHEMES = frozenset({"http", "git"})
_BRANCH = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$")
_REMOTE = re.compile(r"^[!-~]{1,500}$")
_PERSON = re.compile(r"^[^<>\x00-\x1f]{1,100}$")
_SIZE = re.compile(rb"^[1-9][0-9]{0,17}$")
_COMMAND_S = 20.0
_WAIT_S = 0.1
_PROXIES = ("http_proxy", "https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "all_proxy")
_NO_OBJECT = "0" * 40


class GitAnchor:
    """One branch of one remote, spoken to by the ``git`` program without a shell of ours."""

    def __init__(self, options: AnchorOptions) -> None:
        self._remote = _remote(options.text("remote"))
        branch = options.text("branch")
        if not _BRANCH.fullmatch(branch) or branch.endswith(".lock") or len(branch) > 100:  # noqa: PLR2004
            raise ValueError("branch: use letters, digits and _-, with single . and / between")
        self._branch = f"refs/heads/{branch}"
        self._author = _person("author_name", options), _person("author_email", options)
        self._token = options.secret("token")
        self._clone = (options.data_dir / f"{options.name}.git").absolute()
        self._environment = self._make_environment(options)

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """The receipt names the commit that holds the checkpoint."""
        try:
            async with self._own_clone():
                return await self._publish(checkpoint)
        except OSError as error:
            fault = AnchorFault(f"cannot use the clone or git: {type(error).__name__}")
        raise fault

    async def aclose(self) -> None:
        """Nothing stays open between two publications."""

    async def _publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        name = f"{checkpoint.size}.txt"
        tip = await self._fetch()
        blob = await self._git("hash-object", "-w", "--stdin", given=checkpoint.note)
        standing = await self._list(tip, name, _LATEST) if tip else {}
        if (found := standing.get(name)) is not None:
            if found.id != blob:
                raise AnchorConflict(f"{name} holds another checkpoint")
            commit = tip
        else:
            files = [name]
            if await self._is_newest(checkpoint, standing.get(_LATEST)):
                files.append(_LATEST)
            commit = await self._commit(checkpoint, tip, dict.fromkeys(files, blob))
            # Refused by git unless the branch still ends at the tip: never forced.
            await self._git("push", "--quiet", "--", self._remote, f"{commit}:{self._branch}")
            await self._git("update-ref", _TIP, commit)
            await self._git("gc", "--auto", "--quiet")
        return f"{commit} {self._branch} {name} sha256:{checkpoint.digest}\n".encode()

    async def _fetch(self) -> str:
        """The branch's last commit, with its files here; empty if there is no such branch."""
        listed = await self._git("ls-remote", "--", self._remote, self._branch)
        # Git matches by ending: a branch named x/refs/heads/main would be listed too.
        refs = (line.partition("\t") for line in listed.splitlines())
        tip = next((commit for commit, _, ref in refs if ref == self._branch), "")
        if not tip or tip == await self._tip():
            return tip
        await self._git(
            "fetch",
            "--quiet",
            "--no-tags",
            "--depth=1",
            "--no-write-fetch-head",
            "--",
            self._remote,
            f"+{self._branch}:{_TIP}",
        )
        return await self._tip()

    async def _tip(self) -> str:
        return await self._git("for-each-ref", "--format=%(objectname)", _TIP)

    async def _list(self, tip: str, *names: str) -> dict[str, _Blob]:
        listed = await self._git("ls-tree", "-l", tip, "--", *names)
        found = {}
        for line in listed.splitlines():
            about, _, name = line.partition("\t")
            _, kind, blob, size = about.split()
            found[name] = _Blob(blob if kind == "blob" else _NO_OBJECT, size)
        return found

    async def _is_newest(self, checkpoint: AnchorCheckpoint, latest: _Blob | None) -> bool:
        """A checkpoint that comes late takes its own file only."""
        if latest is None or not latest.size.isdigit() or int(latest.size) > MAX_NOTE:
            return True
        lines = (await self._git("cat-file", "blob", latest.id)).encode().split(b"\n")
        size = lines[1] if len(lines) > 1 else b""
        return not _SIZE.fullmatch(size) or int(size) < checkpoint.size

    async def _commit(
        self, checkpoint: AnchorCheckpoint, tip: str, files: Mapping[str, str]
    ) -> str:
        """The same checkpoint on the same tip gives the same commit id."""
        when = f"{int(checkpoint.signed_at.astimezone(UTC).timestamp())} +0000"
        dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
        await self._git("read-tree", *([tip] if tip else ["--empty"]))
        lines = "".join(f"100644 {blob}\t{name}\n" for name, blob in files.items())
        await self._git("update-index", "--index-info", given=lines.encode())
        tree = await self._git("write-tree")
        parent = ["-p", tip] if tip else []
        message = f"Checkpoint {checkpoint.size}\n".encode()
        return await self._git("commit-tree", tree, *parent, given=message, more=dates)

    @contextlib.asynccontextmanager
    async def _own_clone(self) -> AsyncIterator[None]:
        """The clone for this process alone, in order.

        The mark stays when anything went wrong, a killed process included: locks of git may be
        left then, and half-written objects.
        """
        self._clone.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = self._clone.with_suffix(".unfinished")
        with self._clone.with_suffix(".lock").open("wb") as lock:
            while not _locked(lock.fileno()):  # noqa: ASYNC110 - another process tells no event
                await asyncio.sleep(_WAIT_S)
            if mark.exists() or not self._clone.exists():
                shutil.rmtree(self._clone, ignore_errors=True)
                mark.touch()
                await self._git("init", "--quiet", "--bare", "--template=", str(self._clone))
            mark.touch()
            yield
            mark.unlink()

    async def _git(
        self, *arguments: str, given: bytes = b"", more: Mapping[str, str] | None = None
    ) -> str:
        """Run one command; its trimmed output.

        Raises:
            AnchorFault: naming the command and what git says, without secrets.
        """
        process = await self._start(arguments, more or {})
        try:
            async with asyncio.timeout(_COMMAND_S):
                output, errors = await process.communicate(given)
        except TimeoutError:
            raise AnchorFault(f"git {arguments[0]}: no answer in time") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # its ssh too
                await process.wait()
        if process.returncode:
            raise self._fault(arguments[0], errors)
        return output.decode(errors="replace").strip()

    async def _start(
        self, arguments: Sequence[str], more: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                cwd=self._clone.parent,
                env={**self._environment, **more},
                start_new_session=True,
            )
        except FileNotFoundError:
            raise AnchorFault("git is not installed here", transient=False) from None

    def _fault(self, command: str, errors: bytes) -> AnchorFault:
        """Git's own last complaint; what the remote says could be anything and is left out."""
        said = [
            line.partition(": ")[2]
            for line in errors[-8192:].decode(errors="replace").splitlines()
            if line.startswith(("fatal: ", "error: "))
        ]
        reason = redacted(said[0], (self._token, _basic(self._token))) if said else "failed"
        return AnchorFault(f"git {command}: {reason}")

    def _make_environment(self, options: AnchorOptions) -> dict[str, str]:
        """Nothing of ours but the path and the proxy: no configuration, no agent, no prompt."""
        scheme = urlsplit(self._remote).scheme
        settings = {
            "core.hooksPath": "/dev/null",
            "fetch.fsckObjects": "true",
            "gc.autoDetach": "false",
            "http.followRedirects": "false",
        }
        if self._token:
            if scheme not in {"http", "https"}:
                raise ValueError("token: is for https remotes")
            settings["http.extraHeader"] = f"Authorization: Basic {_basic(self._token)}"
        if ca_file := options.file("ca_file"):
            settings["http.sslCAInfo"] = str(ca_file.absolute())
        name, email = self._author
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._clone.parent),
            "LC_ALL": "C",
            "GIT_DIR": str(self._clone),
            "GIT_INDEX_FILE": str(self._clone / "anchor.index"),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ALLOW_PROTOCOL": scheme,
            "GIT_AUTHOR_NAME": name,
            "GIT_AUTHOR_EMAIL": email,
            "GIT_COMMITTER_NAME": name,
            "GIT_COMMITTER_EMAIL": email,
            "GIT_CONFIG_COUNT": str(len(settings)),
            **{key: os.environ[key] for key in _PROXIES if key in os.environ},
        }
        for number, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        if scheme == "ssh":
            environment["GIT_SSH_COMMAND"] = _ssh(options)
        return environment


@dataclass(frozen=True, slots=True)
class _Blob:
    """A file of a commit. ``size`` is git's text."""

    id: str
    size: str


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _remote(value: str) -> str:
    """An address that names no program and no option."""
    parts = urlsplit(value)
    clear = parts.scheme in _CLEAR_SCHEMES and parts.hostname in LOOPBACK
    if not _REMOTE.fullmatch(value) or not (parts.scheme in _SCHEMES or clear):
        raise ValueError("remote: use https://, ssh:// or file:// (http and git to loopback only)")
    if parts.password or (parts.username and parts.scheme != "ssh"):
        raise ValueError("remote: credentials do not belong in an address")
    if (parts.hostname or "").startswith("-") or (parts.username or "").startswith("-"):
        raise ValueError("remote: neither host nor user begins with -")
    return value


def _person(option: str, options: AnchorOptions) -> str:
    value = options.text(option)
    if not _PERSON.fullmatch(value) or value.startswith("-"):
        raise ValueError(f"{option}: give a plain name or address")
    return value


def _basic(token: str) -> str:
    """``user:token`` or a bare token, as HTTP's basic scheme takes it (RFC 7617)."""
    pair = token if ":" in token else f"lockstep:{token}"
    return base64.b64encode(pair.encode()).decode() if token else ""


def _ssh(options: AnchorOptions) -> str:
    """Git hands this to a shell: only quoted paths are ours in it."""
    key, known_hosts = options.file("ssh_key"), options.file("known_hosts")
    if key is None or known_hosts is None:
        raise ValueError("ssh_key: give it and known_hosts with an ssh:// remote")
    settings = {
        "BatchMode": "yes",
        "ConnectTimeout": "5",
        "IdentitiesOnly": "yes",
        "IdentityFile": _quoted(key),
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": _quoted(known_hosts),
    }
    words = ["ssh", "-F", os.devnull]
    for name, value in settings.items():
        words += ["-o", f"{name}={value}"]
    return shlex.join(words)


def _quoted(path: Path) -> str:
    """A path as ssh's configuration takes it (ssh_config(5): quotes, percent tokens)."""
    text = str(path.absolute())
    if '"' in text or "\\" in text:
        raise ValueError("ssh_key, known_hosts: no quote or backslash in the path")
    return f'"{text.replace("%", "%%")}"'


MANIFEST = AnchorManifest(
    kind=KIND,
    build=GitAnchor,
    options=(
        OptionSpec("remote", "repository of another organisation: https://, ssh:// or file://"),
        OptionSpec("author_name", "author of the commits"),
        OptionSpec("author_email", "the author's address"),
        OptionSpec("branch", "branch to which commits are added", required=False, default="main"),
        OptionSpec("token", "for https: user:token, or a token", required=False, secret=True),
        OptionSpec("ssh_key", "for ssh: file of the private key", required=False, default=""),
        OptionSpec("known_hosts", "for ssh: file of the host's key", required=False, default=""),
        CA_FILE,
    ),
    proves="the other organisation's clones hold every copy; a rewrite would have to be forced",
)

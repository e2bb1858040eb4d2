"""Anchor ``file``: a folder to which checkpoints are only ever added.

Mean it for a folder that somebody else owns or backs up: a write-once share, another machine.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from connectors.anchors.base import (
    MAX_NOTE,
    AnchorCheckpoint,
    AnchorConflict,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    AnchorUnfit,
    OwnThread,
)
from connectors.base import OptionSpec

KIND = "file"
_READ_ONLY = 0o444
_NEEDS_PERSON = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}
_UNFIT = {errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTSUP}
"""What a file system without hard links answers."""


class FileAnchor:
    """One folder; it must exist, so that a mount that is missing is noticed."""

    def __init__(self, options: AnchorOptions) -> None:
        given = options.text("path")
        if not given:
            raise ValueError("path: give a folder")
        self._folder = options.home / given
        self._thread = OwnThread(options.name)

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        return await self._thread.run(self._publish, checkpoint)

    async def aclose(self) -> None:
        self._thread.close()

    def _publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        try:
            return self._write(checkpoint)
        except FileNotFoundError:
            fault = AnchorFault("the folder does not exist: is it mounted?")
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, type(error).__name__)
            if error.errno in _UNFIT:
                raise AnchorUnfit(
                    f"{name}: this file system cannot do hard links: correct path"
                ) from None
            fault = AnchorFault(f"cannot write: {name}", transient=error.errno not in _NEEDS_PERSON)
        raise fault

    def _write(self, checkpoint: AnchorCheckpoint) -> bytes:
        name = f"{checkpoint.size}.txt"
        with _open(self._folder, os.O_RDONLY | os.O_DIRECTORY) as folder:
            try:
                _add(folder, name, checkpoint.note)
            except FileExistsError:
                if _content(folder, name) != checkpoint.note:
                    raise AnchorConflict(f"{name} holds another checkpoint") from None
            os.fsync(folder)  # also when it stood: whoever wrote it may have died before this
        return f"{name} sha256:{checkpoint.digest}\n".encode()


def _add(folder: int, name: str, content: bytes) -> None:
    """Add a file whole or not at all; never over another.

    Raises:
        FileExistsError: if the name is taken.
    """
    draft = f".{name}.{secrets.token_hex(8)}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with _open(draft, flags, folder) as descriptor:
        try:
            left = content
            while left:
                left = left[os.write(descriptor, left) :]
            os.fchmod(descriptor, _READ_ONLY)
            os.fsync(descriptor)
            # A rename would replace what stands there; a link never does.
            os.link(draft, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            with contextlib.suppress(PermissionError):  # a folder may refuse every removal
                os.unlink(draft, dir_fd=folder)


def _content(folder: int, name: str) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with _open(name, flags, folder) as descriptor:
        return os.read(descriptor, MAX_NOTE)


@contextlib.contextmanager
def _open(path: Path | str, flags: int, folder: int | None = None) -> Iterator[int]:
    descriptor = os.open(path, flags, 0o600, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


MANIFEST = AnchorManifest(
    kind=KIND,
    build=FileAnchor,
    options=(OptionSpec("path", "existing folder, best on a machine that others run"),),
    proves="whoever can read the folder sees a rewritten ledger, unless the folder was rewritten",
)

"""Where PostgreSQL's files may live, and which user of the operating system owns them.

PostgreSQL refuses to run as root. Started by root, it runs as a user of its own, who must be able
to walk to the data and to the programs. We never widen the rights of a folder that exists
already, above all not of a home folder; where that user cannot pass, the files go elsewhere.
"""

import hashlib
import os
import pwd
import re
import shutil
import stat
import subprocess
from pathlib import Path

from lockstep.embedded.child import OsUser
from lockstep.embedded.errors import EmbeddedError

SERVER_USER = "pgserver"
_CLUSTER = "cluster"
# sun_path holds 104 bytes with its final NUL on macOS and 108 on Linux.
_MAX_SOCKET_PATH_BYTES = 103
# PostgreSQL and libpq read a comma as "next folder"; the rest of the caution is for URLs.
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/-]+")
_SHORT_ROOT = Path("/tmp")  # noqa: S108 - claimed by `claim_private_folder`, short on every system


def cluster_folder(data_dir: Path) -> Path:
    """PostgreSQL's own data directory inside our data folder."""
    return data_dir / _CLUSTER


def choose_data_dir(preferred: Path, *, fallback_root: Path = Path("/var/lib")) -> Path:
    """The folder for PostgreSQL: `preferred`, or another one where root could not use it.

    For every user but root the answer is `preferred`. Root runs the server as the user `pgserver`,
    who must be able to enter every parent folder; below `/root` or another folder with
    rights 0700 that fails. Then the answer is `<fallback_root>/lockstep-<12 hex digits>`, the
    digits being the SHA-256 of the absolute preferred path, so that the same home folder always
    finds its data again. A folder that already holds data wins over one that does not, so a
    later change of rights cannot make data seem to vanish. Moving the home folder changes
    the digits: move or name the data folder explicitly then.

    Args:
        preferred: where the data should go; need not exist.
        fallback_root: existing folder that everyone may enter.

    Raises:
        EmbeddedError: `preferred` holds data but cannot be entered, or no folder can be.
    """
    preferred = preferred.expanduser().absolute()
    if os.geteuid() != 0:
        return preferred
    fallback = fallback_root / f"lockstep-{_digest(preferred)}"
    blocked = _blocked_at(cluster_folder(preferred), _known_user(preferred))
    if blocked is None and (_has_data(preferred) or not _has_data(fallback)):
        return preferred
    if _has_data(preferred):
        raise EmbeddedError(
            f"The PostgreSQL data in {preferred} cannot be reached by its owner, because {blocked} "
            f"is closed to others. Run `chmod o+x {blocked}`, or run as the user who owns the data."
        )
    if (closed := _blocked_at(cluster_folder(fallback), _known_user(fallback))) is not None:
        raise EmbeddedError(
            f"PostgreSQL refuses to run as root, and its own user {SERVER_USER} can enter neither"
            f" {preferred} (because of {blocked}) nor {fallback} (because of {closed})."
            f" {_way_out(closed)}"
        )
    return fallback


def require_reachable(folder: Path, user: OsUser | None) -> None:
    """Raise EmbeddedError where `user` cannot enter a parent of `folder`."""
    if user is None:
        return
    blocked = _blocked_at(folder, user)
    if blocked is not None:
        raise EmbeddedError(
            f"PostgreSQL, which refuses to run as root, keeps its data in {folder}, and its user"
            f" {user.name} cannot enter {blocked}. {_way_out(blocked)}"
        )


def _way_out(blocked: Path) -> str:
    return (
        f"Let others pass, without reading: `chmod o+x {blocked}`; or set `data_dir` in"
        " lockstep.toml to a folder that others may enter, such as /var/lib/lockstep; or run"
        " lockstep as another user than root."
    )


def server_user(data_dir: Path) -> OsUser | None:
    """The user to run PostgreSQL as, or None for our own.

    Data that exists is served by its owner. For new data root uses `pgserver` and creates that
    user where it does not exist.

    Raises:
        EmbeddedError: the data belongs to somebody else, or the user cannot be created.
    """
    owner = _data_owner(data_dir)
    if os.geteuid() == 0:
        return owner or _ensure_user(SERVER_USER)
    if owner is not None and owner.uid != os.geteuid():
        raise EmbeddedError(
            f"The PostgreSQL data in {data_dir} belongs to the user {owner.name}. "
            "Run as that user or as root, or choose another data folder."
        )
    return None


def make_folder(path: Path) -> None:
    """Create `path` and its missing parents; root's so that others may enter but not list them.

    Explicit rights there, because root's umask may be 077 and the server's user has to pass.
    """
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        path.chmod(0o711)


def claim_private_folder(path: Path, user: OsUser | None) -> None:
    """Make `path` a folder that `user` (None: we) owns and nobody else may enter.

    Raises:
        EmbeddedError: something is there that belongs to somebody else, as can happen in a
            folder that everyone may write.
    """
    uid = os.geteuid() if user is None else user.uid
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {uid, os.geteuid()}:
            raise EmbeddedError(
                f"{path} exists and belongs to somebody else. Remove it and start again."
            ) from None
    path.chmod(0o700)
    if user is not None:
        os.chown(path, user.uid, user.gid)


def socket_folder(data_dir: Path) -> Path:
    """The folder of the Unix socket: inside the data folder where its path is short and plain.

    Else a folder in /tmp named after the data folder. It does not depend on the environment, so
    every process of every session finds the same one.
    """
    inside = data_dir / "socket"
    length = len(os.fsencode(inside / ".s.PGSQL.5432"))
    if length <= _MAX_SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(str(inside)):
        return inside
    return _SHORT_ROOT / f"lockstep-{_digest(data_dir)}"


def reachable_package(package: Path, data_dir: Path) -> Path:
    """Where the server's user can run the programs: `package`, or a place for a copy.

    A virtual environment below `/root` is out of reach for that user; `copy_package` then puts
    the 38 MB beside the data.
    """
    if os.geteuid() != 0 or _blocked_at(package / "any", _known_user(data_dir)) is None:
        return package
    # Named after the original's age too, so that an upgrade in place is copied again.
    changed = package.stat().st_mtime_ns
    return data_dir / f"server-{_digest(package / str(changed))}" / package.name


def copy_package(package: Path, target: Path) -> None:
    """Copy the programs and their libraries to `target`, in one step and only once."""
    whole = target.parent
    if whole.exists():
        return
    partial = whole.with_name(whole.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    libraries = package.with_name(package.name + ".libs")  # found by relative path
    unneeded = shutil.ignore_patterns("*.a", "*.py", "include", "__pycache__", "pginstall")
    for source in (package, libraries):
        if source.is_dir():
            shutil.copytree(source, partial / source.name, symlinks=True, ignore=unneeded)
    for path in (partial, *partial.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            executable = path.is_dir() or mode & stat.S_IXUSR
            path.chmod(mode | (0o055 if executable else 0o044))
    partial.rename(whole)


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _has_data(data_dir: Path) -> bool:
    return (cluster_folder(data_dir) / "PG_VERSION").exists()


def _data_owner(data_dir: Path) -> OsUser | None:
    if not _has_data(data_dir):
        return None
    found = cluster_folder(data_dir).stat()
    try:
        name = pwd.getpwuid(found.st_uid).pw_name
    except KeyError:  # a container's user without a name
        name = str(found.st_uid)
    return OsUser(name, found.st_uid, found.st_gid)


def _known_user(data_dir: Path) -> OsUser:
    """Who would run the server; before `pgserver` exists, somebody who owns nothing."""
    try:
        return _data_owner(data_dir) or _lookup(SERVER_USER)
    except KeyError:
        return OsUser(SERVER_USER, -1, -1)


def _blocked_at(path: Path, user: OsUser) -> Path | None:
    """The first existing parent of `path` that `user` cannot enter.

    Reads mode bits only: access lists mostly grant more, and a needless detour is harmless.
    """
    for folder in reversed(path.resolve().parents):
        try:
            found = folder.stat()
        except FileNotFoundError:
            return None  # we create the rest
        if found.st_uid == user.uid:
            needed = stat.S_IXUSR
        elif found.st_gid == user.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not found.st_mode & needed:
            return folder
    return None


def _lookup(name: str) -> OsUser:
    entry = pwd.getpwnam(name)
    return OsUser(name, entry.pw_uid, entry.pw_gid)


def _ensure_user(name: str) -> OsUser:
    try:
        return _lookup(name)
    except KeyError:
        pass
    problem = "neither `useradd` nor `adduser` was found"
    if useradd := shutil.which("useradd", path=_admin_path()):
        command = [useradd, "--system", "--user-group", "--no-create-home"]
        command += ["--shell", "/usr/sbin/nologin", name]
    elif adduser := shutil.which("adduser", path=_admin_path()):  # busybox
        command = [adduser, "-S", "-D", "-H", "-s", "/sbin/nologin", name]
    else:
        command = []
    if command:
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - fixed arguments
        problem = done.stderr.strip()
    try:
        return _lookup(name)  # also where another start has created it meanwhile
    except KeyError as error:
        raise EmbeddedError(
            f"PostgreSQL cannot run as root, and the user {name} could not be created: {problem}. "
            f"Create a system user called {name}, or do not run as root."
        ) from error


def _admin_path() -> str:
    return os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

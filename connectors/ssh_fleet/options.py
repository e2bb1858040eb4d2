"""What ``[systems.<id>]`` says of a fleet, and the two files that it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Generic, TypeVar

from connectors.kit import options
from connectors.kit.databases.addresses import NAMES

T = TypeVar("T")

_HOST = re.compile(r"(?P<host>[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
NAME: Final = re.compile(r"[A-Za-z0-9._@][A-Za-z0-9._@-]*")
_SPEC = re.compile(r"SHA256:[A-Za-z0-9+/]{43}|id:[A-Za-z0-9@._:+-]+")
_PORT = 22

HOSTS = replace(
    options.text("hosts", "file with the hosts, host or host:port a line", required=True),
    is_path=True,
)
KNOWN_HOSTS = replace(
    options.text("known_hosts", "file with the hosts' keys, as OpenSSH's", required=True),
    is_path=True,
)
PEOPLES_KEYS = replace(
    options.text(
        "peoples_keys",
        "file that tells whose a key is, wherever it stands: a name, then SHA256:… or id:…",
    ),
    is_path=True,
)
USER = options.text("user", "our own account on the hosts", default="lockstep")
PRIVATE_KEY = options.secret("private_key", "its private key, without passphrase", required=True)
NAME_IS = options.choice("name_is", "what an account's name is of a person", NAMES)
GECOS_HOLDS = options.choice(
    "gecos_holds",
    "what the last part of an account's GECOS field is of a person",
    ("nothing", "email", "worker_id"),
)
AT_ONCE = options.whole("at_once", "hosts that are asked at a time", default=50, least=1, most=500)
CERTIFICATE_S = options.bound(
    "certificate_s", "longest life of a certificate, in seconds, as your authority issues them"
)
OPTIONS = (
    *(HOSTS, KNOWN_HOSTS, PEOPLES_KEYS, USER, PRIVATE_KEY),
    *(NAME_IS, GECOS_HOLDS, AT_ONCE, CERTIFICATE_S),
)


@dataclass(frozen=True, slots=True)
class Address:
    """Where one host is."""

    host: str
    port: int

    @property
    def name(self) -> str:
        return self.host if self.port == _PORT else f"{self.host}:{self.port}"


def _lines(path: str, option: str) -> Iterator[tuple[int, str]]:
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{option}: the file cannot be read") from None
    for number, line in enumerate(text.splitlines(), 1):
        if said := line.partition("#")[0].strip():
            yield number, said


def hosts_in(path: str) -> tuple[Address, ...]:
    """The hosts of the inventory, each once.

    Raises:
        ValueError: naming the option, and the line that is none.
    """
    found: dict[Address, None] = {}
    for number, line in _lines(path, HOSTS.name):
        if not (said := _HOST.fullmatch(line)):
            raise ValueError(f"{HOSTS.name}: line {number}: host or host:port")
        found[Address(said["host"].strip("[]").lower(), int(said["port"] or _PORT))] = None
    if not found:
        raise ValueError(f"{HOSTS.name}: the file names no host")
    return tuple(found)


def keys_in(path: str) -> Mapping[str, tuple[str, ...]]:
    """Whose keys are whose: fingerprints and key ids of certificates, by name.

    Raises:
        ValueError: naming the option, and the line that is wrong; one key of two people is.
    """
    owner: dict[str, str] = {}
    for number, line in _lines(path, PEOPLES_KEYS.name) if path else ():
        name, _, spec = line.partition(" ")
        spec = spec.strip()
        if not NAME.fullmatch(name) or not _SPEC.fullmatch(spec):
            raise ValueError(f"{PEOPLES_KEYS.name}: line {number}: a name, then SHA256:… or id:…")
        if owner.setdefault(spec, name) != name:
            raise ValueError(f"{PEOPLES_KEYS.name}: line {number}: this key is another's already")
    found: dict[str, tuple[str, ...]] = {}
    for spec, name in owner.items():
        found[name] = (*found.get(name, ()), spec)
    return found


class Reread(Generic[T]):
    """A file that is read again once it has changed: people and hosts come while we run.

    Raises:
        ValueError: as ``read`` does.
    """

    def __init__(self, path: str, read: Callable[[str], T]) -> None:
        self._path = path
        self._read = read
        self._stamp, self._value = self._now(), read(path)

    def get(self) -> T:
        """What it says now.

        Raises:
            ValueError: as ``read`` does.
        """
        if (stamp := self._now()) != self._stamp:
            self._value = self._read(self._path)
            self._stamp = stamp
        return self._value

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = Path(self._path).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

"""What ``[systems.<id>]`` says of WireGuard's interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from connectors.kit import options
from connectors.kit.lines.places import gateways_option
from lockstep.domain.cases.leavers import KeyKind

GATEWAY: Final = "{gateway}"
KERNEL: Final = "wg:"


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("a whole path, from / on")
    return text


GATEWAYS = gateways_option(
    'each interface: { north = "/var/run/wireguard/wg0.sock" }; a socket, tls://host:port before'
    " one, or wg:wg0 for an interface of this kernel",
    own=KERNEL,
)
TLS_CA_FILE = options.text("tls_ca_file", "authority of tls:// lines; empty: the system's")
CONFIG = options.text(
    "config",
    "file from which each interface is set up; {gateway} is its name above",
    required=True,
    check=_path,
)
NAMES = options.text(
    "names", "file of lines `KEY NAME`; empty: comments `# name: …` in the files", check=_path
)
NAME_IS = options.choice(
    "name_is", "what a name is of a person", ("email", "username", "worker_id")
)
OPTIONS = (GATEWAYS, TLS_CA_FILE, CONFIG, NAMES, NAME_IS)
KINDS: Final[Mapping[str, KeyKind]] = {
    "email": KeyKind.EMAIL,
    "username": KeyKind.USERNAME,
    "worker_id": KeyKind.WORKER_ID,
}

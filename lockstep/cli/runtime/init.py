"""`lockstep init`: settings, keys and a webhook secret for this machine."""

from __future__ import annotations

import base64
import os
import secrets
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from lockstep.cli.context import UNUSABLE, die, out
from lockstep.cli.runtime import stand_ins, templates
from lockstep.evidence.format.notes import FileSigner
from lockstep.settings.signing import default_origin
from lockstep.storage.keys.keyring import Keyring

KEYRING = ".lockstep/keyring.json"
LEDGER_KEY = ".lockstep/ledger.key"
SECRET = ".lockstep/hr-main.secret"  # noqa: S105 - a path


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write lockstep.toml.")] = Path(),
    tenant: Annotated[str, typer.Option(help="Your organisation, a-z, 0-9 and -.")] = "my-company",
    sandbox: Annotated[bool, typer.Option("--sandbox", help="With simulated systems.")] = False,
    show: Annotated[bool, typer.Option("--print", help="Print the file, write nothing.")] = False,
) -> None:
    """Write a commented lockstep.toml, the keys and a webhook secret; overwrites nothing."""
    systems = templates.sandbox_systems(stand_ins.usual_ports()) if sandbox else ""
    text = templates.settings_text(tenant=tenant, keyring=KEYRING, secret=SECRET, systems=systems)
    if show:
        typer.echo(text)
        return
    if (folder / "lockstep.toml").exists():
        die(f"{folder / 'lockstep.toml'} exists: move it away first", code=UNUSABLE)
    write_home(folder, text)
    out.print(f"Wrote {folder / 'lockstep.toml'}, a keyring, a signing key and a webhook secret.")
    out.print("Back up the keyring: without it, personal data and running cases cannot be read.")
    key = FileSigner.parse((folder / LEDGER_KEY).read_text()).verifier
    out.print("Give your auditor this key; it verifies what the ledger's key has signed:")
    out.print(f"  {key.to_text()}", markup=False, soft_wrap=True)
    up = "lockstep up --sandbox" if sandbox else "lockstep doctor"
    out.print(f"Next: {up}")


def write_home(folder: Path, text: str, extra: Mapping[str, str] | None = None) -> None:
    """Write settings and whatever secrets are not there yet."""
    document = tomllib.loads(text)  # a template that is no TOML must not reach a disk
    private = folder / ".lockstep"
    private.mkdir(parents=True, exist_ok=True)
    # Others may pass through, not look: the database runs as a user of its own below.
    private.chmod(0o711)
    keyring = folder / KEYRING
    if not keyring.exists():
        Keyring.generate().save(keyring)
    wanted = {Path(SECRET).name: new_secret(), **stand_ins.secret_files(), **(extra or {})}
    origin = document.get("ledger", {}).get("origin") or default_origin(document.get("tenant", ""))
    wanted[Path(LEDGER_KEY).name] = FileSigner.generate(origin).to_text()
    for name, value in wanted.items():
        if not (private / name).exists():
            write_private(private / name, value + "\n")
    (folder / "lockstep.toml").write_text(text)


def new_secret() -> str:
    """A webhook secret as Standard Webhooks 1.0 wants it: 32 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def write_private(path: Path, text: str) -> None:
    """Write a new file that only its owner may read; refuses to overwrite."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)

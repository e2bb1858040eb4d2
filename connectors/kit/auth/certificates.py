"""The TLS of a client that shows a certificate."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory


def client_context(certificate: str, key: str, authority: str = "") -> ssl.SSLContext:
    """TLS 1.2 or newer that shows this certificate; the peer's own is checked as ever.

    Args:
        certificate: PEM, with its chain.
        key: PEM, without a passphrase.
        authority: PEM of who signed the peer's certificate; "" for those that the machine knows.

    Raises:
        ValueError: one of them cannot be read, or they do not belong together; nothing is quoted.
    """
    try:
        context = ssl.create_default_context(cadata=authority or None)
    except (ssl.SSLError, ValueError):
        raise ValueError("the authority is no certificate, PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The library reads files only; these are gone before the first call.
    with TemporaryDirectory(prefix="lockstep-") as folder:
        shown = _written(Path(folder), "certificate", certificate)
        proof = _written(Path(folder), "key", key)
        try:
            context.load_cert_chain(shown, proof, password=_no_passphrase)
        except (ssl.SSLError, ValueError):
            raise ValueError("certificate and key, PEM, that belong together") from None
    return context


def _written(folder: Path, name: str, text: str) -> Path:
    place = folder / name
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text.replace("\\n", "\n"))
    return place


def _no_passphrase() -> str:
    """Else the library would ask for one on the terminal."""
    return ""

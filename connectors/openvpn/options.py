"""What ``[systems.<id>]`` says of OpenVPN's servers and their CA."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from connectors.kit import options
from connectors.kit.lines.places import gateways_option
from connectors.kit.options import Values
from connectors.openvpn.revocations import SigningKey
from lockstep.domain.cases.leavers import KeyKind

GATEWAY: Final = "{gateway}"


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("a whole path, from / on")
    return text


GATEWAYS = gateways_option(
    'the management line of each server: { north = "/run/openvpn/north.sock" }; a socket\'s path,'
    " host:port on loopback, tls://host:port"
)
PASSWORD = options.secret("password", "password of the management lines, where they ask for one")
TLS_CA_FILE = options.text("tls_ca_file", "authority of tls:// lines; empty: the system's")
REVOKE = options.choice(
    "revoke", "crl: we sign the CA's list; ccd: a block by client-config-dir", ("crl", "ccd")
)
CA = options.text("ca", "certificate of the CA that signs clients", required=True, check=_path)
INDEX = options.text(
    "index", "the CA's index.txt (easy-rsa: pki/index.txt)", required=True, check=_path
)
CERTIFICATES = options.text(
    "certificates",
    "folder of its certificates (easy-rsa: pki/certs_by_serial): addresses and ages",
    check=_path,
)
CRL = options.text(
    "crl", "list that each server reads (crl-verify); {gateway} is a server's name", check=_path
)
CA_KEY = options.text("ca_key", "key of the CA, for revoke = crl", check=_path)
CA_KEY_PASSWORD = options.secret("ca_key_password", "its passphrase")
CRL_DAYS = options.whole(
    "crl_days", "days for which a list that we sign holds", default=180, least=1
)
CCD = options.text("ccd", "client-config-dir of each server; {gateway} as above", check=_path)
CONFIG = options.text(
    "config", "configuration of each server, to check; {gateway} as above", check=_path
)
NAME_IS = options.choice(
    "name_is", "what a common name is of a person", ("username", "email", "worker_id")
)
OPTIONS = (
    *(GATEWAYS, PASSWORD, TLS_CA_FILE, REVOKE, CA, INDEX, CERTIFICATES, CRL, CA_KEY),
    *(CA_KEY_PASSWORD, CRL_DAYS, CCD, CONFIG, NAME_IS),
)

KINDS: Final[Mapping[str, KeyKind]] = {
    "username": KeyKind.USERNAME,
    "email": KeyKind.EMAIL,
    "worker_id": KeyKind.WORKER_ID,
}


def checked(values: Values) -> None:
    """What one option alone does not show.

    Raises:
        ValueError: naming the option that is wrong.
    """
    needed = (CRL, CA_KEY) if values[REVOKE] == "crl" else (CCD,)
    for row in needed:
        if not values[row]:
            raise ValueError(f"{row.name}: missing: revoke = {values[REVOKE]} needs it")


def authority(values: Values) -> x509.Certificate:
    """The CA's certificate.

    Raises:
        ValueError: naming the option.
    """
    try:
        return x509.load_pem_x509_certificate(Path(values[CA]).read_bytes())
    except (OSError, ValueError):
        raise ValueError("ca: no certificate that can be read") from None


def signing_key(values: Values, ca: x509.Certificate) -> SigningKey | None:
    """The CA's key; None where it is not ours to use.

    Raises:
        ValueError: naming the option.
    """
    if values[REVOKE] != "crl":
        return None
    password = values[CA_KEY_PASSWORD].encode() or None
    try:
        key = serialization.load_pem_private_key(Path(values[CA_KEY]).read_bytes(), password)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("ca_key: no key that can be read, or another passphrase") from None
    kinds = (
        rsa.RSAPrivateKey,
        ec.EllipticCurvePrivateKey,
        ed25519.Ed25519PrivateKey,
        ed448.Ed448PrivateKey,
    )
    if not isinstance(key, kinds) or key.public_key() != ca.public_key():
        raise ValueError("ca_key: not the key of `ca`")
    return key

"""A CA as easy-rsa keeps one: its key, its book, its list."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)
_PEM = serialization.Encoding.PEM


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


class CertificateAuthority:
    """In a folder: ca.crt, ca.key, index.txt, crl.pem, certs/ and keys."""

    def __init__(self, folder: Path, common: str = "Northwind VPN CA") -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = _name(common)
        self.certificate = self._signed(common, self.key.public_key(), 1, is_ca=True)
        self.index, self.crl, self.certs = (
            folder / "index.txt",
            folder / "crl.pem",
            folder / "certs",
        )
        self.certs.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(self.certificate.public_bytes(_PEM))
        self._write_key("ca", self.key)
        self.index.write_text("")
        self.write_list(())
        self._serial = 0x1F00

    def give(
        self,
        common: str,
        *,
        mail: str = "",
        subject_mail: str = "",
        ends: timedelta = 30 * DAY,
        is_server: bool = False,
        files: bool = True,
    ) -> int:
        """A certificate, in the book too; its serial."""
        self._serial += 1
        if files:
            key = ec.generate_private_key(ec.SECP256R1())
            self._write_key(common, key)
            made = self._signed(
                common, key.public_key(), self._serial, mail=mail, ends=ends, is_server=is_server
            )
            for path in (self.folder / f"{common}.crt", self.certs / f"{self._serial:X}.pem"):
                path.write_bytes(made.public_bytes(_PEM))
        until = (datetime.now(UTC) + ends).strftime("%y%m%d%H%M%SZ")
        also = f"/emailAddress={subject_mail}" if subject_mail else ""
        with self.index.open("a") as book:
            book.write(f"V\t{until}\t\t{self._serial:X}\tunknown\t/CN={common}{also}\n")
        return self._serial

    def write_list(self, serials: Collection[int], *, ends: timedelta = 30 * DAY) -> None:
        now = datetime.now(UTC)
        made = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(now - 2 * DAY)
            .next_update(now + ends)
            .add_extension(x509.CRLNumber(7), critical=False)
        )
        for serial in serials:
            row = x509.RevokedCertificateBuilder().serial_number(serial)
            made = made.add_revoked_certificate(row.revocation_date(now - DAY).build())
        self.crl.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(_PEM))

    def revoked(self) -> set[int]:
        """What the list holds, read by somebody else than the connector."""
        return {row.serial_number for row in x509.load_pem_x509_crl(self.crl.read_bytes())}

    def _signed(
        self,
        common: str,
        key: ec.EllipticCurvePublicKey,
        serial: int,
        *,
        mail: str = "",
        ends: timedelta = 30 * DAY,
        is_ca: bool = False,
        is_server: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        use = ExtendedKeyUsageOID.SERVER_AUTH if is_server else ExtendedKeyUsageOID.CLIENT_AUTH
        made = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(serial)
            .not_valid_before(now - DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=is_ca,
                    crl_sign=is_ca,
                    **dict.fromkeys(
                        (
                            *("content_commitment", "key_encipherment", "data_encipherment"),
                            *("key_agreement", "encipher_only", "decipher_only"),
                        ),
                        False,
                    ),
                ),
                critical=True,
            )
        )
        if not is_ca:
            made = made.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        if mail:
            also = x509.SubjectAlternativeName([x509.RFC822Name(mail)])
            made = made.add_extension(also, critical=False)
        return made.sign(self.key, hashes.SHA256())

    def _write_key(self, name: str, key: ec.EllipticCurvePrivateKey) -> None:
        path = self.folder / f"{name}.key"
        form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        path.write_bytes(key.private_bytes(_PEM, form, secret))
        path.chmod(0o600)

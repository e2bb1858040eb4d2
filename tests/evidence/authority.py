"""A time stamp authority of our own, by OpenSSL; nothing leaves the machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_CONFIG = """
[req]
distinguished_name = name
prompt = no
[name]
CN = {name}
[root]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[stamper]
basicConstraints = critical,CA:false
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/stamper.pem
signer_key = {folder}/stamper.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256,sha512
accuracy = secs:1
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True)
class Authority:
    """Root, stamping certificate and keys in one folder."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Authority:
        folder.mkdir(parents=True)
        (folder / "serial").write_text("01\n")
        authority = cls(folder)
        for name in ("root", "stamper"):
            text = _CONFIG.format(name=f"test {name}", folder=folder)
            (folder / f"{name}.cnf").write_text(text)
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        authority._run(
            *("req", "-x509", *curve, "-days", "30", "-config", "root.cnf"),
            *("-extensions", "root", "-keyout", "root.key", "-out", "root.pem"),
        )
        authority._run(
            *("req", "-new", *curve, "-config", "stamper.cnf"),
            *("-keyout", "stamper.key", "-out", "stamper.csr"),
        )
        authority._run(
            *("x509", "-req", "-in", "stamper.csr", "-CA", "root.pem", "-CAkey", "root.key"),
            *("-CAcreateserial", "-days", "30", "-extfile", "stamper.cnf"),
            *("-extensions", "stamper", "-out", "stamper.pem"),
        )
        return authority

    @property
    def root(self) -> bytes:
        return (self.folder / "root.pem").read_bytes()

    def stamp(self, message: bytes, *, digest: str = "sha256") -> bytes:
        """The whole response (RFC 3161, TimeStampResp in DER) over a message."""
        (self.folder / "message").write_bytes(message)
        self._run("ts", "-query", "-data", "message", f"-{digest}", "-cert", "-out", "query.tsq")
        self._run(
            *("ts", "-reply", "-config", "stamper.cnf", "-section", "ours"),
            *("-queryfile", "query.tsq", "-out", "reply.tsr"),
        )
        return (self.folder / "reply.tsr").read_bytes()

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr.decode()

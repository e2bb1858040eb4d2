"""Real peers of the anchors: servers on loopback that can be down, hang, refuse and accept."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import ipaddress
import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from connectors.anchors.base import Anchor, AnchorCheckpoint, AnchorOptions
from connectors.anchors.registry import ANCHORS
from lockstep.evidence.format.merkle import is_consistent
from lockstep.evidence.format.notes import (
    Checkpoint,
    FileSigner,
    VerifierKey,
    open_note,
    parse_checkpoint,
    sign_note,
)

ORIGIN = "acme/lockstep-ledger"
SIGNER = FileSigner.generate(ORIGIN)
SECRET = "hunter2-this-must-never-be-shown"
HOOK_SECRET = "whsec_" + base64.b64encode(SECRET.encode()).decode()


def checkpoint(size: int, root: bytes = b"\x01" * 32, origin: str = ORIGIN) -> AnchorCheckpoint:
    """A signed head; the same arguments give the same bytes."""
    note = sign_note(Checkpoint(origin, size, root).body(), SIGNER)
    signed_at = datetime(2026, 9, 1, 12, 0, 0, 123456, tzinfo=UTC) + timedelta(seconds=size)
    return AnchorCheckpoint(origin, size, note.encode(), signed_at)


def build(
    kind: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, str] | None = None,
    *,
    home: Path,
    name: str = "outside",
) -> Anchor:
    """An anchor as the settings would build it: defaults filled in."""
    manifest = ANCHORS[kind]
    plain = {
        spec.name: spec.default
        for spec in manifest.options
        if spec.default is not None and not spec.secret
    }
    given = AnchorOptions(
        name, {**plain, **settings}, secrets or {}, home=home, data_dir=home / "data"
    )
    return manifest.build(given)


_KEPT: list[socket.socket] = []


def free_port() -> int:
    """A port where nobody listens; servers of this file may bind it, and nobody else is given it.

    A socket that is bound and does not listen keeps it until the process ends: else the system may
    give the port to any connection that is made before the server is up.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    _KEPT.append(keeper)
    return keeper.getsockname()[1]


@contextlib.contextmanager
def silence() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield listener.getsockname()[1]


@dataclass(frozen=True)
class Authority:
    """A certificate authority of one test; ``ca`` is what the client trusts."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path, name: str = "Synthetic root") -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        about = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        certificate = (
            _certificate(about, about, key.public_key())
            .add_extension(constraints, critical=True)
            .add_extension(_key_usage(is_ca=True), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        made = cls(folder, key, certificate)
        made.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return made

    @property
    def ca(self) -> Path:
        return self.folder / "root.pem"

    def issue(self, name: str, *extensions: tuple[x509.ExtensionType, bool]) -> Path:
        """A certificate for ``name``; returns ``<name>.pem``, beside it lies ``<name>.key``."""
        key = ec.generate_private_key(ec.SECP256R1())
        about = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        builder = _certificate(about, self.certificate.subject, key.public_key()).add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
            critical=False,
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        certificate = builder.sign(self.key, hashes.SHA256())
        pem = self.folder / f"{name}.pem"
        pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.with_suffix(".key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return pem

    def server(self) -> ssl.SSLContext:
        """The TLS side of a server at 127.0.0.1 and localhost."""
        names = x509.SubjectAlternativeName(
            [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        )
        pem = self.issue("localhost", (names, False))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, pem.with_suffix(".key"))
        return context


def _certificate(about: x509.Name, issuer: x509.Name, key: Any) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(about)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
    )


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class HttpPeer:
    """An HTTP server whose ``answer`` may be replaced between two requests."""

    answer: Callable[[Asked], Answer] = lambda _: (204, {}, b"")
    tls: ssl.SSLContext | None = None
    port: int = field(default_factory=free_port)
    asked: list[Asked] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        peer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                asked = Asked(self.command, self.path, headers, body)
                peer.asked.append(asked)
                status, more, content = peer.answer(asked)
                self.send_response(status)
                for name, value in {**more, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that does not trust us goes away in the middle."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        self._server = None


TSA_CONFIG = """
[tsa]
default_tsa = one
[one]
serial = {folder}/serial
signer_cert = {signer}
signer_key = {key}
signer_digest = sha256
{certs}
default_policy = 1.3.6.1.4.1.99999.1
digests = sha256, sha512
accuracy = secs:1
ordering = no
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass
class TimeStampingAuthority:
    """OpenSSL's RFC 3161 authority. ``certs`` are put into its answers beside its own."""

    authority: Authority
    certs: Path | None = None
    name: str = "tsa"

    def __post_init__(self) -> None:
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.TIME_STAMPING])
        signer = self.authority.issue(self.name, (usage, True), (_key_usage(is_ca=False), True))
        self.folder = self.authority.folder
        (self.folder / "serial").write_text("01\n")
        self.config = self.folder / f"{self.name}.cnf"
        self.config.write_text(
            TSA_CONFIG.format(
                folder=self.folder,
                signer=signer,
                key=signer.with_suffix(".key"),
                certs=f"certs = {self.certs}" if self.certs else "",
            )
        )

    def reply(self, query: bytes) -> bytes:
        """The authority's answer to a time-stamp query."""
        asked, answered = self.folder / "query.tsq", self.folder / "reply.tsr"
        asked.write_bytes(query)
        self._openssl("-reply", "-queryfile", asked, "-out", answered)
        return answered.read_bytes()

    def says_verified(self, receipt: bytes, data: bytes) -> bool:
        """What OpenSSL makes of a receipt: an opinion independent of ours."""
        content, answered = self.folder / "data", self.folder / "receipt.tsr"
        content.write_bytes(data)
        answered.write_bytes(receipt)
        arguments = ["-verify", "-data", content, "-in", answered, "-CAfile", self.authority.ca]
        done = self._run(*arguments)
        return done.returncode == 0

    def answer(self, asked: Asked) -> Answer:
        """As an `HttpPeer` answers."""
        assert asked.headers["content-type"] == "application/timestamp-query"
        return 200, {"Content-Type": "application/timestamp-reply"}, self.reply(asked.body)

    def _openssl(self, *arguments: object) -> None:
        done = self._run(*arguments)
        assert done.returncode == 0, done.stderr

    def _run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["openssl", "ts", *map(str, arguments)],
            env={**os.environ, "OPENSSL_CONF": str(self.config)},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )


def git(*arguments: object, cwd: Path | None = None) -> str:
    """Git as the other organisation runs it."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_NAME": "Other" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "other@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(
        ["git", *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class GitOverHttp:
    """Git's own HTTP backend behind an `HttpPeer`, with one user."""

    root: Path
    token: str

    def answer(self, asked: Asked) -> Answer:
        expected = base64.b64encode(self.token.encode()).decode()
        if asked.headers.get("authorization") != f"Basic {expected}":
            return 401, {"WWW-Authenticate": 'Basic realm="git"'}, b""
        path, _, query = asked.path.partition("?")
        done = subprocess.run(
            ["git", "http-backend"],
            input=asked.body,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": asked.method,
                "CONTENT_TYPE": asked.headers.get("content-type", ""),
                "CONTENT_LENGTH": str(len(asked.body)),
                "HTTP_CONTENT_ENCODING": asked.headers.get("content-encoding", ""),
                "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
                "REMOTE_USER": "lockstep",
            },
            capture_output=True,
            check=True,
            timeout=120,
        )
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        return int(headers.pop("Status", "200")[:3]), headers, body


@dataclass
class SimulatedWitness:
    """A witness as C2SP tlog-witness describes one, for tests: its name says that it is none.

    It keeps the last head of one log, checks signature and proof, and signs with its own clock.
    """

    signer: FileSigner = field(
        default_factory=lambda: FileSigner.generate("SIMULATOR.example/not-a-witness")
    )
    log: VerifierKey = field(default_factory=lambda: SIGNER.verifier)
    head: Checkpoint | None = None
    seconds: int = field(default_factory=lambda: int(datetime.now(UTC).timestamp()))

    @property
    def key(self) -> str:
        """Its cosignature key, type 4, as its operator hands it out."""
        public = b"\x04" + self.signer.verifier.public
        hint = hashlib.sha256(self.signer.name.encode() + b"\n" + public).digest()[:4].hex()
        return f"{self.signer.name}+{hint}+{base64.b64encode(public).decode()}"

    def answer(self, asked: Asked) -> Answer:
        """To ``add-checkpoint``."""
        if not asked.path.endswith("/add-checkpoint"):
            return 404, {}, b""
        proof_text, _, note = asked.body.decode().partition("\n\n")
        first, *proof = proof_text.split("\n")
        body, signers = open_note(note, [self.log])
        if not signers:
            return 403, {}, b""
        new, old = parse_checkpoint(body), int(first.removeprefix("old "))
        last = self.head.size if self.head else 0
        if old != last or (old == new.size and self.head and self.head.root != new.root):
            return 409, {"Content-Type": "text/x.tlog.size"}, f"{last}\n".encode()
        path = [base64.b64decode(line) for line in proof]
        if self.head and not is_consistent(old, self.head.root, new.size, new.root, path):
            return 422, {}, b""
        self.head = new
        return 200, {}, self.signed(body).encode()

    def signed(self, body: str) -> str:
        """Its line under a head."""
        message = f"cosignature/v1\ntime {self.seconds}\n{body}".encode()
        hint = bytes.fromhex(self.key.split("+")[1])
        raw = hint + self.seconds.to_bytes(8, "big") + self.signer.sign(message)
        return f"\N{EM DASH} {self.signer.name} {base64.b64encode(raw).decode()}\n"

"""Ways to sign in, each against a real peer: one session for all, refusals told apart, no secrets.

The peers are servers on loopback; that of client certificates speaks real TLS.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from connectors.base import ConnectorFault, ConnectorOptions, Transcript
from connectors.http import Answer, Dialect, VendorHttp
from connectors.kit import options
from connectors.kit.auth.ways import Auth, CookieSession, JwtBearer, MutualTls, RefreshToken, choose
from connectors.kit.options import read_options
from lockstep.domain.systems.faults import FaultCategory
from sandbox.kit.wire import Listener, Reply, Request, Response, json_response
from tests.connectors.anchors.peers import Authority

CLIENT = options.secret("client_id", "client")
SECRET = options.secret("client_secret", "its secret")
REFRESH = options.secret("refresh_token", "refresh token")
ISSUER = options.text("issuer", "service account")
KEY = options.secret("private_key", "its key")
SUBJECT = options.text("subject", "on whose behalf")
USER = options.text("user", "name")
PASSWORD = options.secret("password", "password")
CERTIFICATE = options.secret("certificate", "client certificate")
AUTHORITY = options.secret("authority", "who signed the peer's certificate")
ROWS = (
    *(CLIENT, SECRET, REFRESH, ISSUER, KEY),
    *(SUBJECT, USER, PASSWORD, CERTIFICATE, AUTHORITY),
)
DIALECT = Dialect("desk", error_code=("error",))
SCOPE = "desk.admin desk.read"


@dataclass(slots=True)
class Peer:
    """A vendor that gives tokens and sessions, and takes those that it still knows."""

    grants: list[dict[str, str]] = field(default_factory=list)
    logins: list[dict[str, str]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    instead: Response | None = None
    """Answers whoever asks for a token or a session."""
    rotates: bool = False
    url: str = ""

    def __call__(self, request: Request) -> Reply:
        match request.path:
            case "/oauth/token":
                return Reply(self.instead or self._grant(request), 0.02)
            case "/login":
                return Reply(self.instead or self._log_in(request), 0.02)
            case "/logout":
                self.ended.append(request.headers.get("cookie", ""))
                return Reply(Response(204))
        shown = request.headers.get("authorization", "") or request.headers.get("cookie", "")
        if shown not in self.known:
            return Reply(json_response(401, {"error": shown}))
        return Reply(json_response(200, {"csrf": request.headers.get("x-csrf-token")}))

    def _grant(self, request: Request) -> Response:
        self.grants.append(dict(parse_qsl(request.body.decode())))
        token = f"synthetic-token-{len(self.grants)}"
        self.known.add(f"Bearer {token}")
        newer = {"refresh_token": f"newer-{len(self.grants)}"} if self.rotates else {}
        return json_response(200, {"access_token": token, "expires_in": 3600, **newer})

    def _log_in(self, request: Request) -> Response:
        self.logins.append(json.loads(request.body))
        cookie = f"session=synthetic-session-{len(self.logins)}"
        self.known.add(cookie)
        answer = json_response(200, {})
        answer.headers.append(("Set-Cookie", f"{cookie}; Path=/; HttpOnly"))
        answer.headers.append(("X-CSRF-Token", f"mark-{len(self.logins)}"))
        return answer


@pytest.fixture
async def peer() -> AsyncIterator[Peer]:
    made = Peer()
    listener = Listener(made)
    await listener.start("127.0.0.1", 0)
    made.url = listener.url
    yield made
    await listener.stop()


@asynccontextmanager
async def signed_in(way: Auth, base_url: str, **given: str) -> AsyncIterator[VendorHttp]:
    """What a connector would call with."""
    secret = {row.name for row in ROWS if row.secret}
    settings = {name: value for name, value in given.items() if name not in secret}
    secrets = {name: value for name, value in given.items() if name in secret}
    values = read_options(ROWS, ConnectorOptions("desk-1", settings, secrets), kind="desk")
    made = choose((way,), values).sign_in(values, base_url, DIALECT)
    http = VendorHttp(
        DIALECT,
        base_url,
        headers=made.headers,
        secrets=values.secrets,
        auth=made.flow,
        tls=made.tls,
    )
    try:
        yield http
    finally:
        await http.aclose()


async def read(http: VendorHttp, transcript: Transcript | None = None) -> Answer:
    return await http.call(
        "GET", "/people", operation="people.list", transcript=transcript or Transcript()
    )


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


REFRESHED = RefreshToken(CLIENT, SECRET, REFRESH)
BY_REFRESH = {"client_id": "c1", "client_secret": "s-9f27c1", "refresh_token": "r-55ab10"}
BY_COOKIE = {"user": "ops", "password": "p-77d3aa"}
SESSION = CookieSession(USER, PASSWORD, "/login", "/logout", csrf="X-CSRF-Token")
ASSERTED = JwtBearer(ISSUER, KEY, SUBJECT, scope=SCOPE, scope_in_claims=True)
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
BY_JWT = {"issuer": "robot@example.test", "private_key": pem(RSA), "subject": "boss@example.test"}
WAYS: dict[str, tuple[Auth, dict[str, str]]] = {
    "refresh token": (REFRESHED, BY_REFRESH),
    "jwt bearer": (ASSERTED, BY_JWT),
    "cookie session": (SESSION, BY_COOKIE),
}


def begun(peer: Peer) -> int:
    return len(peer.grants) + len(peer.logins)


@pytest.mark.parametrize("name", WAYS)
async def test_all_that_wait_share_one_and_a_refused_one_is_renewed_once(
    peer: Peer, name: str
) -> None:
    """Ten calls begin one session; forgotten by the vendor before its time, one new one."""
    way, given = WAYS[name]
    async with signed_in(way, peer.url, **given) as http:
        await asyncio.gather(*(read(http) for _ in range(10)))
        assert begun(peer) == 1

        peer.known.clear()
        await asyncio.gather(*(read(http) for _ in range(10)))
        assert begun(peer) == 2


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize(
    ("answer", "category"),
    [
        (json_response(401, {"error": "invalid_client"}), FaultCategory.CREDENTIALS_REJECTED),
        (json_response(400, {"error": "invalid_grant"}), FaultCategory.CREDENTIALS_REJECTED),
        (json_response(429, {}), FaultCategory.RATE_LIMITED),
        (json_response(503, {}), FaultCategory.VENDOR_ERROR),
        (json_response(200, ["neither token nor cookie"]), FaultCategory.UNEXPECTED_ANSWER),
    ],
)
async def test_refusals_are_told_apart(
    peer: Peer, name: str, answer: Response, category: FaultCategory
) -> None:
    """A wrong credential, a limit, a vendor that is down and an odd answer are not the same."""
    way, given = WAYS[name]
    peer.instead = answer
    async with signed_in(way, peer.url, **given) as http:
        with pytest.raises(ConnectorFault) as caught:
            await read(http)

    assert caught.value.category is category
    assert not [value for value in given.values() if value in str(caught.value)]


@pytest.mark.parametrize(
    ("code", "category"),
    [
        ("invalid_scope", FaultCategory.PERMISSION_MISSING),
        ("temporarily_unavailable", FaultCategory.VENDOR_ERROR),
        ("authorization_pending", FaultCategory.VENDOR_ERROR),
        ("slow_down", FaultCategory.RATE_LIMITED),
    ],
)
async def test_a_missing_scope_and_not_yet_are_no_wrong_credential(
    peer: Peer, code: str, category: FaultCategory
) -> None:
    """The codes of the standard say which; a missing scope is named."""
    peer.instead = json_response(400, {"error": code, "error_description": BY_JWT["private_key"]})
    async with signed_in(ASSERTED, peer.url, **BY_JWT) as http:
        with pytest.raises(ConnectorFault) as caught:
            await read(http)

    assert caught.value.category is category
    assert caught.value.code == code
    missing = SCOPE if category is FaultCategory.PERMISSION_MISSING else None
    assert caught.value.missing == missing


@pytest.mark.parametrize("name", WAYS)
async def test_what_was_given_to_us_shows_nowhere(peer: Peer, name: str) -> None:
    """A vendor that repeats the token or cookie in its error finds it in no fault."""
    way, given = WAYS[name]
    transcript = Transcript()
    async with signed_in(way, peer.url, **given) as http:
        await read(http, transcript)
        peer.known.clear()
        peer.instead = json_response(200, {"access_token": "synthetic-other", "expires_in": 9})
        peer.instead.headers.append(("Set-Cookie", "session=synthetic-other"))
        with pytest.raises(ConnectorFault) as caught:
            await read(http, transcript)

    assert caught.value.category is FaultCategory.CREDENTIALS_REJECTED
    assert "synthetic" not in f"{caught.value} {vars(caught.value)}"
    assert {each.operation for each in transcript.exchanges} == {"people.list"}


async def test_a_newer_refresh_token_is_used_from_then_on(peer: Peer) -> None:
    """Where the vendor replaces it, the old one is not sent again."""
    peer.rotates = True
    async with signed_in(REFRESHED, peer.url, **BY_REFRESH) as http:
        await read(http)
        peer.known.clear()
        await read(http)

    assert [grant["refresh_token"] for grant in peer.grants] == ["r-55ab10", "newer-1"]
    assert {grant["grant_type"] for grant in peer.grants} == {"refresh_token"}


@pytest.mark.parametrize(
    ("key", "public"),
    [
        (RSA, RSAKey.import_key(pem(RSA))),
        (curve := ec.generate_private_key(ec.SECP256R1()), ECKey.import_key(pem(curve))),
    ],
    ids=["rsa", "ec"],
)
async def test_an_assertion_is_signed_for_its_endpoint_and_ends_soon(
    peer: Peer, key: rsa.RSAPrivateKey, public: RSAKey | ECKey
) -> None:
    """It names issuer, person, endpoint and scope; no two are alike."""
    async with signed_in(ASSERTED, peer.url, **{**BY_JWT, "private_key": pem(key)}) as http:
        await read(http)
        peer.known.clear()
        await read(http)
    first, second = (
        jwt.decode(grant["assertion"], public, algorithms=["RS256", "ES256"]).claims
        for grant in peer.grants
    )

    assert first["iss"] == "robot@example.test"
    assert first["sub"] == "boss@example.test"
    assert first["aud"] == f"{peer.url}/oauth/token"
    assert first["scope"] == SCOPE
    assert 0 < first["exp"] - first["iat"] <= 600
    assert first["jti"] != second["jti"]


async def test_a_key_that_is_none_is_refused_before_any_call(peer: Peer) -> None:
    """The option is named, and nothing of the text is quoted."""
    with pytest.raises(ValueError, match=r"^private_key: an RSA or P-256 private key") as caught:
        async with signed_in(ASSERTED, peer.url, **{**BY_JWT, "private_key": "no-key-at-all"}):
            pass

    assert "no-key-at-all" not in str(caught.value)


async def test_a_session_carries_its_mark_and_is_ended(peer: Peer) -> None:
    """The header against forgery goes back with each call; at the end we log out once."""
    async with signed_in(SESSION, peer.url, **BY_COOKIE) as http:
        answer = await read(http)

    assert answer.data == {"csrf": "mark-1"}
    assert peer.logins == [{"username": "ops", "password": "p-77d3aa"}]
    assert peer.ended == ["session=synthetic-session-1"]


async def test_a_session_that_nobody_began_is_not_ended(peer: Peer) -> None:
    """Without a call there is nothing to log out of."""
    async with signed_in(SESSION, peer.url, **BY_COOKIE):
        pass

    assert peer.ended == []


@asynccontextmanager
async def tls_peer(authority: Authority, clients: Authority) -> AsyncIterator[str]:
    """A server that takes only clients whose certificate ``clients`` issued."""
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(clients.ca)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        named = dict(pair for ((pair, *_),) in [writer.get_extra_info("peercert")["subject"]])
        body = json.dumps(named).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def authority(folder: Path, name: str) -> Authority:
    folder.mkdir()
    return Authority.make(folder, name)


TLS = MutualTls(CERTIFICATE, KEY, AUTHORITY)


def shown(issuer: Authority, trusts: Authority) -> dict[str, str]:
    client = issuer.issue("lockstep")
    return {
        "certificate": client.read_text(),
        "private_key": client.with_suffix(".key").read_text(),
        "authority": trusts.ca.read_text(),
    }


async def test_a_client_certificate_is_shown_and_the_peers_is_checked(tmp_path: Path) -> None:
    """The peer sees who we are; nothing of the key stays on the disk."""
    ours, theirs = authority(tmp_path / "ours", "Ours"), authority(tmp_path / "theirs", "Theirs")
    async with tls_peer(theirs, ours) as url, signed_in(TLS, url, **shown(ours, theirs)) as http:
        answer = await read(http)

    assert answer.data == {"commonName": "lockstep"}


@pytest.mark.parametrize("wrong", ["client", "peer"])
async def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path, wrong: str) -> None:
    """Neither side takes one that its authority did not sign."""
    ours, theirs = authority(tmp_path / "ours", "Ours"), authority(tmp_path / "theirs", "Theirs")
    issuer, trusted = (theirs, theirs) if wrong == "client" else (ours, ours)
    async with tls_peer(theirs, ours) as url, signed_in(TLS, url, **shown(issuer, trusted)) as http:
        with pytest.raises(ConnectorFault) as caught:
            await read(http)

    assert caught.value.category in {FaultCategory.UNREACHABLE, FaultCategory.TIMEOUT}


CHANGES: dict[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "no certificate": lambda given: {**given, "certificate": "no-certificate"},
    "another's key": lambda given: {**given, "private_key": pem(RSA)},
    "no authority": lambda given: {**given, "authority": "no-authority"},
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_certificate_that_cannot_be_used_is_refused_at_start(
    tmp_path: Path, name: str
) -> None:
    """The option is named before the first call, and nothing of it is quoted."""
    ours = authority(tmp_path / "ours", "Ours")
    given = CHANGES[name](shown(ours, ours))
    with pytest.raises(ValueError, match=r"^certificate: ") as caught:
        async with signed_in(TLS, "https://127.0.0.1:9", **given):
            pass

    assert "no-" not in str(caught.value)
    assert "BEGIN" not in str(caught.value)

"""An OpenID provider that lies, breaks or is somebody else: nothing of it is believed."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Callable
from enum import Enum
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from connectors.openid.client import Client, ClientAuth, ClientKey
from connectors.openid.errors import OpenIdError, ProviderAwayError, Said, UntrustedError
from connectors.openid.examine import examine
from connectors.openid.provider import Grant, OpenIdProvider
from connectors.openid.tokens import FRESH_S, LEEWAY_S

ISSUER = "https://id.example.com/tenant"
CLIENT = "lockstep"
SECRET = "this-must-never-be-shown"
NONCE = "n-" + "x" * 40
KEY = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
NEXT_KEY = ECKey.generate_key("P-256", {"kid": "k2", "use": "sig"})
STRANGER = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})
EVENT = "http://schemas.openid.net/event/backchannel-logout"


class Mark(Enum):
    """Stands in the names of tests, which must be the same in every process."""

    DROP = "drop"


DROP = Mark.DROP


class Script:
    """A provider as a transport: every answer can be replaced."""

    def __init__(self) -> None:
        self.asked: list[httpx.Request] = []
        self.keys = [KEY]
        self.replaced: dict[str, Callable[[httpx.Request], httpx.Response]] = {}
        self.metadata: dict[str, Any] = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/auth",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/keys",
            "userinfo_endpoint": f"{ISSUER}/me",
            "end_session_endpoint": f"{ISSUER}/end?x=1",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/tenant/")
        if path in self.replaced:
            return self.replaced[path](request)
        match path:
            case ".well-known/openid-configuration":
                return httpx.Response(200, json=self.metadata)
            case "keys":
                return httpx.Response(200, json=KeySet(self.keys).as_dict())
            case "token":
                return httpx.Response(200, json={"id_token": "a.b.c", "access_token": "at"})
            case "me":
                return httpx.Response(200, json={"sub": "s-1", "groups": ["g"]})
        raise AssertionError(path)

    def count(self, path: str) -> int:
        return sum(request.url.path.endswith(path) for request in self.asked)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def provider(script, clock):
    made = OpenIdProvider(
        ISSUER,
        client=Client(CLIENT, SECRET),
        transport=httpx.MockTransport(script),
        clock=clock,
    )
    yield made
    await made.aclose()


def claims(**changes: object) -> dict[str, object]:
    """What a good ID token says; `DROP` takes a claim away."""
    now = int(time.time())
    base = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "s-1",
        "iat": now,
        "exp": now + 300,
        "nonce": NONCE,
    }
    merged = {**base, **changes}
    return {name: value for name, value in merged.items() if value is not DROP}


def logout(**changes: object) -> dict[str, object]:
    """What a good logout token says."""
    return claims(**{"nonce": DROP, "jti": "j-1", "sid": "sess", "events": {EVENT: {}}, **changes})


def signed(said: dict[str, object], key: object = KEY, alg: str = "RS256", **header: object) -> str:
    return jwt.encode({"alg": alg, "kid": "k1", **header}, said, key, algorithms=[alg])


def part(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def unsigned(said: dict[str, object]) -> str:
    header = {"alg": "none", "typ": "JWT"}
    return f"{part(json.dumps(header).encode())}.{part(json.dumps(said).encode())}."


def by_public_key(said: dict[str, object]) -> str:
    """Signed with what everybody knows, as if it were a shared secret."""
    header = {"alg": "HS256", "kid": "k1"}
    text = f"{part(json.dumps(header).encode())}.{part(json.dumps(said).encode())}"
    mac = hmac.digest(KEY.as_pem(private=False), text.encode(), "sha256")
    return f"{text}.{part(mac)}"


async def prove(provider: OpenIdProvider, token: str) -> dict[str, Any]:
    return await provider.claims(Grant(token, "at"), nonce=NONCE)


async def test_a_good_token_is_believed(provider):
    """With every claim that it carries."""
    assert (await prove(provider, signed(claims(groups=["a"]))))["groups"] == ["a"]
    many = claims(aud=[CLIENT, "other"], azp=CLIENT)
    assert (await prove(provider, signed(many)))["sub"] == "s-1"


async def test_clocks_may_be_a_minute_apart(provider):
    """Not two."""
    now = int(time.time())
    for slack, holds in ((45, True), (120, False)):
        for said in (claims(exp=now - slack), claims(iat=now + slack, nbf=now + slack)):
            if holds:
                assert await prove(provider, signed(said))
            else:
                with pytest.raises(UntrustedError):
                    await prove(provider, signed(said))


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": "n-another"},
        {"nonce": DROP},
        {"nonce": ["n"]},
        {"aud": "somebody-else"},
        {"aud": ["somebody-else"]},
        {"aud": [CLIENT, "other"]},
        {"aud": [CLIENT, "other"], "azp": "other"},
        {"aud": CLIENT, "azp": "other"},
        {"aud": DROP},
        {"aud": {}},
        {"iss": "https://evil.example.com"},
        {"iss": ISSUER + "/"},
        {"iss": DROP},
        pytest.param({"exp": DROP, "iat": int(time.time()) - 3600}, id="exp-none-iat-old"),
        pytest.param({"exp": DROP, "iat": int(time.time()) + 3600}, id="exp-none-iat-ahead"),
        {"exp": DROP, "iat": DROP},
        {"exp": DROP, "jti": DROP},
        {"exp": "soon"},
        {"exp": 1},
        {"exp": "tomorrow"},
        {"exp": True},
        {"iat": DROP},
        {"iat": 2**40},
        {"sub": DROP},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 501},
        {"at_hash": "wrong"},
    ],
    ids=repr,
)
async def test_a_token_with_a_wrong_claim_is_not_believed(provider, changes):
    """However well it is signed; the text names the claim and quotes none."""
    with pytest.raises(UntrustedError) as refused:
        await prove(provider, signed(claims(**changes)))

    assert "evil" not in str(refused.value)
    assert "another" not in str(refused.value)


@pytest.mark.parametrize(
    "token",
    [
        lambda: unsigned(claims()),
        lambda: signed(claims(), STRANGER),
        lambda: signed(claims(), STRANGER, kid="unknown"),
        lambda: signed(claims(), OctKey.import_key(SECRET), "HS256"),
        lambda: by_public_key(claims()),
        lambda: signed(claims())[:-6] + "AAAAAA",
        lambda: signed(claims()).rsplit(".", 1)[0] + ".",
        lambda: "a.b.c",
        lambda: "",
        lambda: "....",
        lambda: "\x00",
        lambda: "é" * 100,
        lambda: "x" * 300_000,
        lambda: json.dumps({"payload": "e30", "signatures": []}),
    ],
    ids=range(14),
)
async def test_a_token_that_the_provider_did_not_sign_is_not_believed(provider, token):
    """Neither without a signature, nor by a key or a secret that anybody else has."""
    with pytest.raises(UntrustedError):
        await prove(provider, token())
    with pytest.raises(UntrustedError):
        await provider.logout_claims(token())


async def test_a_new_key_is_fetched_when_a_token_names_it(provider, script, clock):
    """Once it was announced; and nobody can make us ask without end."""
    await prove(provider, signed(claims()))
    script.keys = [KEY, NEXT_KEY]
    token = signed(claims(), NEXT_KEY, "ES256", kid="k2")
    with pytest.raises(UntrustedError):
        await prove(provider, token)
    assert script.count("/keys") == 1

    clock.now += 31
    assert await prove(provider, token)
    assert script.count("/keys") == 2
    for _ in range(5):
        with pytest.raises(UntrustedError):
            await prove(provider, signed(claims(), STRANGER, kid="made-up"))
    assert script.count("/keys") == 2


async def test_what_is_known_is_asked_again_after_a_while(provider, script, clock):
    """Discovery and keys are kept for ten minutes."""
    for wait, asked in ((0, 1), (599, 1), (2, 2)):
        clock.now += wait
        await provider.metadata()
        assert script.count("openid-configuration") == asked


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example.com"},
        {"issuer": DROP},
        {"token_endpoint": "http://id.example.com/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "https://user:pass@id.example.com/token"},
        {"token_endpoint": DROP},
        {"jwks_uri": DROP},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"end_session_endpoint": "javascript:alert(1)"},
        {"userinfo_endpoint": "http://id.example.com/me"},
    ],
    ids=repr,
)
async def test_a_discovery_that_leads_elsewhere_is_not_followed(provider, script, changes):
    """Another issuer, or an address in clear: the provider counts as away."""
    merged = {**script.metadata, **changes}
    script.metadata = {name: value for name, value in merged.items() if value is not DROP}
    with pytest.raises(ProviderAwayError):
        await provider.metadata()


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"location": "https://evil.example.com"}),
        httpx.Response(200, content=b"<html>"),
        httpx.Response(200, content=b"[]"),
        httpx.Response(200, content=b"[" * 50_000),
        httpx.Response(200, content=b"x" * 2_000_000),
        httpx.Response(200, json={"keys": "none"}),
        httpx.Response(200, json={"keys": [{"kty": "oct", "k": "AAAA"}, 7, {"kty": "RSA"}]}),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("path", ["keys", ".well-known/openid-configuration"])
async def test_an_answer_that_is_none_counts_as_away(provider, script, path, answer):
    """And is not asked for again at once, so that nobody waits behind others who wait."""
    script.replaced[path] = lambda _: answer
    for _ in range(3):
        with pytest.raises(ProviderAwayError):
            await provider.metadata()
    assert script.count(path) == 1


async def test_a_connection_that_fails_shows_nothing_of_the_request(provider, script):
    """The error holds neither our secret nor the code, not even as its cause."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    script.replaced["token"] = refuse
    with pytest.raises(ProviderAwayError) as failed:
        await provider.exchange("the-code", redirect_uri="https://x/cb", verifier="v" * 43)

    assert failed.value.__context__ is None
    for text in (SECRET, "the-code"):
        assert text not in repr(failed.value)
        assert text not in repr(provider.__dict__.keys())


@pytest.mark.parametrize(
    "body", [{}, {"id_token": 7, "access_token": "a"}, {"id_token": "a"}, {"access_token": "a"}]
)
async def test_an_exchange_without_tokens_is_refused(provider, script, body):
    """Nobody is signed in by half an answer."""
    script.replaced["token"] = lambda _: httpx.Response(200, json=body)
    with pytest.raises(UntrustedError):
        await provider.exchange("c", redirect_uri="https://x/cb", verifier="v" * 43)


async def exchanged(script: Script, client: Client) -> httpx.Request:
    """The call by which a client brings a code."""
    made = OpenIdProvider(ISSUER, client=client, transport=httpx.MockTransport(script))
    await made.exchange("c", redirect_uri="https://x/cb", verifier="v" * 43)
    await made.aclose()
    return script.asked[-1]


@pytest.mark.parametrize(
    ("offered", "registered", "method"),
    [
        (["client_secret_basic", "client_secret_post"], None, "basic"),
        (["client_secret_post", "client_secret_basic"], None, "basic"),
        (["client_secret_post", "private_key_jwt"], None, "post"),
        (["private_key_jwt"], None, "basic"),
        (None, None, "basic"),
        (["client_secret_basic", "client_secret_post"], ClientAuth.POST, "post"),
        (["client_secret_post"], ClientAuth.BASIC, "basic"),
    ],
)
async def test_a_secret_is_shown_as_it_was_registered(script, offered, registered, method):
    """By header where both are offered; the registration's word counts before the provider's."""
    script.metadata["token_endpoint_auth_methods_supported"] = offered
    request = await exchanged(script, Client(CLIENT, SECRET, registered=registered))
    form = parse_qs(request.content.decode())

    if method == "basic":
        given = base64.b64decode(request.headers["authorization"].removeprefix("Basic "))
        assert given.decode() == f"{CLIENT}:{SECRET}"
        assert "client_secret" not in form
    else:
        assert (form["client_id"], form["client_secret"]) == ([CLIENT], [SECRET])
        assert "authorization" not in request.headers


async def test_a_public_client_shows_its_name_alone(script):
    """PKCE protects it."""
    request = await exchanged(script, Client(CLIENT))
    form = parse_qs(request.content.decode())
    assert (form["client_id"], form["code_verifier"]) == ([CLIENT], ["v" * 43])
    assert "authorization" not in request.headers


@pytest.mark.parametrize("key", [KEY, NEXT_KEY], ids=["rsa", "ec"])
async def test_a_key_signs_an_assertion_for_one_call(script, key):
    """To the endpoint it is sent to, for a minute, with an id of its own (RFC 7523)."""
    pem = key.as_pem(private=True).decode()
    client = Client(CLIENT, key=ClientKey.read(pem, key_id="ours"))
    first, second = [
        jwt.decode(form["client_assertion"][0], key)
        for form in [parse_qs((await exchanged(script, client)).content.decode()) for _ in range(2)]
    ]
    assert (first.claims["iss"], first.claims["sub"]) == (CLIENT, CLIENT)
    assert first.claims["aud"] == f"{ISSUER}/token"
    assert first.claims["exp"] - first.claims["iat"] == 60
    assert first.claims["jti"] != second.claims["jti"]
    assert first.header["kid"] == "ours"


@pytest.mark.parametrize(
    "wrong",
    [
        {"registered": ClientAuth.BASIC},
        {"registered": ClientAuth.POST},
        {"registered": ClientAuth.KEY, "secret": SECRET},
        {"registered": ClientAuth.NONE, "secret": SECRET},
        {"secret": SECRET, "key": ClientKey(KEY)},
    ],
    ids=range(5),
)
def test_what_does_not_fit_together_is_no_client(wrong):
    """It is said before anybody tries to sign in, and the secret is not."""
    with pytest.raises(ValueError, match="client_auth:") as refused:
        Client(CLIENT, **wrong)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "x",
        KEY.as_pem(private=False).decode(),
        ECKey.generate_key("secp256k1").as_pem(private=True).decode(),
    ],
    ids=["empty", "nonsense", "public", "curve"],
)
def test_what_is_no_key_of_ours_is_refused(pem):
    """A key without its private part, or on a curve that no algorithm of ours knows."""
    with pytest.raises(ValueError, match="EC key"):
        ClientKey.read(pem)


async def test_the_providers_own_words_are_kept_for_administrators(provider, script):
    """Error and description, bounded, in one line; the text of the error quotes neither."""
    said = {"error": "invalid_client", "error_description": "AADSTS7000215:\r\n wrong\u202e!" * 99}
    script.replaced["token"] = lambda _: httpx.Response(401, json=said)
    with pytest.raises(UntrustedError) as refused:
        await provider.exchange("the-code-itself", redirect_uri="https://x/cb", verifier="v" * 43)

    assert refused.value.said.error == "invalid_client"
    assert refused.value.said.description.startswith("AADSTS7000215: wrong !AADSTS")
    assert len(refused.value.said.description) == 300
    assert "AADSTS" not in str(refused.value)


@pytest.mark.parametrize("echoed", [SECRET, "the-code-itself", "v" * 43])
async def test_words_that_repeat_a_secret_are_dropped(provider, script, echoed):
    """A provider that quotes the request does not put it into our log."""
    said = {"error": "invalid_grant", "error_description": f"bad: {echoed}"}
    script.replaced["token"] = lambda _: httpx.Response(400, json=said)
    with pytest.raises(UntrustedError) as refused:
        await provider.exchange("the-code-itself", redirect_uri="https://x/cb", verifier="v" * 43)
    assert refused.value.said == Said("invalid_grant", "redacted")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"issuer": "https://other.example.com"}, "provider_away"),
        ({"jwks_uri": "http://id.example.com/keys"}, "provider_away"),
        ({"token_endpoint_auth_methods_supported": ["tls_client_auth"]}, "client_auth"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "algorithms"),
        ({"id_token_signing_alg_values_supported": ["HS256", "RS256"]}, None),
        ({"response_types_supported": ["id_token"]}, "response_types"),
        ({"code_challenge_methods_supported": ["plain"]}, "pkce"),
        ({"scopes_supported": ["openid", "email"]}, "scopes"),
    ],
)
async def test_what_would_keep_people_out_is_found_before(provider, script, changes, code):
    """Of discovery, keys, methods and scopes; each with what to do."""
    script.metadata |= changes
    script.replaced["token"] = lambda _: httpx.Response(400, json={"error": "invalid_grant"})
    found = await examine(provider, scopes=["openid", "profile"], redirect_uri="https://x/cb")

    assert [problem.code for problem in found] == ([code] if code else [])
    assert all(problem.summary.endswith(".") and problem.fix for problem in found)


async def test_claims_about_somebody_else_are_refused(provider, script):
    """The userinfo must be the ID token's subject's (OpenID Connect Core 1.0, 5.3.2)."""
    assert (await provider.userinfo(Grant("t", "at"), subject="s-1"))["groups"] == ["g"]
    for answer in ({"sub": "s-2"}, {}):
        script.replaced["me"] = lambda _, found=answer: httpx.Response(200, json=found)
        with pytest.raises(UntrustedError):
            await provider.userinfo(Grant("t", "at"), subject="s-1")


async def test_a_good_logout_token_is_believed(provider):
    """With its session, or its subject."""
    said = await provider.logout_claims(signed(logout(), typ="logout+jwt"))
    assert (said.jti, said.subject, said.session) == ("j-1", "s-1", "sess")
    assert (await provider.logout_claims(signed(logout(sub=DROP)))).subject == ""


@pytest.mark.parametrize("ago", [0, 240])
async def test_a_logout_token_without_an_end_is_believed_while_it_is_fresh(provider, ago):
    """Providers of the drafts set none; its id is remembered for as long as it could be used."""
    made = int(time.time()) - ago
    said = await provider.logout_claims(signed(logout(exp=DROP, iat=made)))

    assert (said.jti, said.session) == ("j-1", "sess")
    assert time.time() + said.lasts_s > made + FRESH_S + LEEWAY_S - 2


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": NONCE},
        {"nonce": ""},
        {"events": DROP},
        {"events": {}},
        {"events": {EVENT: "x"}},
        {"events": [EVENT]},
        {"jti": DROP},
        {"jti": ""},
        {"jti": 7},
        {"sub": DROP, "sid": DROP},
        {"sid": {"a": 1}},
        {"sid": ""},
        {"aud": "somebody-else"},
        {"iss": "https://evil.example.com"},
        pytest.param({"exp": DROP, "iat": int(time.time()) - 3600}, id="exp-none-iat-old"),
        pytest.param({"exp": DROP, "iat": int(time.time()) + 3600}, id="exp-none-iat-ahead"),
        {"exp": DROP, "iat": DROP},
        {"exp": DROP, "jti": DROP},
        {"exp": "soon"},
        {"exp": 1},
        {"exp": 2**40},
        {"iat": DROP},
    ],
    ids="-".join,
)
async def test_a_wrong_logout_token_ends_nothing(provider, changes):
    """OpenID Connect Back-Channel Logout 1.0, 2.6; an ID token is none."""
    if changes == {"sid": ""}:
        changes = {"sid": "", "sub": ""}
    with pytest.raises(UntrustedError):
        await provider.logout_claims(signed(logout(**changes)))


async def test_an_id_token_is_no_logout_token(provider):
    """Nor the other way round."""
    with pytest.raises(UntrustedError):
        await provider.logout_claims(signed(claims()))
    with pytest.raises(UntrustedError):
        await prove(provider, signed(logout()))
    with pytest.raises(UntrustedError):
        await provider.logout_claims(signed(logout(), typ="at+jwt"))


async def test_signing_out_there_comes_back_here(provider, script):
    """Where the provider offers it."""
    url = await provider.end_session_url("https://lockstep.example.com/console/sign-in")
    assert url.startswith(f"{ISSUER}/end?x=1&client_id=lockstep&post_logout_redirect_uri=https%3A")


@pytest.mark.parametrize("issuer", ["http://id.example.com", "ftp://x", "https://", "x"])
def test_a_provider_in_clear_is_refused(issuer):
    """Only TLS, or loopback for tests."""
    with pytest.raises(ValueError, match="issuer"):
        OpenIdProvider(issuer, client=Client(CLIENT))


def test_every_refusal_is_of_one_family():
    """Whoever signs people in catches one error."""
    assert issubclass(UntrustedError, OpenIdError)
    assert issubclass(ProviderAwayError, OpenIdError)

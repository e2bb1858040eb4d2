"""Signature Version 4: what is sent bears the signature that the documented algorithm gives."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import httpx
import pytest

from connectors.base import ConnectorFault
from connectors.kit.auth.sigv4 import Keys, MachineKeys, SigV4
from lockstep.domain.systems.faults import FaultCategory

SECRET, TOKEN = "synthetic-secret", "synthetic-token"
URL = "https://iam.example.test/"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(request: httpx.Request, signed: str) -> str:
    """The algorithm of the IAM User Guide, "Create a signed AWS API request", by hand."""
    named = "".join(f"{name}:{request.headers[name]}\n" for name in signed.split(";"))
    body = hashlib.sha256(request.content).hexdigest()
    canonical = f"{request.method}\n/\n\n{named}\n{signed}\n{body}"
    at = request.headers["x-amz-date"]
    scope = f"{at[:8]}/us-east-1/iam/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}").hex()


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_requests_are_signed_with_the_keys_of_the_moment(token: str | None) -> None:
    """Body, host, content type, target and token are under the signature; keys are asked anew."""
    asked: list[Keys] = []

    async def keys() -> Keys:
        asked.append(Keys("AKIASYNTHETIC", SECRET, token))
        return asked[-1]

    heard: list[httpx.Request] = []

    def hear(request: httpx.Request) -> httpx.Response:
        heard.append(request)
        return httpx.Response(200)

    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": "Store.Get"}
    async with httpx.AsyncClient(
        auth=SigV4("iam", "us-east-1", keys), transport=httpx.MockTransport(hear)
    ) as client:
        for _ in range(2):
            await client.post(URL, content=b"Action=ListUsers", headers=headers)
    (request, _) = heard
    said = request.headers["authorization"]
    signed = said.partition("SignedHeaders=")[2].partition(",")[0]

    assert len(asked) == 2
    assert said.endswith(f"Signature={signature(request, signed)}")
    wanted = {"content-type", "host", "x-amz-date", "x-amz-target"}
    assert set(signed.split(";")) == wanted | ({"x-amz-security-token"} if token else set())
    assert request.headers.get("x-amz-security-token") == token
    assert "synthetic" not in repr(asked[0]).lower()


async def test_the_machine_has_keys_or_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A profile's keys are found; a machine without any is a rejected credential, no exception."""
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    profile = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    with pytest.raises(ConnectorFault) as caught:
        await MachineKeys("club")()
    profile.write_text(f"[default]\naws_access_key_id = A\naws_secret_access_key = {SECRET}\n")

    assert await MachineKeys("club")() == Keys("A", SECRET)
    assert caught.value.category is FaultCategory.CREDENTIALS_REJECTED

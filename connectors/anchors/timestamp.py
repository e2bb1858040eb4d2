"""Anchor ``timestamp``: a time-stamping authority says when the checkpoint existed (RFC 3161).

The authority sees a digest only. Its answer is verified against the configured root before it
counts: digest, nonce, chain, key usage.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import httpx
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.tsp import PKIStatus, TimeStampRequest

from connectors.anchors.base import (
    ANSWER_S,
    CA_FILE,
    CONNECT_S,
    LOOPBACK,
    AnchorCheckpoint,
    AnchorFault,
    AnchorManifest,
    AnchorOptions,
    AnchorUnfit,
    tls_context,
)
from connectors.anchors.posting import post_bounded
from connectors.base import OptionSpec

KIND = "timestamp"
_SHA256 = x509.ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_MAX_ANSWER = 64 * 1024
_WAITS = 3
_PASSING = frozenset({408, 425, 429})
_FINAL = frozenset({405, 410, 501})
_OID = re.compile(r"^[0-2](\.(0|[1-9][0-9]{0,15})){1,20}$")


class TimestampAnchor:
    """One authority. The receipt is its whole answer (DER), as ``openssl ts -verify`` reads it.

    Plain http is allowed: the answer's signature protects it, and a digest tells nothing.
    """

    def __init__(self, options: AnchorOptions) -> None:
        self._url = httpx.URL(options.text("url"))
        if self._url.scheme not in {"http", "https"} or not self._url.host or self._url.userinfo:
            raise ValueError("url: give the authority's http or https address")
        self._roots = _roots(options.file("root"))
        policy = options.text("policy")
        if policy and not _OID.fullmatch(policy):
            raise ValueError("policy: give an object identifier such as 1.3.6.1.4.1.4146.2.3")
        self._policy = x509.ObjectIdentifier(policy) if policy else None
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            follow_redirects=False,
            verify=tls_context(options.file("ca_file")),
            trust_env=self._url.host not in LOOPBACK,
            headers={
                "User-Agent": "lockstep",
                "Accept-Encoding": "identity",
                "Content-Type": "application/timestamp-query",
            },
        )

    @property
    def kind(self) -> str:
        return KIND

    async def publish(self, checkpoint: AnchorCheckpoint) -> bytes:
        """A later repetition has a later time; every one of them is true."""
        builder = TimestampRequestBuilder().data(checkpoint.note)
        request = builder.hash_algorithm(HashAlgorithm.SHA256).build()
        raw = await self._ask(request.as_bytes())
        try:
            answer = decode_timestamp_response(raw)
        except ValueError:
            says = "the answer is not a time stamp in strict DER"
            raise AnchorFault(says, transient=False) from None
        if (status := answer.status) != PKIStatus.GRANTED:
            # RFC 3161 section 2.4.2: 2 is a rejection, 3 waiting, 4 and 5 a revocation.
            raise AnchorFault(f"the authority refused: status {status}", transient=status == _WAITS)
        self._verify(answer, request, checkpoint)
        return raw

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _ask(self, query: bytes) -> bytes:
        status, raw = await post_bounded(self._client, self._url, query, most=_MAX_ANSWER)
        if status == httpx.codes.OK and len(raw) <= _MAX_ANSWER:
            return raw
        raise _refusal(status, is_too_large=len(raw) > _MAX_ANSWER)

    def _verify(
        self, answer: TimeStampResponse, request: TimeStampRequest, checkpoint: AnchorCheckpoint
    ) -> None:
        """Nothing from the answer counts before this.

        Not checked: whether the authority's certificate was revoked.
        """
        verifier = VerifierBuilder(
            policy_id=self._policy, roots=list(self._roots), nonce=request.nonce
        ).build()
        try:
            imprint = answer.tst_info.message_imprint
            verifier.verify(answer, hashlib.sha256(checkpoint.note).digest())
        except (VerificationError, ValueError) as error:
            reason = str(error) if isinstance(error, VerificationError) else "unreadable"
            fault = AnchorFault(f"the time stamp does not verify: {reason}", transient=False)
        else:
            if imprint.hash_algorithm == _SHA256:
                return
            fault = AnchorFault("the time stamp is over another kind of digest", transient=False)
        raise fault


def _refusal(status: int, *, is_too_large: bool) -> AnchorFault:
    if is_too_large:
        return AnchorFault("the answer is too large", transient=False)
    if status in _FINAL:
        return AnchorUnfit(f"status {status}: there is no authority at this address: correct url")
    passing = status in _PASSING or httpx.codes.is_server_error(status)
    return AnchorFault(f"status {status}", transient=passing)


def _roots(path: Path | None) -> tuple[x509.Certificate, ...]:
    if path is None:
        raise ValueError("root: give the file of the authority's root certificate")
    try:
        return tuple(x509.load_pem_x509_certificates(path.read_bytes()))
    except ValueError:
        raise ValueError("root: holds no certificate in PEM form") from None


MANIFEST = AnchorManifest(
    kind=KIND,
    build=TimestampAnchor,
    options=(
        OptionSpec("url", "the authority's address; http is enough"),
        OptionSpec("root", "the authority's root certificate (PEM file), got from elsewhere"),
        OptionSpec(
            "policy", "object identifier that the answer must name", required=False, default=""
        ),
        CA_FILE,
    ),
    proves="the checkpoint existed at the authority's time; a later rewrite is later than that",
)

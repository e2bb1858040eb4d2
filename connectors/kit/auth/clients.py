"""OAuth clients at an authority of their own: proved by a secret, or by a signed assertion."""

from __future__ import annotations

import base64
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.http import Dialect
from connectors.kit.auth.assertions import Signer
from connectors.kit.auth.tokens import Form, Tokens
from connectors.kit.options import Option, Values

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class Authority:
    """Where a client asks for tokens, and for what.

    Args:
        address: of the authority, which is not the API's.
        path: of its token endpoint; ``{name}`` stands for that option.
        client_id: who asks; no secret.
        scope: what is asked for; ``{base}`` stands for the API's scheme and host.
    """

    address: Option[str]
    path: str
    client_id: Option[str]
    scope: Option[str]

    def url(self, values: Values) -> str:
        class Named(dict[str, str]):
            def __missing__(self, name: str) -> str:
                return str(values.named(name))

        return f"{values[self.address]}{self.path.format_map(Named())}"

    def tokens(self, values: Values, proof: Form, dialect: Dialect) -> Tokens:
        """Tokens for the client, who proves each time who it is."""
        scope = values[self.scope]
        asked = {"client_id": values[self.client_id], "scope": scope}

        def form() -> Mapping[str, str]:
            return {"grant_type": "client_credentials", **asked, **proof()}

        return Tokens(self.url(values), form, dialect=dialect, scope=scope)


def certified(certificate: str, key: str, claims: Mapping[str, str]) -> Form:
    """A new assertion each time, whose header names the certificate (RFC 7515, x5t#S256).

    Raises:
        ValueError: the key or the certificate is none; nothing of it is quoted.
    """
    try:
        der = ssl.PEM_cert_to_DER_cert(certificate.replace("\\n", "\n").strip())
    except ValueError:
        raise ValueError("a certificate, PEM") from None
    thumb = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
    signer = Signer(key, header={"x5t#S256": thumb}, rsa="PS256")

    def form() -> Mapping[str, str]:
        assertion = signer.signed(claims)
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}

    return form

"""What an AWS refusal means, by its code: never by its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore import exceptions

from connectors.base import ConnectorFault
from connectors.http import Dialect, retry_after
from lockstep.domain.systems.access import Exchange
from lockstep.domain.systems.faults import FaultCategory

_CODE = re.compile(r"[^A-Za-z0-9_.:-]+")
_DIALECT = Dialect("aws")

_PERMISSION_PREFIX = {"sso-admin": "sso"}
"""IAM's name of a service where it differs from the API's: sso-admin authorizes as ``sso``."""

# Codes: "Common errors" of the IAM, STS, SSO Admin and Identity Store API references, and the
# error shapes in botocore's service models. The status alone says little: JSON services answer
# 400 to a rejected credential and to a refused permission alike.
_BY_CODE: dict[str, FaultCategory] = {
    **dict.fromkeys(
        (
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "RequestThrottled",
            "RequestThrottledException",
            "RequestLimitExceeded",
            "TooManyRequestsException",
            "SlowDown",
        ),
        FaultCategory.RATE_LIMITED,
    ),
    **dict.fromkeys(
        (
            "InvalidClientTokenId",
            "UnrecognizedClientException",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "IncompleteSignature",
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidToken",
            "AuthFailure",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
        ),
        FaultCategory.CREDENTIALS_REJECTED,
    ),
    **dict.fromkeys(
        ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized"),
        FaultCategory.PERMISSION_MISSING,
    ),
    **dict.fromkeys(
        (
            "ServiceFailure",
            "InternalFailure",
            "InternalError",
            "InternalServerException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
            # These pass by themselves: the entity is being changed by somebody at this moment.
            "EntityTemporarilyUnmodifiable",
            "ConcurrentModification",
            "ConflictException",
            "DeleteConflict",
        ),
        FaultCategory.VENDOR_ERROR,
    ),
    "UnmodifiableEntity": FaultCategory.PROTECTED_ACCOUNT,
    "LimitExceeded": FaultCategory.MISCONFIGURED,
    "RequestExpired": FaultCategory.MISCONFIGURED,  # our clock is wrong
}
_GONE = frozenset({"NoSuchEntity", "ResourceNotFoundException"})
_BY_STATUS: dict[int, FaultCategory] = {
    401: FaultCategory.CREDENTIALS_REJECTED,
    403: FaultCategory.PERMISSION_MISSING,
    408: FaultCategory.TIMEOUT,
    429: FaultCategory.RATE_LIMITED,
}
_SERVER_ERROR = 500

_BY_EXCEPTION: tuple[tuple[type[Exception], FaultCategory], ...] = (
    (exceptions.EndpointConnectionError, FaultCategory.UNREACHABLE),
    (exceptions.ProxyConnectionError, FaultCategory.UNREACHABLE),
    (exceptions.SSLError, FaultCategory.UNREACHABLE),
    # Whatever else happens on the wire, the change may or may not have been applied.
    (exceptions.HTTPClientError, FaultCategory.TIMEOUT),
    (exceptions.NoCredentialsError, FaultCategory.CREDENTIALS_REJECTED),
    (exceptions.PartialCredentialsError, FaultCategory.CREDENTIALS_REJECTED),
    (exceptions.CredentialRetrievalError, FaultCategory.CREDENTIALS_REJECTED),
    (exceptions.ParamValidationError, FaultCategory.INTERNAL),
    (exceptions.BotoCoreError, FaultCategory.MISCONFIGURED),
)

_WAITING = frozenset({FaultCategory.RATE_LIMITED, FaultCategory.VENDOR_ERROR})


class GoneFault(ConnectorFault):
    """The thing that a call names does not exist.

    Transient unless the caller expects it: IAM is eventually consistent, and a user may be
    renamed or deleted between two calls. The next attempt looks again.
    """


@dataclass(frozen=True, slots=True)
class Faults:
    """Makes faults that hold none of ``secrets``."""

    secrets: tuple[str, ...] = field(repr=False)

    def refusal(self, service: str, error: exceptions.ClientError) -> ConnectorFault:
        """An answer that says no."""
        answer: Mapping[str, Any] = error.response
        meta = answer.get("ResponseMetadata", {})
        status = int(meta.get("HTTPStatusCode", 0))
        code = str(answer.get("Error", {}).get("Code", ""))
        request_id = meta.get("RequestId") or meta.get("HTTPHeaders", {}).get("x-amzn-requestid")
        category = _category(code, status)
        fault = GoneFault if code in _GONE else ConnectorFault
        wait = retry_after(meta.get("HTTPHeaders", {}), _DIALECT, datetime.now(UTC))
        permission = f"{_PERMISSION_PREFIX.get(service, service)}:{error.operation_name}"
        return fault(
            category,
            connector="aws",
            operation=f"{service}.{error.operation_name}",
            code=self._clean(code if code.startswith(str(status)) else f"{status}.{code}"),
            retry_after=wait if category in _WAITING else None,
            missing=permission if category is FaultCategory.PERMISSION_MISSING else None,
            request_id=self._clean(str(request_id)) if request_id else None,
        )

    def silence(self, operation: str, error: Exception) -> ConnectorFault:
        """No answer, or no call: only the exception's class is said."""
        category = next(found for kind, found in _BY_EXCEPTION if isinstance(error, kind))
        return ConnectorFault(
            category, connector="aws", operation=operation, code=type(error).__name__
        )

    def unreadable(self, operation: str, exchange: Exchange | None) -> ConnectorFault:
        """An answer that is neither the service's XML nor its JSON."""
        status = exchange.status if exchange else 0
        failed = status >= _SERVER_ERROR
        return ConnectorFault(
            FaultCategory.VENDOR_ERROR if failed else FaultCategory.UNEXPECTED_ANSWER,
            connector="aws",
            operation=operation,
            code=f"{status}.unreadable",
            request_id=exchange.request_id if exchange else None,
        )

    def _clean(self, text: str) -> str:
        """Drop a vendor's text whole if it holds a secret, else bound it to a code."""
        return "redacted" if any(secret in text for secret in self.secrets) else bounded(text)


def bounded(text: str) -> str:
    """A vendor's text as a code of at most 64 characters."""
    return _CODE.sub("_", text)[:64].strip("_")


def _category(code: str, status: int) -> FaultCategory:
    if code in _GONE:
        return FaultCategory.VENDOR_ERROR
    if code in _BY_CODE:
        return _BY_CODE[code]
    if status >= _SERVER_ERROR:
        return FaultCategory.VENDOR_ERROR
    return _BY_STATUS.get(status, FaultCategory.UNEXPECTED_ANSWER)

"""AWS Signature Version 4 as a way to sign in: botocore signs, the kit sends.

botocore's imports take a third of a second, so they happen at the first call, in a thread, and
only where a system signs so.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import httpx

from connectors.base import ConnectorFault
from lockstep.domain.systems.faults import FaultCategory

# What a request carries beyond its body is signed too, and our own headers are not.
_SIGNED = ("content-type", "x-amz-target")
_ADDED = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair, with the token of temporary ones."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


KeySource = Callable[[], Awaitable[Keys]]


class SigV4(httpx.Auth):
    """Signs every request with the keys of the moment.

    Args:
        service: the name that the signature is for.
        region: the region that the signature is for.
        keys: gives the keys; renewing them is its own affair.
    """

    def __init__(self, service: str, region: str, keys: KeySource) -> None:
        self._service = service
        self._region = region
        self._keys = keys

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        keys = await self._keys()
        is_loaded = _botocore.cache_info().currsize
        botocore = _botocore() if is_loaded else await asyncio.to_thread(_botocore)
        headers = {name: request.headers[name] for name in _SIGNED if name in request.headers}
        signed = botocore.awsrequest.AWSRequest(
            request.method, str(request.url), headers=headers, data=request.content
        )
        pair = botocore.credentials.Credentials(keys.access_key, keys.secret_key, keys.token)
        botocore.auth.SigV4Auth(pair, self._service, self._region).add_auth(signed)
        request.headers.update(
            {name: signed.headers[name] for name in _ADDED if name in signed.headers}
        )
        yield request


class MachineKeys:
    """The machine's own role or profile, found and renewed by botocore, in a thread.

    Args:
        connector: named in faults.
    """

    def __init__(self, connector: str) -> None:
        self._connector = connector
        self._lock = threading.Lock()
        self._found: Any = None

    async def __call__(self) -> Keys:
        """The keys of the moment.

        Raises:
            ConnectorFault: there are none, or they could not be fetched.
        """
        code, category, keys = await asyncio.to_thread(self._read)
        if keys is None:
            raise ConnectorFault(
                category, connector=self._connector, operation="credentials.get", code=code
            )
        return keys

    def _read(self) -> tuple[str, FaultCategory, Keys | None]:
        """Keys, or the class of what went wrong: its text may quote an answer."""
        import botocore.exceptions as errors  # noqa: PLC0415 - see the module's docstring
        from botocore.session import Session  # noqa: PLC0415 - as above

        rejected = FaultCategory.CREDENTIALS_REJECTED
        _botocore()
        try:
            with self._lock:
                self._found = self._found or Session().get_credentials()
                if self._found is None:
                    return "NoCredentialsError", rejected, None
                frozen = self._found.get_frozen_credentials()
            return "", rejected, Keys(frozen.access_key, frozen.secret_key, frozen.token)
        except (errors.EndpointConnectionError, errors.ProxyConnectionError) as error:
            return type(error).__name__, FaultCategory.UNREACHABLE, None
        except errors.HTTPClientError as error:
            return type(error).__name__, FaultCategory.TIMEOUT, None
        except (
            errors.ClientError,
            errors.NoCredentialsError,
            errors.PartialCredentialsError,
            errors.CredentialRetrievalError,
        ) as error:
            return type(error).__name__, rejected, None
        except errors.BotoCoreError as error:
            return type(error).__name__, FaultCategory.MISCONFIGURED, None


@functools.cache
def _botocore() -> ModuleType:
    """Return botocore's signer, quietly: its debug log holds temporary secrets."""
    import botocore.auth  # noqa: PLC0415 - see the module's docstring
    import botocore.awsrequest  # noqa: PLC0415 - as above
    import botocore.credentials  # noqa: PLC0415 - as above

    logging.getLogger("botocore").setLevel(logging.WARNING)
    return botocore

"""Speaks to a program of the sandbox, which is on this machine: never by a proxy."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

__all__ = ["post"]

_SECONDS: Final = 30.0
_OPENER: Final = build_opener(ProxyHandler({}))


def post(url: str, body: bytes, headers: Mapping[str, str], *, is_there: int = 0) -> bytes:
    """Post, and return the answer's body.

    Args:
        url: of a program on this machine.
        body: as it is.
        headers: with the body's content type.
        is_there: the status that says that it is there already; no error then.

    Raises:
        OSError: when it is refused, or nobody answers.
    """
    request = Request(url, body, dict(headers), method="POST")  # noqa: S310 - our own address
    try:
        with _OPENER.open(request, timeout=_SECONDS) as answer:
            return bytes(answer.read())
    except HTTPError as error:
        with error:
            if HTTPStatus(error.code) != is_there:
                raise
            return bytes(error.read())

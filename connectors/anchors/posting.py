"""One bounded question to an anchor that answers by HTTP."""

from __future__ import annotations

import httpx

from connectors.anchors.base import AnchorFault


async def post_bounded(
    client: httpx.AsyncClient, url: httpx.URL | str, body: bytes, *, most: int
) -> tuple[int, bytes]:
    """Status and body of the answer; reading ends once it has more than ``most`` bytes.

    Raises:
        AnchorFault: the network failed; its text names no address.
    """
    raw = bytearray()
    try:
        async with client.stream("POST", url, content=body) as answer:
            status = answer.status_code
            async for chunk in answer.aiter_bytes():
                raw += chunk
                if len(raw) > most:
                    break
    except httpx.RequestError as error:
        fault = AnchorFault(type(error).__name__)  # its text could hold the address
    else:
        return status, bytes(raw)
    raise fault

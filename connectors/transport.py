"""The pooled transport to a vendor: strict TLS, bounded connections, the operator's proxy."""

from __future__ import annotations

import ssl
from urllib.request import getproxies, proxy_bypass

import httpx

MAX_CONNECTIONS = 48
"""Of one system in one process: as many calls as it may have first tries and tasks of its queue."""


def vendor_transport(
    base: httpx.URL, tls: ssl.SSLContext | None = None
) -> httpx.AsyncBaseTransport:
    """A connection pool; through the proxy that the environment names for this address, if any.

    ``tls`` is that of a client with a certificate; without it, the usual one.
    """
    proxies = getproxies()
    proxy = None
    if not proxy_bypass(base.host):
        proxy = proxies.get(base.scheme) or proxies.get("all")
    return httpx.AsyncHTTPTransport(
        # Plain http has been let through to loopback only; a context costs 20 ms to make.
        verify=(tls or _tls_context()) if base.scheme == "https" else False,
        trust_env=False,
        proxy=proxy,
        limits=httpx.Limits(
            max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_CONNECTIONS
        ),
    )


def _tls_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

"""The sandbox's Instant inside the worker's own process: no socket, no second HTTP stack.

Over HTTP much of a case's time is the vendor's side of the bargain, which a bare no-op activity
does not pay. Inside, what is left is Lockstep: connector, evidence, database, workflow.
"""

from __future__ import annotations

import dataclasses

import httpx

from connectors.instant.connector import InstantConnector
from lockstep.settings import Settings
from lockstep.worker import Parts
from sandbox.kit.wire import Request
from sandbox.vendors.instant.simulator import Instant


class InsideTransport(httpx.AsyncBaseTransport):
    """Answers from the simulation's own handler."""

    def __init__(self, vendor: Instant) -> None:
        self._vendor = vendor

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reply = self._vendor.handle(
            Request(
                request.method,
                request.url.path,
                request.url.query.decode(),
                dict(request.headers.items()),
            )
        )
        answer = reply.response
        assert answer is not None, "nobody puts faults in here"
        return httpx.Response(answer.status, content=answer.body)


def inside(parts: Parts, settings: Settings) -> Parts:
    """The same parts, with every system answered in this process."""
    connectors = {}
    for name in parts.connectors:
        options = settings.connector_options(name)
        vendor = Instant(options.secrets["token"])
        connectors[name] = InstantConnector(options, transport=InsideTransport(vendor))
    return dataclasses.replace(parts, connectors=connectors)

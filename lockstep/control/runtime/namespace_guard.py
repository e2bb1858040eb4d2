"""Makes the embedded Temporal's namespace and search attributes again, should somebody delete them.

The development server has no login, and makes them only when it starts. Without them no case goes
on; with them, empty as they are, the sweep takes every case up from the database.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import cast

import structlog
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from lockstep.contracts import names

log = structlog.get_logger("lockstep.namespace")

EVERY = timedelta(seconds=5)
_KEPT = timedelta(days=1)
"""How long Temporal keeps what has ended: as long as the server's own choice."""
_PATIENCE = timedelta(seconds=5)


class NamespaceGuard:
    """A loop of a worker of the single-machine shape; nobody else's server is changed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self) -> None:
        """Guard until cancelled; outages of Temporal end by themselves."""
        while True:
            try:
                await self.step()
            except (RPCError, RuntimeError, TimeoutError) as error:
                log.warning("namespace_unknown", error=type(error).__name__)
            await asyncio.sleep(EVERY.total_seconds())

    async def step(self) -> None:
        """Look once, and make what is not there."""
        if not await self._is_there():
            log.error("namespace_deleted")
            await self._client.workflow_service.register_namespace(
                RegisterNamespaceRequest(
                    namespace=self._client.namespace,
                    workflow_execution_retention_period=Duration(
                        seconds=round(_KEPT.total_seconds())
                    ),
                ),
                timeout=_PATIENCE,
            )
        listed = await self._client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=self._client.namespace), timeout=_PATIENCE
        )
        missing = {
            key.name: cast("IndexedValueType.ValueType", int(key.indexed_value_type))
            for key in names.SEARCH_ATTRIBUTES
            if key.name not in listed.custom_attributes
        }
        if missing:
            log.error("search_attributes_deleted", count=len(missing))
            await self._client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(
                    namespace=self._client.namespace, search_attributes=missing
                ),
                timeout=_PATIENCE,
            )

    async def _is_there(self) -> bool:
        try:
            await self._client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=self._client.namespace), timeout=_PATIENCE
            )
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

"""One harness for AWS's own tests: a quiet wire for each, and no connector left open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.connectors.aws.harness import AwsHarness, aws_harness


@pytest.fixture(scope="session")
async def _aws() -> AsyncIterator[AwsHarness]:
    async with aws_harness() as harness:
        yield harness


@pytest.fixture
async def aws(_aws: AwsHarness) -> AsyncIterator[AwsHarness]:
    _aws.script.pending.clear()
    _aws.script.effects.clear()
    yield _aws
    for connector in _aws.opened:
        await connector.aclose()
    _aws.opened.clear()

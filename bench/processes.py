"""Entry points of the processes that are measured; each says by a file that it is ready.

Standard output and error go to log files (the supervisor sees to it): Temporal's core logs there,
and a full pipe would stop a worker for good.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
from datetime import timedelta
from pathlib import Path

import uvicorn
import uvloop
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from bench.inside import inside
from bench.sampling import CpuSampler
from bench.workload import BARE_QUEUE, BareFanOut, activity_queue, noop
from lockstep.control.runtime.temporal import connect
from lockstep.logging import configure_logging
from lockstep.settings import load_settings
from lockstep.web.app import build_app
from lockstep.worker import build_parts, run_worker, spare_collector

_GRACE = timedelta(seconds=5)


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _say_ready(flag: Path) -> None:
    flag.touch()


async def run_bare(address: str, activities: int, ready: Path) -> None:
    """The baseline's worker: workflow queue and one queue per activity, in one process."""
    stop = _stop_on_signal()
    client = await Client.connect(address)
    passthrough = SandboxRestrictions.default.with_passthrough_all_modules()
    async with contextlib.AsyncExitStack() as stack:
        for number in range(activities):
            queue = activity_queue(number)
            worker = Worker(
                client, task_queue=queue, activities=[noop], graceful_shutdown_timeout=_GRACE
            )
            await stack.enter_async_context(worker)
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=BARE_QUEUE,
                workflows=[BareFanOut],
                workflow_runner=SandboxedWorkflowRunner(restrictions=passthrough),
                graceful_shutdown_timeout=_GRACE,
            )
        )
        _say_ready(ready)
        await stop.wait()


async def run_ours(
    config: Path, ready: Path, profile: Path | None, *, is_inside: bool = False
) -> None:
    """The real worker, from a settings file."""
    stop = _stop_on_signal()
    settings = load_settings(config)
    configure_logging(level=settings.log.level)
    ring = settings.open_keyring()
    client = await connect(settings.temporal_address(), ring)
    parts = build_parts(settings, settings.database_url(), ring)
    if is_inside:
        parts = inside(parts, settings)
    sampler = CpuSampler() if profile else None

    def on_ready() -> None:
        spare_collector()
        if sampler:
            sampler.start()
        _say_ready(ready)

    try:
        await run_worker(settings, client, parts, stop=stop, ready=on_ready)
    finally:
        if sampler and profile:
            sampler.write(profile)


def run_web(config: Path, port: int) -> None:
    """The real web process, as `lockstep web` serves it."""
    settings = load_settings(config)
    configure_logging(level=settings.log.level)
    app = build_app(settings, settings.database_url(), settings.open_keyring())
    uvicorn.run(app, host="127.0.0.1", port=port, loop="asyncio", log_config=None, access_log=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.processes")
    parser.add_argument("role", choices=["bare", "ours", "web"])
    parser.add_argument("--address")
    parser.add_argument("--activities", type=int, default=8)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready", type=Path)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--inside", action="store_true")
    given = parser.parse_args()
    match given.role:
        case "bare":
            asyncio.run(run_bare(given.address, given.activities, given.ready))
        case "ours":
            # The loop of `lockstep worker`; the baseline has the SDK's usual one.
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(
                    run_ours(given.config, given.ready, given.profile, is_inside=given.inside)
                )
        case "web":
            run_web(given.config, given.port)
    # Interpreter teardown may abort while the core's threads still run (sdk-python issue 300).
    os._exit(0)


if __name__ == "__main__":
    main()

"""`python -m sandbox`: all simulated services in one process, until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sandbox.people import demo_people
from sandbox.running import Options, running
from sandbox.settings import Credentials


def read_arguments(arguments: list[str]) -> Options:
    """Turn the command line and the environment into options."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    for vendor in ("okta", "tailscale", "kisi", "instant"):
        parser.add_argument(f"--{vendor}-port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--state-file", type=Path, help="keep the state here over restarts")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of every answer")
    seed = parser.add_mutually_exclusive_group()
    seed.add_argument("--seed-file", type=Path, help='JSON: {"people": [...], "shape": {...}}')
    seed.add_argument("--demo", action="store_true", help="the twelve people of the demonstration")
    given = parser.parse_args(arguments)
    people: list[Any] = list(demo_people()) if given.demo else []
    shape: dict[str, Any] = {}
    if given.seed_file:
        value = json.loads(given.seed_file.read_text("utf-8"))
        people, shape = value["people"], value.get("shape", {})
    return Options(
        host=given.host,
        okta_port=given.okta_port,
        tailscale_port=given.tailscale_port,
        kisi_port=given.kisi_port,
        instant_port=given.instant_port,
        latency_ms=given.latency_ms,
        state_file=given.state_file,
        credentials=Credentials.from_environment(os.environ),
        people=people,
        shape=shape,
    )


async def serve(options: Options) -> None:
    """Run until asked to stop; say where, on one line, when ready."""
    finished = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, finished.set)
    async with running(options) as urls:
        sys.stdout.write(json.dumps({**urls.as_json(), "simulated": True}) + "\n")
        sys.stdout.flush()
        await finished.wait()


if __name__ == "__main__":
    asyncio.run(serve(read_arguments(sys.argv[1:])))

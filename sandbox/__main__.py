"""`python -m sandbox`: all simulated services in one process, until SIGTERM or SIGINT."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from sandbox.company import company
from sandbox.people import demo_people
from sandbox.running import Options, running
from sandbox.vendors.registry import simulated


def read_arguments(arguments: list[str]) -> Options:
    """Turn the command line and the environment into options."""
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    for kind in simulated():
        parser.add_argument(
            f"--{kind}-port",
            type=int,
            default=0,
            dest=kind,
            metavar="PORT",
            help="0 takes a free port",
        )
    parser.add_argument("--state-file", type=Path, help="keep the state here over restarts")
    parser.add_argument("--latency-ms", type=float, default=0.0, help="of every answer")
    seed = parser.add_mutually_exclusive_group()
    seed.add_argument("--seed-file", type=Path, help='JSON: {"people": [...], "shape": {...}}')
    seed.add_argument("--demo", action="store_true", help="the twelve people of the demonstration")
    seed.add_argument(
        "--company", type=int, default=0, metavar="N", help="people of three partners"
    )
    given = parser.parse_args(arguments)
    people: list[Any] = list(demo_people()) if given.demo else list(company(given.company))
    shape: dict[str, Any] = {}
    if given.seed_file:
        value = json.loads(given.seed_file.read_text("utf-8"))
        people, shape = value["people"], value.get("shape", {})
    return Options(
        host=given.host,
        ports={kind: getattr(given, kind) for kind in simulated()},
        latency_ms=given.latency_ms,
        state_file=given.state_file,
        credentials={kind: it.credentials(os.environ) for kind, it in simulated().items()},
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
        sys.stdout.write(json.dumps({**urls, "simulated": True}) + "\n")
        sys.stdout.flush()
        await finished.wait()


if __name__ == "__main__":
    asyncio.run(serve(read_arguments(sys.argv[1:])))

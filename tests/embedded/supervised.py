"""A program that supervises both servers and a child that ignores SIGTERM: `supervised.py HOME`."""

import asyncio
import sys
from pathlib import Path

from lockstep.embedded.child import ChildSpec
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.postgres import EmbeddedPostgres
from lockstep.embedded.supervisor import Supervisor
from lockstep.embedded.temporal import TemporalDevServer

DEAF = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\n"
    "time.sleep(600)"
)


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def main(home: Path) -> None:
    postgres = EmbeddedPostgres(home / "postgres")
    temporal = TemporalDevServer(home / "temporal.db", 0, log_file=home / "temporal.log")

    async def deaf_ready() -> None:
        log = home / "deaf.log"
        while "up" not in log.read_text():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)

    deaf = ChildSpec(
        name="deaf",
        argv=(sys.executable, "-c", DEAF),
        log_path=home / "deaf.log",
        ready=deaf_ready,
        stop_grace_s=0.3,
    )
    async with Supervisor(home, on_event=say) as supervisor:
        await supervisor.start(postgres.child_spec(log_path=home / "postgres.log"))
        await supervisor.start(temporal.child_spec())
        await supervisor.start(deaf)
        say("all up")
        await supervisor.wait()
    say("all down")


if __name__ == "__main__":
    try:
        asyncio.run(main(Path(sys.argv[1])))
    except EmbeddedError as error:
        sys.exit(str(error))

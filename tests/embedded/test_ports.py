import errno
import os
import socket
import sys
import threading

import pytest

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import (
    WantedPort,
    free_port,
    port_or_free,
    require_free_port,
    require_free_ports,
    require_own_listener,
)


def test_a_free_port_can_be_bound():
    """The port that is handed out is free."""
    require_free_port(free_port(), setting="any")


def test_zero_asks_for_a_free_port_and_another_number_is_kept():
    """Only 0 is replaced."""
    assert port_or_free(0) > 0
    assert port_or_free(7233) == 7233


def test_a_port_in_use_names_the_setting():
    """The operator reads which port it is and which key changes it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]

        with pytest.raises(EmbeddedError, match=rf"Port {port} .* in use.*`temporal\.port`"):
            require_free_port(port, setting="temporal.port")


def test_a_port_that_the_system_refuses_names_the_setting(monkeypatch):
    """Any other refusal, as of a low port, is explained as well."""

    class Refusing(socket.socket):
        def bind(self, address):
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("lockstep.embedded.ports.socket.socket", Refusing)

    with pytest.raises(EmbeddedError, match=r"cannot be used: Permission denied.*`web\.port`"):
        require_free_port(80, setting="web.port")


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
    ],
)
def test_an_address_that_is_not_ours_names_its_own_setting(monkeypatch, error):
    """No other port would help: the operator reads which address to change."""

    class Elsewhere(socket.socket):
        def bind(self, address):
            raise error

    monkeypatch.setattr("lockstep.embedded.ports.socket.socket", Elsewhere)

    with pytest.raises(EmbeddedError, match=r"cannot be bound here.*`web\.bind`") as refused:
        require_free_port(8080, setting="web.port", host="example.com", bind="web.bind")
    assert "web.port" not in str(refused.value)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whose a port is")
def test_a_listener_of_another_session_is_not_ours():
    """That something answers proves nothing; whose it is does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        with pytest.raises(EmbeddedError, match="nobody listens"):
            require_own_listener(port, os.getsid(0))
        listener.listen()
        require_own_listener(port, os.getsid(0))
        with pytest.raises(EmbeddedError, match="another program's"):
            require_own_listener(port, 2**22 + 1)


def test_a_port_taken_on_every_address_is_taken_on_one():
    """Whoever listens on all addresses has ours too."""
    with socket.socket() as listener:
        listener.bind(("0.0.0.0", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(EmbeddedError, match=r"`web\.port` to a free port\."):
            require_free_port(port, setting="web.port", chooses=False)


def test_all_ports_that_cannot_be_had_are_named_at_once():
    """A person corrects the settings once, not once for each start."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = [listener.getsockname()[1] for listener in (one, two)]
        wanted = [
            WantedPort(ports[0], "web.port"),
            WantedPort(free_port(), "temporal.port"),
            WantedPort(ports[1], "sandbox.aws_port"),
        ]

        with pytest.raises(EmbeddedError) as refused:
            require_free_ports(wanted)

    first, second = str(refused.value).splitlines()
    assert f"Port {ports[0]} " in first
    assert "`web.port`" in first
    assert f"Port {ports[1]} " in second
    assert "`sandbox.aws_port`" in second


def test_one_port_for_two_settings_is_refused():
    """Whichever child came second would fail, and blame another program."""
    port = free_port()

    with pytest.raises(EmbeddedError, match=r"named by `web\.port` and `temporal\.port`"):
        require_free_ports([WantedPort(port, "web.port"), WantedPort(port, "temporal.port")])
    require_free_ports(
        [WantedPort(port, "web.port", host="127.0.0.2"), WantedPort(port, "temporal.port")]
    )


def test_a_port_of_a_run_that_is_ending_is_waited_for():
    """What a killed run left behind has a moment to end."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    end = threading.Timer(0.3, listener.close)
    end.start()

    require_free_ports([WantedPort(port, "web.port")], patience_s=30)

    end.join(timeout=30)

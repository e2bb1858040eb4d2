import errno
import os
import socket
import sys

import pytest

from lockstep.embedded.errors import EmbeddedError
from lockstep.embedded.ports import (
    free_port,
    port_or_free,
    require_free_port,
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

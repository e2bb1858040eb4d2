"""TCP ports on the loopback address."""

import errno
import socket

from lockstep.embedded.errors import EmbeddedError

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port that is free on 127.0.0.1 right now.

    The kernel chooses it from its ephemeral range. Another process may take it before it is
    used, so servers still call `require_free_port` at each start.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def port_or_free(port: int) -> int:
    """`port` itself, or a free one where it is 0."""
    return port or free_port()


def require_free_port(port: int, *, setting: str) -> None:
    """Check that a server may bind `port` on 127.0.0.1.

    Args:
        port: TCP port, 1-65535.
        setting: the settings key that an operator can change, named in the error.

    Raises:
        EmbeddedError: another process listens on it, or the system refuses it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without this a port is "in use" for a minute after a killed server's last connections.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise EmbeddedError(
                    f"Port {port} on {LOOPBACK} is already in use by another program. "
                    f"Stop that program, or set `{setting}` to a free port (0 chooses one)."
                ) from error
            raise EmbeddedError(
                f"Port {port} on {LOOPBACK} cannot be used: {error.strerror}. "
                f"Set `{setting}` to another port (0 chooses one)."
            ) from error

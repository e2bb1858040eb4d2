"""Ctrl-C and a polite end mean the same to our processes, whoever started them."""

from __future__ import annotations

import signal
import threading


def answer_signals() -> None:
    """Take back SIGINT and SIGTERM where the starter left them ignored or blocked.

    A shell script gives its background jobs an ignored SIGINT, and Python then installs no handler
    of its own: a command would go on for ever over a Ctrl-C. SIGHUP stays as it came, for `nohup`.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # signals belong to whoever owns the process
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

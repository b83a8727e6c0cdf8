"""Senders to be killed: `python -m tests.contract.killed_sender` forks one for each line it reads and answers its pid.

Forked from a process that has only imported, so that a sender is at work a few hundredths of a second after it was
asked for. Everything a sender does is the product's: this is `candlemaker sender` without its start.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback

from engine.sender.run import main
from engine.settings import Settings


def child() -> None:
    """One sender, until it is killed or told to leave."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        quiet = os.open(os.environ.get("KILLED_SENDER_LOG", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        status = main(Settings.read(os.environ))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def serve() -> None:
    """Fork for each line of stdin."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    print("ready", flush=True)
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            child()
        print(pid, flush=True)


if __name__ == "__main__":
    serve()

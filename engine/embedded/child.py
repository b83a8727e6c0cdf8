"""A child process that dies with us, writes into a file and may run as another user."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

Process = subprocess.Popen[bytes]

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
_ROTATE_AT_BYTES = 10 << 20


@dataclass(frozen=True)
class Account:
    """Numbers of the user a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Command:
    """What to start.

    `log` None means our own stdout and stderr; `death_signal` is what the child gets when we die (Linux).
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)  # carries addresses and secrets' paths
    cwd: Path | None = None
    log: Path | None = None
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL


def spawn(command: Command) -> Process:
    """Start *command* from the thread that never ends; raise OSError when it cannot be started.

    PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process: a server started from
    a pool's worker thread would die with that worker. So one thread that lives as long as we do forks all.
    """
    answer: Future[Process] = Future()
    _forks(os.getpid()).put((command, answer))
    return answer.result()


_Job = tuple[Command, "Future[Process]"]


@functools.cache
def _forks(pid: int) -> queue.SimpleQueue[_Job]:
    # Keyed by pid: a forked copy of us has no such thread and needs its own.
    jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
    threading.Thread(target=_fork_for_ever, args=(jobs,), name=f"forks-{pid}", daemon=True).start()
    return jobs


def _fork_for_ever(jobs: queue.SimpleQueue[_Job]) -> None:
    while True:
        command, answer = jobs.get()
        try:
            answer.set_result(_fork(command))
        except Exception as error:  # handed to the caller, who waits for it
            answer.set_exception(error)


def _fork(command: Command) -> Process:
    account = command.account
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(_rotated(command.log).open("ab")) if command.log else None
        return subprocess.Popen(  # noqa: S603 - argv is ours
            list(command.argv),
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,  # Ctrl-C in a terminal reaches the owner only, who stops things in order
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            umask=0o077,
            preexec_fn=_die_with(os.getpid(), command.death_signal),  # noqa: PLW1509 - two system calls, no locks
        )


def _die_with(owner: int, death_signal: signal.Signals) -> Callable[[], None] | None:
    """Runs in the child after setuid (which would clear the death signal) and before exec."""
    if _prctl is None:
        return None

    def arm() -> None:
        _prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != owner:  # the owner died before the signal was armed
            os._exit(1)

    return arm


def _rotated(log: Path) -> Path:
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _ROTATE_AT_BYTES:
            log.replace(log.with_suffix(log.suffix + ".1"))
    return log


def tail(log: Path, lines: int = 8) -> str:
    """The last *lines* of a log file, for an error's sentence; empty when there is none."""
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    return ""

"""A server that outlived its owner: found by its pid file, recognised by its folder, ended before the next starts.

We hold the directory's lock when we look, so such a process can only be an orphan: its owner was killed where
PR_SET_PDEATHSIG does not exist, or so lately that it is still writing its last bytes. Two servers on the same files
would destroy them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

_PATIENCE_S = 20.0
_POLL_S = 0.02


def end_orphan(pid_file: Path, folder: Path, politely: signal.Signals) -> None:
    """End the process named in the first line of *pid_file* if it serves *folder*; remove the file.

    The file may be stale and its pid a stranger's by now: that one is left alone, and so is its right to the pid.
    """
    with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
        _end(int(pid_file.read_text().splitlines()[0]), str(folder), politely)
    pid_file.unlink(missing_ok=True)


def _end(pid: int, folder: str, politely: signal.Signals) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    if folder in command_line(pid):
        _send(pid, politely)
    while folder in command_line(pid):
        if time.monotonic() > deadline:
            _send(pid, signal.SIGKILL)
        time.sleep(_POLL_S)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def command_line(pid: int) -> str:
    """Command line of a process, empty when it is gone or a zombie."""
    if Path("/proc/self").exists():  # small containers have no ps
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        return ""
    listing = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(listing, capture_output=True, check=False).stdout.decode(errors="replace")  # noqa: S603 - ours

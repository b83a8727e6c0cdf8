"""What both embedded servers share: start on a fixed port, wait until ready, notice death, stop."""

from __future__ import annotations

import abc
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

from engine.embedded.child import Command, Process, spawn, tail
from engine.embedded.home import Home
from engine.errors import ServerError

_ATTEMPTS = 4  # orphaned backends of a killed PostgreSQL may hold its shared memory for a moment
_PAUSE_S = 0.5
_POLL_S = 0.01
# Below the ephemeral ranges of Linux (32768) and macOS (49152): inside them, a client that redials a dead
# server can be given the server's port as its own, connect to itself and keep the server from coming back.
_PORTS = range(15_000, 32_000)


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on, outside the ephemeral range."""
    dice = random.SystemRandom()
    for _ in range(200):
        port = dice.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerError("no free TCP port on 127.0.0.1 between 15000 and 32000")


def require_free(host: str, port: int) -> None:
    """Raise `ServerError` when nobody could listen on *host* and *port* now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a listener
        try:
            probe.bind((host, port))
        except OSError as error:
            why = error.strerror
            raise ServerError(
                f"cannot listen on {host}:{port} ({why}); set CANDLEMAKER_HOST or CANDLEMAKER_PORT"
            ) from None


def server_environ() -> dict[str, str]:
    """The servers' whole environment: nothing of ours leaks into it."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


class Server(abc.ABC):
    """One server process on 127.0.0.1. Starting it again after its death uses the same port and data."""

    name: str
    stop_signals: tuple[signal.Signals, ...]  # in good order first, then less politely; SIGKILL follows
    start_timeout_s = 120.0  # crash recovery replays a log
    stop_timeout_s = 20.0

    def __init__(self, home: Home, port: int = 0) -> None:
        self.home = home
        self.port = port or free_port()
        self._process: Process | None = None

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """Address for clients."""

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Make the data directory and clear what a crash left behind."""

    @abc.abstractmethod
    def _command(self) -> Command:
        """How to start it."""

    @abc.abstractmethod
    def _ready(self, pid: int) -> bool:
        """Whether the process *pid* answers."""

    @property
    def log(self) -> Path:
        """File of the server's own output."""
        return self.home.data / f"{self.name}.log"

    @property
    def folder(self) -> Path:
        """The server's data."""
        return self.home.root / self.name

    @property
    def pid(self) -> int | None:
        """Process id, None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Return once it answers; raise `ServerError` with the end of its log when it does not."""
        try:
            self._prepare()
            for _ in range(_ATTEMPTS):
                self._process = spawn(self._command())
                if self._await_ready(self._process):
                    return
                time.sleep(_PAUSE_S)
        except OSError as error:
            raise ServerError(f"{self.name} cannot be started: {error}") from error
        raise ServerError(f"{self.name} does not start; the end of {self.log}:\n{tail(self.log)}")

    def _await_ready(self, process: Process) -> bool:
        deadline = time.monotonic() + self.start_timeout_s
        while process.poll() is None:
            if self._ready(process.pid):
                return True
            if time.monotonic() > deadline:
                process.kill()
                process.wait()
            time.sleep(_POLL_S)
        return False

    def stop(self) -> None:
        """Stop it in good order; by force when a step takes longer than `stop_timeout_s`."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        for number in (*self.stop_signals, signal.SIGKILL):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self.stop_timeout_s)
                return

    def _own(self, folder: Path) -> None:
        account = self.home.account
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
        if account:
            os.chown(folder, account.uid, account.gid)

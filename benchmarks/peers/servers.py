"""Peers that are servers, in a folder of their own that goes with them: never a server that somebody else runs."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.peers.install import postgis_bin
from engine.embedded.child import Command
from engine.embedded.home import settle
from engine.embedded.postgres import PostgresServer
from engine.embedded.server import Server
from engine.embedded.valkey import ValkeyServer


class SocketPostgres(PostgresServer):
    """A PostgreSQL reached by a socket in its folder, the embedded one unless *programs* are given; its data need not
    survive."""

    def __init__(self, data: Path, options: Mapping[str, str], programs: Path | None = None) -> None:
        home = settle(data)
        super().__init__(dataclasses.replace(home, postgres_bin=programs) if programs else home)
        own = {"listen_addresses": "", "fsync": "off", "unix_socket_directories": str(self.folder)}
        self._options = {**own, **options}

    def _command(self) -> Command:
        command = super()._command()
        flags = [part for name, value in self._options.items() for part in ("-c", f"{name}={value}")]
        return dataclasses.replace(command, argv=[*command.argv, *flags])


class SocketValkey(ValkeyServer):
    """The embedded Valkey with a socket in its folder as well, and nothing kept on disk."""

    def __init__(self, data: Path) -> None:
        super().__init__(settle(data))

    @property
    def socket(self) -> Path:
        return self.folder / "valkey.sock"

    def _command(self) -> Command:
        command = super()._command()
        flags = ["--unixsocket", str(self.socket), "--appendonly", "no"]
        return dataclasses.replace(command, argv=[*command.argv, *flags])


def with_postgis(data: Path, options: Mapping[str, str]) -> SocketPostgres:
    """Debian's, which has PostGIS; raises RuntimeError when it is not there."""
    if (programs := postgis_bin()) is None:
        raise RuntimeError("to measure against PostGIS: make peers")
    return SocketPostgres(data, options, programs)


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder with a short name: a socket's path has room for a hundred letters."""
    made = Path(tempfile.mkdtemp(prefix="peer-"))
    try:
        made.chmod(0o755)  # the servers may run as another user
        yield made
    finally:
        if (elsewhere := made / "servers-at").exists():  # where the folder is closed to the servers' user
            shutil.rmtree(Path(elsewhere.read_text().strip()))
        shutil.rmtree(made)


@contextlib.contextmanager
def running(server: Server) -> Iterator[None]:
    """Stopped at the end, however it comes."""
    try:
        server.start()
        yield
    finally:
        server.stop()

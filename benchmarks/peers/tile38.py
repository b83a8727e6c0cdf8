"""Tile38: a server in a folder of its own, with circles as channels that publish DETECT enter,exit."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any, Final

import hiredis

from benchmarks.geo_shapes import Floats
from benchmarks.peers.install import tile38_binary
from benchmarks.peers.servers import folder
from benchmarks.rounds import FLEET

START_S: Final = 10.0
_CHUNK: Final = 1_000


class Tile38:
    """A running server, spoken to over one connection."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._line = socket.create_connection(("127.0.0.1", port))
        self._reader = hiredis.Reader()

    def ask(self, *words: Any) -> Any:
        """One command's answer; raises what the server says is an error."""
        self._line.sendall(hiredis.pack_command(tuple(words)))
        return self._answer()

    def watch(self, lat: Floats, lng: Floats, radius_m: float) -> None:
        """One channel a circle, named by its number, in place of all there are."""
        self.ask("PDELCHAN", "*")
        for first in range(0, len(lat), _CHUNK):
            numbers = range(first, min(first + _CHUNK, len(lat)))
            self._line.sendall(b"".join(hiredis.pack_command(_channel(n, lat[n], lng[n], radius_m)) for n in numbers))
            for _ in numbers:
                self._answer()

    def place(self, customer: str) -> tuple[float, float]:
        """(lat, lng) where a customer was last."""
        lat, lng = self.ask("GET", FLEET, customer, "POINT")
        return float(lat), float(lng)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def _answer(self) -> Any:
        while (said := self._reader.gets()) is False:
            got = self._line.recv(1 << 20)
            if not got:
                raise ConnectionResetError("Tile38 hung up")
            self._reader.feed(got)
        if isinstance(said, Exception):
            raise said
        return said


def _channel(number: int, lat: float, lng: float, radius_m: float) -> tuple[Any, ...]:
    fence = ("NEARBY", FLEET, "FENCE", "DETECT", "enter,exit", "COMMANDS", "set", "POINT")
    return ("SETCHAN", f"f{number}", *fence, repr(float(lat)), repr(float(lng)), repr(radius_m))


@contextlib.contextmanager
def serving(*, append_only: bool) -> Iterator[Tile38]:
    """A fresh server on loopback; gone afterwards."""
    if (program := tile38_binary()) is None:
        raise RuntimeError("to measure against Tile38: make peers, with Go at hand")
    with folder() as data, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        argv = [str(program), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", str(data), "--http-transport", "no"]
        argv += ["--appendonly", "yes" if append_only else "no"]
        with (data / "log").open("wb") as log:
            process = subprocess.Popen(argv, cwd=data, stdout=log, stderr=log)
        try:
            server = _connected(port, process)
            try:
                yield server
            finally:
                server.close()
        finally:
            process.kill()
            process.wait()


def _connected(port: int, process: subprocess.Popen[bytes]) -> Tile38:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            return Tile38(port)
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("Tile38 did not start") from None
            time.sleep(0.05)

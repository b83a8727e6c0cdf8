"""Tile38 told fix after fix of one device: how many enters and exits it publishes."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as Unreachable

from benchmarks.geo_shapes import Floats
from benchmarks.peers.servers import folder
from geo.fence import Circle

VERSION = "1.37.0"
"""A program that `go install` made does not know its own."""

PROGRAM = Path(".peers") / "tile38-server"
START_S, QUIET_S = 10.0, 1.0
_CHUNK = 2_000


@contextlib.contextmanager
def serving() -> Iterator[Any]:
    """A fresh server on loopback; gone afterwards."""
    with folder() as data, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        argv = [str(PROGRAM.resolve()), "-q", "-h", "127.0.0.1", "-p", str(port), "-d", str(data), "--appendonly", "no"]
        process = subprocess.Popen(argv, cwd=data, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            client: Any = Redis(port=port, protocol=2)
            _until_up(client, process)
            yield client
        finally:
            process.kill()
            process.wait()


def transitions(client: Any, circles: Sequence[Circle], lat: Floats, lng: Floats) -> int:
    """Enters and exits of one device that is at f8[n] places one after the other."""
    client.execute_command("PDELCHAN", "*")
    client.execute_command("DROP", "fleet")
    for one in circles:
        fence = ("NEARBY", "fleet", "FENCE", "DETECT", "enter,exit", "POINT", one.lat, one.lng, one.radius_m)
        client.execute_command("SETCHAN", f"f{one.fence}", *fence)
    heard = client.pubsub(ignore_subscribe_messages=True)
    heard.psubscribe("f*")
    count, pipe = 0, client.pipeline(transaction=False)
    for n, at in enumerate(zip(lat.tolist(), lng.tolist(), strict=True), 1):
        pipe.execute_command("SET", "fleet", "one", "POINT", *at)
        if n % _CHUNK == 0 or n == len(lat):
            pipe.execute()
            while message := heard.get_message(timeout=QUIET_S if n == len(lat) else 0.001):
                count += json.loads(message["data"])["detect"] in ("enter", "exit")
    heard.close()
    return count


def _until_up(client: Any, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            client.ping()
            return
        except Unreachable:
            if process.poll() is not None or time.monotonic() > deadline_s:
                raise RuntimeError("Tile38 did not start") from None
            time.sleep(0.05)

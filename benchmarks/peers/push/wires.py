"""`wires.py LIBRARY URL CA COUNT FLYING`: so many POSTs over two connections through one HTTP/2 client library.

`wreq` as the channel uses it, `pyreqwest` and `pycurl` as their manuals say; all on uvloop.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import message  # type: ignore[import-not-found]  # beside this file; run as a program

CONNECTIONS = 2
BEARER = "ya29.bench"
HEADERS = {"authorization": f"Bearer {BEARER}", "content-type": "application/json"}
BODY = json.dumps(
    {
        "message": {
            "token": message.registration(1),
            "notification": {"title": message.TITLE, "body": message.BODY},
            "data": message.data(),
            **message.platforms(),
        }
    },
    ensure_ascii=False,
).encode()

Post = Callable[[], Awaitable[None]]


def wreq(url: str, ca: str) -> Post:
    """Through our own wire."""
    wire_of = importlib.import_module("engine.channels.fcm_wire")
    wire = wire_of.HttpWire(wire_of.Way(url, ca=ca), CONNECTIONS)

    async def post() -> None:
        reply = await wire.post(url, BEARER, BODY)
        assert reply.status == 200 and reply.body

    return post


def pyreqwest(url: str, ca: str) -> Post:
    """A client a connection."""
    builder = importlib.import_module("pyreqwest.client").ClientBuilder
    pem = Path(ca).read_bytes()
    clients = [builder().add_root_certificate_pem(pem).no_proxy().build() for _ in range(CONNECTIONS)]
    turn = 0

    async def post() -> None:
        nonlocal turn
        turn += 1
        request = clients[turn % CONNECTIONS].post(url)
        for name, value in HEADERS.items():
            request = request.header(name, value)
        reply = await request.body_bytes(BODY).build().send()
        assert reply.status == 200 and bytes(await reply.bytes())

    return post


class Curl:
    """libcurl's multi interface, told of sockets and timers by the event loop."""

    def __init__(self, url: str, ca: str, flying: int) -> None:
        self._curl = importlib.import_module("pycurl")
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._waiting: dict[Any, tuple[asyncio.Future[None], list[bytes]]] = {}
        multi = self._multi = self._curl.CurlMulti()
        multi.setopt(self._curl.M_PIPELINING, self._curl.PIPE_MULTIPLEX)
        multi.setopt(self._curl.M_MAX_HOST_CONNECTIONS, CONNECTIONS)
        multi.setopt(self._curl.M_MAX_CONCURRENT_STREAMS, 90)
        multi.setopt(self._curl.M_SOCKETFUNCTION, self._socket)
        multi.setopt(self._curl.M_TIMERFUNCTION, self._timed)
        self._free = [self._handle(url, ca) for _ in range(flying)]

    async def post(self) -> None:
        """One request."""
        handle = self._free.pop()
        got: list[bytes] = []
        handle.setopt(self._curl.POSTFIELDS, BODY)
        handle.setopt(self._curl.WRITEFUNCTION, got.append)
        future = self._loop.create_future()
        self._waiting[handle] = future, got
        self._multi.add_handle(handle)
        await future
        assert handle.getinfo(self._curl.RESPONSE_CODE) == 200 and b"".join(got)
        self._free.append(handle)

    def _handle(self, url: str, ca: str) -> Any:
        curl = self._curl
        handle = curl.Curl()
        for option, value in (
            (curl.URL, url), (curl.CAINFO, ca), (curl.HTTP_VERSION, curl.CURL_HTTP_VERSION_2_0), (curl.PIPEWAIT, 1),
            (curl.POST, 1), (curl.NOSIGNAL, 1), (curl.HTTPHEADER, [f"{k}: {v}" for k, v in HEADERS.items()]),
        ):  # fmt: skip
            handle.setopt(option, value)
        return handle

    def _socket(self, what: int, fd: int, _multi: Any, _data: Any) -> None:
        self._loop.remove_reader(fd)
        self._loop.remove_writer(fd)
        if what in (self._curl.POLL_IN, self._curl.POLL_INOUT):
            self._loop.add_reader(fd, self._act, fd, self._curl.CSELECT_IN)
        if what in (self._curl.POLL_OUT, self._curl.POLL_INOUT):
            self._loop.add_writer(fd, self._act, fd, self._curl.CSELECT_OUT)

    def _timed(self, wait_ms: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if wait_ms >= 0:
            self._timer = self._loop.call_later(wait_ms / 1000, self._act, self._curl.SOCKET_TIMEOUT, 0)

    def _act(self, fd: int, mask: int) -> None:
        self._multi.socket_action(fd, mask)
        left = 1
        while left:
            left, good, bad = self._multi.info_read()
            assert not bad, bad
            for handle in good:
                self._multi.remove_handle(handle)
                self._waiting.pop(handle)[0].set_result(None)


async def main(library: str, url: str, ca: str, count: int, flying: int) -> None:
    """Send, then say what it took."""
    made = {"wreq": wreq, "pyreqwest": pyreqwest}
    post = made[library](url, ca) if library in made else Curl(url, ca, flying).post

    async def several(each: int) -> None:
        for _ in range(each):
            await post()

    await asyncio.gather(*[several(3) for _ in range(flying)])
    began, spent = time.perf_counter(), os.times()
    await asyncio.gather(*[several(count // flying) for _ in range(flying)])
    now, wall = os.times(), time.perf_counter() - began
    cpu, sent = now.user + now.system - spent.user - spent.system, count // flying * flying
    version = importlib.metadata.version(library)
    print(json.dumps({"sent": sent, "cpu_s": cpu, "wall_s": wall, "version": version}))


if __name__ == "__main__":
    importlib.import_module("uvloop").run(main(sys.argv[1], sys.argv[2], sys.argv[3], *map(int, sys.argv[4:6])))

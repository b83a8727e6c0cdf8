"""Who is told: a process of its own that keeps what it hears with the moment it heard it, and reads it only when asked.

Speaks Redis' protocol to Tile38 (PSUBSCRIBE) or HTTP to our API (GET /v1/transitions).
"""

from __future__ import annotations

import select
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import hiredis
import msgspec
import numpy as np

Kind = Literal["tile38", "ours"]
_MARK: Final = {"tile38": b'"detect":"', "ours": b'"fence":"'}
HEARD: Final = np.dtype(
    [("customer", "i4"), ("fence", "i8"), ("enter", "?"), ("at_ms", "i8"), ("lat", "f8"), ("heard_s", "f8")]
)
"""One event: the fence by its number at Tile38, by its store's id at ours; which ping, by `at_ms` at ours, by `lat` at
Tile38."""


class Hello(msgspec.Struct, frozen=True):
    """The first line."""

    kind: Kind
    host: str
    port: int
    key: str = ""


class Heard(msgspec.Struct, frozen=True):
    """How many events so far, and when the last bytes came (epoch seconds, 0: none)."""

    events: int
    last_s: float


class _Point(msgspec.Struct):
    coordinates: list[float]


class _Notice(msgspec.Struct):
    detect: str
    hook: str
    id: str
    object: _Point


class _Transition(msgspec.Struct):
    customer: str
    kind: str
    store: int
    at: str


class _Transitions(msgspec.Struct):
    transitions: list[_Transition]


class Ear:
    """One subscription."""

    def __init__(self, hello: Hello) -> None:
        self._hello = hello
        self._mark = _MARK[hello.kind]
        self._chunks: list[tuple[float, bytes]] = []
        self._tail = b""
        self.heard = Heard(0, 0.0)
        self.socket = socket.create_connection((hello.host, hello.port))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        if hello.kind == "tile38":
            self.socket.sendall(b"*2\r\n$10\r\nPSUBSCRIBE\r\n$1\r\n*\r\n")
        else:
            head = f"GET /v1/transitions HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {hello.key}\r\n\r\n"
            self.socket.sendall(head.encode())
        self.take()

    def take(self) -> None:
        """Keep what has come."""
        got = self.socket.recv(4 << 20)
        if not got:
            raise ConnectionResetError("the server hung up")
        now_s = time.time()
        text = self._tail + got
        found = text.count(self._mark)
        self._tail = text[-(len(self._mark) - 1) :]
        self._chunks.append((now_s, got))
        if found:
            self.heard = Heard(self.heard.events + found, now_s)

    def write(self, path: Path) -> None:
        """All events so far as HEARD, which are forgotten here."""
        read = _tile38 if self._hello.kind == "tile38" else _ours
        np.save(path, np.array(list(read(self._chunks)), HEARD))
        self._chunks.clear()


def _tile38(chunks: list[tuple[float, bytes]]) -> Iterator[tuple[int, int, bool, int, float, float]]:
    reader, notice = hiredis.Reader(), msgspec.json.Decoder(_Notice).decode
    for heard_s, chunk in chunks:
        reader.feed(chunk)
        while (said := reader.gets()) is not False:
            if isinstance(said, list) and said[0] == b"pmessage":
                one = notice(said[3])
                enter = one.detect == "enter"
                yield int(one.id[1:]), int(one.hook[1:]), enter, 0, one.object.coordinates[1], heard_s


def _ours(chunks: list[tuple[float, bytes]]) -> Iterator[tuple[int, int, bool, int, float, float]]:
    """Server-sent events within HTTP's chunks; an event is heard when its end is."""
    decode, text = msgspec.json.Decoder(_Transitions).decode, b""
    for heard_s, chunk in chunks:
        text += chunk
        *whole, text = text.split(b"\n\n")
        for event in whole:
            if b"\nevent: gap\n" in b"\n" + event:
                raise RuntimeError("the subscriber was too slow: there is a gap")
            if (start := event.find(b"\ndata: ")) >= 0 and b"event: transitions" in event:
                for one in decode(event[start + 7 :]).transitions:
                    at_ms = int(np.datetime64(one.at[:-1], "ms").astype(np.int64))
                    yield int(one.customer[1:]), one.store, one.kind == "enter", at_ms, 0.0, heard_s


def main() -> int:
    """`"heard"` or a path on stdin; the counts, or "written"."""
    lines, answer = sys.stdin.buffer, sys.stdout.buffer
    ear = Ear(msgspec.json.decode(lines.readline(), type=Hello))
    answer.write(b'"listening"\n')
    answer.flush()
    while True:
        readable, _, _ = select.select([ear.socket, lines], [], [])
        if ear.socket in readable:
            ear.take()
        if lines in readable:
            if not (line := lines.readline()):
                return 0
            asked = msgspec.json.decode(line, type=str)
            if asked != "heard":
                ear.write(Path(asked))
            answer.write(msgspec.json.encode(ear.heard) + b"\n")
            answer.flush()


if __name__ == "__main__":
    sys.exit(main())

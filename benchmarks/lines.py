"""Keep-alive connections to the API, driven by hand: a request costs the sender two system calls and little Python."""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from dataclasses import dataclass, field

_BUFFER = 1 << 20
_LENGTH = b"content-length:"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, and how long that took (seconds)."""

    status: int
    body: bytes
    took_s: float


@dataclass(slots=True)
class _Line:
    socket: socket.socket
    unsent: memoryview = field(default_factory=lambda: memoryview(b""))
    waits: bool = False
    """Polled for room to write."""
    got: bytes = b""
    began_s: float = 0.0


class Lines:
    """*count* connections; each carries one request at a time. OSError when the server hangs up."""

    def __init__(self, host: str, port: int, count: int) -> None:
        self._poll = select.epoll()
        self._lines: dict[int, _Line] = {}
        self._free: deque[_Line] = deque()
        for _ in range(count):
            line = _Line(_connected(host, port))
            self._lines[line.socket.fileno()] = line
            self._poll.register(line.socket.fileno(), select.EPOLLIN)
            self._free.append(line)

    @property
    def free(self) -> int:
        """Connections that carry nothing."""
        return len(self._free)

    @property
    def busy(self) -> int:
        """Requests without their answer."""
        return len(self._lines) - len(self._free)

    def send(self, request: bytes) -> None:
        """Send on a free connection (there must be one); what does not fit at once goes out while polling."""
        line = self._free.popleft()
        line.began_s, line.unsent = time.perf_counter(), memoryview(request)
        self._push(line)

    def answers(self, timeout_s: float) -> list[Answer]:
        """What has arrived, waiting at most *timeout_s* for the first."""
        found = []
        for number, event in self._poll.poll(timeout_s):
            line = self._lines[number]
            if line.unsent:
                self._push(line)
            if event & ~select.EPOLLOUT and (answer := _received(line)):
                found.append(answer)
                self._free.append(line)
        return found

    def close(self) -> None:
        """Hang up."""
        for line in self._lines.values():
            line.socket.close()
        self._poll.close()

    def _push(self, line: _Line) -> None:
        try:
            sent = line.socket.send(line.unsent)
        except BlockingIOError:
            sent = 0
        line.unsent = line.unsent[sent:]
        if line.waits != bool(line.unsent):
            line.waits = not line.waits
            self._poll.modify(line.socket.fileno(), select.EPOLLIN | (select.EPOLLOUT if line.waits else 0))


def _connected(host: str, port: int) -> socket.socket:
    one = socket.create_connection((host, port))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
    one.setblocking(False)
    return one


def _received(line: _Line) -> Answer | None:
    """The answer once it is complete."""
    try:
        more = line.socket.recv(65_536)
    except BlockingIOError:
        return None
    if not more:
        raise ConnectionResetError("the API hung up")
    line.got += more
    end = line.got.find(b"\r\n\r\n")
    if end < 0:
        return None
    start = line.got.lower().find(_LENGTH, 0, end) + len(_LENGTH)
    length = int(line.got[start : line.got.find(b"\r\n", start)])
    if len(line.got) < end + 4 + length:
        return None
    answer = Answer(int(line.got[9:12]), line.got[end + 4 :], time.perf_counter() - line.began_s)
    line.got = b""
    return answer

"""The stand-in's HTTP/2 door: streams, their limit, and every fault that only HTTP/2 can have.

Built on h2, which keeps the protocol's state and leaves every byte to us; the servers in the field (hypercorn, granian,
nginx) can neither refuse one stream by script nor say GOAWAY below a stream they have read. GOAWAY and the stream limit
are written past h2's own state, as frames of hyperframe: h2 takes its own GOAWAY for the connection's end, and a stream
above its own limit for the peer's crime.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, NamedTuple, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame, SettingsFrame

from engine.standin.door import Lines
from engine.standin.fcm import Done, Request
from engine.standin.google import Reply

STREAMS: Final = 100
"""FCM's own limit."""
MOST_BYTES: Final = 1 << 20
_SEND: Final = ("/v1/projects/", "/messages:send")
_NOT_FOUND: Final = Reply(404, b"404: Not Found", kind="text/plain; charset=utf-8")
_TOO_LARGE: Final = Reply(413, b"413: Payload Too Large", kind="text/plain; charset=utf-8")
_METHOD: Final = Reply(405, b"405: Method Not Allowed", kind="text/plain; charset=utf-8")


class Answers(NamedTuple):
    """What the door asks: the answer to one request; and it tells of requests that FCM never saw."""

    send: Callable[[Request], Done]
    unseen: Callable[[int, str], None]
    """(stream, why)."""
    opened: Callable[[int], None]
    """So many streams are open on one connection."""


class Http2(asyncio.Protocol):
    """One connection."""

    def __init__(self, lines: Lines, answers: Answers, streams: int = STREAMS) -> None:
        self._lines = lines
        self._answers = answers
        self._most = streams
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._asked: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._open: set[int] = set()
        self._unsent: dict[int, bytes] = {}
        self._seen: set[int] = set()
        """Streams that FCM has seen and that are under way."""
        self._last: int | None = None
        """The last stream that is served, once GOAWAY was said."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet: no streams above the limit."""
        self._transport = cast("asyncio.Transport", transport)
        self._h2.local_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 2**31 - 1
        self._h2.initiate_connection()
        self._flush()
        self._frame(SettingsFrame(0, settings={SettingsFrame.MAX_CONCURRENT_STREAMS: self._most}))

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer."""
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._flush()
            self._close()
            return
        for event in events:
            self._met(event)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is owed to anybody any more."""
        self._lines.drop(self._transport)
        self._transport = None

    def _met(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._begun(event.stream_id, {str(name): str(value) for name, value in event.headers})
        elif isinstance(event, DataReceived):
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id in self._asked and len(self._asked[event.stream_id][1]) <= MOST_BYTES:
                self._asked[event.stream_id][1].extend(event.data)
        elif isinstance(event, StreamEnded) and event.stream_id in self._asked:
            self._whole(event.stream_id, *self._asked.pop(event.stream_id))
        elif isinstance(event, StreamReset):
            self._asked.pop(event.stream_id, None)
            self._over(event.stream_id)
        elif isinstance(event, WindowUpdated):
            for stream in list(self._unsent):
                self._push(stream)

    def _begun(self, stream: int, headers: dict[str, str]) -> None:
        if self._last is not None and stream > self._last:
            self._answers.unseen(stream, "above_goaway")
            return
        if len(self._open) >= self._most:
            self._answers.unseen(stream, "too_many_streams")
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        self._open.add(stream)
        self._answers.opened(len(self._open))
        self._asked[stream] = (headers, bytearray())

    def _whole(self, stream: int, headers: dict[str, str], body: bytearray) -> None:
        path = headers.get(":path", "").partition("?")[0]
        if not (path.startswith(_SEND[0]) and path.endswith(_SEND[1])):
            self._answer(stream, _NOT_FOUND)
        elif headers.get(":method") != "POST":
            self._answer(stream, _METHOD)
        elif len(body) > MOST_BYTES:
            self._answer(stream, _TOO_LARGE)
        else:
            project = path[len(_SEND[0]) : -len(_SEND[1])]
            self._seen.add(stream)
            self._act(
                stream, self._answers.send(Request(project, headers.get("authorization", ""), bytes(body), stream))
            )

    def _act(self, stream: int, done: Done) -> None:
        if done.after_s:
            asyncio.get_running_loop().call_later(done.after_s, self._later, stream, done)
            return
        match done.act:
            case "answer":
                self._answer(stream, done.reply)
            case "refuse":
                self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
                self._over(stream)
            case "cut_stream":
                self._h2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
                self._over(stream)
            case "goaway":
                self._say_goaway(stream)
            case "reset":
                self._begin(stream, done.reply, 2 * len(done.reply.body))
                self._h2.send_data(stream, done.reply.body)
                self._flush()
                self._abort()
            case "hang_up":
                self._close()
            case "stall":
                pass

    def _later(self, stream: int, done: Done) -> None:
        if self._transport is not None and stream in self._open:
            self._act(stream, done._replace(after_s=0.0))
            self._flush()

    def _answer(self, stream: int, reply: Reply) -> None:
        self._begin(stream, reply, len(reply.body))
        self._unsent[stream] = reply.body
        self._push(stream)

    def _begin(self, stream: int, reply: Reply, length: int) -> None:
        headers = {":status": str(reply.status), "content-type": reply.kind, "content-length": str(length)}
        more = [(name.lower(), value) for name, value in reply.headers.items()]
        self._h2.send_headers(stream, [*headers.items(), *more], end_stream=not length)

    def _push(self, stream: int) -> None:
        """As much of the body as the peer's window takes."""
        left = self._unsent.pop(stream, b"")
        while left and (room := min(self._h2.local_flow_control_window(stream), self._h2.max_outbound_frame_size)) > 0:
            self._h2.send_data(stream, left[:room], end_stream=room >= len(left))
            left = left[room:]
        if left:
            self._unsent[stream] = left
        else:
            self._over(stream)

    def _over(self, stream: int) -> None:
        self._unsent.pop(stream, None)
        self._open.discard(stream)
        self._seen.discard(stream)
        if self._last is not None and not self._open:
            self._flush()
            self._close()

    def _say_goaway(self, stream: int) -> None:
        """What FCM has seen is served to its end; *stream* and what comes after are not."""
        self._seen.discard(stream)
        highest = max(self._seen, default=0)
        if highest > stream:  # its body came first, so the last id lies above: say of this one what is true
            self._h2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
        self._flush()
        self._last = max(highest, stream - 2)
        self._frame(GoAwayFrame(0, last_stream_id=max(0, self._last), error_code=int(ErrorCodes.NO_ERROR)))
        for above in [one for one in self._open if one > self._last]:
            if above != stream:
                self._answers.unseen(above, "above_goaway")
            self._asked.pop(above, None)
            self._over(above)
        self._over(stream)

    def _frame(self, frame: GoAwayFrame | SettingsFrame) -> None:
        if self._transport is not None:
            self._transport.write(frame.serialize())

    def _flush(self) -> None:
        if self._transport is not None and (data := self._h2.data_to_send()):
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _abort(self) -> None:
        if self._transport is not None:
            abort(self._transport)


def abort(transport: asyncio.Transport) -> None:
    """RST: with linger 0 the kernel does not say goodbye."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()

"""The stored parts of a body as one stream of plain bytes: gunzipped, counted, bounded."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from engine.loader.faults import Unreadable

MOST_PLAIN_BYTES = 32 << 30
"""A gzip of 2 GiB may hold a thousand times as much; nobody has such a catalogue."""
_PIECE = 1 << 20
_GZIP = 31  # zlib's window bits for a gzip wrapper

Part = Callable[[int], bytes | None]
"""The n-th part, None behind the last. Called from the thread that reads."""


class Body:
    """A file to read from; `read` raises `Unreadable` for bytes that are no gzip."""

    def __init__(self, part: Part, gzip: bool) -> None:
        self._part = part
        self._number = 0
        self._unzip = zlib.decompressobj(_GZIP) if gzip else None
        self._packed = b""
        self._rest = b""
        self.bytes_read = 0
        """Of the body as it came."""
        self.plain_bytes = 0
        self.has_nul = False

    def read(self, size: int = _PIECE) -> bytes:
        """At most *size* bytes; empty at the end."""
        if not self._rest:
            self._rest = self._piece()
            self.plain_bytes += len(self._rest)
            self.has_nul = self.has_nul or b"\0" in self._rest
            if self.plain_bytes > MOST_PLAIN_BYTES:
                raise Unreadable("too_large", f"unpacked it is larger than {MOST_PLAIN_BYTES >> 30} GiB")
        piece, self._rest = (self._rest, b"") if len(self._rest) <= size else (self._rest[:size], self._rest[size:])
        return piece

    def push_back(self, piece: bytes) -> None:
        """Read *piece* again next."""
        self._rest = piece + self._rest

    def _piece(self) -> bytes:
        if self._unzip is None:
            return self._next_part()
        while True:
            if not self._packed and not self._unzip.unconsumed_tail:
                self._packed = self._next_part()
                if not self._packed:
                    return self._at_end()
            if piece := self._unpacked(self._unzip):
                return piece

    def _unpacked(self, unzip: zlib._Decompress) -> bytes:
        packed = unzip.unconsumed_tail + self._packed if unzip.unconsumed_tail else self._packed
        self._packed = b""
        if unzip.eof:  # gzip files may be put one behind the other
            self._unzip = unzip = zlib.decompressobj(_GZIP)
        try:
            piece = unzip.decompress(packed, _PIECE)
        except zlib.error:
            raise Unreadable("gzip", "the body is declared as gzip and is none, or is damaged") from None
        if unzip.eof:
            self._packed = unzip.unused_data
        return piece

    def _at_end(self) -> bytes:
        if self._unzip is not None and not self._unzip.eof:
            raise Unreadable("gzip", "the gzip ends before its end: it was cut short")
        return b""

    def _next_part(self) -> bytes:
        part = self._part(self._number)
        if part is None:
            return b""
        self._number += 1
        self.bytes_read += len(part)
        return part

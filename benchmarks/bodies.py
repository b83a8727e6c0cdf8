"""Ping requests as bytes: fixed-width rows whose digits are overwritten, so that sending is cheap."""

from __future__ import annotations

import datetime

import numpy as np
from numpy.typing import NDArray

from benchmarks.ground import Floats

Bytes = NDArray[np.uint8]

_ROW = b'{"customer":"%b","lat":00.0000000,"lng":00.0000000,"accuracy_m":8.5,"at":"2026-01-01T00:00:00.000Z"},'
_THREE = np.frombuffer(b"".join(b"%03d" % number for number in range(1000)), np.uint8).reshape(1000, 3)
"""0 to 999 as three digits each: a position is three lookups (two digits before the point and seven behind it)."""
_HEAD, _TAIL = b'{"pings":[', b"]}"


def customer_id(index: int) -> str:
    """The id of a bench's customer; all have one length."""
    return f"c{index:08d}"


class Bodies:
    """The pings of customers 0..n-1 as rows of one matrix of bytes; positions have two digits before the point."""

    def __init__(self, customers: int) -> None:
        rows = b"".join(_ROW % customer_id(index).encode() for index in range(customers))
        self._rows: Bytes = np.frombuffer(rows, np.uint8).reshape(customers, -1).copy()
        sample = _ROW % customer_id(0).encode()
        self._lat = sample.index(b"00.0", sample.index(b'"lat"'))
        self._lng = sample.index(b"00.0", sample.index(b'"lng"'))
        self._at = sample.index(b"2026-")

    def batch(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> bytes:
        """The body that reports customers from *first* on at these places, all at *at_ms* (epoch milliseconds)."""
        return _HEAD + self._written(first, lat, lng, at_ms).tobytes()[:-1] + _TAIL

    def singles(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> list[bytes]:
        """The same as bodies of one ping each."""
        return [row.tobytes()[:-1] for row in self._written(first, lat, lng, at_ms)]

    def _written(self, first: int, lat: Floats, lng: Floats, at_ms: int) -> Bytes:
        rows = self._rows[first : first + len(lat)]
        write_degrees(rows[:, self._lat :], lat)
        write_degrees(rows[:, self._lng :], lng)
        rows[:, self._at : self._at + 24] = np.frombuffer(instant(at_ms), np.uint8)
        return rows


def instant(at_ms: int) -> bytes:
    """RFC 3339 in UTC with milliseconds, 24 bytes."""
    moment = datetime.datetime.fromtimestamp(at_ms // 1000, datetime.UTC)
    return b"%b.%03dZ" % (moment.strftime("%Y-%m-%dT%H:%M:%S").encode(), at_ms % 1000)


def write_degrees(columns: Bytes, degrees: Floats) -> None:
    """Overwrite `00.0000000` at the start of *columns*."""
    tiny = np.rint(degrees * 1e7).astype(np.int32)  # up to 2^31, hence below 100 degrees
    assert len(tiny) == 0 or (tiny.min() >= 10**8 and tiny.max() < 10**9), "two digits before the point"
    thousands, last = np.divmod(tiny, 1000)
    first, middle = np.divmod(thousands, 1000)
    columns[:, 0:2] = _THREE[first, 0:2]
    columns[:, 3] = _THREE[first, 2]
    columns[:, 4:7] = _THREE[middle]
    columns[:, 7:10] = _THREE[last]

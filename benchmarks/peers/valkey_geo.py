"""Valkey's GEOSEARCH: stores in a sorted set, a circle asked for nearest first, stores of other categories thrown away,
and a circle twice as wide when too few are left.

Over a Unix socket and through hiredis, with nothing of a client library in between; distances are not asked for, only
the order. Beside the row's peer: a set of its own for each category, which fits this one filter and no second; and
COUNT ... ANY, whose answers are not the nearest.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Final, NamedTuple

import hiredis
import numpy as np

from benchmarks.geo_shapes import Floats, Longs

ALL: Final = b"stores"
_CHUNK: Final = 1_000
_WIDER: Final = 2.0
_WIDEST_M: Final = 5e6


class Ask(NamedTuple):
    """How GEOSEARCH is used."""

    radius_m: float
    """Of the first circle."""
    most: int
    """COUNT: at most so many answers of the first circle, 0: all."""
    any: bool = False
    """The first that are found, not the nearest."""
    each: bool = False
    """The set of the category alone is asked."""


class ValkeyGeo:
    """Stores 0..S-1 in a running server."""

    def __init__(self, path: Path, at: tuple[Floats, Floats], category: Longs) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(str(path))
        self._reader = hiredis.Reader()
        self._category = category.tolist()
        lat, lng = (axis.tolist() for axis in at)
        for first in range(0, len(lat), _CHUNK):
            for n in range(first, min(first + _CHUNK, len(lat))):
                place = lng[n], lat[n], n
                self._send("GEOADD", ALL, *place)
                self._send("GEOADD", f"{self._category[n]}", *place)
            for _ in range(2 * min(_CHUNK, len(lat) - first)):
                self._answer()

    def close(self) -> None:
        """End the connection."""
        self._line.close()

    def nearest(self, at: tuple[float, float], category: int, k: int, ask: Ask) -> list[int]:
        """The *k* nearest stores of a category, nearest first; all there are within 5,000 km when they are fewer."""
        radius_m, count = ask.radius_m, ask.most
        while True:
            words = ["GEOSEARCH", f"{category}" if ask.each else ALL, "FROMLONLAT", at[1], at[0], "BYRADIUS", radius_m]
            words += ["m", "ASC"]
            if count:
                words += ["COUNT", count, "ANY"] if ask.any else ["COUNT", count]
            found = self._call(*words)
            kept = [n for n in map(int, found) if self._category[n] == category]
            if len(kept) >= k or (radius_m > _WIDEST_M and len(found) != count):
                return kept[:k]
            radius_m, count = _WIDER * radius_m, int(_WIDER**2 * count)

    def _call(self, *words: Any) -> Any:
        self._send(*words)
        return self._answer()

    def _send(self, *words: Any) -> None:
        self._line.sendall(hiredis.pack_command(words))

    def _answer(self) -> Any:
        while (answer := self._reader.gets()) is False:
            self._reader.feed(self._line.recv(1 << 16))
        if isinstance(answer, Exception):
            raise answer
        return answer


def settings(k: int, per_m2: float, categories: int) -> dict[str, list[Ask]]:
    """What may be tried, by purpose; circles with some times as many stores of the category as are asked for."""
    shares = [(share, float(np.sqrt(share * k * categories / (np.pi * per_m2)))) for share in (1.0, 1.5, 2.0, 3.0)]
    return {
        "filter": [Ask(radius_m, count) for share, radius_m in shares for count in (0, round(share * k * categories))],
        "any": [Ask(radius_m, round(share * k * categories), any=True) for share, radius_m in shares],
        "each": [Ask(radius_m, k, each=True) for _, radius_m in shares],
    }

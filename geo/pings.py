"""Who is where: the rows of a partition by their last position.

Follows a `Presence`, whose positions it refers to and does not copy. Its writer is presence's, and tells it of every
change: `follow` the rows of accepted pings (or of any pings: the position that presence has is the one that counts),
`remove` after `forget`, `rebuild` after `unpack`. Answers depend only on who is where, not on how they came there.

Rows are kept by boxes in space (`geo.boxes`), not by H3 cells: a parent cell does not contain its children's points and
knows its neighbours only through the library, so a circle's cells over-include a lot or cost a call each. Boxes halve
exactly. What is published, `density`, is by H3 cell.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import Cells, Floats, Ints, frozen
from geo.boxes import NO_BOX
from geo.cells import encode, parent
from geo.chains import chains_for, follow_all, move, relink
from geo.errors import QueryError
from geo.fence import RADIUS_MAX_M, Circle
from geo.leaves import LEAF_RES
from geo.position import check_position
from geo.presence import Presence
from geo.within import Found, first_radius_m, within

K_LEAST = 50
"""Fewer customers than this are never told as a count."""
_WIDER = 2.0


class NearestRows(NamedTuple):
    """m answers in ascending (distance_m, row)."""

    row: Ints
    """i4[m]"""
    distance_m: Floats
    """f8[m]: great-circle distances."""


class Density(NamedTuple):
    """m cells with enough customers in them."""

    cell: Cells
    """u8[m]: ascending."""
    customers: Ints
    """i4[m]: how many are in each."""


class PingIndex:
    """Mutable; one writer. 22 to 28 bytes for each row there is place for; 42 a row at most, as it grows by half."""

    def __init__(self, presence: Presence) -> None:
        self.presence = presence
        self.rebuild()

    def __len__(self) -> int:
        """Customers with a position."""
        return self._live

    @property
    def nbytes(self) -> int:
        """Bytes held in arrays."""
        return sum(array.nbytes for array in self._chains)

    def rebuild(self) -> None:
        """Read everybody's position anew, in one pass."""
        self._chains, self._live = chains_for(0), 0
        self.follow(np.arange(self.presence.rows, dtype=np.int32))

    def follow(self, rows: Ints) -> None:
        """Put i4[n] rows, in any order, repeats allowed, where presence has them now; those without a position are
        taken out.

        Raises `QueryError`, unchanged, for a row that presence has no place for.
        """
        rows = frozen(rows, np.int32)
        if not rows.size:
            return
        for row in (int(rows.min()), int(rows.max())):
            if not 0 <= row < self.presence.rows:
                raise QueryError(f"row {row} is not among the {self.presence.rows} rows of presence")
        self._reserve(self.presence.rows)
        self._live += follow_all(self._chains, self.presence.customers, rows)

    def remove(self, row: int) -> None:
        """Take one row out; nothing happens if it is not in."""
        if 0 <= row < len(self._chains.links):
            self._live += move(self._chains, int(row), NO_BOX)

    def inside(self, circle: Circle) -> Ints:
        """i4[n]: rows at most `radius_m` from the circle's centre, ascending. Exact."""
        rows: Ints = np.sort(self._within(circle.lat, circle.lng, circle.radius_m).row)
        return rows

    def nearest(self, lat: float, lng: float, k: int) -> NearestRows:
        """The *k* nearest rows, or all if there are fewer. Exact.

        Looks into wider and wider circles until one holds k rows: whoever is outside is farther than all of them.
        Raises `PositionError` for an impossible position, `QueryError` for k < 1.
        """
        check_position(lat, lng)
        if k < 1:
            raise QueryError(f"{k} customers were asked for: at least one")
        found = self._at_least(lat, lng, int(min(k, self._live)))
        order = np.lexsort((found.row, found.distance_m))[:k]
        return NearestRows(found.row[order], found.distance_m[order])

    def density(self, res: int, k: int = K_LEAST) -> Density:
        """The cells of resolution *res* (0 to the leaves') with at least *k* customers. Encodes every position: some
        tenths of a second for a million.

        Raises `QueryError` for k below `K_LEAST` and for another resolution.
        """
        if not k >= K_LEAST:
            raise QueryError(f"counts from {k} customers on are not told: at least {K_LEAST}")
        if not 0 <= res <= LEAF_RES:
            raise QueryError(f"resolution {res} is not in 0..{LEAF_RES}")
        known = self.presence.customers[np.flatnonzero(self._chains.links["box"] != NO_BOX)]
        cell, count = np.unique(parent(encode(known["lat"], known["lng"]), res), return_counts=True)
        told = count >= k
        return Density(cell[told], count[told].astype(np.int32))

    def _at_least(self, lat: float, lng: float, k: int) -> Found:
        """All rows within some distance, *k* of them or more."""
        radius_m = first_radius_m(self._chains, float(lat), float(lng), k)
        while radius_m <= RADIUS_MAX_M and k < self._live:
            found = self._within(lat, lng, radius_m)
            if len(found.row) >= k:
                return found
            radius_m *= _WIDER
        return self._within(lat, lng, math.inf)

    def _within(self, lat: float, lng: float, radius_m: float) -> Found:
        return within(self._chains, self.presence.customers, float(lat), float(lng), float(radius_m))

    def _reserve(self, rows: int) -> None:
        """Make place for rows 0..rows-1; grows by half, never shrinks."""
        old = self._chains.links
        if rows > len(old):
            self._chains = chains_for(max(rows, len(old) + len(old) // 2))
            relink(self._chains, old)

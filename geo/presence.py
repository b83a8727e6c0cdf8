"""Where everybody is: the last fix and the open visits of each customer of one partition.

48 bytes a customer and 48 a visit, in arrays that grow by doubling.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import Flags, Ints, Longs, Records, frozen
from geo.errors import GeoError
from geo.records import (
    CHUNK_ROWS,
    CHUNK_SHIFT,
    CUSTOMER,
    EMITTED,
    NEVER,
    NOBODY,
    TALLIES,
    TRANSITION,
    USED,
    VISIT,
    Reason,
    Work,
)
from geo.visits import end_visit, slots_of, with_room

_FORGOTTEN = int(Reason.FORGOTTEN)
_EMPTY = np.array([(np.nan, np.nan, NEVER, np.nan, NOBODY, 0.0, 0.0, 0.0, 0.0)], CUSTOMER)[0]
ROWS_MAX = (1 << 31) - 1


class Visit(NamedTuple):
    """One open visit."""

    fence: int
    """Position in the index the presence was last advanced with."""
    since_ms: int
    last_ms: int
    """The last fix that agreed with being inside."""
    dwelt_s: int
    """Dwell thresholds up to here have passed."""


class Presence:
    """Mutable; one writer. Rows are dense from 0; a row never heard of is empty."""

    def __init__(self) -> None:
        self.rows = 0
        """Rows there is place for by request; `customers` may be longer."""
        self.customers: Records = np.full(0, _EMPTY, CUSTOMER)
        self.pool: Records = np.empty(64, VISIT)
        self.ends: Longs = np.array([NOBODY, 0], np.int64)
        self.dirty: Flags = np.zeros(0, np.bool_)
        """bool[chunks of CHUNK_ROWS rows]: changed since `take_dirty`."""

    @property
    def nbytes(self) -> int:
        """Bytes held in arrays."""
        return self.customers.nbytes + self.pool.nbytes + self.ends.nbytes + self.dirty.nbytes

    def reserve(self, rows: int) -> None:
        """Make place for rows 0..rows-1; doubles, never shrinks. Raises `GeoError` beyond 2^31 - 1 rows."""
        if rows > ROWS_MAX:
            raise GeoError(f"{rows} rows are more than a partition can hold")
        if rows > len(self.customers):
            length = max(2 * len(self.customers), -(-rows // CHUNK_ROWS) * CHUNK_ROWS)
            more = length - len(self.customers)
            self.customers = np.concatenate([self.customers, np.full(more, _EMPTY, CUSTOMER)])
            self.dirty = np.concatenate([self.dirty, np.zeros(more >> CHUNK_SHIFT, np.bool_)])
        self.rows = max(self.rows, rows)

    def position(self, row: int) -> tuple[float, float, int] | None:
        """(lat, lng, at_ms) of the last accepted fix, or None."""
        if not 0 <= row < self.rows or self.customers[row]["at_ms"] == NEVER:
            return None
        customer = self.customers[row]
        return float(customer["lat"]), float(customer["lng"]), int(customer["at_ms"])

    def visits(self, row: int) -> list[Visit]:
        """Open visits of one customer, in ascending order of fence."""
        if not 0 <= row < self.rows:
            return []
        records = self.pool[self.slots(row, row + 1)]
        records = records[records["begun"] != 0]
        return [Visit(*(int(record[name]) for name in Visit._fields)) for record in records]

    def slots(self, first_row: int, end_row: int) -> Ints:
        """i4[n]: records in `pool` of the visits and claims of rows [first_row, end_row), ordered by (row, fence)."""
        return slots_of(self.work(), first_row, min(end_row, len(self.customers)))

    def inside(self, fence: int) -> Ints:
        """i4[n]: rows with an open visit in the fence at this position of the index, ascending."""
        used = self.pool[: self.ends[USED]]
        rows: Ints = np.sort(used["row"][(used["fence"] == fence) & (used["row"] != NOBODY) & (used["begun"] != 0)])
        return rows

    def idle(self, before_ms: int) -> Ints:
        """i4[n]: rows whose last fix is earlier than *before_ms*, ascending; rows never heard of are not among them."""
        at_ms = self.customers["at_ms"][: self.rows]
        rows: Ints = np.flatnonzero((at_ms != NEVER) & (at_ms < before_ms)).astype(np.int32)
        return rows

    def forget(self, row: int) -> Records:
        """Wipe fix, watermark and visits of one customer; TRANSITION[n], their exits (reason forgotten) at
        the last confirmed moment.
        """
        if not 0 <= row < self.rows:
            return frozen(np.empty(0, TRANSITION), TRANSITION)
        slots = self.slots(row, row + 1)
        work = with_room(self.work(), 0, len(slots))
        for slot in slots:
            end_visit(work, int(slot), NOBODY, _FORGOTTEN, NOBODY, int(work.visits[slot]["last_ms"]))
        self.customers[row] = _EMPTY
        self.dirty[row >> CHUNK_SHIFT] = True
        return self.settle(work)

    def copy(self) -> Presence:
        """The same, to go its own way."""
        other = Presence()
        other.rows = self.rows
        for name in ("customers", "pool", "ends", "dirty"):
            setattr(other, name, getattr(self, name).copy())
        return other

    def void_safe(self) -> None:
        """End every safe region: the fences they were measured against are no longer those in force."""
        self.customers["safe_m"] = 0.0

    def take_dirty(self) -> list[int]:
        """Chunks changed since the last call, ascending; they count as clean from now on."""
        chunks = [int(chunk) for chunk in np.flatnonzero(self.dirty)]
        self.dirty[:] = False
        return chunks

    def work(self, transitions: int = 64) -> Work:
        """What kernels write to, with an empty page for that many transitions at first; `settle` takes it back."""
        tally: Longs = np.zeros(TALLIES, np.int64)
        out = np.empty(transitions, TRANSITION)
        return Work(self.customers, self.pool, self.ends, self.dirty, out, tally, np.empty(64, np.int32))

    def settle(self, work: Work) -> Records:
        """Keep the arrays that a kernel grew; TRANSITION[n], read-only, what it wrote."""
        self.pool = work.visits
        return frozen(work.out[: work.tally[EMITTED]], TRANSITION)

"""Presence: growth, memory, chunks."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from geo.checkpoint import CHUNK_BYTES, pack, unpack
from geo.errors import CheckpointError, GeoError
from geo.fence import Circle
from geo.index import FenceIndex
from geo.presence import Presence
from geo.records import CHUNK_ROWS
from geo.transitions import PING, advance, switch, tick

HERE = (60.1699, 24.9384)
AT_MS = 1_700_000_000_000


def _pings(rows: int, at_ms: int = AT_MS) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    pings = np.zeros(rows, PING)
    pings["row"], pings["lat"], pings["lng"] = np.arange(rows), *HERE
    pings["accuracy_m"], pings["at_ms"] = 5.0, at_ms
    return pings


def _crowd(fences: int, rows: int) -> tuple[Presence, FenceIndex]:
    index = FenceIndex.build([Circle(1_000 + k, *HERE, 30.0 + k) for k in range(fences)])
    presence = Presence()
    advance(presence, index, _pings(rows))
    return presence, index


def test_a_customer_without_a_visit_takes_at_most_a_hundred_bytes() -> None:
    for rows in (CHUNK_ROWS + 1, 100_000, 131_073):
        presence = Presence()
        for reached in range(1_000, rows, 9_000):
            presence.reserve(reached)
        presence.reserve(rows)
        assert presence.nbytes <= 100 * rows


def test_freed_visits_are_used_again() -> None:
    presence, index = _crowd(fences=3, rows=2_000)
    held = presence.nbytes
    for turn in range(1, 6):
        switch(presence, index, FenceIndex.empty(), AT_MS)
        advance(presence, index, _pings(2_000, AT_MS + 30_000 * turn))
    assert presence.nbytes == held
    assert presence.inside(2).tolist() == list(range(2_000))


def test_growing_keeps_everything() -> None:
    presence, _ = _crowd(fences=2, rows=10)
    before = [(presence.position(row), presence.visits(row)) for row in range(10)]
    presence.reserve(50_000)
    assert [(presence.position(row), presence.visits(row)) for row in range(10)] == before
    assert presence.position(49_999) is None
    assert presence.visits(1 << 30) == []


def test_more_rows_than_a_partition_holds_are_refused() -> None:
    with pytest.raises(GeoError, match="rows"):
        Presence().reserve(1 << 31)


def test_chunks_become_dirty_by_what_changes_them_and_by_nothing_else() -> None:
    index = FenceIndex.build([Circle(1, *HERE, 30.0, (60,))])
    more = FenceIndex.build([Circle(1, *HERE, 30.0, (60, 90)), Circle(2, 0.0, 0.0, 30.0)])
    presence = Presence()
    assert presence.take_dirty() == []
    advance(presence, index, _pings(3 * CHUNK_ROWS)[[5, 2 * CHUNK_ROWS]])
    assert presence.take_dirty() == [0, 2]
    advance(presence, index, _pings(6))  # row 5 sends a duplicate
    assert presence.take_dirty() == [0]
    advance(presence, index, _pings(6)[5:])
    tick(presence, index, AT_MS + 59_000)
    assert presence.take_dirty() == []
    tick(presence, index, AT_MS + 60_000)
    assert presence.take_dirty() == [0, 2]
    switch(presence, index, index, AT_MS)
    assert presence.take_dirty() == []
    switch(presence, index, more, AT_MS)
    assert presence.take_dirty() == [0, 2]
    presence.forget(2 * CHUNK_ROWS)
    assert presence.take_dirty() == [2]
    switch(presence, more, FenceIndex.empty(), AT_MS)
    assert presence.take_dirty() == [0]


def test_a_chunk_names_fences_by_id_and_drops_the_unknown_ones() -> None:
    presence, index = _crowd(fences=3, rows=2)
    data = pack(presence, index, 0)
    other = FenceIndex.build([Circle(fence, *HERE, 30.0) for fence in (1_002, 5, 1_000)])
    again = Presence()
    unpack(again, other, 0, data)
    assert [visit.fence for visit in again.visits(1)] == [1, 2]
    assert [visit._replace(fence=0) for visit in again.visits(1)] == [
        visit._replace(fence=0) for visit in presence.visits(1)[::2]
    ]
    assert again.take_dirty() == [0]


def test_unpacking_replaces_what_was_there() -> None:
    presence, index = _crowd(fences=2, rows=4)
    empty = pack(Presence(), index, 0)
    unpack(presence, index, 0, empty)
    assert [presence.position(row) for row in range(4)] == [None] * 4
    assert presence.inside(0).tolist() == []
    assert presence.take_dirty() == []
    assert len(empty) < 200


def test_a_crowded_chunk_still_fits_and_a_monstrous_one_says_so() -> None:
    presence, index = _crowd(fences=20, rows=CHUNK_ROWS)
    data = pack(presence, index, 0)
    assert len(data) <= CHUNK_BYTES < 20 * CHUNK_ROWS * 26
    again = Presence()
    unpack(again, index, 0, data)
    assert again.visits(CHUNK_ROWS - 1) == presence.visits(CHUNK_ROWS - 1)
    rng = np.random.default_rng(5)
    presence.pool["since_ms"] = rng.integers(0, 1 << 50, len(presence.pool))
    presence.pool["last_ms"] = rng.integers(0, 1 << 50, len(presence.pool))
    with pytest.raises(CheckpointError, match="more than"):
        pack(presence, index, 0)


@pytest.mark.parametrize("fault", ["empty", "short", "magic", "flipped", "other chunk"])
def test_bytes_that_are_not_this_chunk_are_refused_and_change_nothing(fault: str) -> None:
    presence, index = _crowd(fences=2, rows=4)
    data = pack(presence, index, 0)
    bad = {
        "empty": b"",
        "short": data[:-1],
        "magic": b"CMP9" + data[4:],
        "flipped": data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
        "other chunk": data,
    }[fault]
    before = presence.visits(3)
    with pytest.raises(CheckpointError):
        unpack(presence, index, int(fault == "other chunk"), bad)
    assert presence.visits(3) == before


def test_the_bytes_of_a_chunk_do_not_depend_on_the_order_of_arrival() -> None:
    index = FenceIndex.build([Circle(1, *HERE, 30.0), Circle(2, *HERE, 90.0)])
    packed = set()
    for order in ([0, 1, 2], [2, 0, 1]):
        presence = Presence()
        advance(presence, index, _pings(3)[order])
        packed.add(zlib.crc32(pack(presence, index, 0)))
    assert len(packed) == 1

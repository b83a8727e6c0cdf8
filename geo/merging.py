"""Two indexes as one: a large one with a few fences more, in a fraction of the time of compiling it anew.

Nothing is laid or tiled again. What is kept by fence is put into the order of all of them; postings are read back,
merged and laid. The arrays are those that `FenceIndex.build` makes of all the fences together, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from geo.arrays import Cells, Ints, Longs, frozen
from geo.errors import FenceError
from geo.index import FenceIndex, in_space
from geo.kernels import kernel
from geo.postings import BITS, FIRST, KEY_NEAR, NEAR, OWN, PARTS, WORDS, key_at, laid, span_of
from geo.rings import ends
from geo.table import KEY

_ONE = np.uint64(1)


def merged(one: FenceIndex, other: FenceIndex) -> FenceIndex:
    """The index of the fences of both. Raises `FenceError` when both have one of the same id."""
    ids = np.concatenate([one.fence, other.fence])
    place = np.argsort(ids, kind="stable")
    ids = ids[place]
    if (repeated := ids[1:][ids[1:] == ids[:-1]]).size:
        raise FenceError(f"two fences carry the id {repeated[0]}")
    plain = {name: _both(one, other, name)[place] for name in ("lat", "lng", "radius_m", "reach_m")}
    order, rank = in_space(plain["lat"], plain["lng"])
    was = np.concatenate([one.rank, other.rank + np.int32(len(one))])[place[order]]
    arrays = {
        **plain,
        **{name: _both(one, other, name)[was] for name in ("centre", "frame")},
        **_shapes(one, other, was),
        **_postings(one, other, was),
        **_dwells(one, other, place),
    }
    return FenceIndex.from_arrays(arrays | {"fence": ids, "order": order, "rank": rank})


def with_dwells(index: FenceIndex, dwells_s: Mapping[int, tuple[int, ...]]) -> FenceIndex:
    """*index* with these thresholds, ascending and distinct, of the fences at these positions; it shares all else."""
    if not dwells_s:
        return index
    given = np.concatenate([np.array(one, np.int32) for one in dwells_s.values()])
    which = np.arange(len(index))
    which[list(dwells_s)] = len(index) + np.arange(len(dwells_s))
    dwells = _runs(index.dwell_ptr, ends([len(one) for one in dwells_s.values()]), which)
    values = np.concatenate([index.dwell_s, given])[dwells.value]
    return replace(index, dwell_ptr=frozen(dwells.ptr, np.int32), dwell_s=frozen(values, np.int32))


def _both(one: FenceIndex, other: FenceIndex, name: str) -> Any:
    return np.concatenate([getattr(one, name), getattr(other, name)])


class _Runs(NamedTuple):
    """Runs of values of two arrays, one behind the other, in another order."""

    value: Longs
    """i8[n]: which values, in that order."""
    ptr: Longs
    """i8[runs + 1]: where each begins now."""
    was: Longs
    """i8[runs]: where each began."""


def _runs(one: Ints | Longs, other: Ints | Longs, which: Ints | Longs) -> _Runs:
    """Of two arrays' pointers, CSR, the runs *which*."""
    start = np.concatenate([one[:-1].astype(np.int64), other[:-1] + np.int64(one[-1])])[which]
    count = np.concatenate([np.diff(one), np.diff(other)])[which]
    ptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(count, dtype=np.int64)])
    return _Runs(np.repeat(start - ptr[:-1], count) + np.arange(ptr[-1]), ptr, start)


def _shapes(one: FenceIndex, other: FenceIndex, was: Ints) -> dict[str, Any]:
    """Outlines and tiles by rank; words of tiles are counted from their polygon's own, chains are not."""
    words, vertices = (_runs(one.tile_at[:, k], other.tile_at[:, k], was) for k in (0, 1))
    chains, boxes = (_runs(getattr(one, name), getattr(other, name), was) for name in ("chain_ptr", "box_ptr"))
    chain = np.concatenate([one.chain, other.chain + np.int32(len(one.vertex))])[chains.value]
    moved = np.repeat(vertices.ptr[:-1] - vertices.was, np.diff(chains.ptr))
    return {
        "vertex": _both(one, other, "vertex")[vertices.value],
        "chain": chain + moved[:, None],
        "chain_ptr": chains.ptr,
        "box": _both(one, other, "box")[boxes.value],
        "box_ptr": boxes.ptr,
        "tile": _both(one, other, "tile")[words.value],
        "tile_at": np.stack([words.ptr, vertices.ptr], axis=1),
    }


def _dwells(one: FenceIndex, other: FenceIndex, place: Longs) -> dict[str, Any]:
    dwells = _runs(one.dwell_ptr, other.dwell_ptr, place)
    return {"dwell_ptr": dwells.ptr, "dwell_s": _both(one, other, "dwell_s")[dwells.value]}


def _postings(one: FenceIndex, other: FenceIndex, was: Ints) -> dict[str, Any]:
    becomes = np.empty_like(was)
    becomes[was] = np.arange(len(was), dtype=np.int32)
    a, b = _read(one, becomes[: len(one)]), _read(other, becomes[len(one) :])
    key, fence = np.empty(len(a[0]) + len(b[0]), np.uint64), np.empty(len(a[0]) + len(b[0]), np.int32)
    _merge(a, b, key, fence)
    return laid(key, fence)


def _read(index: FenceIndex, becomes: Ints) -> tuple[Cells, Ints]:
    """(u8[n], i4[n]): keys and postings as `geo.postings.laid` takes them, with new ranks, which ascend as the old."""
    groups = index.group[index.group[:, KEY] != 0]
    groups = frozen(groups[np.argsort(groups[:, FIRST])], np.uint64)
    key, fence = np.empty(len(index.posting), np.uint64), np.empty(len(index.posting), np.int32)
    count = _read_all(groups, (index.node, index.posting), frozen(becomes, np.int32), key, fence)
    return frozen(key[:count], np.uint64), frozen(fence[:count], np.int32)


@kernel
def _read_all(groups: Cells, blocks: tuple[Cells, Ints], becomes: Ints, key: Cells, fence: Ints) -> int:
    """Write keys and postings of all nodes; how many. groups: rows of the table, in the order of their nodes."""
    count, node = 0, 0
    for g in range(len(groups)):
        for word in range(7):
            bits = groups[g, WORDS + word]
            for bit in range(64):
                if (bits >> np.uint64(bit)) & _ONE:
                    first = key_at(groups[g, KEY], np.uint64(word * 64 + bit))
                    count = _read_node(blocks, node, (first, becomes), key, fence, count)
                    node += 1
    return count


@kernel
def _read_node(
    blocks: tuple[Cells, Ints], node: int, how: tuple[np.uint64, Ints], key: Cells, fence: Ints, count: int
) -> int:
    """The same of one node behind the first *count*."""
    (nodes, posting), (first, becomes) = blocks, how
    own, near, bits = nodes[node, OWN], nodes[node, NEAR], nodes[node, BITS]
    pointer = int(np.int64(nodes[node, PARTS]))
    start, end = span_of(own)
    count = _read_run(posting, (start, end), (first, becomes), key, fence, count)
    for bit in range(64):
        if (bits >> np.uint64(bit)) & _ONE:
            part = first | (np.uint64(bit + 1) << _ONE)
            run = int(posting[pointer]), int(posting[pointer + 1])
            count = _read_run(posting, run, (part, becomes), key, fence, count)
            pointer += 1
    start, end = span_of(near)
    return _read_run(posting, (start, end), (first | (KEY_NEAR << _ONE), becomes), key, fence, count)


@kernel
def _read_run(
    posting: Ints, run: tuple[int, int], how: tuple[np.uint64, Ints], key: Cells, fence: Ints, count: int
) -> int:
    """The same of one run."""
    first, becomes = how
    for at in range(run[0], run[1]):
        r = posting[at]
        inside = r < 0
        key[count] = first if inside else first | _ONE
        fence[count] = ~becomes[~r] if inside else becomes[r]
        count += 1
    return count


@kernel
def _merge(one: tuple[Cells, Ints], other: tuple[Cells, Ints], key: Cells, fence: Ints) -> None:
    """Both runs, which ascend by key and by rank, as one."""
    (key_a, fence_a), (key_b, fence_b), a, b = one, other, 0, 0
    for at in range(len(key)):
        take = b == len(key_b)
        if not take and a < len(key_a):
            same = key_a[a] == key_b[b]
            take = key_a[a] < key_b[b] or (same and _rank(fence_a[a]) < _rank(fence_b[b]))
        if take:
            key[at], fence[at] = key_a[a], fence_a[a]
            a += 1
        else:
            key[at], fence[at] = key_b[b], fence_b[b]
            b += 1


@kernel
def _rank(posting: int) -> int:
    return ~posting if posting < 0 else posting

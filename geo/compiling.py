"""Fences to arrays, a chunk at a time: each chunk alone, so that chunks may be compiled side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from geo.arrays import Floats, frozen
from geo.cover import Covers, covers
from geo.extent import extents
from geo.fence import Circle
from geo.near import near_cells
from geo.outline import Outlines, joined, outlines_of
from geo.polygon import Polygon
from geo.rings import rings_of
from geo.tiles import Tiles, tiles_joined
from geo.tiling import tiles_of

Fence: TypeAlias = Circle | Polygon
Told: TypeAlias = Callable[[int, int], None]
"""Called after each chunk with how many fences are compiled, and of how many."""

CHUNK = 4_096


class Each(Protocol):
    """What compiles the chunks: `map`, or that of a pool of threads; kernels give up the interpreter lock."""

    def __call__(
        self, compile_one: Callable[[Sequence[Fence]], Compiled], chunks: Iterable[Sequence[Fence]], /
    ) -> Iterator[Compiled]: ...


class Compiled(NamedTuple):
    """What is compiled of F fences, each by itself."""

    around: Floats
    """f8[F, 4]: latitude, longitude, radius and reach as in `FenceIndex`."""
    outlines: Outlines
    tiles: Tiles
    covers: Covers
    near: Covers
    """Cells of `geo.near`."""


def compiled(fences: Sequence[Fence], each: Each, told: Told | None) -> Compiled:
    """All of them, in order; the same arrays whatever *each* does."""
    chunks = [fences[start : start + CHUNK] for start in range(0, len(fences), CHUNK)]
    parts: list[Compiled] = []
    done = 0
    for part in each(_chunk, chunks):
        parts.append(part)
        done += len(part.around)
        if told is not None:
            told(done, len(fences))
    return _put_together(parts) if parts else _chunk([])


def _chunk(fences: Sequence[Fence]) -> Compiled:
    rings = rings_of([[] if isinstance(fence, Circle) else fence.drawn for fence in fences])
    around = np.array([_circle(fence) for fence in fences], np.float64).reshape(-1, 4)
    extents(rings, around)
    outlines = outlines_of(rings)
    around = frozen(around, np.float64)
    return Compiled(around, outlines, tiles_of(outlines), covers(around, outlines), near_cells(around, outlines))


def _circle(fence: Fence) -> tuple[float, float, float, float]:
    """A row of `Compiled.around`; zeros for a polygon."""
    if isinstance(fence, Circle):
        return fence.lat, fence.lng, fence.radius_m, fence.radius_m
    return 0.0, 0.0, 0.0, 0.0


def _put_together(parts: Sequence[Compiled]) -> Compiled:
    starts = np.cumsum([0, *(len(part.around) for part in parts)]).tolist()
    return Compiled(
        np.concatenate([part.around for part in parts]),
        joined([part.outlines for part in parts]),
        tiles_joined([part.tiles for part in parts]),
        _cells_together([part.covers for part in parts], starts),
        _cells_together([part.near for part in parts], starts),
    )


def _cells_together(parts: Sequence[Covers], starts: Sequence[int]) -> Covers:
    return Covers(
        np.concatenate([part.cell for part in parts]),
        np.concatenate([part.fence + np.int32(start) for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.inside for part in parts]),
    )


def dwells(fences: Sequence[Fence]) -> dict[str, Any]:
    """`dwell_ptr` and `dwell_s` of `FenceIndex`."""
    each = [sorted(set(fence.dwells_s)) for fence in fences]
    ends = np.cumsum([0, *map(len, each)])
    return {
        "dwell_ptr": ends.astype(np.int32),
        "dwell_s": np.array([s for one in each for s in one], np.int32),
    }

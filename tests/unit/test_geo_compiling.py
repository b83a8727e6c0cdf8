"""Many fences compiled in chunks: the same index whoever compiles them, and told as it goes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import geo.compiling
from geo.compiling import Compiled, Each, Fence
from geo.fence import Circle
from geo.index import FenceIndex
from tests.reference.geo_polygons import archipelago, polygon

TOWN = (60.17, 24.94)


def _fences(count: int) -> list[Fence]:
    dice = random.Random(20260804)
    fences: list[Fence] = []
    for k in range(count):
        at = (TOWN[0] + dice.uniform(-0.1, 0.1), TOWN[1] + dice.uniform(-0.1, 0.1))
        if k % 3:
            fences.append(Circle(k, *at, 10.0 ** dice.uniform(0.0, 4.0)))
        else:
            fences.append(polygon(k, archipelago(dice, at, 10.0 ** dice.uniform(2.0, 4.0), 12, k % 4)))
    return fences


def _bytes(index: FenceIndex) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in index.arrays().items()}


def _eager(work: Callable[[Sequence[Fence]], Compiled], chunks: Iterable[Sequence[Fence]], /) -> Iterator[Compiled]:
    """Chunks compiled last to first."""
    return iter([work(chunk) for chunk in list(chunks)[::-1]][::-1])


@pytest.mark.parametrize("chunk", [1, 7, 40, 1_000])
@pytest.mark.parametrize("each", [map, _eager])
def test_an_index_does_not_depend_on_the_chunks(chunk: int, each: Each, monkeypatch: pytest.MonkeyPatch) -> None:
    fences = _fences(40)
    wanted = _bytes(FenceIndex.build(fences))
    monkeypatch.setattr(geo.compiling, "CHUNK", chunk)
    assert _bytes(FenceIndex.build(fences, each)) == wanted


def test_threads_compile_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fences = _fences(60)
    wanted = _bytes(FenceIndex.build(fences))
    monkeypatch.setattr(geo.compiling, "CHUNK", 5)
    with ThreadPoolExecutor(2) as pool:
        assert _bytes(FenceIndex.build(fences, pool.map)) == wanted


def test_it_is_told_after_each_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geo.compiling, "CHUNK", 4)
    told: list[tuple[int, int]] = []
    FenceIndex.build(_fences(10), told=lambda done, total: told.append((done, total)))
    assert told == [(4, 10), (8, 10), (10, 10)]


def test_no_fences_are_an_index_too() -> None:
    told: list[tuple[int, int]] = []
    index = FenceIndex.build([], told=lambda done, total: told.append((done, total)))
    assert len(index) == 0 and told == []
    assert np.array_equal(index.upper, np.empty(0, np.int32))

"""Compiled code: once, kept, and never stale."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import Any

import numpy as np

import geo
from geo.approach import Approaches, Leads
from geo.arrays import frozen
from geo.checkpoint import pack, unpack
from geo.fence import Circle
from geo.index import FenceIndex
from geo.kernels import DISPATCHERS, STAMP, stamp, stamp_of
from geo.match import match
from geo.nearest import StoreIndex, nearest
from geo.pings import PingIndex
from geo.presence import Presence
from geo.settling import Settling
from geo.starting import appeared, arrive, meet
from geo.starts import starts_of
from geo.transitions import PING, TRANSITION, advance, switch, tick


def _signatures() -> dict[str, int]:
    return {str(dispatcher): len(dispatcher.signatures) for dispatcher in DISPATCHERS}


def test_after_warming_nothing_is_compiled_any_more(tmp_path: Path) -> None:
    geo.warm()
    before = _signatures()
    assert max(before.values()) >= 1
    index = FenceIndex.build([Circle(fence, 60.0, 25.0, 10.0 * 3**fence, (60, 90)) for fence in range(1, 8)])
    for name, array in index.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped = FenceIndex.from_arrays({name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in index.arrays()})
    for some in (index, mapped):
        presence = Presence()
        pings = np.array([(row, 60.0, 25.0, 5.0, 9) for row in range(200)], PING)
        pings.flags.writeable = some is index
        advance(presence, some, pings[::2])
        lat = np.full((4, 2), 60.0)[:, 0]
        match(some, lat, lat)
        tick(presence, some, 100_000)
        unpack(presence, some, 0, pack(presence, some, 0))
        places = PingIndex(presence)
        few: Any = np.arange(0, 20, 2)
        places.follow(few)
        places.inside(Circle(1, 60, 25, 100))
        places.nearest(60, 25, few[2])
        places.density(9)
        fences = appeared(FenceIndex.empty(), some)
        advance(presence, some, pings[1::2], starts=starts_of(fences, fences.astype(np.int64) + 1))
        meet(presence, fences[::2], 0)
        arrive(places, some, fences[::2], 0)
        presence.forget(2)
        places.remove(few[1])
        switch(presence, some, FenceIndex.empty(), 100_000)
        settling = Settling()
        settling.hear(pings[::3], 1)
        settling.settle(some, 1 << 40)
        leads = Leads(*[frozen(np.arange(5), np.int32)] * 2)
        walk = np.array([(0, 60.001, 25.0 + 0.001 * k, 5.0, 60_000 * k) for k in range(3)], PING)
        Approaches().advance(some, leads, walk[::-1][::-1], np.zeros(0, TRANSITION))
    stores = StoreIndex.build(np.arange(9), np.full(9, 60), np.full(9, 25))
    for name, array in stores.arrays().items():
        np.save(tmp_path / f"{name}.npy", array)
    mapped_stores = StoreIndex.from_arrays(
        {name: np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in stores.arrays()}
    )
    for each in (stores, mapped_stores):
        nearest(each, 60, 25, 4, np.arange(9) > 3, 100)
    assert _signatures() == before


def test_a_frozen_array_is_plain_and_shares_memory_where_it_can(tmp_path: Path) -> None:
    given = np.arange(4.0)
    array = frozen(given, np.float64)
    assert given.flags.writeable and np.shares_memory(given, array)
    assert frozen(array, np.float64) is array
    np.save(tmp_path / "kept.npy", given)
    unaligned = np.frombuffer(b"\0" + given.tobytes(), np.uint8)[1:].view(np.float64)
    assert not unaligned.flags.aligned
    mapped = np.load(tmp_path / "kept.npy", mmap_mode="r")
    for values in (given, given.tolist(), np.repeat(given, 2)[::2], given.astype(">f8"), mapped, unaligned):
        array = frozen(values, np.float64)
        assert type(array) is np.ndarray and array.dtype == np.float64 and array.tolist() == given.tolist()
        assert array.flags.c_contiguous and array.flags.aligned and not array.flags.writeable


def test_an_edited_constant_in_another_file_is_noticed(tmp_path: Path) -> None:
    folder = Path(geo.__file__).parent
    shutil.copytree(folder, tmp_path / "geo", ignore=shutil.ignore_patterns("__pycache__"))
    assert stamp(tmp_path / "geo") == stamp(folder) == STAMP
    units = tmp_path / "geo" / "units.py"
    units.write_text(units.read_text().replace("6_371_008.8", "6_371_000.0"))
    assert stamp(tmp_path / "geo") != STAMP


def test_all_compiled_code_is_kept_in_the_folder_of_its_sources() -> None:
    geo.warm()
    for dispatcher in DISPATCHERS:
        folder = Path(dispatcher._cache.cache_path)
        sources = Path(inspect.getfile(dispatcher.py_func)).parent
        assert folder.name == f"kernels-{stamp_of(sources)[:16]}"
        if dispatcher.signatures:
            assert list(folder.glob(f"*.{dispatcher.py_func.__name__}-*.nbc"))

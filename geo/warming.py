"""Every kernel run once on a tiny world, with exactly the array types that the rest of the package passes.

In two parts, about as long: two processes may compile them side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Final

import numpy as np

from geo.approach import TOLD, Approaches, Leads
from geo.arrays import frozen
from geo.checkpoint import pack, unpack
from geo.fence import Circle
from geo.index import FenceIndex
from geo.kernels import DISPATCHERS
from geo.match import MANY, match
from geo.merging import merged
from geo.nearest import StoreIndex, nearest
from geo.pings import PingIndex
from geo.polygon import polygon
from geo.presence import Presence
from geo.records import NOBODY, RULES
from geo.settling import Settling
from geo.starting import appeared, arrive
from geo.transitions import PING, advance, switch, tick
from geo.visits import open_visit, with_room

_SHAPES: Final = {
    "centre": (0, 4),
    "group": (8, 10),
    "node": (1, 4),
    "posting": (2,),
    "dwell_ptr": (1,),
    "vertex": (0, 2),
    "chain": (0, 2),
    "chain_ptr": (1,),
    "box": (0, 4),
    "box_ptr": (1,),
    "frame": (0, 4),
    "tile_at": (1, 2),
}
"""Of arrays of an index of no fences; all others are (0,)."""


def warm() -> None:
    """Compile or load all kernels."""
    for part in PARTS:
        part()


def folders() -> set[str]:
    """Where the kernels are kept, as `name-*.nbi`; none where no folder is writable."""
    return {kernel._cache.cache_path for kernel in DISPATCHERS if kernel._cache.cache_path}


def _build() -> None:
    """What makes indexes."""
    square = polygon(2, [(-0.001, -0.001), (-0.001, 0.001), (0.001, 0.001), (0.001, -0.001)])
    index = FenceIndex.build([Circle(fence=1, lat=0.0, lng=0.0, radius_m=100.0, dwells_s=(60,)), square])
    merged(index, FenceIndex.build([Circle(fence=3, lat=0.0, lng=0.0, radius_m=200.0)]))


def _serve() -> None:
    """What asks them, on one that needed no kernel."""
    names = [field.name for field in fields(FenceIndex)]
    index = FenceIndex.from_arrays({name: np.zeros(_SHAPES.get(name, (0,))) for name in names})
    presence = Presence()
    advance(presence, index, np.array([(0, 0.0, 0.0, 5.0, 0)], PING))
    match(index, np.zeros(MANY), np.zeros(MANY))
    tick(presence, index, 60_000)
    settling = Settling()
    settling.hear(np.array([(0, 0.0, 0.0, 5.0, 0)], PING), 0)
    settling.settle(index, 1 << 40)
    _approach(index)
    switch(presence, index, index, 60_000)
    unpack(presence, index, 0, pack(presence, index, 0))
    pings = PingIndex(presence)
    arrive(pings, index, appeared(index, index), 0)
    pings.inside(Circle(fence=1, lat=0.0, lng=0.0, radius_m=100.0))
    pings.nearest(0.0, 0.0, 1)
    work = with_room(presence.work(), 1, 0)
    open_visit(work, 0, NOBODY, 0, 0)
    presence.settle(work)
    presence.forget(0)  # a customer with a visit
    pings.remove(0)
    nearest(StoreIndex.build(np.zeros(1, np.int64), np.zeros(1), np.zeros(1)), 0.0, 0.0, 1)


def _approach(index: FenceIndex) -> None:
    """Somebody who goes on, and who was told of a fence that is gone."""
    approaches, leads = Approaches(), Leads(*[frozen(np.zeros(0), np.int32)] * 2)
    approaches.told = np.array([(0, 7, 60, 1.0)], TOLD)
    walk = np.array([(0, 0.0, 0.01 * k, 5.0, 60_000 * k) for k in range(3)], PING)
    approaches.follow(index, leads, walk, RULES)


PARTS: Final[tuple[Callable[[], None], ...]] = (_serve, _build)
"""To be run all of them, in any order; the later ones leave to the first what they share."""

"""Every kernel run once on a tiny world, with exactly the array types that the rest of the package passes."""

from __future__ import annotations

import numpy as np

from geo.checkpoint import pack, unpack
from geo.fence import Circle
from geo.index import FenceIndex
from geo.match import MANY, match
from geo.nearest import StoreIndex, nearest
from geo.pings import PingIndex
from geo.polygon import polygon
from geo.presence import Presence
from geo.sphere import pair_distance_m
from geo.starting import appeared, arrive
from geo.transitions import PING, advance, switch, tick


def warm() -> None:
    """Compile or load all kernels."""
    square = polygon(2, [(-0.001, -0.001), (-0.001, 0.001), (0.001, 0.001), (0.001, -0.001)])
    index = FenceIndex.build([Circle(fence=1, lat=0.0, lng=0.0, radius_m=100.0, dwells_s=(60,)), square])
    presence = Presence()
    match(index, np.zeros(MANY), np.zeros(MANY))
    advance(presence, index, np.array([(0, 0.0, 0.0, 5.0, 0)], PING))
    tick(presence, index, 60_000)
    switch(presence, index, index, 60_000)
    unpack(presence, index, 0, pack(presence, index, 0))
    pings = PingIndex(presence)
    arrive(pings, index, appeared(FenceIndex.empty(), index), 0)
    pings.inside(Circle(fence=1, lat=0.0, lng=0.0, radius_m=100.0))
    pings.nearest(0.0, 0.0, 1)
    presence.forget(0)
    pings.remove(0)
    nearest(StoreIndex.build(np.zeros(1, np.int64), np.zeros(1), np.zeros(1)), 0.0, 0.0, 1)
    pair_distance_m(0.0, 0.0, 0.0, 1.0)

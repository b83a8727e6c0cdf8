"""A polygon fence: one or more polygons with holes, edges straight in longitude and latitude (RFC 7946, 3.1.1).

Half-open: a point on an edge belongs to the polygon east of it, on a level edge to the one north of it. So of
two polygons that share an edge exactly one takes a point on it. To the bit if both lie on one side of ±180°;
across it, coordinates carried a turn further round to some nanometres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from geo.errors import FenceError
from geo.fence import check_terms
from geo.rings import Parts, Ring
from geo.shapes import sound
from geo.unwrapping import unwrapped


@dataclass(frozen=True)
class Polygon:
    """Raises `FenceError`, with the reason, when no such fence can be built; `geo.rings` has the limits."""

    fence: int
    """Stable id, int64; the same fence keeps it through every compile."""
    parts: tuple[tuple[Ring, ...], ...]
    """Each part: its outer ring, then its holes; (lat, lng) in degrees. Direction does not matter, the last
    vertex may repeat the first. Longitudes may go on past ±180°; a step of more than 180° is taken the short
    way.
    """
    dwells_s: tuple[int, ...] = ()
    """Thresholds of dwell in whole seconds, 1 s to 24 h, any order, repeats allowed."""

    def __post_init__(self) -> None:
        check_terms(self.fence, self.dwells_s)
        try:
            _ = self.drawn
        except FenceError as error:
            raise FenceError(f"fence {self.fence}: {error}") from None

    @cached_property
    def drawn(self) -> Parts:
        """The rings as checked, closed, unwrapped arrays; parts that touch are one."""
        return sound(unwrapped(self.parts))


def polygon(fence: int, ring: Ring, holes: Sequence[Ring] = (), dwells_s: tuple[int, ...] = ()) -> Polygon:
    """The fence of one ring with holes."""
    return Polygon(fence, ((tuple(ring), *map(tuple, holes)),), dwells_s)

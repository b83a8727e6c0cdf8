"""Areas: fences that a retailer draws once, as GeoJSON polygons, and names in its campaigns."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.http.problems import Fault
from engine.http.wire import Code, Text
from engine.loader.geojson import why_not_closed, why_not_degrees
from engine.loader.kinds.kind import Cells, Counts, Order, RowKind
from engine.loader.known import Known
from engine.postgres import queries
from offers.grounds import why_not_drawn


class NewArea(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The surroundings of a store, drawn."""

    code: Code
    store: Code
    geometry: Annotated[dict[str, Any], Meta(description="GeoJSON Polygon or MultiPolygon")]
    name: Text | None = None


def _of_cells(cells: Cells, _: Known) -> Any:
    raise AssertionError("areas are drawn as GeoJSON")


def _check(area: NewArea, row: int, known: Known) -> list[Fault]:
    faults = []
    if area.store not in known.codes.stores:
        faults.append(Fault("unknown_store", "the retailer has no such store", "store", row))
    why = why_not_degrees(area.geometry) or why_not_closed(area.geometry) or why_not_drawn(area.geometry)
    if why is not None:
        faults.append(Fault("geometry", why[:300], "geometry", row))
    return faults


def _stage(area: NewArea, _: Known) -> tuple[str, Any]:
    return area.code, msgspec.structs.asdict(area)


async def _store(connection: Any, known: Known, order: Order) -> Counts:
    row = await queries.loader.merge_areas(connection, retailer=known.retailer)
    ended = await queries.loader.end_missing_areas(connection) if order.replace else 0
    return Counts(row["created"], row["updated"], row["unchanged"], ended)


AREAS = RowKind(
    member="areas",
    struct=NewArea,
    columns={},
    required=frozenset(),
    of_cells=_of_cells,
    check=_check,
    stage=_stage,
    store=_store,
)

"""Stores: as JSON, as a table, or as GeoJSON points with the same names as properties."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from engine.http.problems import Fault
from engine.http.stores import Store, faults_of
from engine.loader.kinds.kind import Cells, Counts, Order, RowKind, listed
from engine.loader.known import Known
from engine.postgres import queries
from geo.cells import encode

_COLUMNS = {
    **{name: name for name in Store.__struct_fields__},
    "store_code": "code",
    "store_name": "name",
    "latitude": "lat",
    "longitude": "lng",
    "lon": "lng",
    "timezone": "zone",
    "hours": "opening_hours",
    "labels": "tags",
}


def _of_cells(cells: Cells, _: Known) -> Any:
    return {name: listed(text) if name == "tags" else text for name, text in cells.items()}


def _check(store: Store, row: int, _: Known) -> list[Fault]:
    faults = faults_of(store, row)
    if not (np.isfinite(store.lat) and np.isfinite(store.lng)):
        faults.append(Fault("range", "not a number", "lat", row))
    return faults


def _stage(store: Store, _: Known) -> tuple[str, Any]:
    cell = int(encode(np.array([store.lat]), np.array([store.lng])).astype(np.int64)[0])
    return store.code, msgspec.structs.asdict(store) | {"cell": cell}


async def _store(connection: Any, known: Known, order: Order) -> Counts:
    row = await queries.loader.merge_stores(connection, retailer=known.retailer)
    ended = await queries.loader.close_missing(connection) if order.replace else 0
    return Counts(row["created"], row["updated"], row["unchanged"], ended)


STORES = RowKind(
    member="stores",
    struct=Store,
    columns=_COLUMNS,
    required=frozenset({"code", "name", "lat", "lng", "zone"}),
    of_cells=_of_cells,
    check=_check,
    stage=_stage,
    store=_store,
)

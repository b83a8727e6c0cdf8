"""Stores: uploaded in bulk, known by the retailer's own code."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from engine.http.bulk import Uploaded, repeated, uploaded
from engine.http.call import Call
from engine.http.paging import after, next_link
from engine.http.problems import Fault, Problem
from engine.http.wire import ZONES, Code, Country, Lat, Lng, Number, Text, Zone
from engine.postgres import queries
from geo.cells import encode
from offers.errors import InvalidHours
from offers.hours import check

Tags = Annotated[list[Text], Meta(max_length=50, description="Your own words, by which campaigns name stores.")]


class Store(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place of a retailer. Opening hours are OSM opening_hours; null: unknown."""

    code: Code
    name: Text
    lat: Lat
    lng: Lng
    zone: Zone
    country: Country | None = None
    opening_hours: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    address: Text | None = None
    closed: bool = False
    city: Text | None = None
    tags: Tags = []


class NewStores(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An upload: all of it is stored, or none."""

    stores: Annotated[list[Store], Meta(min_length=1, max_length=5_000)]


class StoredStore(Store, frozen=True):
    """A store as stored."""

    id: Number = msgspec.field(default=0)


class Stores(msgspec.Struct, frozen=True):
    """One page."""

    stores: list[StoredStore]
    next: str | None = None


async def upload(call: Call, body: NewStores) -> Uploaded:
    """Insert or replace by code."""
    told = [fault for row, store in enumerate(body.stores, 1) for fault in faults_of(store, row)]
    faults = [*repeated([store.code for store in body.stores]), *told]
    if faults:
        raise Problem("invalid", errors=sorted(faults, key=lambda fault: fault.row or 0))
    cells = encode(np.array([s.lat for s in body.stores]), np.array([s.lng for s in body.stores]))
    rows = [
        msgspec.structs.asdict(store) | {"cell": int(cell)}
        for store, cell in zip(body.stores, cells.astype(np.int64), strict=True)
    ]
    found = queries.stores.upsert_stores(call.connection, retailer=call.retailer, rows=rows)
    return uploaded([row async for row in found])


async def page(call: Call) -> Stores:
    """Stores by id."""
    rows = queries.stores.list_stores(call.connection, after=after(call), most=call.query.limit)
    found = [_shown(row) async for row in rows]
    return Stores(found, next_link(call, [one.id for one in found]))


async def one(call: Call) -> StoredStore:
    """The store of a code."""
    row = await queries.stores.get_store(call.connection, code=call.params["code"])
    if row is None:
        raise Problem("not_found")
    return _shown(row)


def faults_of(store: Store, row: int) -> list[Fault]:
    """What one field's type cannot tell: zones that do not exist, hours that do not parse, null island."""
    faults = []
    if store.zone not in ZONES:
        faults.append(Fault("value", "not an IANA time zone", "zone", row))
    if store.lat == 0.0 and store.lng == 0.0:
        faults.append(Fault("null_island", "0, 0 is where positions go that are missing", "lat", row))
    if store.opening_hours is not None:
        faults += _hours_faults(store.opening_hours, row)
    return faults


def _hours_faults(hours: str, row: int) -> list[Fault]:
    try:
        check(hours)
    except InvalidHours as error:
        return [Fault("value", str(error)[:300], "opening_hours", row)]
    return []


def _shown(row: Any) -> StoredStore:
    return StoredStore(**dict(row))

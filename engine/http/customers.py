"""Customers: known by the app's own opaque id; created one by one or in bulk."""

from __future__ import annotations

import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from engine.directory.consents import to_bits, to_purposes
from engine.http import consents, devices, tokens
from engine.http.bulk import repeated
from engine.http.call import Call, Reply
from engine.http.consents import Consents
from engine.http.devices import DeviceRow, NewDevice
from engine.http.problems import Fault, Problem
from engine.http.wire import ZONES, Code, Zone
from engine.log.keys import PARTITIONS, partition_of
from engine.postgres import queries
from offers.campaign import StartClock


class QuietHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When no offer is pushed, on the customer's own wall clock; the end may be on the next day."""

    start: StartClock
    end: StartClock


class CustomerChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an app says of a customer. Quiet hours that are not named stay, null takes them away; with quiet hours and
    without a zone no offer is pushed at all, for it may be night there."""

    zone: Zone | None = None
    quiet_hours: QuietHours | msgspec.UnsetType | None = msgspec.UNSET


class NamedDevice(NewDevice, frozen=True, kw_only=True):
    """A device with the app's own name of it."""

    name: Code


class NewCustomer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of a bulk creation."""

    id: Code
    zone: Zone | None = None
    consents: Consents = Consents()
    devices: Annotated[list[NamedDevice], Meta(max_length=20)] = []


class NewCustomers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch: all of it is stored, or none."""

    customers: Annotated[list[NewCustomer], Meta(min_length=1, max_length=1_000)]


class CreatedCustomers(msgspec.Struct, frozen=True):
    """How many were new, and how many were known already and took the zone, consents and devices given."""

    created: int
    updated: int


class Customer(msgspec.Struct, frozen=True):
    """A customer as stored; registrations are never shown."""

    id: str
    zone: str | None
    consents: dict[str, bool]
    created_at: datetime.datetime
    devices: list[DeviceRow]
    quiet_hours: QuietHours | None = None


class Token(msgspec.Struct, frozen=True):
    """A customer's token, for the phone."""

    token: str
    expires_at: datetime.datetime

    def __repr__(self) -> str:
        return "Token()"


async def put(call: Call, body: CustomerChange) -> Reply | Customer:
    """Create the customer, or change its zone."""
    _require_zones([body.zone], rows=False)
    one = call.params["customer"]
    created = await register(call.connection, {one: body.zone})
    if body.quiet_hours is not msgspec.UNSET:
        await _keep_quiet(call, one, body.quiet_hours)
    customer = await get(call)
    return Reply(201, msgspec.json.encode(customer)) if created else customer


async def _keep_quiet(call: Call, one: str, hours: QuietHours | None) -> None:
    if hours is not None and hours.start == hours.end:
        raise Problem("invalid", errors=[Fault("value", "they begin and end at the same minute", "quiet_hours")])
    await queries.customers.set_quiet_hours(
        call.connection,
        id=one,
        first=_minute(hours.start) if hours else None,
        end=_minute(hours.end) if hours else None,
    )


def _minute(clock: str) -> int:
    """Minutes after midnight."""
    return int(clock[:2]) * 60 + int(clock[3:])


def _quiet(row: Any) -> QuietHours | None:
    if row["quiet_from"] is None:
        return None
    first, end = divmod(row["quiet_from"], 60), divmod(row["quiet_until"], 60)
    return QuietHours("{:02}:{:02}".format(*first), "{:02}:{:02}".format(*end))


async def get(call: Call) -> Customer:
    """One customer."""
    row = await queries.customers.get_customer(call.connection, id=call.params["customer"])
    if row is None:
        raise Problem("unknown_customer")
    shown = [
        DeviceRow(**dict(d)) async for d in queries.customers.list_devices(call.connection, customer=row["number"])
    ]
    return Customer(row["id"], row["zone"], to_purposes(row["consents"]), row["created_at"], shown, _quiet(row))


async def token(call: Call) -> Token:
    """Mint a token with which the customer's phone may act for itself."""
    row = await queries.customers.get_customer(call.connection, id=call.params["customer"])
    if row is None:
        raise Problem("unknown_customer")
    services = call.services
    text, expires_ms = tokens.mint(
        services.secrets.token_key, row["number"], call.now_ms, services.settings.token_life_s
    )
    return Token(text, datetime.datetime.fromtimestamp(expires_ms / 1000, datetime.UTC))


async def bulk(call: Call, body: NewCustomers) -> CreatedCustomers:
    """Create many, with consents and devices."""
    given = {one.id: one for one in body.customers}
    if faults := repeated([one.id for one in body.customers], "id"):
        raise Problem("invalid", errors=faults)
    _require_zones([one.zone for one in body.customers], rows=True)
    created = await register(call.connection, {one.id: one.zone for one in body.customers})
    rows = queries.customers.lock_customers(call.connection, ids=sorted(given))
    before = {row["id"]: row async for row in rows}
    await devices.take_over(
        call.connection,
        [(before[one.id]["number"], device.name, device) for one in body.customers for device in one.devices],
    )
    changes = {
        before[one.id]["number"]: to_bits(msgspec.structs.asdict(one.consents), before[one.id]["consents"])
        for one in body.customers
        if to_bits(msgspec.structs.asdict(one.consents), before[one.id]["consents"]) != before[one.id]["consents"]
    }
    await consents.change(call, changes, list(given))
    return CreatedCustomers(created, len(given) - created)


async def register(connection: Any, zones: dict[str, str | None]) -> int:
    """Create the customers that are unknown, give the others the zone named here; how many were created.

    Rows are dense within a partition: the counters of the partitions concerned are locked, in the order of p,
    before it is looked who is new, so that nobody else can take a row or create the same id meanwhile.
    """
    ids = sorted(zones)
    await queries.customers.set_zones(connection, ids=ids, zones=[zones[one] for one in ids])
    known = {row["id"] async for row in queries.customers.find_entries(connection, ids=ids, shift=0)}
    if len(known) == len(ids):
        return 0
    partitions = sorted({partition_of(one) for one in ids if one not in known})
    counters = queries.customers.lock_counters(connection, partitions=partitions)
    next_row = {row["p"]: row["next_row"] async for row in counters}
    known = {row["id"] async for row in queries.customers.find_entries(connection, ids=ids, shift=0)}
    new = [one for one in ids if one not in known]
    numbers = []
    for one in new:
        p = partition_of(one)
        numbers.append(next_row[p] * PARTITIONS + p)
        next_row[p] += 1
    await queries.customers.insert_customers(
        connection, numbers=numbers, ids=new, zones=[zones[one] for one in new], count=PARTITIONS
    )
    await queries.customers.advance_counters(connection, partitions=partitions, rows=[next_row[p] for p in partitions])
    return len(new)


def _require_zones(zones: list[str | None], rows: bool) -> None:
    faults = [
        Fault("value", "not an IANA time zone", "zone", row if rows else None)
        for row, zone in enumerate(zones, 1)
        if zone is not None and zone not in ZONES
    ]
    if faults:
        raise Problem("invalid", errors=faults)

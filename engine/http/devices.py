"""Devices: a phone's push registration belongs to the customer who showed it last."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from engine.http.call import Call
from engine.http.problems import Problem
from engine.postgres import queries


class NewDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A phone or browser and how to reach it."""

    platform: Literal["android", "ios", "web"]
    kind: Literal["token", "fid"]
    registration: Annotated[str, Meta(min_length=1, max_length=4096, pattern=r"^[!-~]+$")]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.platform})"


class DeviceRow(msgspec.Struct, frozen=True):
    """A device as shown: never its registration."""

    name: str
    platform: str
    kind: str
    state: Literal["active", "quarantined", "removed"]
    registered_at: datetime.datetime


async def put(call: Call, body: NewDevice) -> DeviceRow:
    """Register a device, or its new registration; whoever had the registration before loses it."""
    customer = await _number(call)
    rows = await take_over(call.connection, [(customer, call.params["device"], body)])
    return DeviceRow(**dict(rows[0]))


async def delete(call: Call) -> None:
    """Nothing is sent to the device any more."""
    removed = await queries.customers.remove_device(
        call.connection, customer=await _number(call), name=call.params["device"]
    )
    if removed is None:
        raise Problem("not_found")


async def take_over(connection: Any, given: Sequence[tuple[int, str, NewDevice]]) -> list[Any]:
    """Store (customer number, device name, device) rows, the last owner of a registration winning.

    Two calls that move the same registration wait for each other at a lock, in the order of the registrations.
    """
    if not given:
        return []
    newest = {device.registration: (number, name, device) for number, name, device in given}
    last = {(number, name): device for number, name, device in newest.values()}
    registrations = sorted({device.registration for device in last.values()})
    async for _ in queries.customers.lock_registrations(connection, registrations=registrations):
        pass
    rows = [
        msgspec.structs.asdict(device) | {"customer": number, "name": name}
        for (number, name), device in sorted(last.items(), key=lambda item: item[0])
    ]
    await queries.customers.release_registrations(connection, rows=rows)
    return [row async for row in queries.customers.upsert_devices(connection, rows=rows)]


async def _number(call: Call) -> int:
    row = await queries.customers.get_customer(call.connection, id=call.params["customer"])
    if row is None:
        raise Problem("unknown_customer")
    number: int = row["number"]
    return number
